"""The node, its ledger and what stands on it: read by anyone."""

from audiera.node.http.lookup import height_of
from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.node import (
    BlockAnswer,
    CheckpointAnswer,
    CreditsAnswer,
    HeadAnswer,
    LogEntryAnswer,
    NodeAnswer,
    PurseSum,
    TransactionInBlock,
)
from audiera.protocol.chain import encode_commit, encode_header
from audiera.protocol.encoding import digest_of
from audiera.protocol.errors import NotFound, Unavailable
from audiera.protocol.ids import format_id
from audiera.protocol.keys import format_key
from audiera.services.ledger.ports import Head

_TRIES = 10


def _head(head: Head) -> HeadAnswer:
    return HeadAnswer(
        height=head.height,
        time=head.time,
        app_hash=head.app_hash,
        log_size=head.log_size,
        records=head.records,
    )


async def node(call: Call) -> NodeAnswer:
    """Which node this is, which chain it serves, and where the ledger stands."""
    parts, genesis = call.parts, call.parts.ledger.genesis
    return NodeAnswer(
        chain_id=genesis.chain_id,
        genesis=digest_of(genesis),
        account=parts.account,
        key=format_key(parts.keys.device_public),
        log_key=format_key(parts.keys.validator_public),
        head=_head(parts.ledger.head()),
        version=parts.version,
        rails=tuple(authority.rail for authority in genesis.authorities),
        faucet=parts.faucet is not None,
        sandbox=parts.sandbox(),
        time=parts.clock(),
    )


async def ledger_head(call: Call) -> HeadAnswer:
    """The newest committed block."""
    return _head(call.parts.ledger.head())


def ledger_block(call: Call, height: int) -> BlockAnswer:
    """A committed block: header, commit, and what its transactions did."""
    height = height_of(call, height)
    header, commit = call.parts.ledger.header_and_commit(height)
    result = call.parts.ledger.results(height)
    return BlockAnswer(
        height=height,
        time=result.time,
        app_hash=result.app_hash,
        header=encode_header(header),
        commit=encode_commit(commit),
        transactions=tuple(
            TransactionInBlock(
                id=format_id(each.id), account=each.account, kind=each.kind, code=each.code, number=each.number
            )
            for each in result.transactions
        ),
    )


def ledger_credits(call: Call) -> CreditsAnswer:
    """Where every credit stands, by kind of purse; they add up to 0.

    Raises:
        Unavailable: blocks came faster than the purses could be read.
    """
    ledger = call.parts.ledger
    for _ in range(_TRIES):
        height = ledger.head().height
        sums: dict[str, tuple[int, int]] = {}
        for purse, balance in ledger.state().balances():
            kind = purse.partition("/")[0]
            count, total = sums.get(kind, (0, 0))
            sums[kind] = (count + 1, total + balance)
        if ledger.head().height == height:
            kinds = tuple(PurseSum(kind=kind, purses=sums[kind][0], balance=sums[kind][1]) for kind in sorted(sums))
            return CreditsAnswer(height=height, kinds=kinds, total=sum(each.balance for each in kinds))
    raise Unavailable("the ledger moves on faster than its purses can be read; ask again", code="ledger_busy")


def ledger_checkpoint(call: Call) -> CheckpointAnswer:
    """The newest signed checkpoint of the access log (C2SP tlog-checkpoint)."""
    return CheckpointAnswer(checkpoint=call.parts.ledger.checkpoint())


def ledger_log_entry(call: Call, index: int) -> LogEntryAnswer:
    """An entry of the access log with its inclusion path in the log as it is now."""
    size = call.parts.ledger.head().log_size
    if not 0 <= index < size:
        raise NotFound(f"the access log has entries 0 to {size - 1}, not {index}", code="entry_not_found")
    ledger = call.parts.ledger
    return LogEntryAnswer(index=index, entry=ledger.log_entry(index), size=size, path=ledger.log_path(index, size))


OPERATIONS = (
    Operation(routes.NODE, node, "anyone"),
    Operation(routes.LEDGER_HEAD, ledger_head, "anyone"),
    Operation(routes.LEDGER_BLOCK, ledger_block, "anyone"),
    Operation(routes.LEDGER_CREDITS, ledger_credits, "anyone"),
    Operation(routes.LEDGER_CHECKPOINT, ledger_checkpoint, "anyone"),
    Operation(routes.LEDGER_LOG_ENTRY, ledger_log_entry, "anyone"),
)
