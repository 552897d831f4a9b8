"""What a node says of itself and of its ledger."""

from audiera.protocol.api.base import Message


class HeadAnswer(Message, frozen=True, kw_only=True):
    """The newest committed block."""

    height: int
    """0 before the first block."""

    time: int
    """Its block time, microseconds."""

    app_hash: bytes
    """Application hash after it."""

    log_size: int
    """Entries in the access log."""

    records: int
    """Access records in all entries together."""


class NodeAnswer(Message, frozen=True, kw_only=True):
    """Which node this is and which chain it serves."""

    chain_id: str
    """Name of the chain; part of everything signed."""

    genesis: bytes
    """SHA-256 of the genesis: two chains of one name differ here."""

    account: int
    """Ledger number of the node's own account."""

    key: str
    """The node's signing key, ``did:key:...``."""

    log_key: str
    """Validator key that signs the access log's checkpoints, ``did:key:...``."""

    head: HeadAnswer
    """Where the ledger stands."""

    version: str
    """Version of the program."""

    rails: tuple[str, ...]
    """Settlement rails of the chain; credits of ``test-faucet`` are worth nothing."""

    faucet: bool
    """Whether this node gives test credits."""

    sandbox: tuple[str, ...]
    """What confines the decoding of uploads here: rlimits, landlock, seccomp."""

    time: int
    """The node's clock, microseconds."""


class TransactionInBlock(Message, frozen=True, kw_only=True):
    """A transaction as a block lists it."""

    id: str
    """Transaction id."""

    account: int
    """Who signed it."""

    kind: str
    """Tag of its body."""

    code: str
    """``ok``, or why it was refused."""

    number: int = 0
    """Ledger number of what it created."""


class BlockAnswer(Message, frozen=True, kw_only=True):
    """A committed block."""

    height: int
    """Its number."""

    time: int
    """Its time, microseconds."""

    app_hash: bytes
    """Application hash after it."""

    header: bytes
    """The encoded header."""

    commit: bytes
    """The validators' encoded signatures over it."""

    transactions: tuple[TransactionInBlock, ...]
    """What it holds, in order."""


class PurseSum(Message, frozen=True, kw_only=True):
    """All purses of one kind together."""

    kind: str
    """account, asset, grant, model, settlement, network, or issued: what was brought in, counted below zero."""

    purses: int
    """How many have ever held credits."""

    balance: int
    """What stands in them, microcredits."""


class CreditsAnswer(Message, frozen=True, kw_only=True):
    """Where every credit stands. The sum is 0 at every height: none is made and none is lost."""

    height: int
    """Block whose state it is."""

    kinds: tuple[PurseSum, ...]
    """By kind, in alphabetical order."""

    total: int
    """Their sum."""


class CheckpointAnswer(Message, frozen=True, kw_only=True):
    """The newest signed checkpoint of the access log."""

    checkpoint: str
    """The signed note, C2SP tlog-checkpoint."""


class LogEntryAnswer(Message, frozen=True, kw_only=True):
    """An entry of the access log and where it stands."""

    index: int
    """Its number."""

    entry: bytes
    """Height, number of its first row in the whole log, batch header: 208 bytes."""

    size: int
    """Size of the tree the path leads to."""

    path: tuple[bytes, ...]
    """Inclusion path of the entry, RFC 9162."""
