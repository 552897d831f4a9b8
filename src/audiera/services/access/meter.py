"""The meter: a row is durable before anybody hears of it, and many rows share one sync.

Whatever arrives while a sync is in flight forms the next group. One event loop hands rows in; a thread of its own
appends groups to the write-ahead file. A row's index and time are assigned in the order of arrival; the node signs
each group once.
"""

import asyncio
import struct
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from audiera.protocol.accesses import ROW_BYTES, SessionOpen, Watermark
from audiera.protocol.accesses.receipts import Receipt, ReceiptGroup
from audiera.protocol.errors import StorageError, Unavailable
from audiera.services.access.companions import Companions, Request, decode_companions, encode_companions
from audiera.services.storage.ports import WriteAheadFile

Clock = Callable[[], int]
"""Microseconds since 1970 UTC."""

_ROW: Final = struct.Struct("<6Q3I2BH")
_TIME_AT: Final = 8
_REMEMBERED: Final = 200_000
"""How many answered requests are remembered, oldest forgotten first."""

_LARGEST_GROUP: Final = 65_536
"""Rows in one group at the most."""


class RowFields(NamedTuple):
    """A row as it is handed in; time, node and index are the meter's."""

    asset: int
    """Ledger number of the asset or model."""

    consumer: int
    """Account that uses; 0 for a visitor."""

    grant: int
    """Grant it relies on; 0 for none."""

    session: int
    """The node's number of the session; 0 for none."""

    bytes: int
    """Bytes authorized to be released."""

    units: int
    """Milliseconds of audio; started seconds for a call; refusals summed up."""

    policy: int
    """License revision decided under."""

    purpose: int
    """Purpose code."""

    op: int
    """Op code."""

    flags: int = 0
    """Flag bits."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A durable row."""

    group: ReceiptGroup
    """The group it became durable in."""

    position: int
    """Its position there."""

    @property
    def index(self) -> int:
        """Its index among all the node's rows."""
        return self.group.seal.first_index + self.position

    def receipt(self) -> Receipt:
        """The node's signed word for it."""
        return self.group.receipt(self.position)


class Unsealed(NamedTuple):
    """Durable rows that are not on the ledger yet."""

    first_index: int
    """Index of the first."""

    rows: bytes
    """64 bytes each."""

    companions: Companions
    """What stands beside them."""


class Meter:
    """Makes rows durable, in groups.

    Args:
        file: the write-ahead file.
        chain_id: the chain.
        node: the node's ledger number.
        clock: the node's clock.
        sign: the node's signature of a message.
        next_index: index the ledger expects next of this node; rows below are on it.
        last_t: time of the newest row on the ledger.
    """

    def __init__(
        self,
        file: WriteAheadFile,
        *,
        chain_id: str,
        node: int,
        clock: Clock,
        sign: Callable[[bytes], bytes],
        next_index: int,
        last_t: int,
    ) -> None:
        self._file = file
        self._chain_id = chain_id
        self._node = node
        self._clock = clock
        self._sign = sign
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="meter")
        self._next_index = next_index
        self._last_t = last_t
        self._failure: str | None = None
        self._answered: OrderedDict[tuple[int, str], Recorded] = OrderedDict()
        self._waiting_requests: dict[tuple[int, str], asyncio.Future[Recorded]] = {}
        self._begin_group()
        self._is_committing = False
        self.unsealed: deque[Unsealed] = deque()
        self.arrived = asyncio.Event()
        self._recover(next_index)

    def _begin_group(self) -> None:
        self._rows = bytearray()
        self._waiters: list[asyncio.Future[Recorded]] = []
        self._sessions: list[SessionOpen] = []
        self._watermarks: list[Watermark] = []
        self._requests: list[Request] = []

    def _recover(self, next_index: int) -> None:
        """Take up the groups an earlier process made durable: what the ledger lacks is still to be sealed."""
        for first_index, rows, beside in self._file.groups(0):
            companions = decode_companions(beside)
            count = len(rows) // ROW_BYTES
            if count:
                group = self._group_of(first_index, rows)
                for request in companions.requests:
                    self._remember((request.session, request.request), Recorded(group, request.index - first_index))
                (newest,) = struct.unpack_from("<Q", rows, len(rows) - ROW_BYTES + _TIME_AT)
                self._last_t = max(self._last_t, newest)
                self._next_index = max(self._next_index, first_index + count)
            if first_index + count > next_index or (not count and first_index >= next_index):
                skipped = max(next_index - first_index, 0)
                self.unsealed.append(Unsealed(first_index + skipped, rows[skipped * ROW_BYTES :], companions))
        if self.unsealed:
            self.arrived.set()

    @property
    def next_index(self) -> int:
        """Index the next row will have; every row below is durable or about to be."""
        return self._next_index

    @property
    def failure(self) -> str | None:
        """Why nothing is metered any more; None while all is well."""
        return self._failure

    def fail(self, why: str) -> None:
        """Stop for good: from here on every access is refused, so that nothing leaves unrecorded."""
        if self._failure is None:
            self._failure = why
        for future in self._waiters:
            if not future.done():
                future.set_exception(Unavailable(why, code="meter_stopped"))

    def add_session(self, session: SessionOpen) -> None:
        """A session was opened; it becomes durable with the next group."""
        self._sessions.append(session)

    def add_watermark(self, watermark: Watermark) -> None:
        """A watermark was received; it becomes durable with the next group."""
        self._watermarks.append(watermark)

    def answered(self, session: int, request: str) -> Recorded | None:
        """The row an earlier identical request became; None when it is new."""
        return self._answered.get((session, request))

    async def record(self, fields: RowFields, *, request: str = "") -> Recorded:
        """Make a row durable; returns only then.

        Args:
            fields: the row.
            request: the caller's name for it; asking again with the same name is answered by the same row.

        Raises:
            Unavailable: the meter has stopped.
        """
        name = (fields.session, request)
        if request:
            known = self._answered.get(name)
            if known is not None:
                return known
            waiting = self._waiting_requests.get(name)
            if waiting is not None:
                return await asyncio.shield(waiting)
        if self._failure is not None:
            raise Unavailable(self._failure, code="meter_stopped")
        future = self._enter(fields)
        if request:
            self._waiting_requests[name] = future
            self._requests.append(Request(session=fields.session, request=request, index=self._next_index - 1))
        return await asyncio.shield(future)

    def _enter(self, fields: RowFields) -> "asyncio.Future[Recorded]":
        loop = asyncio.get_running_loop()
        self._last_t = max(self._clock(), self._last_t + 1)
        asset, consumer, grant, session, size, units, policy, purpose, op, flags = fields
        row = _ROW.pack(
            asset, self._last_t, consumer, grant, session, size, units, self._node, policy, purpose, op, flags
        )
        self._rows += row
        self._next_index += 1
        future: asyncio.Future[Recorded] = loop.create_future()
        self._waiters.append(future)
        if not self._is_committing:
            self._is_committing = True
            loop.call_soon(self._commit)
        return future

    def _commit(self) -> None:
        """Send what has gathered to the disk; whatever arrives meanwhile forms the next group."""
        count = min(len(self._waiters), _LARGEST_GROUP)
        first_index = self._next_index - len(self._waiters)
        rows, waiters = bytes(self._rows[: count * ROW_BYTES]), self._waiters[:count]
        end = first_index + count
        companions = Companions(
            sessions=tuple(self._sessions),
            watermarks=tuple(self._watermarks),
            requests=tuple(request for request in self._requests if request.index < end),
        )
        later = (self._rows[count * ROW_BYTES :], self._waiters[count:], self._requests)
        self._begin_group()
        self._rows, self._waiters = later[0], later[1]
        self._requests = [request for request in later[2] if request.index >= end]
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._append, first_index, rows, companions)
        job.add_done_callback(lambda done: self._committed(done, first_index, rows, companions, waiters))

    def _append(self, first_index: int, rows: bytes, companions: Companions) -> ReceiptGroup:
        self._file.append(first_index, rows, encode_companions(companions))
        return self._group_of(first_index, rows)

    def _group_of(self, first_index: int, rows: bytes) -> ReceiptGroup:
        (newest,) = struct.unpack_from("<Q", rows, len(rows) - ROW_BYTES + _TIME_AT)
        return ReceiptGroup(
            rows,
            chain_id=self._chain_id,
            node=self._node,
            first_index=first_index,
            t=newest,
            sign=self._sign,
        )

    def _committed(
        self,
        done: "asyncio.Future[ReceiptGroup]",
        first_index: int,
        rows: bytes,
        companions: Companions,
        waiters: "list[asyncio.Future[Recorded]]",
    ) -> None:
        try:
            group = done.result()
        except (StorageError, OSError) as cause:
            self.fail(f"the write-ahead file failed, so nothing more is served: {cause}")
            for future in waiters:
                if not future.done():
                    future.set_exception(Unavailable(self._failure or "", code="meter_stopped"))
            return
        self.unsealed.append(Unsealed(first_index, rows, companions))
        self.arrived.set()
        for request in companions.requests:
            name = (request.session, request.request)
            self._waiting_requests.pop(name, None)
            self._remember(name, Recorded(group, request.index - first_index))
        for position, future in enumerate(waiters):
            if not future.done():
                future.set_result(Recorded(group, position))
        if self._waiters:
            self._commit()
        else:
            self._is_committing = False

    def _remember(self, name: tuple[int, str], recorded: Recorded) -> None:
        self._answered[name] = recorded
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)

    def take(self, most: int) -> list[Unsealed]:
        """Durable groups to be sealed next, whole ones, at most ``most`` rows unless the first alone has more."""
        taken: list[Unsealed] = []
        rows = 0
        for unsealed in self.unsealed:
            rows += len(unsealed.rows) // ROW_BYTES
            if taken and rows > most:
                break
            taken.append(unsealed)
        return taken

    def sealed(self, count: int, next_index: int) -> None:
        """The first ``count`` groups are on the ledger; whole segments below ``next_index`` are forgotten."""
        for _ in range(count):
            self.unsealed.popleft()
        if not self.unsealed:
            self.arrived.clear()
        self._file.forget(next_index)

    def close(self) -> None:
        """Finish the group in flight and give the file back."""
        self._thread.shutdown(wait=True)
        self._file.close()
