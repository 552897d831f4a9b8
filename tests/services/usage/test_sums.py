"""Sums equal adding up by hand; refusals are counted apart from uses."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.accesses import Row
from audiera.protocol.api.usage import AssetUse, DayUse, Selection, Total
from audiera.protocol.errors import RequestError
from audiera.protocol.purposes import PURPOSES
from audiera.services.usage import UsageIndex, open_usage
from tests.protocol.world import START
from tests.services.usage.chains import DAY, NO_SNAPSHOT, Facts, MadeUp, Market, follow

SAMPLE = Row(asset=1, t=START, consumer=1, grant=0, session=0, bytes=1, units=1, node=7, policy=0, purpose=1, op=1)
OPS = ("whole", "range", "shard", "call", "preview", "refusal")


def chosen(facts: list[Facts], selection: Selection, holders: dict[int, int]) -> list[Facts]:
    """The rows a selection names."""
    return [
        fact
        for fact in facts
        if selection.asset in (0, fact.row.asset)
        and selection.consumer in (0, fact.row.consumer)
        and selection.holder in (0, holders.get(fact.row.asset))
        and selection.purpose in ("", fact.purpose)
        and selection.start <= fact.time
        and (selection.until == 0 or fact.time < selection.until)
    ]


def grouped(facts: Iterable[Facts], key: Callable[[Facts], object]) -> dict[object, list[Facts]]:
    """Rows by a key."""
    found: dict[object, list[Facts]] = defaultdict(list)
    for fact in facts:
        found[key(fact)].append(fact)
    return found


def totals_of(facts: list[Facts]) -> list[Total]:
    """Totals by hand."""
    groups = grouped(facts, lambda fact: (fact.purpose, fact.op))
    return [
        Total(
            purpose=purpose,
            op=op,  # type: ignore[arg-type]
            accesses=len(rows),
            units=sum(fact.row.units for fact in rows),
            bytes=sum(fact.row.bytes for fact in rows),
        )
        for purpose in PURPOSES
        for op in OPS
        if (rows := groups.get((purpose, op)))
    ]


def days_of(facts: list[Facts]) -> list[DayUse]:
    """Days by hand."""
    groups = grouped((fact for fact in facts if fact.is_use), lambda fact: (fact.time // DAY, fact.row.purpose))
    return [
        DayUse(day=day, purpose=PURPOSES[purpose], accesses=len(rows), bytes=sum(fact.row.bytes for fact in rows))
        for (day, purpose), rows in sorted(groups.items())  # type: ignore[misc, type-var]
    ]


def top_of(facts: list[Facts]) -> list[AssetUse]:
    """Most used by hand."""
    groups = grouped((fact for fact in facts if fact.is_use), lambda fact: fact.row.asset)
    uses = [
        AssetUse(
            asset=asset,  # type: ignore[arg-type]
            accesses=len(rows),
            consumers=len({fact.row.consumer for fact in rows}),
            bytes=sum(fact.row.bytes for fact in rows),
        )
        for asset, rows in groups.items()
    ]
    return sorted(uses, key=lambda use: (-use.accesses, use.asset))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_sums_equal_adding_up_by_hand(
    happened: Market, usage: UsageIndex, facts: list[Facts], data: st.DataObject
) -> None:
    state = happened.chain.machine.view()
    numbers = {fact.row.asset for fact in facts}
    holders = {number: asset.holder for number in numbers if (asset := state.asset(number)) is not None}
    times = sorted({result.time for result, _ in happened.chain.pairs})
    moments = st.sampled_from([0, *times, *(time + 1 for time in times)])
    start, until = data.draw(moments), data.draw(moments)
    selection = Selection(
        asset=data.draw(st.sampled_from([0, 0, *numbers, 10**6])),
        consumer=data.draw(st.sampled_from([0, 0, *range(1, 6)])),
        holder=data.draw(st.sampled_from([0, 0, *range(1, 6)])),
        purpose=data.draw(st.sampled_from(["", "", *PURPOSES])),
        start=min(start, until) if until else start,
        until=max(start, until) if until else 0,
    )
    rows = chosen(facts, selection, holders)
    assert list(usage.totals(selection)) == totals_of(rows)
    assert list(usage.days(selection)) == days_of(rows)
    assert list(usage.top_assets(selection)) == top_of(rows)
    refused = [fact for fact in rows if not fact.is_use]
    answer = usage.refusals(selection)
    assert answer.accesses == sum(fact.row.units for fact in refused)
    assert list(answer.by_purpose) == totals_of(refused)


def test_a_period_holds_the_rows_of_its_blocks_only(happened: Market, usage: UsageIndex, facts: list[Facts]) -> None:
    for result, _ in happened.chain.pairs:
        before, from_then = Selection(until=result.time), Selection(start=result.time)
        assert list(usage.totals(before)) == totals_of([fact for fact in facts if fact.time < result.time])
        assert list(usage.totals(from_then)) == totals_of([fact for fact in facts if fact.time >= result.time])


def test_a_day_is_that_of_the_block(empty: UsageIndex) -> None:
    """A late row counts when it is recorded, so that nobody moves use into a day that was closed."""
    chain = MadeUp()
    chain.add(after=DAY - START % DAY)
    row = replace(SAMPLE, t=chain.pairs[0][0].time - 1, flags=1)
    chain.add(chain.batch(7, [row]))
    follow(empty, chain.pairs)
    assert [use.day for use in empty.days(Selection())] == [START // DAY + 1]


def test_refusals_are_no_uses(happened: Market, usage: UsageIndex) -> None:
    selection = Selection(asset=happened.other)
    assert [(use.purpose, use.accesses) for use in usage.days(selection)] == [("preview", 1)]
    refusals = usage.refusals(selection)
    assert refusals.accesses == 8
    assert [(each.purpose, each.accesses, each.units) for each in refusals.by_purpose] == [
        ("evaluate", 1, 7),
        ("train-generative", 1, 1),
    ]


def test_a_holder_sees_the_use_of_what_it_manages_now(happened: Market, usage: UsageIndex) -> None:
    mine = usage.top_assets(Selection(holder=happened.number("creator")))
    assert {use.asset for use in mine} == {happened.priced, happened.other}


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({}, ["claim-payouts", *["issue-grant"] * 3]),
        ({"consumer": "lab"}, ["issue-grant"] * 2),
        ({"consumer": "app"}, ["claim-payouts", "issue-grant"]),
        ({"holder": "creator"}, ["issue-grant"]),
        ({"holder": "contributor"}, []),
        ({"asset": "other"}, ["issue-grant"]),
        ({"asset": "priced"}, []),
        ({"asset": "model"}, ["issue-grant"]),
        ({"asset": "base"}, []),
        ({"asset": NO_SNAPSHOT}, ["issue-grant"]),
        ({"purpose": "index"}, ["issue-grant"]),
        ({"purpose": "train-generative"}, ["issue-grant"]),
        ({"purpose": "evaluate"}, []),
        ({"start": START + DAY}, []),
        ({"until": START + DAY}, ["claim-payouts", *["issue-grant"] * 3]),
    ],
)
def test_refused_transactions_are_found_by_who_asked_and_for_what(
    happened: Market, usage: UsageIndex, fields: dict[str, str | int], kinds: list[str]
) -> None:
    values = dict(fields)
    for name in {"consumer", "holder"} & set(fields):
        values[name] = happened.number(str(fields[name]))
    if isinstance(fields.get("asset"), str):
        values["asset"] = getattr(happened, str(fields["asset"]))
    refusals = usage.refusals(Selection(**values))  # type: ignore[arg-type]
    assert [each.kind for each in refusals.transactions] == kinds
    assert all(each.code != "ok" and each.message for each in refusals.transactions)
    assert [each.kind for each in usage.refusals(Selection(**values), limit=1).transactions] == kinds[:1]  # type: ignore[arg-type]


def test_equally_used_assets_come_by_number_and_only_the_most_used(empty: UsageIndex) -> None:
    chain = MadeUp()
    rows = [replace(SAMPLE, asset=asset, t=START + place, consumer=place) for place, asset in enumerate([3, 2, 2, 1])]
    chain.add(chain.batch(7, rows))
    follow(empty, chain.pairs)
    assert [(use.asset, use.consumers) for use in empty.top_assets(Selection(), limit=2)] == [(2, 2), (1, 1)]


def test_bytes_of_more_rows_than_64_bits_can_add_up_are_told(tmp_path: Path) -> None:
    """Two rows that stand for millions with the most bytes a row may claim."""
    usage = open_usage(tmp_path / "usage.sqlite")
    chain = MadeUp()
    chain.add(chain.batch(7, [replace(SAMPLE, t=START + place) for place in range(2)]))
    follow(usage, chain.pairs)
    with sqlite3.connect(tmp_path / "usage.sqlite") as db:
        db.execute("UPDATE accesses SET bytes = ?", (2**63 - 1,))
    db.close()
    size = 2 * (2**63 - 1)
    assert usage.totals(Selection())[0].bytes == size
    assert usage.days(Selection())[0].bytes == usage.top_assets(Selection())[0].bytes == size
    usage.close()


@pytest.mark.parametrize(
    "selection",
    [
        Selection(asset=-1),
        Selection(consumer=2**64),
        Selection(holder=-5),
        Selection(purpose="sell"),
        Selection(start=-1),
        Selection(until=2**63),
        Selection(start=10, until=9),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(usage: UsageIndex, selection: Selection) -> None:
    for ask in (usage.totals, usage.days, usage.top_assets, usage.refusals):
        with pytest.raises(RequestError, match=r"got|ends"):
            ask(selection)
