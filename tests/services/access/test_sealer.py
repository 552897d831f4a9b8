"""The sealer: every durable row is on the ledger once, whatever stops in between, or nothing more is served."""

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from audiera.protocol.accesses import ROW, array_of, seal
from audiera.protocol.accesses.rows import FLAG_LATE, OP_PREVIEW
from audiera.protocol.errors import AudieraError, LedgerError, StorageError, TransactionError, Unavailable
from audiera.protocol.records import Params
from audiera.protocol.results import TransactionResult
from audiera.protocol.transactions import RecordAccesses
from audiera.services.access import Authorization, RowFields, Session
from audiera.services.access.meter import MOST_BESIDE
from tests.services.access.house import CHAIN, FREE, HOUR, SECOND, House, Rooms, house_in, priced
from tests.services.access.test_gate import ask


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as house:
        yield house


def seen(asset: int, **changes: int) -> RowFields:
    """A visitor's preview."""
    values = {"consumer": 0, "grant": 0, "session": 0, "bytes": 10, "units": 5, "policy": 1, "purpose": 0}
    return RowFields(asset=asset, op=OP_PREVIEW, **(values | changes))


def record(rooms: Rooms, *assets: int) -> None:
    """Record previews in one group, and post nothing."""

    async def run() -> None:
        await asyncio.gather(*(rooms.meter.record(seen(asset)) for asset in assets))

    asyncio.run(run())


def post(rooms: Rooms) -> None:
    """Post everything that waits."""

    async def run() -> None:
        async with rooms.sealing():
            await rooms.sealer.flush()

    asyncio.run(run())


def check_all_recorded_once(house: House, rooms: Rooms) -> None:
    """What is on the ledger is what was made durable: each row once, at its index, with nothing between."""
    on_ledger = sorted(house.recorded(), key=lambda row: row.t)
    late = [row.t for row in on_ledger if row.flags & FLAG_LATE]
    durable = rooms.durable()
    assert [(row.t, row.asset, row.bytes) for row in on_ledger] == [(row.t, row.asset, row.bytes) for row in durable]
    assert house.ledger.state().node(house.node.number).next_index == len(durable)
    assert rooms.sealer.next_index == len(durable)
    assert house.ledger.head().records == len(durable)
    assert len(late) == len(set(late))


def test_rows_reach_the_ledger_in_order_and_once(house: House) -> None:
    rooms = house.rooms()

    async def run() -> None:
        async with rooms.sealing():
            for start in range(1, 200, 40):
                await asyncio.gather(*(rooms.meter.record(seen(asset)) for asset in range(start, start + 40)))
            assert await rooms.sealer.flush() == house.ledger.head().height
            assert await rooms.sealer.flush() == house.ledger.head().height

    asyncio.run(run())
    check_all_recorded_once(house, rooms)
    assert len(house.recorded()) == 200
    assert sum(len(rows) for rows in rooms.settled) == 200
    assert not rooms.meter.unsealed
    assert not any(row.flags for row in house.recorded())


def test_rows_reach_the_ledger_without_anybody_waiting_for_them(house: House) -> None:
    rooms = house.rooms()

    async def run() -> None:
        async with rooms.sealing():
            await rooms.meter.record(seen(1))
            await asyncio.to_thread(house.ledger.wait, house.ledger.head().height + 1, 20)

    asyncio.run(run())
    assert len(house.recorded()) == 1


def test_rows_are_gathered_until_somebody_waits(house: House) -> None:
    """With an interval of an hour, a flush still posts at once, and once."""
    rooms = house.rooms()
    rooms.sealer._interval_s = 3_600

    async def run() -> None:
        async with rooms.sealing():
            for asset in range(1, 20):
                await rooms.meter.record(seen(asset))
            await asyncio.wait_for(rooms.sealer.flush(), 20)

    asyncio.run(run())
    assert len(rooms.settled) == 1
    check_all_recorded_once(house, rooms)


@pytest.mark.parametrize("on_ledger", [0, 1, 2, 3])
def test_a_restart_posts_what_the_ledger_lacks_and_nothing_else(house: House, on_ledger: int) -> None:
    """The ledger behind the file, equal with it, and groups in between."""
    rooms = house.rooms()
    for group in range(3):
        record(rooms, *range(10 * group + 1, 10 * group + 6))
        if group + 1 == on_ledger:
            post(rooms)
            rooms = house.restart()
    rooms = house.restart()
    post(rooms)
    check_all_recorded_once(house, rooms)
    rooms = house.restart()
    assert not rooms.meter.unsealed
    record(rooms, 99)
    post(rooms)
    check_all_recorded_once(house, rooms)
    assert len(house.recorded()) == 16


def test_a_ledger_ahead_of_the_file_is_gone_on_from(house: House) -> None:
    """The file was lost with its disk: indexes and times go on where the ledger stands."""
    rooms = house.rooms()
    record(rooms, 1, 2, 3)
    post(rooms)
    rooms.close()
    house._open.clear()
    for path in (house.folder / "accesses").glob("*.segment"):
        path.unlink()
    house.clock.advance(-60 * SECOND)
    rooms = house.rooms()
    record(rooms, 4)
    post(rooms)
    rows = sorted(house.recorded(), key=lambda row: row.t)
    assert [row.asset for row in rows] == [1, 2, 3, 4]
    assert house.ledger.state().node(house.node.number).next_index == 4


def test_a_crash_after_the_ledger_accepted_posts_nothing_twice(house: House) -> None:
    """The process ends between the block and its note of it."""
    accepted = asyncio.Event()

    def accepted_then_silent(body: RecordAccesses) -> "Future[TransactionResult]":
        assert house.post(body).result(20).ok
        accepted.set()
        return Future()

    rooms = house.rooms(submit=accepted_then_silent)

    async def run() -> None:
        async with rooms.sealing():
            await rooms.meter.record(seen(1))
            await rooms.meter.record(seen(2))
            await accepted.wait()

    asyncio.run(run())
    assert rooms.sealer.next_index == 0
    rooms = house.restart()
    assert rooms.sealer.next_index in (1, 2)
    post(rooms)
    check_all_recorded_once(house, rooms)


def test_a_crash_before_the_ledger_heard_of_a_batch_loses_nothing(house: House) -> None:
    rooms = house.rooms(submit=lambda _: Future())

    async def run() -> None:
        async with rooms.sealing():
            await rooms.meter.record(seen(1))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(rooms.sealer.flush(), 0.1)

    asyncio.run(run())
    assert house.recorded() == []
    rooms = house.restart()
    post(rooms)
    check_all_recorded_once(house, rooms)


def refusing(_: RecordAccesses) -> "Future[TransactionResult]":
    future: Future[TransactionResult] = Future()
    future.set_result(TransactionResult(id=bytes(32), code="batch_out_of_order", message="not the next one"))
    return future


def failing(_: RecordAccesses) -> "Future[TransactionResult]":
    raise LedgerError("the ledger has stopped")


def broken(_: RecordAccesses) -> "Future[TransactionResult]":
    raise ZeroDivisionError("a fault no rule foresees")


@pytest.mark.parametrize("submit", [refusing, failing, broken])
def test_a_batch_that_cannot_be_posted_stops_the_meter_and_loses_nothing(house: House, submit: object) -> None:
    rooms = house.rooms(submit=submit)

    async def run() -> None:
        task = asyncio.create_task(rooms.sealer.run())
        await rooms.meter.record(seen(1))
        with pytest.raises(AudieraError) as stopped:
            await asyncio.wait_for(rooms.sealer.flush(), 20)
        assert stopped.value.code == "meter_stopped"
        with pytest.raises(Unavailable):
            await rooms.meter.record(seen(2))
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(AudieraError):
            await asyncio.wait_for(rooms.sealer.flush(), 20)

    asyncio.run(run())
    assert house.recorded() == []
    rooms = house.restart()
    post(rooms)
    check_all_recorded_once(house, rooms)
    assert [row.asset for row in house.recorded()] == [1]


def test_nothing_is_served_once_the_sealer_has_ended(house: House) -> None:
    rooms = house.rooms()

    async def run() -> None:
        async with rooms.sealing():
            await rooms.meter.record(seen(1))
        with pytest.raises(Unavailable):
            await rooms.meter.record(seen(2))

    asyncio.run(run())


def test_a_disk_that_fails_ends_the_wait_of_a_flush_and_posts_what_was_durable(house: House) -> None:
    rooms = house.rooms()

    async def run() -> None:
        task = asyncio.create_task(rooms.sealer.run())
        await rooms.meter.record(seen(1))
        rooms.file.hold()
        lost = asyncio.create_task(rooms.meter.record(seen(2)))
        await rooms.file.reached()
        flush = asyncio.create_task(rooms.sealer.flush())
        await asyncio.sleep(0)
        rooms.file.fault = StorageError("the disk is gone")
        rooms.file.release()
        with pytest.raises(Unavailable):
            await lost
        with pytest.raises(AudieraError) as stopped:
            await asyncio.wait_for(flush, 20)
        assert stopped.value.code == "meter_stopped"
        await asyncio.wait_for(task, 20)
        assert await rooms.sealer.flush(1) == house.ledger.head().height

    asyncio.run(run())
    check_all_recorded_once(house, rooms)


def test_rows_of_a_long_stop_are_marked_late_and_paid(house: House) -> None:
    house.fund(house.lab, 1_000)
    asset = house.asset(house.license(priced("access", 7)))
    grant = house.grant(house.lab, asset, budget=700)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant)

    async def access(rooms: Rooms, session: Session) -> None:
        answer = rooms.gate.authorize(session, ask(asset))
        assert isinstance(answer, Authorization)
        await rooms.meter.record(answer.fields)

    asyncio.run(access(rooms, session))
    house.clock.advance(HOUR)
    rooms = house.restart()
    asyncio.run(access(rooms, rooms.session(house.lab, grant)))
    post(rooms)
    first, second = sorted(house.recorded(), key=lambda row: row.t)
    assert (first.flags, second.flags) == (FLAG_LATE, 0)
    check_all_recorded_once(house, rooms)
    assert house.ledger.state().grant_usage(grant).spent == 14


def test_rows_close_to_the_end_of_the_window_are_marked_late_in_time(house: House) -> None:
    """The block comes later than the batch is made: within the margin a row is marked although it need not be."""
    lag = house.ledger.state().params().row_lag_us
    rooms = house.rooms()
    record(rooms, 1)
    house.clock.advance(lag - 25 * SECOND)
    record(rooms, 2)
    post(rooms)
    house.clock.advance(lag)
    assert [row.flags for row in house.recorded()] == [0, 0]
    rooms = house.restart()
    record(rooms, 3)
    house.clock.advance(lag - 15 * SECOND)
    post(rooms)
    assert house.recorded()[-1].flags == FLAG_LATE


def test_a_clock_that_was_set_back_does_not_stop_the_node(house: House) -> None:
    """Block time never goes back, so rows by the corrected clock are old to the ledger, and marked so."""
    house.clock.advance(2 * HOUR)
    house.license(FREE)  # a block at the wrong time
    house.clock.advance(-2 * HOUR)
    rooms = house.rooms()
    record(rooms, 1, 2)
    post(rooms)
    assert rooms.meter.failure == "accesses are no longer recorded on the ledger, so nothing more is served"
    check_all_recorded_once(house, rooms)
    assert all(row.flags == FLAG_LATE for row in house.recorded())


def test_another_process_that_posts_for_the_node_is_noticed(house: House) -> None:
    rooms = house.rooms()
    record(rooms, 1)
    assert house.ledger.submit(house.node.batch(1, at=house.clock())).result(20).ok

    async def run() -> None:
        task = asyncio.create_task(rooms.sealer.run())
        with pytest.raises(AudieraError, match="next"):
            await asyncio.wait_for(rooms.sealer.flush(), 20)
        await task

    asyncio.run(run())
    assert "refused a batch" in str(rooms.meter.failure)


def test_rows_at_another_index_than_the_ledgers_next_are_never_sealed(house: House) -> None:
    rooms = house.rooms()
    record(rooms, 1)
    rooms.sealer._next_index = 5

    async def run() -> None:
        task = asyncio.create_task(rooms.sealer.run())
        with pytest.raises(AudieraError):
            await asyncio.wait_for(rooms.sealer.flush(9), 20)
        await task

    asyncio.run(run())
    assert "row 5 is next" in str(rooms.meter.failure)
    assert house.recorded() == []


def test_a_group_half_on_the_ledger_is_completed(house: House) -> None:
    """Its session was opened with its first half, and is not opened twice."""
    asset = house.asset(house.license(FREE))
    grant = house.grant(house.lab, asset)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant)

    async def run() -> None:
        rows = []
        for _ in range(4):
            answer = rooms.gate.authorize(session, ask(asset))
            assert isinstance(answer, Authorization)
            rows.append(answer.fields)
        await asyncio.gather(*(rooms.meter.record(row) for row in rows))

    asyncio.run(run())
    (unsealed,) = rooms.meter.unsealed
    half = seal(
        array_of(unsealed.rows[:128]),
        unsealed.companions.sessions,
        chain_id=CHAIN,
        node=house.node.number,
        first_index=0,
        prev_header_hash=bytes(32),
        sign=rooms.sign,
    )
    assert house.post(RecordAccesses(batch=half)).result(20).ok
    rooms = house.restart()
    post(rooms)
    check_all_recorded_once(house, rooms)
    assert house.ledger.state().grant_usage(grant).accesses == 4


def test_batches_stay_within_the_ledgers_limit(tmp_path: Path) -> None:
    """Rows that compress badly fill a batch before its number of rows does."""
    with house_in(tmp_path, Params(max_batch_bytes=20_000)) as house:
        rooms = house.rooms()
        rng = random.Random(3)

        async def run() -> None:
            for _ in range(8):
                rows = [
                    seen(
                        rng.getrandbits(60),
                        bytes=rng.getrandbits(39),
                        units=rng.getrandbits(32),
                        policy=rng.getrandbits(32),
                        consumer=rng.getrandbits(60),
                    )
                    for _ in range(150)
                ]
                await asyncio.gather(*(rooms.meter.record(row) for row in rows))

        asyncio.run(run())
        assert len(rooms.meter.take(65_536)) == 8
        post(rooms)
        check_all_recorded_once(house, rooms)
        assert 2 <= len(rooms.settled) <= 8


def test_thousands_of_unused_sessions_do_not_stop_the_node(tmp_path: Path) -> None:
    """Opening costs an attacker nothing; the batch that carries the openings must still be one the ledger takes."""
    with house_in(tmp_path, Params(max_batch_bytes=400_000)) as house:
        grant = house.grant(house.lab, house.asset(house.license(FREE)))
        rooms = house.rooms(segment_bytes=2**23)
        opening = rooms.opening(house.lab, grant)

        async def run() -> None:
            for number in range(1, 5 * MOST_BESIDE):
                rooms.meter.add_session(replace(opening, number=number))
            async with rooms.sealing():
                await rooms.meter.record(seen(1))
                await asyncio.wait_for(rooms.sealer.flush(), 30)

        asyncio.run(run())
        check_all_recorded_once(house, rooms)
        assert house.ledger.state().node(house.node.number).last_session == 5 * MOST_BESIDE - 1


def test_watermarks_reach_the_ledger_with_their_sessions(house: House) -> None:
    asset = house.asset(house.license(FREE))
    grant = house.grant(house.lab, asset)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant)

    async def run() -> None:
        async with rooms.sealing():
            for _ in range(2):
                answer = rooms.gate.authorize(session, ask(asset))
                assert isinstance(answer, Authorization)
                await rooms.meter.record(answer.fields)
                watermark = rooms.watermark(house.lab, session, session.rows)
                rooms.gate.acknowledge(watermark)
                rooms.meter.add_watermark(watermark)
            await rooms.sealer.flush()

    asyncio.run(run())
    state = house.ledger.state().session(house.node.number, session.number)
    assert state is not None
    assert (state.rows, state.acknowledged) == (2, 1)


def test_what_is_settled_is_what_was_posted(house: House) -> None:
    rooms = house.rooms()
    record(rooms, 3, 1, 2)
    post(rooms)
    (rows,) = rooms.settled
    assert rows.dtype == ROW
    assert rows["asset"].tolist() == [3, 1, 2]
    assert bool((np.diff(rows["t"].astype(np.int64)) > 0).all())


def test_a_transaction_refused_before_its_block_is_a_stop(house: House) -> None:
    def early(_: RecordAccesses) -> "Future[TransactionResult]":
        future: Future[TransactionResult] = Future()
        future.set_exception(TransactionError("wrong sequence", code="wrong_sequence"))
        return future

    rooms = house.rooms(submit=early)

    async def run() -> None:
        task = asyncio.create_task(rooms.sealer.run())
        await rooms.meter.record(seen(1))
        with pytest.raises(AudieraError):
            await asyncio.wait_for(rooms.sealer.flush(), 20)
        await task

    asyncio.run(run())
    assert "wrong sequence" in str(rooms.meter.failure)
