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

from audiera.protocol.accesses import ROW_BYTES, SessionOpen, Watermark, pack_row
from audiera.protocol.accesses.receipts import Receipt, ReceiptGroup
from audiera.protocol.accesses.rows import OP_REFUSAL
from audiera.protocol.errors import RequestError, StorageError, Unavailable
from audiera.services.access.companions import Companions, Request, decode_companions, encode_companions
from audiera.services.storage.ports import WriteAheadFile

Clock = Callable[[], int]
"""Microseconds since 1970 UTC."""

_TIME_AT: Final = 8
_REMEMBERED: Final = 200_000
"""How many answered requests are remembered, oldest forgotten first."""

LARGEST_GROUP: Final = 16_384
"""Rows in one group at the most; whatever they hold, they fit into one batch."""

MOST_BESIDE: Final = 512
"""Sessions, and watermarks, beside one group at the most, for the same reason."""

LONGEST_NAME: Final = 512
"""Characters in a caller's name for an access at the most."""


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
    """License revision decided under; for a call the version of the price list it is charged by."""

    purpose: int
    """Purpose code."""

    op: int
    """Op code."""

    flags: int = 0
    """Flag bits."""


_CARRIER: Final = RowFields(
    asset=0, consumer=0, grant=0, session=0, bytes=0, units=0, policy=0, purpose=0, op=OP_REFUSAL
)
"""A row that says no refusals were made: what waits beside rows needs one, and nobody else may make any."""


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

    def encoded_receipt(self) -> bytes:
        """The receipt in its canonical bytes."""
        return self.group.encoded(self.position)


class Unsealed(NamedTuple):
    """Durable rows that are not on the ledger yet."""

    first_index: int
    """Index of the first."""

    rows: bytes
    """64 bytes each."""

    companions: Companions
    """What stands beside them."""


class _Group:
    """Rows that will become durable together, and what stands beside them."""

    def __init__(self) -> None:
        self.rows = bytearray()
        self.waiters: list[asyncio.Future[Recorded]] = []
        self.sessions: list[SessionOpen] = []
        self.watermarks: dict[int, Watermark] = {}
        self.requests: list[Request] = []

    @property
    def is_full(self) -> bool:
        is_crowded = len(self.sessions) >= MOST_BESIDE or len(self.watermarks) >= MOST_BESIDE
        return is_crowded or len(self.waiters) >= LARGEST_GROUP


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

    Raises:
        StorageError: rows are missing between what the ledger has and what the file has.
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
        self._forming: deque[_Group] = deque([_Group()])
        self._is_committing = False
        self.unsealed: deque[Unsealed] = deque()
        self.arrived = asyncio.Event()
        self._recover(next_index)

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
            if first_index + count > next_index:
                skipped = max(next_index - first_index, 0)
                self._keep(Unsealed(first_index + skipped, rows[skipped * ROW_BYTES :], companions), next_index)

    def _keep(self, recovered: Unsealed, next_index: int) -> None:
        """Keep a recovered group, which must follow what is on the ledger or the group before it."""
        last = self.unsealed[-1] if self.unsealed else None
        expected = next_index if last is None else last.first_index + len(last.rows) // ROW_BYTES
        if recovered.first_index != expected:
            raise StorageError(
                f"the ledger and the write-ahead file go up to row {expected}, and the next one in the file is "
                f"{recovered.first_index}: receipts were given for rows that are gone; restore the newer ledger",
                code="rows_missing",
                expected=expected,
                got=recovered.first_index,
            )
        self.unsealed.append(recovered)
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
        forming, self._forming = self._forming, deque([_Group()])
        for group in forming:
            self._refuse(group.waiters)
        self.arrived.set()

    def _refuse(self, waiters: "list[asyncio.Future[Recorded]]") -> None:
        for future in waiters:
            if not future.done():
                future.set_exception(Unavailable(self._failure or "", code="meter_stopped"))
                future.exception()  # whoever waits is told; a row nobody waits for is no fault of its own

    def add_session(self, session: SessionOpen) -> None:
        """A session was opened; it becomes durable with the next group."""
        self._forming[-1].sessions.append(session)
        self._close_full_group()

    def add_watermark(self, watermark: Watermark) -> None:
        """A watermark was received; it becomes durable with the next group, unless a later one of its session does."""
        known = self._forming[-1].watermarks.get(watermark.session)
        if watermark.rows and (known is None or watermark.rows > known.rows):
            self._forming[-1].watermarks[watermark.session] = watermark
            self._close_full_group()

    def _close_full_group(self) -> None:
        """Begin the next group once this one is full: what is beside it must not outgrow a batch, rows or not."""
        group = self._forming[-1]
        if not group.is_full or self._failure is not None:
            return
        if group.waiters:
            self._forming.append(_Group())
        else:
            self._enter(_CARRIER)

    def answered(self, session: int, request: str) -> Recorded | None:
        """The row an earlier identical request became; None when it is new."""
        return self._answered.get((session, request))

    async def known(self, session: int, request: str) -> Recorded | None:
        """The row a request of this name became or is becoming; None, without waiting, when it is new.

        Raises:
            Unavailable: the meter stopped before that row was durable.
        """
        name = (session, request)
        waiting = self._waiting_requests.get(name)
        return self._answered.get(name) if waiting is None else await asyncio.shield(waiting)

    async def record(self, fields: RowFields, *, request: str = "") -> Recorded:
        """Make a row durable; returns only then.

        Args:
            fields: the row.
            request: the caller's name for it; asking again with the same name is answered by the same row.

        Raises:
            Unavailable: the meter has stopped.
            RequestError: the name is too long.
            BatchError: no such row can be.
        """
        name = (fields.session, request)
        if request:
            known = await self.known(*name)
            if known is not None:
                return known
        if len(request) > LONGEST_NAME:
            raise RequestError(
                f"a name has at most {LONGEST_NAME} characters, got {len(request)}", code="name_too_long"
            )
        if self._failure is not None:
            raise Unavailable(self._failure, code="meter_stopped")
        future = self._enter(fields, request)
        if not request:
            return await future
        self._waiting_requests[name] = future
        return await asyncio.shield(future)  # whoever asks again under the name waits for the same row

    def _enter(self, fields: RowFields, request: str = "") -> "asyncio.Future[Recorded]":
        loop = asyncio.get_running_loop()
        t = max(self._clock(), self._last_t + 1)
        row = pack_row(
            asset=fields.asset,
            t=t,
            consumer=fields.consumer,
            grant=fields.grant,
            session=fields.session,
            size=fields.bytes,
            units=fields.units,
            node=self._node,
            policy=fields.policy,
            purpose=fields.purpose,
            op=fields.op,
            flags=fields.flags,
        )
        group = self._forming[-1]
        group.rows += row
        future: asyncio.Future[Recorded] = loop.create_future()
        group.waiters.append(future)
        if request:
            group.requests.append(Request(session=fields.session, request=request, index=self._next_index))
        self._last_t = t
        self._next_index += 1
        self._close_full_group()
        if not self._is_committing:
            self._is_committing = True
            loop.call_soon(self._commit)
        return future

    def _commit(self) -> None:
        """Send what has gathered to the disk; whatever arrives meanwhile forms the next group."""
        if self._failure is not None:
            self.fail(self._failure)
            return
        group = self._forming.popleft()
        if not self._forming:
            self._forming.append(_Group())
        rows = bytes(group.rows)
        first_index = self._next_index - sum(len(later.waiters) for later in self._forming) - len(group.waiters)
        companions = Companions(
            sessions=tuple(group.sessions),
            watermarks=tuple(group.watermarks.values()),
            requests=tuple(group.requests),
        )
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._append, first_index, rows, companions)
        job.add_done_callback(lambda done: self._committed(done, first_index, rows, companions, group.waiters))

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
        fault = done.exception()
        if fault is not None:
            self.fail(f"the write-ahead file failed, so nothing more is served: {fault}")
            self._refuse(waiters)
            return
        group = done.result()
        self.unsealed.append(Unsealed(first_index, rows, companions))
        self.arrived.set()
        for request in companions.requests:
            name = (request.session, request.request)
            self._waiting_requests.pop(name, None)
            self._remember(name, Recorded(group, request.index - first_index))
        for position, future in enumerate(waiters):
            if not future.done():
                future.set_result(Recorded(group, position))
        self._is_committing = bool(self._forming[0].waiters)
        if self._is_committing:
            self._commit()

    def _remember(self, name: tuple[int, str], recorded: Recorded) -> None:
        self._answered[name] = recorded
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)

    def take(self, most: int) -> list[Unsealed]:
        """Durable groups to be sealed next, whole ones, at most ``most`` rows unless the first alone has more."""
        taken: list[Unsealed] = []
        rows = beside = 0
        for unsealed in self.unsealed:
            rows += len(unsealed.rows) // ROW_BYTES
            beside += len(unsealed.companions.sessions) + len(unsealed.companions.watermarks)
            if taken and (rows > most or beside > 2 * MOST_BESIDE):
                break
            taken.append(unsealed)
        return taken

    def sealed(self, count: int, next_index: int) -> None:
        """The first ``count`` groups are on the ledger; whole segments below ``next_index`` are forgotten."""
        for _ in range(count):
            self.unsealed.popleft()
        if not self.unsealed and self._failure is None:
            self.arrived.clear()
        self._file.forget(next_index)

    def close(self) -> None:
        """Finish the group in flight and give the file back; whatever else waits is refused by the loop."""
        if self._failure is None:
            self._failure = "the meter is closed"
        self._thread.shutdown(wait=True)
        self._file.close()
