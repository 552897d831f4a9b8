"""The solo engine: one validator in this process, whose blocks are final once they are on its disk.

One thread makes the blocks: it waits for a transaction, lets those that are just behind it come in, signs a
block, appends it to the block log, executes it, commits, and only then answers. A crash at any moment loses
nothing that was answered: what the log holds is executed again at the next start.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

from audiera.protocol.chain import Block, Commit, Header, encode_block, encode_commit
from audiera.protocol.encoding import decode
from audiera.protocol.errors import LedgerError, NotFound, TransactionError
from audiera.protocol.keys import public_key
from audiera.protocol.machine import BlockContext
from audiera.protocol.records import Genesis
from audiera.protocol.results import BlockResult, TransactionResult
from audiera.protocol.state import StateView
from audiera.protocol.transactions import decode_transaction, transaction_id
from audiera.services.ledger import blocks
from audiera.services.ledger.checkpoints import signed_checkpoint
from audiera.services.ledger.execution import Executor
from audiera.services.ledger.home import LedgerHome
from audiera.services.ledger.logtree import LogTree
from audiera.services.ledger.ports import Head
from audiera.services.ledger.reading import CommittedState
from audiera.services.ledger.recovery import recover
from audiera.services.storage.blocklog import nothing_after

_RECENT_RESULTS = 256

_log = logging.getLogger(__name__)


class SoloSettings(NamedTuple):
    """How the solo engine makes blocks."""

    gather_s: float = 0.005
    """How long the first waiting transaction waits for others at most, seconds; up to 0.2."""

    quiet_s: float = 0.001
    """A pause in which no transaction came ends the gathering earlier, seconds."""

    max_transactions: int = 5_000
    """Most transactions in a block."""

    proof_block_after_s: float | None = 0.5
    """Idle seconds after which an empty block makes the newest state provable; None makes none."""


DEFAULT_SETTINGS = SoloSettings()


class _Waiting(NamedTuple):
    """A transaction that is not in a committed block yet."""

    id: bytes
    transaction: bytes
    future: "Future[TransactionResult]"


class SoloLedger:
    """The ledger of one operator, as :class:`audiera.services.ledger.ports.Ledger` describes it.

    Args:
        home: its open folder; closed with the ledger.
        seed: secret of the validator's key, 32 bytes.
        now: the clock, microseconds since 1970.
        settings: how blocks are made.
        after: called with the name of each durable step once it is done.

    Raises:
        LedgerError: what the folder holds is damaged, or the seed is not its validator's.
    """

    def __init__(
        self,
        home: LedgerHome,
        *,
        seed: bytes,
        now: Callable[[], int],
        settings: SoloSettings = DEFAULT_SETTINGS,
        after: Callable[[str], None] = nothing_after,
    ) -> None:
        if [public_key(seed)] != [validator.key for validator in home.genesis.validators]:
            raise LedgerError(
                "the solo engine needs the key of the chain's only validator, and the given one is not it",
                code="not_the_validator",
            )
        self._home = home
        self._genesis = home.genesis
        self._database = home.database
        self._seed = seed
        self._now = now
        self._settings = settings
        self._after = after
        self._state = CommittedState(home.database)
        self._executor = Executor(home.genesis, home.database, after=after)
        self._parent = recover(home, self._executor)
        self._wake = threading.Condition(self._executor.lock)
        self._advanced = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._unfinished: dict[bytes, _Waiting] = {}
        self._recent: dict[int, BlockResult] = {}
        self._failure: LedgerError | None = None
        self._closing = False
        self._checkpoint: tuple[int, str] = (-1, "")
        self._head = self._read_head()
        if self._head.height == 0:
            self._make_block([])  # so that the state holds what the genesis says before anyone reads it
        self._thread = threading.Thread(target=self._run, name="ledger-sequencer")
        self._thread.start()

    # ------------------------------------------------------------------ handing in

    def submit(self, transaction: bytes) -> "Future[TransactionResult]":
        """Hand in a signed transaction; one that is waiting or succeeded already gets that one's answer."""
        future: Future[TransactionResult] = Future()
        future.set_running_or_notify_cancel()
        waiting = _Waiting(transaction_id(transaction), transaction, future)
        try:
            with self._wake:
                answer = self._accept(waiting)
        except BaseException as fault:
            raise self._stop(fault) from fault
        match answer:
            case Future():
                return answer
            case TransactionResult():
                future.set_result(answer)
            case _:
                future.set_exception(answer)
        return future

    def _accept(
        self, waiting: _Waiting
    ) -> "Future[TransactionResult] | TransactionResult | TransactionError | LedgerError":
        """Queue a transaction, or say at once what becomes of it."""
        stopped = self._stopped()
        if stopped is not None:
            return stopped
        known = self._unfinished.get(waiting.id)
        if known is not None:
            return known.future
        try:
            self._executor.machine.check(waiting.transaction)
        except TransactionError as refusal:
            return self._success(waiting.id) or refusal  # what succeeded before never passes the check again
        self._unfinished[waiting.id] = waiting
        self._queue.append(waiting)
        if len(self._queue) in (1, self._settings.max_transactions):
            self._wake.notify()  # not for each: waking the sequencer costs as much as a transaction
        return waiting.future

    def _stopped(self) -> LedgerError | None:
        if self._failure is not None:
            return LedgerError(f"the ledger has stopped: {self._failure.message}", code=self._failure.code)
        return LedgerError("the ledger is closed", code="ledger_closed") if self._closing else None

    def _success(self, name: bytes) -> TransactionResult | None:
        """The result of a committed transaction that did what it asked for."""
        place = self._database.transaction(name)
        if place is None:
            return None
        result = self.results(place[0]).transactions[place[1]]
        return result if result.ok else None

    # ------------------------------------------------------------------ making blocks

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                self._make_block(batch)
        except Exception as fault:  # noqa: BLE001 - the one place where whatever went wrong stops the engine
            self._stop(fault)

    def _next_batch(self) -> list[_Waiting] | None:
        """What the next block holds, once there is something; empty for a proof block; None to end."""
        with self._wake:
            if not self._queue:
                patience = self._settings.proof_block_after_s if self._needs_proof() else None
                if not self._wake.wait_for(lambda: self._queue or self._closing, patience):
                    return []
            if not self._queue or self._failure is not None:
                return None
            self._gather()
            return self._take()

    def _needs_proof(self) -> bool:
        """Whether the newest application hash is in no header yet; never twice for one state."""
        newest = self._parent
        is_new = newest.app_hash != self._executor.machine.app_hash
        return is_new and (newest.transactions > 0 or newest.height == 1)

    def _gather(self) -> None:
        """Let the transactions come in that are just behind the first; the lock is free meanwhile."""
        end = time.monotonic() + self._settings.gather_s
        seen = 0
        while seen < len(self._queue) < self._settings.max_transactions and time.monotonic() < end:
            if self._closing:
                return
            seen = len(self._queue)
            self._wake.wait(self._settings.quiet_s)

    def _take(self) -> list[_Waiting]:
        limit = self._executor.machine.view().params().max_block_bytes
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self._settings.max_transactions:
            size += len(self._queue[0].transaction)
            if size > limit and batch:
                break
            batch.append(self._queue.popleft())
        transactions = [waiting.transaction for waiting in batch]
        if self._executor.machine.prepare(transactions, limit) != transactions:
            raise LedgerError("the machine does not take transactions into a block that it accepted before")
        return batch

    def _make_block(self, batch: list[_Waiting]) -> None:
        """Order, store, execute, commit, answer."""
        transactions = tuple(waiting.transaction for waiting in batch)
        moment = max(self._now(), self._parent.time + 1)
        block = blocks.build_block(
            self._genesis,
            self._parent,
            time=moment,
            app_hash=self._executor.machine.app_hash,
            transactions=transactions,
        )
        commit = blocks.sign_block(self._seed, block)
        self._after("block-built")
        record = self._home.log.append(encode_block(block), encode_commit(commit))
        self._after("block-synced")
        context = BlockContext(self._parent.height + 1, moment)
        result = self._executor.apply(context, transactions, start=record.start, end=record.end)
        self._parent = blocks.parent_of(block, commit, result)
        self._after("committed")
        self._finish(batch, result)
        self._after("answered")

    def _finish(self, batch: list[_Waiting], result: BlockResult) -> None:
        """Show the block to readers, then resolve the futures of its transactions."""
        with self._wake:
            for waiting, outcome in zip(batch, result.transactions, strict=True):
                self._unfinished.pop(waiting.id)
                if not outcome.ok:
                    self._forget_doomed(waiting)
        self._recent[result.height] = result
        self._recent.pop(result.height - _RECENT_RESULTS, None)
        with self._advanced:
            self._head = self._read_head()
            self._advanced.notify_all()
        for waiting, outcome in zip(batch, result.transactions, strict=True):
            waiting.future.set_result(outcome)

    def _forget_doomed(self, waiting: _Waiting) -> None:
        """A transaction that failed before its sequence number counted leaves those behind it without a chance."""
        envelope = decode_transaction(waiting.transaction, len(waiting.transaction)).envelope
        if self._executor.machine.view().sequence(envelope.account) < envelope.sequence:
            self._executor.machine.forget(envelope.account)

    def _stop(self, fault: BaseException) -> LedgerError:
        """Something went wrong that no rule foresees: answer nothing more."""
        if isinstance(fault, LedgerError):
            failure = fault
        else:
            failure = LedgerError(f"{type(fault).__name__}: {fault}; see the log, then start the node again")
            failure.__cause__ = fault
        with self._wake:
            if self._failure is None:
                self._failure = failure
                _log.critical("ledger.stopped code=%s", failure.code, exc_info=fault)
            abandoned = list(self._unfinished.values())
            self._unfinished.clear()
            self._queue.clear()
            self._closing = True
            self._wake.notify_all()
        with self._advanced:
            self._advanced.notify_all()
        for waiting in abandoned:
            waiting.future.set_exception(
                LedgerError(f"the ledger stopped before an answer: {failure.message}", code=failure.code)
            )
        return failure

    # ------------------------------------------------------------------ reading

    @property
    def genesis(self) -> Genesis:
        """What the chain began with."""
        return self._genesis

    @property
    def failure(self) -> LedgerError | None:
        """Why the engine stopped; None while it runs."""
        return self._failure

    def _read_head(self) -> Head:
        log_size = records = 0
        machine = self._executor.machine
        if machine.height:
            log = machine.view().log()
            log_size, records = log.size, log.records
        return Head(machine.height, self._parent.time, machine.app_hash, log_size, records)

    def head(self) -> Head:
        """The newest committed block."""
        return self._head

    def wait(self, height: int, timeout_s: float) -> bool:
        """Block until the head is at least ``height``; False when the time is up first.

        Raises:
            LedgerError: the ledger has stopped below that height.
        """
        with self._advanced:
            self._advanced.wait_for(lambda: self._head.height >= height or self._failure is not None, timeout_s)
        if self._head.height < height and self._failure is not None:
            raise LedgerError(f"the ledger has stopped: {self._failure.message}", code=self._failure.code)
        return self._head.height >= height

    def _record(self, height: int) -> blocks.LedgerBlock:
        stored = self._database.block(height) if height <= self._head.height else None
        if stored is None:
            raise NotFound(
                f"there is no block {height}; the newest is {self._head.height}", code="block_not_found", height=height
            )
        return blocks.decode_record(self._home.log.read(stored.start))

    def block(self, height: int) -> Block:
        """A committed block; NotFound beyond the head."""
        return self._record(height).block

    def header_and_commit(self, height: int) -> tuple[Header, Commit]:
        """A committed block's header and the validator's signature over it."""
        found = self._record(height)
        return found.block.header, found.commit

    def results(self, height: int) -> BlockResult:
        """What a committed block did."""
        recent = self._recent.get(height)
        if recent is not None:
            return recent
        stored = self._database.block(height)
        if stored is None:
            raise NotFound(
                f"there is no block {height}; the newest is {self._head.height}", code="block_not_found", height=height
            )
        if not stored.is_whole:
            raise LedgerError(
                f"the stored result of block {height} is damaged; run: audiera ledger fsck",
                code="state_damaged",
                height=height,
            )
        return decode(stored.result, BlockResult, max_bytes=len(stored.result))

    def follow(self, from_height: int) -> Iterator[BlockResult]:
        """Results from a height up to the head at the time of each step; ends at the head."""
        height = max(from_height, 1)
        while height <= self._head.height:
            yield self.results(height)
            height += 1

    def state(self) -> StateView:
        """The committed state, for reading."""
        return self._state

    def transaction_at(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Height and position of a committed transaction; None when there is none."""
        return self._database.transaction(transaction_id)

    def log_entry(self, index: int) -> bytes:
        """An entry of the access log, 208 bytes; NotFound beyond its end."""
        entry = self._database.log_entry(index)
        if entry is None:
            raise NotFound(f"the access log has no entry {index}; it has {self._head.log_size}", code="entry_not_found")
        return entry

    def log_path(self, index: int, size: int) -> tuple[bytes, ...]:
        """Inclusion path of an entry in the access log's tree of the first ``size`` entries."""
        return LogTree(self._database.tile).inclusion_path(index, size)

    def log_consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """Consistency path between two sizes of the access log."""
        return LogTree(self._database.tile).consistency_path(first, second)

    def log_tile(self, level: int, number: int) -> bytes:
        """The hashes of a tile of the access log's tree, 32 bytes each; empty beyond its end."""
        return self._database.tile(level, number)

    def checkpoint(self) -> str:
        """The newest signed checkpoint of the access log; the same text until the next block."""
        head = self._head
        height, text = self._checkpoint
        if height != head.height:
            root = LogTree(self._database.tile).root(head.log_size)
            text = signed_checkpoint(self._genesis.chain_id, head, root, seed=self._seed, now=self._now())
            self._checkpoint = (head.height, text)
        return text

    # ------------------------------------------------------------------ the end

    def close(self) -> None:
        """Finish what has been accepted, then stop; quiet when it was closed before."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()
        self._home.close()
