"""Histories are what the blocks hold: every row once, newest first, whatever the rows say."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiera.protocol.accesses import Row
from audiera.protocol.api.usage import Access, AccessHistory, Selection
from audiera.protocol.errors import RequestError
from audiera.protocol.ids import format_id
from audiera.services.usage import MAX_PART, UsageIndex, open_usage
from tests.protocol.world import START
from tests.services.usage.chains import Facts, MadeUp, Market, all_facts, follow

FLAGS = {1: "late", 2: "cached", 4: "aborted", 8: "failed"}


def access_of(fact: Facts) -> Access:
    """What the index must answer for a row."""
    row = fact.row
    return Access(
        index=fact.index,
        height=fact.height,
        time=fact.time,
        log_index=fact.log_index,
        place=fact.place,
        node_index=fact.node_index,
        node=row.node,
        t=row.t,
        asset=row.asset,
        consumer=row.consumer,
        grant=row.grant,
        session=row.session,
        bytes=row.bytes,
        units=row.units,
        policy=row.policy,
        purpose=fact.purpose,
        op=fact.op,  # type: ignore[arg-type]
        flags=tuple(name for bit, name in FLAGS.items() if row.flags & bit),  # type: ignore[arg-type]
    )


def read_all(part: Callable[[int | None, int], AccessHistory], limit: int) -> tuple[list[Access], int]:
    """A history read part by part; and what each part gave as the total."""
    found: list[Access] = []
    after: int | None = None
    totals = set()
    while True:
        answer = part(after, limit)
        found.extend(answer.accesses)
        totals.add(answer.total)
        assert len(answer.accesses) == limit or answer.next is None
        assert answer.accesses or answer.total == 0
        assert answer.next is None or after is None or answer.next < after
        if answer.next is None:
            (total,) = totals
            return found, total
        after = answer.next


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
def test_histories_are_what_the_blocks_hold(
    happened: Market, usage: UsageIndex, facts: list[Facts], limit: int
) -> None:
    newest = [access_of(fact) for fact in reversed(facts)]
    for asset in {access.asset for access in newest} | {10**9}:
        expected = [access for access in newest if access.asset == asset]
        found = read_all(lambda after, size, asset=asset: usage.asset_history(asset, after=after, limit=size), limit)
        assert found == (expected, len(expected))
    for account in range(1, 8):
        expected = [access for access in newest if access.consumer == account]
        found = read_all(lambda after, size, who=account: usage.account_history(who, after=after, limit=size), limit)
        assert found == (expected, len(expected))
    assert usage.asset_history(happened.priced).height == len(happened.chain.pairs)
    assert {access.op for access in newest} == {"whole", "range", "call", "preview", "refusal"}
    assert any(access.flags for access in newest)


def test_transactions_are_those_an_account_signed(happened: Market, usage: UsageIndex) -> None:
    for account in range(1, 8):
        expected = [
            (format_id(done.id), result.height, place, result.time, done.code, done.message, done.reasons, done.number)
            for result, _ in reversed(happened.chain.pairs)
            for place, done in reversed(list(enumerate(result.transactions)))
            if done.account == account
        ]
        found = []
        after = None
        while True:
            part = usage.transactions_of(account, after=after, limit=2)
            assert (part.total, part.height) == (len(expected), len(happened.chain.pairs))
            found.extend(part.transactions)
            assert part.transactions or part.total == 0
            assert part.next is None or after is None or part.next < after
            after = part.next
            if after is None:
                break
        assert [
            (each.id, each.height, each.position, each.time, each.code, each.message, each.reasons, each.number)
            for each in found
        ] == expected
        assert all(each.account == account for each in found)
    refused = [each for each in usage.transactions_of(happened.number("lab")).transactions if each.code != "ok"]
    assert [(each.kind, each.reasons) for each in refused] == [("issue-grant", ("denied",)), ("issue-grant", ())]


def test_a_transaction_signed_with_a_strangers_key_is_nobodys(empty: UsageIndex) -> None:
    chain = MadeUp()
    own = chain.refused("wrong_sequence", 5)
    chain.add(own, chain.refused("key_not_authorized", 5), chain.refused("unknown_account", 5))
    chain.add(chain.refused("unreadable", 0))
    follow(empty, chain.pairs)
    history = empty.transactions_of(5)
    assert (history.total, [each.id for each in history.transactions]) == (1, [format_id(own[0].id)])
    nobody = empty.transactions_of(0)
    assert (nobody.total, nobody.transactions) == (0, ())
    assert [each.account for each in empty.refusals(Selection()).transactions] == [0, 0, 0, 5]
    assert [each.code for each in empty.refusals(Selection(consumer=5)).transactions] == ["wrong_sequence"]


_BIG = st.one_of(st.integers(0, 3), st.integers(2**63 - 2, 2**63 + 2), st.just(2**64 - 1))


@st.composite
def _rows(draw: st.DrawFn, node: int, start: int) -> list[Row]:
    """Rows of any content that a machine records; what a session states is stated alike."""
    consumer, grant, purpose = draw(_BIG), draw(_BIG), draw(st.integers(0, 9))
    times = draw(st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True))
    return [
        Row(
            asset=draw(_BIG),
            t=start + t,
            consumer=consumer,
            grant=grant,
            session=draw(_BIG),
            bytes=draw(st.sampled_from((0, 1, 2**40 - 1))),
            units=draw(st.sampled_from((0, 1, 2**32 - 1))),
            node=node,
            policy=draw(st.sampled_from((0, 2**32 - 1))),
            purpose=purpose,
            op=draw(st.integers(1, 6)),
            flags=draw(st.integers(0, 15)),
        )
        for t in times
    ]


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_rows_say_is_given_back(data: st.DataObject) -> None:
    chain = MadeUp()
    start = data.draw(st.sampled_from((START, 2**63 - 25, 2**64 - 51)))
    for _ in range(data.draw(st.integers(1, 4))):
        nodes = data.draw(st.lists(st.sampled_from((7, 2**32 - 1)), max_size=2))
        chain.add(*(chain.batch(node, data.draw(_rows(node, start))) for node in nodes))
    with tempfile.TemporaryDirectory() as folder:
        usage = open_usage(Path(folder) / "usage.sqlite")
        follow(usage, chain.pairs)
        newest = [access_of(fact) for fact in reversed(all_facts(chain.pairs))]
        for number in {access.asset for access in newest} | {access.consumer for access in newest}:
            by_asset = tuple(access for access in newest if access.asset == number)
            assert usage.asset_history(number).accesses == by_asset
            assert usage.account_history(number).accesses == tuple(
                access for access in newest if access.consumer == number
            )
            if number:
                sums = usage.totals(Selection(asset=number))
                assert sum(each.bytes for each in sums) == sum(access.bytes for access in by_asset)
                assert sum(each.units for each in sums) == sum(access.units for access in by_asset)
        usage.close()


@pytest.mark.parametrize("limit", [0, -1, MAX_PART + 1])
def test_parts_are_bounded(usage: UsageIndex, limit: int) -> None:
    with pytest.raises(RequestError, match="limit"):
        usage.asset_history(1, limit=limit)
    with pytest.raises(RequestError, match="limit"):
        usage.refusals(Selection(), limit=limit)


@pytest.mark.parametrize(("number", "after"), [(-1, None), (2**64, None), (1, -1), (1, 2**63)])
def test_numbers_beyond_any_are_refused(usage: UsageIndex, number: int, after: int | None) -> None:
    for ask in (usage.asset_history, usage.account_history, usage.transactions_of):
        with pytest.raises(RequestError, match="got"):
            ask(number, after=after)
