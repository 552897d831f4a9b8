"""Refusals: the first is recorded at once, its repetitions are summed up, and none is forgotten."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiera.protocol.accesses.rows import OP_REFUSAL
from audiera.services.access.refusals import WINDOW_US
from tests.services.access.house import House, Rooms, house_in
from tests.services.access.test_meter import fields


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as house:
        yield house


def units(rooms: Rooms) -> list[int]:
    rows = rooms.durable()
    assert all((row.op, row.bytes, row.flags) == (OP_REFUSAL, 0, 0) for row in rows)
    return [row.units for row in rows]


def test_repetitions_within_a_window_share_a_row(house: House) -> None:
    rooms = house.rooms()

    async def run() -> None:
        for _ in range(50):
            await rooms.refusals.record(fields(bytes=9, flags=0), ("denied",))
        assert units(rooms) == [1]
        await rooms.refusals.write_down()
        assert units(rooms) == [1]
        house.clock.advance(WINDOW_US)
        await rooms.refusals.write_down()
        await rooms.refusals.write_down()
        assert units(rooms) == [1, 49]

    asyncio.run(run())


def test_the_next_window_begins_with_the_sum_of_the_last(house: House) -> None:
    rooms = house.rooms()

    async def run() -> None:
        for _ in range(5):
            await rooms.refusals.record(fields(), ("denied",))
        house.clock.advance(WINDOW_US)
        await rooms.refusals.record(fields(), ("denied",))
        house.clock.advance(WINDOW_US)
        await rooms.refusals.write_down()

    asyncio.run(run())
    assert units(rooms) == [1, 5]


def test_other_reasons_assets_and_sessions_have_rows_of_their_own(house: House) -> None:
    rooms = house.rooms()

    async def run() -> None:
        await rooms.refusals.record(fields(1), ("denied",))
        await rooms.refusals.record(fields(1), ("denied", "credit-window"))
        await rooms.refusals.record(fields(2), ("denied",))
        await rooms.refusals.record(fields(1, session=9), ("denied",))
        await rooms.refusals.record(fields(1, bytes=77, units=88), ("denied",))

    asyncio.run(run())
    assert units(rooms) == [1, 1, 1, 1]


def test_only_so_many_are_summed_up_at_a_time_and_none_is_lost(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiera.services.access.refusals._MOST", 10)
    rooms = house.rooms()

    async def run() -> None:
        for _ in range(3):
            for asset in range(1, 26):
                await rooms.refusals.record(fields(asset), ("denied",))
                await rooms.refusals.record(fields(asset), ("denied",))
        await rooms.refusals.write_down(older_than_us=0)

    asyncio.run(run())
    assert sum(units(rooms)) == 150


def test_sums_are_written_once_however_many_write_them_down(house: House) -> None:
    """The node's loop and a refusal that finds the table full may write at the same time."""
    rooms = house.rooms()

    async def run() -> None:
        for asset in range(1, 6):
            for _ in range(3):
                await rooms.refusals.record(fields(asset), ("denied",))
        await asyncio.gather(*(rooms.refusals.write_down(older_than_us=0) for _ in range(3)))

    asyncio.run(run())
    assert sorted(units(rooms)) == [1] * 5 + [2] * 5
