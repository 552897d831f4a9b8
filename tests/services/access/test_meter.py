"""The meter: nobody hears of a row before it is durable, and what has failed once never serves again."""

import asyncio
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.accesses import verify_receipt
from audiera.protocol.accesses.rows import MAX_ROW_BYTES, OP_PREVIEW, OP_REFUSAL, OP_WHOLE
from audiera.protocol.errors import BatchError, RequestError, SignatureError, StorageError, Unavailable
from audiera.services.access import Meter, Recorded, RowFields
from audiera.services.access.companions import Companions, decode_companions, encode_companions
from audiera.services.access.meter import LARGEST_GROUP, MOST_BESIDE
from audiera.services.storage.waf import open_write_ahead
from tests.services.access.house import CHAIN, FREE, HeldFile, House, Rooms, house_in
from tests.services.ledger.actors import START

SEED = bytes(range(32))
NODE = 7


def fields(asset: int = 1, **changes: int) -> RowFields:
    values = {
        "consumer": 2,
        "grant": 3,
        "session": 4,
        "bytes": 10,
        "units": 5,
        "policy": 1,
        "purpose": 4,
        "op": OP_WHOLE,
    }
    return RowFields(asset=asset, **(values | changes))


class Bench:
    """A meter alone over a real write-ahead file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = START
        self.signatures = 0
        self.file: HeldFile
        self.meter: Meter

    def open(self, *, next_index: int = 0, last_t: int = 0, segment_bytes: int = 2**21) -> "Bench":
        self.file = HeldFile(
            open_write_ahead(self.folder / "accesses", entropy=os.urandom, segment_bytes=segment_bytes)
        )
        try:
            self.meter = Meter(
                self.file,
                chain_id=CHAIN,
                node=NODE,
                clock=lambda: self.now,
                sign=self.sign,
                next_index=next_index,
                last_t=last_t,
            )
        except BaseException:
            self.file.close()
            raise
        return self

    def sign(self, message: bytes) -> bytes:
        self.signatures += 1
        return keys.sign_bytes(SEED, message)

    def close(self) -> None:
        self.meter.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path).open()
    yield bench
    bench.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as house:
        yield house


def test_nobody_hears_of_a_row_before_it_is_durable(bench: Bench) -> None:
    async def run() -> None:
        bench.file.hold()
        waiting = asyncio.create_task(bench.meter.record(fields()))
        await bench.file.reached()
        assert not waiting.done()
        assert bench.file.groups(0) == []
        bench.file.release()
        recorded = await waiting
        assert [group[0] for group in bench.file.groups(0)] == [recorded.index] == [0]

    asyncio.run(run())


def test_a_thousand_rows_at_once_get_contiguous_indexes_rising_times_and_good_receipts(bench: Bench) -> None:
    """The clock stands still and even goes back; a node's times rise all the same."""

    async def run() -> list[Recorded]:
        async def one(asset: int) -> Recorded:
            await asyncio.sleep(0)
            bench.now = START - asset
            return await bench.meter.record(fields(asset))

        return list(await asyncio.gather(*(one(asset) for asset in range(1, 1_001))))

    found = asyncio.run(run())
    assert sorted(recorded.index for recorded in found) == list(range(1_000))
    key = keys.public_key(SEED)
    rows = {each.index: verify_receipt(each.receipt(), key, chain_id=CHAIN) for each in found}
    times = [rows[index].t for index in range(1_000)]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[0] == START - 1
    assert {row.asset for row in rows.values()} == set(range(1, 1_001))
    assert all(row.node == NODE for row in rows.values())
    # Each group was synced and signed once, not each row.
    assert bench.signatures == len(bench.file.appended) < 100


def test_a_receipt_of_one_row_proves_no_other(bench: Bench) -> None:
    async def run() -> list[Recorded]:
        return list(await asyncio.gather(*(bench.meter.record(fields(asset)) for asset in range(1, 9))))

    found = asyncio.run(run())
    key = keys.public_key(SEED)
    with pytest.raises(SignatureError):
        verify_receipt(found[0].receipt(), keys.public_key(bytes(32)), chain_id=CHAIN)
    assert verify_receipt(found[3].receipt(), key, chain_id=CHAIN).asset == 4


@pytest.mark.parametrize(
    "fault", [StorageError("the disk is gone"), OSError(5, "Input/output error"), RuntimeError("no thread")]
)
def test_a_write_ahead_file_that_fails_stops_the_meter_for_good(bench: Bench, fault: Exception) -> None:
    async def run() -> None:
        assert (await bench.meter.record(fields())).index == 0
        bench.file.hold()
        first = asyncio.create_task(bench.meter.record(fields(2)))
        await bench.file.reached()
        behind = asyncio.create_task(bench.meter.record(fields(3), request="x"))
        await asyncio.sleep(0)
        bench.file.fault = fault
        bench.file.release()
        for waiting in (first, behind):
            with pytest.raises(Unavailable) as refused:
                await asyncio.wait_for(waiting, 10)
            assert refused.value.code == "meter_stopped"
        bench.file.fault = None  # a disk that comes back does not make it serve again
        for request in ("", "x"):
            with pytest.raises(Unavailable):
                await bench.meter.record(fields(4), request=request)
        assert bench.meter.failure is not None
        assert len(bench.file.groups(0)) == 1

    asyncio.run(run())


def test_a_signature_that_cannot_be_made_stops_the_meter_too(bench: Bench) -> None:
    async def run() -> None:
        def broken(_: bytes) -> bytes:
            raise SignatureError("the key is gone")

        bench.meter._sign = broken
        with pytest.raises(Unavailable):
            await asyncio.wait_for(bench.meter.record(fields()), 10)

    asyncio.run(run())


def test_rows_refused_by_a_stop_are_not_written_behind_their_callers_back(bench: Bench) -> None:
    async def run() -> None:
        bench.file.hold()
        in_flight = asyncio.create_task(bench.meter.record(fields(1)))
        await bench.file.reached()
        behind = asyncio.create_task(bench.meter.record(fields(2)))
        await asyncio.sleep(0)
        bench.meter.fail("the ledger refused a batch")
        bench.file.release()
        assert (await in_flight).index == 0  # it was on its way to the disk, and is durable
        with pytest.raises(Unavailable, match="refused a batch"):
            await behind
        bench.meter.fail("another reason")
        assert bench.meter.failure == "the ledger refused a batch"

    asyncio.run(run())
    assert bench.file.appended == [(0, 1)]


def test_closing_finishes_the_group_in_flight_and_refuses_the_rest(bench: Bench) -> None:
    async def run() -> None:
        bench.file.hold()
        in_flight = asyncio.create_task(bench.meter.record(fields(1)))
        await bench.file.reached()
        behind = asyncio.create_task(bench.meter.record(fields(2)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(bench.meter.close))
        await asyncio.sleep(0)
        bench.file.release()
        assert (await in_flight).index == 0
        with pytest.raises(Unavailable):
            await asyncio.wait_for(behind, 10)
        await closing

    asyncio.run(run())


def test_a_caller_that_goes_away_leaves_its_row_recorded(bench: Bench) -> None:
    async def run() -> None:
        bench.file.hold()
        waiting = asyncio.create_task(bench.meter.record(fields(1), request="again"))
        await bench.file.reached()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        again = asyncio.create_task(bench.meter.record(fields(1), request="again"))
        await asyncio.sleep(0)
        bench.file.release()
        assert (await again).index == 0
        assert (await bench.meter.record(fields(2))).index == 1

    asyncio.run(run())


def test_the_same_name_is_the_same_row_at_work_and_afterwards_and_after_a_restart(bench: Bench) -> None:
    async def first() -> None:
        both = await asyncio.gather(*(bench.meter.record(fields(1), request="a") for _ in range(5)))
        assert {recorded.index for recorded in both} == {0}
        assert (await bench.meter.record(fields(1), request="a")).index == 0
        assert (await bench.meter.record(fields(1), request="b")).index == 1
        assert (await bench.meter.record(fields(1, session=5), request="a")).index == 2

    async def second() -> None:
        known = await bench.meter.known(4, "a")
        assert known is not None
        assert verify_receipt(known.receipt(), keys.public_key(SEED), chain_id=CHAIN).asset == 1
        assert bench.meter.answered(4, "c") is None
        assert await bench.meter.known(4, "c") is None
        assert (await bench.meter.record(fields(1), request="b")).index == 1
        assert (await bench.meter.record(fields(1), request="c")).index == 3

    asyncio.run(first())
    bench.close()
    bench.open()
    asyncio.run(second())


def test_a_name_as_long_as_a_book_is_refused(bench: Bench) -> None:
    async def run() -> None:
        with pytest.raises(RequestError) as refused:
            await bench.meter.record(fields(), request="x" * 513)
        assert refused.value.code == "name_too_long"
        assert (await bench.meter.record(fields(), request="x" * 512)).index == 0

    asyncio.run(run())


def test_names_of_a_full_group_are_read_again_after_a_restart(tmp_path: Path) -> None:
    """Their encoding is larger than records from elsewhere may be; it is the node's own."""
    requests = [f"{number:0512d}" for number in range(9_000)]
    bench = Bench(tmp_path).open(segment_bytes=2**23)

    async def run() -> None:
        bench.file.hold()
        held = asyncio.create_task(bench.meter.record(fields()))
        await bench.file.reached()
        rows = [asyncio.create_task(bench.meter.record(fields(), request=name)) for name in requests]
        await asyncio.sleep(0)
        bench.file.release()
        await asyncio.gather(held, *rows)

    asyncio.run(run())
    assert bench.file.appended == [(0, 1), (1, 9_000)]
    bench.close()
    bench.open(segment_bytes=2**23)
    assert bench.meter.answered(4, requests[-1]) is not None
    bench.close()


def test_a_row_no_ledger_would_take_never_enters_the_file(bench: Bench) -> None:
    """One such row would make every batch it is in refused, for ever."""

    async def run() -> None:
        for bad in (fields(bytes=MAX_ROW_BYTES), fields(units=2**32), fields(op=0), fields(purpose=99), fields(-1)):
            with pytest.raises(BatchError):
                await bench.meter.record(bad)
        assert (await bench.meter.record(fields())).index == 0

    asyncio.run(run())


def test_a_group_has_no_more_rows_than_fit_into_a_batch(bench: Bench) -> None:
    async def run() -> None:
        bench.file.hold()
        held = asyncio.create_task(bench.meter.record(fields()))
        await bench.file.reached()
        rows = [asyncio.create_task(bench.meter.record(fields(place))) for place in range(LARGEST_GROUP + 5)]
        await asyncio.sleep(0)
        bench.file.release()
        found = await asyncio.gather(held, *rows)
        assert [recorded.index for recorded in found] == list(range(LARGEST_GROUP + 6))

    asyncio.run(run())
    assert bench.file.appended == [(0, 1), (1, LARGEST_GROUP), (LARGEST_GROUP + 1, 5)]


def test_a_restart_goes_on_where_the_file_ends_and_seals_what_the_ledger_lacks(bench: Bench) -> None:
    async def fill() -> None:
        for asset in range(1, 6):
            await bench.meter.record(fields(asset))

    asyncio.run(fill())
    bench.close()
    for on_ledger, waiting in ((0, 5), (3, 2), (5, 0), (9, 0)):
        bench.open(next_index=on_ledger, last_t=START)
        assert sum(len(entry.rows) // 64 for entry in bench.meter.unsealed) == waiting
        assert bench.meter.arrived.is_set() == bool(waiting)
        assert bench.meter.next_index == max(5, on_ledger)
        bench.close()
    bench.now = START - 10**9
    bench.open(next_index=9, last_t=START + 10**6)
    recorded = asyncio.run(bench.meter.record(fields()))
    row = verify_receipt(recorded.receipt(), keys.public_key(SEED), chain_id=CHAIN)
    assert (recorded.index, row.t) == (9, START + 10**6 + 1)


def test_a_group_half_on_the_ledger_is_taken_up_in_its_middle(bench: Bench) -> None:
    async def run() -> None:
        await asyncio.gather(*(bench.meter.record(fields(asset)) for asset in range(1, 6)))

    asyncio.run(run())
    assert bench.file.appended == [(0, 5)]
    bench.close()
    bench.open(next_index=3)
    (unsealed,) = bench.meter.unsealed
    assert (unsealed.first_index, len(unsealed.rows)) == (3, 128)
    assert unsealed.rows[:1] == b"\x04"


def test_rows_missing_between_ledger_and_file_are_refused(tmp_path: Path) -> None:
    """A ledger restored from an old copy: sealing the file's rows at its index would contradict their receipts."""
    bench = Bench(tmp_path).open(segment_bytes=1024)

    async def fill() -> None:
        for asset in range(1, 41):
            await bench.meter.record(fields(asset))

    asyncio.run(fill())
    bench.file.forget(40)
    bench.close()
    with pytest.raises(StorageError) as refused:
        bench.open(next_index=2, segment_bytes=1024)
    assert refused.value.code == "rows_missing"
    bench.open(next_index=40, segment_bytes=1024)
    bench.close()


def test_whole_groups_are_taken_at_most_as_many_rows_as_asked_but_at_least_one(bench: Bench) -> None:
    async def run() -> None:
        for count in (3, 4, 5):
            await asyncio.gather(*(bench.meter.record(fields(asset)) for asset in range(count)))

    asyncio.run(run())
    assert [entry.first_index for entry in bench.meter.take(100)] == [0, 3, 7]
    assert [entry.first_index for entry in bench.meter.take(7)] == [0, 3]
    assert [entry.first_index for entry in bench.meter.take(6)] == [0]
    assert [entry.first_index for entry in bench.meter.take(1)] == [0]
    bench.meter.sealed(2, 7)
    assert [entry.first_index for entry in bench.meter.take(100)] == [7]
    assert bench.meter.arrived.is_set()
    bench.meter.sealed(1, 12)
    assert not bench.meter.arrived.is_set()


def test_companions_come_back_and_damage_is_refused(house: House) -> None:
    grant = house.grant(house.lab, house.asset(house.license(FREE)))
    rooms = house.rooms()
    opening = rooms.opening(house.lab, grant)
    companions = Companions(sessions=(opening,))
    assert decode_companions(encode_companions(companions)) == companions
    assert encode_companions(Companions()) == b""
    assert decode_companions(b"") == Companions()


def beside(rooms: Rooms) -> list[tuple[int, int, int]]:
    """(rows, sessions, watermarks) of each group in the file."""
    found = []
    for _, rows, data in rooms.file.groups(0):
        companions = decode_companions(data)
        found.append((len(rows) // 64, len(companions.sessions), len(companions.watermarks)))
    return found


def test_only_the_newest_watermark_of_a_session_waits_for_the_next_group(house: House) -> None:
    grant = house.grant(house.lab, house.asset(house.license(FREE)))
    rooms = house.rooms()

    async def run() -> None:
        sessions = [rooms.session(house.lab, grant) for _ in range(2)]
        for rows in (0, 3, 1, 7, 7, 5):
            for session in sessions:
                rooms.meter.add_watermark(rooms.watermark(house.lab, session, rows))
        await rooms.meter.record(fields(op=OP_PREVIEW))

    asyncio.run(run())
    assert beside(rooms) == [(1, 2, 2)]
    (_, _, data) = rooms.file.groups(0)[0]
    assert [watermark.rows for watermark in decode_companions(data).watermarks] == [7, 7]


def test_sessions_and_watermarks_nobody_uses_never_outgrow_a_batch(house: House) -> None:
    """Opening costs nothing, so thousands of openings may wait for one row; together they would poison its batch."""
    grant = house.grant(house.lab, house.asset(house.license(FREE)))
    rooms = house.rooms()
    opening = rooms.opening(house.lab, grant)

    async def run() -> None:
        rooms.file.hold()
        for number in range(1, 3 * MOST_BESIDE + 10):
            rooms.meter.add_session(replace(opening, number=number))
        rooms.file.release()
        last = await rooms.meter.record(fields(op=OP_PREVIEW))
        assert last.index == 3

    asyncio.run(run())
    assert beside(rooms) == [(1, MOST_BESIDE, 0)] * 3 + [(1, 9, 0)]
    rows = rooms.durable()
    assert [(row.op, row.units, row.consumer) for row in rows[:3]] == [(OP_REFUSAL, 0, 0)] * 3
    assert [len(taken.companions.sessions) for taken in rooms.meter.take(100)] == [MOST_BESIDE] * 2


def test_random_arrivals_keep_every_promise(tmp_path: Path) -> None:
    rng = random.Random(5)
    bench = Bench(tmp_path).open()

    async def run() -> None:
        async def caller() -> list[Recorded]:
            found = []
            for _ in range(rng.randrange(30)):
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                found.append(await bench.meter.record(fields(rng.randrange(1, 99)), request=rng.choice(["", "n"])))
            return found

        for _ in range(20):
            await asyncio.gather(*(caller() for _ in range(rng.randrange(1, 200))))

    asyncio.run(run())
    indexes = [first for first, _ in bench.file.appended]
    ends = [first + count for first, count in bench.file.appended]
    assert indexes == [0, *ends[:-1]]
    assert ends[-1] == bench.meter.next_index
    bench.close()
