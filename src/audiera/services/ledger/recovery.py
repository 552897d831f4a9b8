"""Starting again: what the block log holds and the state lacks is executed before anything is answered."""

import logging

from audiera.protocol.encoding import decode, digest_of
from audiera.protocol.errors import LedgerError
from audiera.protocol.machine import BlockContext
from audiera.protocol.records import Genesis
from audiera.protocol.results import BlockResult
from audiera.services.ledger import blocks
from audiera.services.ledger.execution import Executor
from audiera.services.ledger.home import LedgerHome
from audiera.services.storage.blocklog import LoggedBlock
from audiera.services.storage.frames import FILE_HEAD_BYTES

_log = logging.getLogger(__name__)


def recover(home: LedgerHome, executor: Executor) -> blocks.Parent:
    """Cut a torn tail, check that log and state belong together, execute what is final and was not executed.

    Returns:
        What the next block builds upon.

    Raises:
        LedgerError: log or state is damaged, or they do not belong together.
    """
    tip = home.database.tip()
    cut = home.log.cut_torn_tail(tip.end)
    if cut:
        _log.warning("ledger.cut_torn_tail height=%d bytes=%d", tip.height + 1, cut)
    if tip.height:
        _check_genesis(home)
    parent = _newest(home) if tip.height else blocks.first_parent(home.genesis)
    for record in home.log.records(tip.end):
        parent = apply_record(home.genesis, executor, parent, record)
        _log.info("ledger.executed_again height=%d", parent.height)
    return parent


def _check_genesis(home: LedgerHome) -> None:
    """The first header holds the genesis's digest, so a genesis altered later is seen at every start."""
    first = blocks.decode_record(home.log.read(FILE_HEAD_BYTES)).block.header
    if first.app_hash != digest_of(home.genesis):
        raise LedgerError(
            f"the genesis in {home.folder} is not the one block 1 was built upon; restore it from a copy",
            code="genesis_damaged",
        )


def _newest(home: LedgerHome) -> blocks.Parent:
    """The last executed block, as the log and the database both have it."""
    tip = home.database.tip()
    stored = home.database.block(tip.height)
    if stored is None or not stored.is_whole:
        raise LedgerError(
            f"the state database has no whole result of block {tip.height}; move the database away, "
            "and it is made anew from the block log",
            code="state_damaged",
            height=tip.height,
        )
    record = home.log.read(stored.start)
    block, commit, _ = blocks.decode_record(record)
    result = decode(stored.result, BlockResult, max_bytes=len(stored.result))
    if record.end != tip.end or block.header.height != tip.height or result.app_hash != tip.app_hash:
        raise LedgerError(
            f"the block log and the state database do not belong together at block {tip.height}; "
            "restore both from the same copy, or move the database away",
            code="state_differs",
            height=tip.height,
        )
    blocks.check_final(home.genesis, block, commit)
    return blocks.parent_of(block, commit, result)


def apply_record(genesis: Genesis, executor: Executor, parent: blocks.Parent, record: LoggedBlock) -> blocks.Parent:
    """Check the next record of a block log in full, execute it and commit.

    Returns:
        What the block after it builds upon.

    Raises:
        LedgerError: it is not the next block of this chain, or was built upon another state.
    """
    found = blocks.decode_record(record)
    blocks.check_next(genesis, parent, executor.machine.app_hash, found)
    return execute(executor, found, record)


def execute(executor: Executor, found: blocks.LedgerBlock, record: LoggedBlock) -> blocks.Parent:
    """Execute a block that was checked and stands in the block log, and commit.

    Returns:
        What the block after it builds upon.
    """
    context = BlockContext(found.block.header.height, found.time)
    result = executor.apply(context, found.block.transactions, start=record.start, end=record.end)
    return blocks.parent_of(found.block, found.commit, result)
