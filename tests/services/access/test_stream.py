"""Bytes out: no byte before its row, no byte for a row that stands for others, nothing left open."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from audiera.protocol.accesses.rows import MAX_ROW_BYTES, OP_PREVIEW, OP_RANGE, OP_REFUSAL, OP_WHOLE
from audiera.protocol.errors import AccessRefused, NotFound, RequestError, StorageError, Unavailable
from audiera.protocol.records import Rule
from audiera.protocol.transactions import RevokeGrant
from audiera.services.access import Ask, Authorization, Delivery, Session, Stream
from audiera.services.access.stream import PIECE_BYTES
from audiera.services.storage.ports import BlobInfo, BlobReader, BlobStore, BlobWriter
from tests.services.access.house import DURATION_MS, FREE, House, Rooms, capped, house_in, priced


class WatchedReader:
    """A reader that says what is done with it; may end before its time."""

    def __init__(self, reader: BlobReader, watch: "WatchedBlobs") -> None:
        self._reader = reader
        self._watch = watch

    @property
    def size(self) -> int:
        return self._reader.size

    def read(self, offset: int, length: int) -> bytes:
        self._watch.reads += 1
        return b"" if self._watch.is_cut else self._reader.read(offset, length)

    def close(self) -> None:
        self._watch.open_now -= 1
        self._reader.close()


class WatchedBlobs:
    """The real blobs, watched: how many readers are open, how often bytes were read."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.open_now = 0
        self.reads = 0
        self.is_cut = False

    def begin(self) -> BlobWriter:
        return self._blobs.begin()

    def open(self, blob: bytes) -> BlobReader:
        reader = WatchedReader(self._blobs.open(blob), self)
        self.open_now += 1
        return reader

    def info(self, blob: bytes) -> BlobInfo | None:
        return self._blobs.info(blob)

    def chunk_hashes(self, blob: bytes) -> tuple[bytes, ...]:
        return self._blobs.chunk_hashes(blob)

    def delete(self, blob: bytes) -> None:
        self._blobs.delete(blob)

    def close(self) -> None:
        """The house closes the real ones."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as house:
        yield house


class Desk:
    """Rooms with one asset, a grant on it, and a session; its blobs are watched."""

    def __init__(
        self, house: House, rule: Rule = FREE, *, data: bytes = bytes(range(250)) * 4, **grant: object
    ) -> None:
        self.house = house
        self.data = data
        self.asset = house.asset(house.license(rule), data=data)
        self.grant = house.grant(house.lab, self.asset, **grant)
        self.rooms: Rooms = house.rooms()
        self.blobs = WatchedBlobs(house.blobs)
        rooms = self.rooms
        self.stream = Stream(rooms.gate, rooms.meter, rooms.refusals, self.blobs, house.ledger)
        self.session: Session = rooms.session(house.lab, self.grant)

    async def get(self, start: int = 0, length: int | None = None, *, request: str = "") -> Delivery:
        return await self.stream.open(self.session, self.asset, start, length, request=request)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_the_whole_asset_comes_with_its_receipt(house: House) -> None:
    desk = Desk(house)
    delivery: Delivery = run(desk.get())
    assert b"".join(delivery.pieces()) == desk.data
    row = desk.rooms.row_of(delivery.recorded)
    assert (row.op, row.bytes, row.units) == (OP_WHOLE, 1_000, DURATION_MS)
    assert (row.consumer, row.grant, row.session) == (house.lab.number, desk.grant, desk.session.number)
    assert desk.blobs.open_now == 0


@pytest.mark.parametrize(
    ("start", "length", "op", "size", "units"),
    [
        (0, 1_000, OP_WHOLE, 1_000, 2_000),
        (0, 5_000, OP_WHOLE, 1_000, 2_000),
        (1, None, OP_RANGE, 999, 1_998),
        (999, None, OP_RANGE, 1, 2),
        (250, 333, OP_RANGE, 333, 666),
        (990, 100, OP_RANGE, 10, 20),
    ],
)
def test_a_range_is_recorded_as_what_it_is(
    house: House, start: int, length: int | None, op: int, size: int, units: int
) -> None:
    desk = Desk(house)
    delivery: Delivery = run(desk.get(start, length))
    assert b"".join(delivery.pieces()) == desk.data[start : start + size]
    row = desk.rooms.row_of(delivery.recorded)
    assert (row.op, row.bytes, row.units) == (op, size, units)


@pytest.mark.parametrize(("start", "length"), [(1_000, None), (-1, 5), (0, 0), (5, -3), (2**70, None)])
def test_a_range_outside_the_asset_is_refused_and_not_recorded(house: House, start: int, length: int | None) -> None:
    desk = Desk(house)
    with pytest.raises(RequestError) as refused:
        run(desk.get(start, length))
    assert refused.value.code == "range_invalid"
    assert desk.rooms.durable() == []


def test_a_larger_asset_leaves_in_pieces(house: House) -> None:
    desk = Desk(house, data=bytes(range(256)) * (PIECE_BYTES // 128) + b"end")
    pieces = list(run(desk.get()).pieces())
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 3]
    assert b"".join(pieces) == desk.data


def test_nothing_is_read_before_its_row_is_durable(house: House) -> None:
    desk = Desk(house)

    async def work() -> None:
        desk.rooms.file.hold()
        waiting = asyncio.create_task(desk.get())
        await desk.rooms.file.reached()
        assert not waiting.done()
        assert desk.blobs.reads == 0
        desk.rooms.file.release()
        delivery = await waiting
        assert [row.asset for row in desk.rooms.durable()] == [desk.asset]
        assert b"".join(delivery.pieces()) == desk.data

    run(work())


def test_a_disk_that_fails_releases_nothing_for_good(house: House) -> None:
    desk = Desk(house)

    async def work() -> None:
        desk.rooms.file.fault = StorageError("the disk is gone")
        for request in ("", "a", "a"):
            with pytest.raises(Unavailable) as refused:
                await desk.get(request=request)
            assert refused.value.code == "meter_stopped"
            desk.rooms.file.fault = None

    run(work())
    assert desk.blobs.reads == desk.blobs.open_now == 0
    assert desk.rooms.durable() == []


def test_an_asset_or_blob_that_is_not_here_is_said_and_not_recorded(house: House) -> None:
    desk = Desk(house)

    async def work() -> None:
        with pytest.raises(NotFound) as unknown:
            await desk.stream.open(desk.session, 9_999)
        assert unknown.value.code == "unknown_object"
        asset = house.ledger.state().asset(desk.asset)
        assert asset is not None
        house.blobs.delete(asset.content.blob)
        with pytest.raises(NotFound):
            await desk.get()

    run(work())
    assert desk.rooms.durable() == []
    assert desk.session.rows == 0


def test_bytes_that_are_not_what_the_ledger_says_are_not_released(house: House) -> None:
    """Registered elsewhere with a wrong size: reading on would never end."""
    desk = Desk(house)
    other = house.asset(house.license(FREE), data=b"x" * 50, size=60)
    session = desk.rooms.session(house.lab, house.grant(house.lab, other))

    async def work() -> None:
        with pytest.raises(StorageError) as refused:
            await desk.stream.open(session, other)
        assert refused.value.code == "blob_differs"

    run(work())
    assert desk.blobs.open_now == 0
    assert desk.rooms.durable() == []


def test_a_blob_that_ends_early_ends_the_delivery(house: House) -> None:
    desk = Desk(house)
    delivery: Delivery = run(desk.get())
    desk.blobs.is_cut = True
    with pytest.raises(StorageError, match="ends at byte 0"):
        list(delivery.pieces())
    assert desk.blobs.open_now == 0


def test_more_than_any_row_can_hold_is_refused(house: House) -> None:
    desk = Desk(house)
    huge = house.asset(house.license(FREE), data=b"y", size=2 * MAX_ROW_BYTES)
    with pytest.raises(RequestError) as refused:
        run(desk.stream.open(desk.session, huge))
    assert refused.value.code == "range_invalid"


def test_a_refusal_is_recorded_with_what_was_asked(house: House) -> None:
    desk = Desk(house)
    other = house.asset(house.license(FREE))

    async def work() -> None:
        with pytest.raises(AccessRefused) as refused:
            await desk.stream.open(desk.session, other)
        assert refused.value.values["reasons"] == ("not-covered",)

    run(work())
    (row,) = desk.rooms.durable()
    assert (row.op, row.asset, row.consumer, row.grant) == (OP_REFUSAL, other, house.lab.number, desk.grant)
    assert (row.session, row.bytes, row.units) == (desk.session.number, 0, 1)
    assert desk.blobs.open_now == desk.blobs.reads == 0


# ---------------------------------------------------------------- names of accesses


def test_the_same_name_for_the_same_bytes_is_one_row_and_one_charge(house: House) -> None:
    house.fund(house.lab, 100)
    desk = Desk(house, priced("access", 10), budget=10)

    async def work() -> None:
        async with desk.rooms.sealing():
            deliveries = [await desk.get(request="n") for _ in range(3)]
            assert {delivery.recorded.index for delivery in deliveries} == {0}
            assert all(b"".join(delivery.pieces()) == desk.data for delivery in deliveries)
            await desk.rooms.sealer.flush()
            assert (await desk.get(request="n")).recorded.index == 0

    run(work())
    assert len(house.recorded()) == 1
    assert house.ledger.state().grant_usage(desk.grant).spent == 10
    assert desk.session.rows == 1


def test_the_same_name_at_the_same_time_reserves_once(house: House) -> None:
    desk = Desk(house, capped(accesses=2))

    async def work() -> None:
        deliveries = await asyncio.gather(*(desk.get(request="n") for _ in range(20)))
        assert {delivery.recorded.index for delivery in deliveries} == {0}
        assert (await desk.get(request="m")).recorded.index == 1
        with pytest.raises(AccessRefused):
            await desk.get()

    run(work())
    assert desk.session.rows == 2


def test_a_known_name_never_releases_other_bytes(house: House) -> None:
    """Neither another range of the same length, nor another asset: each is decided and recorded by itself."""
    desk = Desk(house)
    outside = house.asset(house.license(FREE), data=b"z" * 1_000)

    async def work() -> None:
        first = await desk.get(0, 10, request="n")
        second = await desk.get(10, 10, request="n")
        assert (first.recorded.index, second.recorded.index) == (0, 1)
        at_once = await asyncio.gather(desk.get(20, 10, request="n"), desk.get(30, 10, request="n"))
        assert {delivery.recorded.index for delivery in at_once} == {2, 3}
        with pytest.raises(AccessRefused):
            await desk.stream.open(desk.session, outside, request="n")

    run(work())
    assert [row.op for row in desk.rooms.durable()] == [OP_RANGE] * 4 + [OP_REFUSAL]


def test_a_known_name_releases_nothing_once_the_grant_is_revoked(house: House) -> None:
    desk = Desk(house)

    async def work() -> None:
        assert b"".join((await desk.get(request="n")).pieces()) == desk.data
        house.do(house.lab, RevokeGrant(grant=desk.grant))
        with pytest.raises(AccessRefused) as refused:
            await desk.get(request="n")
        assert refused.value.values["reasons"] == ("grant-revoked",)

    run(work())
    assert [row.op for row in desk.rooms.durable()] == [OP_WHOLE, OP_REFUSAL]
    assert desk.blobs.open_now == 0


# ---------------------------------------------------------------- previews


def test_a_preview_is_recorded_for_nobody(house: House) -> None:
    desk = Desk(house)
    asset = house.asset(house.license(Rule(purpose="preview", verdict="allow")))
    row = desk.rooms.row_of(run(desk.stream.preview(asset, 321)))
    assert (row.op, row.asset, row.bytes, row.units) == (OP_PREVIEW, asset, 321, DURATION_MS)
    assert (row.consumer, row.grant, row.session, row.policy) == (0, 0, 0, 1)


def test_a_preview_the_license_does_not_allow_is_refused_and_recorded(house: House) -> None:
    desk = Desk(house)
    with pytest.raises(AccessRefused) as refused:
        run(desk.stream.preview(desk.asset, 321))
    assert refused.value.values["reasons"] == ("no-rule",)
    (row,) = desk.rooms.durable()
    assert (row.op, row.asset, row.bytes, row.units) == (OP_REFUSAL, desk.asset, 0, 1)
    with pytest.raises(NotFound):
        run(desk.stream.preview(9_999, 321))


def test_revoking_and_accessing_at_once_never_releases_after_the_block(house: House) -> None:
    """Whoever is authorized was authorized before the block of the revocation."""
    desk = Desk(house)

    async def work() -> None:
        authorized = 0
        revoking = asyncio.create_task(asyncio.to_thread(house.do, house.lab, RevokeGrant(grant=desk.grant)))
        while not revoking.done():
            answer = desk.rooms.gate.authorize(desk.session, Ask(desk.asset, OP_WHOLE, 1, 1))
            authorized += isinstance(answer, Authorization)
            if authorized >= 1_000:
                break
            await asyncio.sleep(0)
        await revoking
        assert not isinstance(desk.rooms.gate.authorize(desk.session, Ask(desk.asset, OP_WHOLE, 1, 1)), Authorization)

    run(work())
