"""Executing a block that is final: in memory first, then one commit of everything it changes."""

import threading
from collections.abc import Callable

from audiera.protocol.encoding import encode
from audiera.protocol.errors import LedgerError
from audiera.protocol.machine import BlockContext, Execution, Machine
from audiera.protocol.merkle import leaf_hash
from audiera.protocol.records import Genesis
from audiera.protocol.results import BlockResult, TransactionResult
from audiera.services.ledger.logtree import LogTree, extend
from audiera.services.storage.blocklog import nothing_after
from audiera.services.storage.ports import BlockWrites, Database, Tip


class Executor:
    """The machine and the database it stands on.

    Args:
        genesis: what the chain begins with.
        database: committed state; empty for a new chain.
        after: called with the name of each durable step once it is done.

    Attributes:
        machine: use it under ``lock`` only.
        lock: held while the machine executes or commits, not while the disk is waited for.

    Raises:
        LedgerError: the state in the database does not have the application hash it was committed with.
    """

    def __init__(self, genesis: Genesis, database: Database, *, after: Callable[[str], None] = nothing_after) -> None:
        self._database = database
        self._after = after
        self.lock = threading.RLock()
        tip = database.tip()
        self.machine = Machine(database, genesis, height=tip.height)
        if tip.height and self.machine.app_hash != tip.app_hash:
            raise LedgerError(
                f"the state at block {tip.height} has application hash {self.machine.app_hash.hex()}, "
                f"but {tip.app_hash.hex()} was committed; move the state database away, and it is made anew "
                "from the block log",
                code="state_damaged",
                height=tip.height,
            )

    def apply(self, context: BlockContext, transactions: tuple[bytes, ...], *, start: int, end: int) -> BlockResult:
        """Execute the next block and commit what it changes; visible and durable when this returns.

        Args:
            context: height and time of the block.
            transactions: signed transactions, in order.
            start: where its record begins in the block log.
            end: where the record ends.

        Raises:
            LedgerError: it is not the next block, or the access log's tree disagrees with the machine.
        """
        with self.lock:
            execution = self.machine.execute(context, transactions)
            size = self.machine.view().log().size
        self._after("executed")
        writes = self._writes(execution, size, start, end)
        self._database.commit(writes)
        self._after("state-committed")
        with self.lock:
            self.machine.commit()
            self._check_log(size + len(execution.log_entries))
        return execution.result

    def _writes(self, execution: Execution, size: int, start: int, end: int) -> BlockWrites:
        result = execution.result
        leaves = [leaf_hash(entry) for entry in execution.log_entries]
        tiles = extend(self._database.tile, size, leaves)
        return BlockWrites(
            tip=Tip(result.height, result.app_hash, end),
            start=start,
            rows=execution.writes,
            buckets=execution.buckets,
            result=encode(result),
            transactions=self._places(result.transactions),
            first_entry=size,
            entries=execution.log_entries,
            tiles=tuple((level, number, hashes) for (level, number), hashes in tiles.items()),
        )

    def _places(self, results: tuple[TransactionResult, ...]) -> tuple[tuple[bytes, int], ...]:
        """What the index shall say: a success stands over a failure, and the first failure over later ones."""
        places: dict[bytes, int] = {}
        for position, result in enumerate(results):
            if result.ok or (result.id not in places and self._database.transaction(result.id) is None):
                places[result.id] = position
        return tuple(places.items())

    def _check_log(self, size: int) -> None:
        head = self.machine.view().log()
        if (head.size, head.root) != (size, LogTree(self._database.tile).root(size)):
            raise LedgerError(
                f"the tree of the access log's {size} entries has another root than the machine's {head.size} entries",
                code="log_tree_differs",
                size=size,
            )
