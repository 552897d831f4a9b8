"""The sealer: durable rows become batches on the ledger, each exactly once, in order, never dropped."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from audiera.protocol.accesses import HEADER_BYTES, ROW, SessionOpen, seal
from audiera.protocol.accesses.rows import FLAG_LATE
from audiera.protocol.encoding import digest
from audiera.protocol.errors import AudieraError, LedgerError
from audiera.protocol.results import TransactionResult
from audiera.protocol.transactions import RecordAccesses
from audiera.services.access.meter import Meter, Unsealed
from audiera.services.ledger.ports import Ledger

_log = logging.getLogger(__name__)

BATCH_ROWS = 65_536
"""A batch is sealed when it has this many rows, or when its first row has waited long enough."""

_LATE_MARGIN_US = 20_000_000
"""Rows this close to the end of the window for rows are marked late, for the block will be later still."""

Submit = Callable[[RecordAccesses], "Future[TransactionResult]"]
"""Signs a transaction as the node's account and hands it to the ledger."""


class Sealer:
    """Posts a node's rows to the ledger, one batch at a time.

    Args:
        meter: whose rows.
        ledger: where to.
        submit: signs and submits as the node's account.
        node: the node's ledger number.
        chain_id: the chain.
        clock: microseconds since 1970 UTC.
        sign: the node's signature of a message.
        on_sealed: told each batch's rows once they are on the ledger, as a row array.
        interval_s: longest a row waits for its batch.
    """

    def __init__(
        self,
        meter: Meter,
        ledger: Ledger,
        submit: Submit,
        *,
        node: int,
        chain_id: str,
        clock: Callable[[], int],
        sign: Callable[[bytes], bytes],
        on_sealed: Callable[[np.ndarray], None],
        interval_s: float = 0.2,
    ) -> None:
        self._meter = meter
        self._ledger = ledger
        self._submit = submit
        self._node = node
        self._chain_id = chain_id
        self._clock = clock
        self._sign = sign
        self._on_sealed = on_sealed
        self._interval_s = interval_s
        state = ledger.state().node(node)
        self._next_index = state.next_index
        self._last_header_hash = state.last_header_hash
        self._progress = asyncio.Condition()
        self._is_urgent = asyncio.Event()
        self._has_ended = False
        self._waiting = 0

    @property
    def next_index(self) -> int:
        """Every row below this index is on the ledger."""
        return self._next_index

    async def run(self) -> None:
        """Seal until cancelled, or until a meter that has stopped has nothing left.

        However it ends, the meter stops with it: nothing is served that nobody would post. A batch the ledger refuses
        ends it.
        """
        why = "accesses are no longer recorded on the ledger, so nothing more is served"
        try:
            await self._seal_all()
        except AudieraError as error:
            why = f"accesses cannot be recorded on the ledger, so nothing more is served: {error.message}"
            _log.critical("access.seal_failed code=%s", error.code)
        finally:
            self._has_ended = True
            self._meter.fail(why)
            async with self._progress:
                self._progress.notify_all()

    async def _seal_all(self) -> None:
        await self._meter.arrived.wait()
        while self._meter.unsealed:
            if len(self._meter.take(BATCH_ROWS)) == len(self._meter.unsealed) and not self._waiting:
                await self._pause()
            await self._seal_next()
            await self._meter.arrived.wait()

    async def _pause(self) -> None:
        """Let rows gather, unless somebody waits for them."""
        self._is_urgent.clear()
        try:
            await asyncio.wait_for(self._is_urgent.wait(), self._interval_s)
        except TimeoutError:
            return

    async def _seal_next(self) -> None:
        taken = self._meter.take(BATCH_ROWS)
        batch, rows = await asyncio.to_thread(self._make_batch, taken)
        while len(batch) > self._ledger.state().params().max_batch_bytes and len(taken) > 1:
            taken = taken[: len(taken) // 2]
            batch, rows = await asyncio.to_thread(self._make_batch, taken)
        result = await asyncio.wrap_future(self._submit(RecordAccesses(batch=batch)))
        if not result.ok:
            raise AudieraError(f"the ledger refused a batch: {result.message}", code=result.code)
        self._last_header_hash = digest(batch[:HEADER_BYTES])
        self._next_index += len(rows)
        self._meter.sealed(len(taken), self._next_index)
        self._on_sealed(rows)
        async with self._progress:
            self._progress.notify_all()

    def _make_batch(self, taken: list[Unsealed]) -> tuple[bytes, np.ndarray]:
        if taken[0].first_index != self._next_index:
            raise LedgerError(
                f"row {self._next_index} is next on the ledger, and row {taken[0].first_index} is to be sealed; "
                "another process has sealed for this node",
                code="rows_missing",
            )
        view = self._ledger.state()
        rows = np.frombuffer(bytearray().join(entry.rows for entry in taken), dtype=ROW)
        # Block time may be ahead of the clock, when that was set back: the ledger judges by block time.
        now = max(self._clock(), self._ledger.head().time)
        oldest = now - view.params().row_lag_us + _LATE_MARGIN_US
        rows["flags"][rows["t"] < np.uint64(max(oldest, 0))] |= np.uint16(FLAG_LATE)
        last_session = view.node(self._node).last_session
        opened = (session for entry in taken for session in entry.companions.sessions)
        batch = seal(
            rows,
            sorted((session for session in opened if session.number > last_session), key=_number_of),
            [watermark for entry in taken for watermark in entry.companions.watermarks],
            chain_id=self._chain_id,
            node=self._node,
            first_index=self._next_index,
            prev_header_hash=self._last_header_hash,
            sign=self._sign,
        )
        return batch, rows

    async def flush(self, up_to: int | None = None) -> int:
        """Wait until every row below an index (default: all so far) is on the ledger; returns a height that has them.

        Raises:
            AudieraError: the sealer has stopped.
        """
        target = self._meter.next_index if up_to is None else up_to
        self._waiting += 1
        self._is_urgent.set()
        try:
            async with self._progress:
                await self._progress.wait_for(lambda: self._next_index >= target or self._has_ended)
        finally:
            self._waiting -= 1
        if self._next_index < target:
            raise AudieraError(self._meter.failure or "the sealer has stopped", code="meter_stopped")
        return self._ledger.head().height


def _number_of(session: SessionOpen) -> int:
    return session.number
