"""What the network has agreed about itself: validators, fees, limits, rules."""

from audiera.protocol.records.base import Record, require, require_digest, require_range, require_slug


class Validator(Record, frozen=True, kw_only=True):
    """A voter on blocks."""

    key: bytes
    """Ed25519 public key of its consensus signatures."""

    power: int
    """Voting power, >= 1."""


class Authority(Record, frozen=True, kw_only=True):
    """Who may bring credits in and out, over which rail."""

    rail: str
    """Name of the settlement rail; ``test-faucet`` says of itself that its credits are worth nothing."""

    key: bytes
    """Ed25519 public key that signs its deposits."""


class Params(Record, frozen=True, kw_only=True, tag="params"):
    """The parameters in force."""

    rules_version: int = 1
    """Which rules the machine follows."""

    network_fee: int = 500
    """Basis points of every payment that go to the network's purse."""

    node_fee: int = 1_000
    """Basis points of every payment that go to the serving node."""

    max_transaction_bytes: int = 1_048_576
    """Largest signed transaction."""

    max_batch_bytes: int = 2_097_152
    """Largest access batch."""

    max_block_bytes: int = 4_194_304
    """Largest sum of transactions in a block."""

    undo_window_us: int = 259_200_000_000
    """How long a higher key may undo a change of keys: 72 hours."""

    row_lag_us: int = 120_000_000
    """How far behind block time a row may be unless it is marked late."""

    row_lead_us: int = 2_000_000
    """How far ahead of block time a row may be."""

    row_late_us: int = 86_400_000_000
    """How far behind block time a late row may be."""

    credit_rows: int = 1_024
    """Rows of a session past its last watermark that still count for payment."""

    dispute_quorum: int = 1
    """Votes of moderators that decide a dispute."""


class Genesis(Record, frozen=True, kw_only=True, tag="genesis"):
    """What a chain begins with; its digest names the chain for ever."""

    chain_id: str
    """A slug, at most 48 characters."""

    time: int
    """Time of the beginning, microseconds."""

    validators: tuple[Validator, ...]
    """The first validators."""

    authorities: tuple[Authority, ...]
    """The first settlement authorities."""

    moderators: tuple[bytes, ...] = ()
    """Control keys whose accounts begin as moderators."""

    params: Params = Params()
    """The first parameters."""


def check_genesis(genesis: Genesis) -> None:
    """Refuse a genesis no chain could begin with.

    Raises:
        RecordError: which rule is broken.
    """
    require_slug(genesis.chain_id, "chain_id", 48)
    require(1 <= len(genesis.validators) <= 200, "1 to 200 validators")
    for validator in genesis.validators:
        require_digest(validator.key, "a validator's key")
        require_range(validator.power, 1, 10**12, "a validator's power")
    keys = [validator.key for validator in genesis.validators]
    require(len(dict.fromkeys(keys)) == len(keys), "a validator appears twice")
    for authority in genesis.authorities:
        require_slug(authority.rail, "an authority's rail")
        require_digest(authority.key, "an authority's key")
    params = genesis.params
    require(params.rules_version == 1, f"this program knows rules version 1, not {params.rules_version}")
    for name, fee in (("network_fee", params.network_fee), ("node_fee", params.node_fee)):
        require_range(fee, 0, 10_000, f"{name} in basis points")
    require_range(params.network_fee + params.node_fee, 0, 10_000, "the sum of the fees in basis points")
    require_range(params.dispute_quorum, 1, 10_000, "dispute_quorum")
