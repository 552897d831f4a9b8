"""Statements add up to the microcredit, after every block, for every account, over every period."""

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiera.protocol.api.usage import Line, Statement
from audiera.protocol.errors import RequestError
from audiera.protocol.ids import format_id
from audiera.protocol.records import Movement
from audiera.services.usage import UsageIndex, open_usage
from tests.services.usage.chains import MadeUp, Market, Pair, follow


def lines_of(pairs: list[Pair]) -> list[Line]:
    """Every movement of a chain, by hand."""
    found = []
    log_index = 0
    for result, _ in pairs:
        for position, done in enumerate(result.transactions):
            for place, movement in enumerate(done.movements):
                line = Line(
                    height=result.height,
                    position=position,
                    place=place,
                    time=result.time,
                    transaction=format_id(done.id),
                    log_index=log_index if done.batch is not None else None,
                    debit=movement.debit,
                    credit=movement.credit,
                    amount=movement.amount,
                    reason=movement.reason,
                    reference=movement.reference,
                    payer=movement.payer,
                )
                found.append(line)
            log_index += done.batch is not None
    return found


def check_statement(statement: Statement, lines: list[Line], start: int, until: int) -> None:
    """A statement is what adding up the lines by hand gives."""
    purse = f"account/{statement.account}"
    end = until or 2**63

    def change(line: Line) -> int:
        return line.amount * ((line.credit == purse) - (line.debit == purse))

    mine = [line for line in lines if purse in (line.debit, line.credit)]
    within = [line for line in mine if start <= line.time < end]
    assert statement.opening == sum(change(line) for line in mine if line.time < start)
    assert statement.closing == sum(change(line) for line in mine if line.time < end)
    assert statement.opening + statement.credited - statement.debited == statement.closing
    assert statement.credited == sum(line.amount for line in within if line.credit == purse)
    assert statement.debited == sum(line.amount for line in within if line.debit == purse)
    assert statement.credited == sum(each.credited for each in statement.sums)
    assert statement.debited == sum(each.debited for each in statement.sums)
    assert statement.count == len(within)
    assert [each.reason for each in statement.sums] == sorted({line.reason for line in within})
    for each in statement.sums:
        of_reason = [line for line in within if line.reason == each.reason]
        assert each.credited == sum(line.amount for line in of_reason if line.credit == purse)
        assert each.debited == sum(line.amount for line in of_reason if line.debit == purse)
    assert list(statement.lines) == within[:1_000]


def purses_in(path: Path) -> dict[str, int]:
    """What the file says every purse holds."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT name, high, low FROM purses").fetchall()
    db.close()
    return {name: (high << 32) + low for name, high, low in rows}


def test_after_every_block_every_account_has_what_the_state_says(happened: Market, tmp_path: Path) -> None:
    usage = open_usage(tmp_path / "usage.sqlite")
    lines = lines_of(happened.chain.pairs)
    for (result, block), balances in zip(happened.chain.pairs, happened.chain.purses, strict=True):
        usage.apply(result, block)
        assert purses_in(tmp_path / "usage.sqlite") == balances
        assert sum(balances.values()) == 0
        so_far = [line for line in lines if line.height <= result.height]
        for account in range(1, 8):
            statement = usage.statement(account, limit=1_000)
            assert statement.closing == balances.get(f"account/{account}", 0)
            assert (statement.height, statement.until) == (result.height, result.time + 1)
            check_statement(statement, so_far, 0, 0)
    usage.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_statement_of_any_period_adds_up(happened: Market, usage: UsageIndex, data: st.DataObject) -> None:
    times = [result.time for result, _ in happened.chain.pairs]
    moments = st.sampled_from([0, *times, *(time + 1 for time in times), times[-1] + 10**9])
    start, until = sorted((data.draw(moments), data.draw(moments)))
    account = data.draw(st.integers(1, 7))
    statement = usage.statement(account, start=start, until=until, limit=1_000)
    assert (statement.start, statement.until) == (start, until or times[-1] + 1)
    check_statement(statement, lines_of(happened.chain.pairs), start, until)


def test_two_statements_that_touch_are_one(happened: Market, usage: UsageIndex) -> None:
    lab = happened.number("lab")
    whole = usage.statement(lab)
    for result, _ in happened.chain.pairs:
        before = usage.statement(lab, until=result.time)
        after = usage.statement(lab, start=result.time)
        assert before.closing == after.opening
        assert before.credited + after.credited == whole.credited
        assert before.count + after.count == whole.count
        assert before.closing + after.credited - after.debited == whole.closing


def test_lines_lead_to_the_entry_of_the_log_that_caused_them(happened: Market, usage: UsageIndex) -> None:
    lines = usage.statement(happened.server.node.number).lines
    assert [line.reason for line in lines] == ["node-fee"] * 5
    assert [line.log_index for line in lines] == [0, 1, 2, 3, 4]
    (deposit, *_) = usage.statement(happened.number("app")).lines
    assert (deposit.reason, deposit.log_index) == ("deposit", None)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_lines_are_paged_without_gap_or_repetition(happened: Market, usage: UsageIndex, limit: int) -> None:
    account = happened.number("lab")
    whole = usage.statement(account)
    parts = [usage.statement(account, offset=offset, limit=limit) for offset in range(0, whole.count, limit)]
    assert tuple(line for part in parts for line in part.lines) == whole.lines
    assert {(part.opening, part.closing, part.count) for part in parts} == {(0, whole.closing, whole.count)}
    assert usage.statement(account, offset=whole.count).lines == ()


def test_payments_follow_a_payers_money_wherever_it_goes(happened: Market, usage: UsageIndex) -> None:
    lines = lines_of(happened.chain.pairs)
    times = [result.time for result, _ in happened.chain.pairs]
    for payer in range(1, 8):
        expected = [line for line in lines if line.payer == payer]
        payments = usage.payments(payer, limit=1_000)
        assert (payments.total, list(payments.lines)) == (len(expected), expected)
        assert list(usage.payments(payer, offset=2, limit=3).lines) == expected[2:5]
        middle = times[len(times) // 2]
        assert list(usage.payments(payer, until=middle, limit=1_000).lines) == [
            line for line in expected if line.time < middle
        ]
    credits_ = {line.credit for line in usage.payments(happened.number("app")).lines}
    assert {f"model/{happened.base}", f"model/{happened.model}", "network"} <= credits_
    assert usage.payments(0).total == 0


def test_earnings_are_what_came_to_the_asset_and_its_splits(happened: Market, usage: UsageIndex) -> None:
    balances = happened.chain.purses[-1]
    lines = lines_of(happened.chain.pairs)
    paid_by_pools = 0
    for asset in (happened.priced, happened.shared, happened.other):
        earnings = usage.earnings(asset)
        came = sum(line.amount for line in lines if line.credit == f"asset/{asset}")
        assert (earnings.accesses, earnings.waiting) == (came, balances.get(f"asset/{asset}", 0))
        assert earnings.accesses - earnings.waiting + earnings.models == earnings.paid_out
        paid_by_pools += earnings.models
    claimed = sum(line.amount for line in lines if line.debit.startswith("settlement/"))
    assert claimed % 5, "the pool must not divide evenly, or the order of the payees would not matter"
    assert paid_by_pools == claimed > 0
    priced, shared, other = (usage.earnings(each) for each in (happened.priced, happened.shared, happened.other))
    assert priced.waiting == 0 < priced.paid_out
    assert shared.waiting == shared.accesses > 0
    assert priced.models * 4_000 == pytest.approx(shared.models * 6_000, abs=10_000)
    assert (other.accesses, other.models, other.paid_out) == (0, 0, 0)


_PURSES = ("issued", "network", "account/1", "account/2", "grant/3")
_MOVEMENTS = st.lists(
    st.builds(
        Movement,
        debit=st.sampled_from(_PURSES),
        credit=st.sampled_from(_PURSES),
        amount=st.one_of(st.integers(1, 10), st.integers(2**32 - 2, 2**32 + 2), st.integers(2**63 - 1, 2**70)),
        reason=st.sampled_from(("deposit", "grant-budget", "access")),
        reference=st.integers(1, 3),
        payer=st.integers(0, 2),
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(blocks=st.lists(st.lists(_MOVEMENTS, max_size=3), min_size=1, max_size=5), data=st.data())
def test_no_amount_is_too_large_to_be_added_up(blocks: list[list[list[Movement]]], data: st.DataObject) -> None:
    chain = MadeUp()
    for transactions in blocks:
        chain.add(*(chain.moved(movements) for movements in transactions))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.sqlite"
        usage = open_usage(path)
        follow(usage, chain.pairs)
        times = [result.time for result, _ in chain.pairs]
        start, until = sorted(data.draw(st.sampled_from([0, *times])) for _ in range(2))
        for account in (1, 2, 9):
            statement = usage.statement(account, start=start, until=until, limit=1_000)
            check_statement(statement, lines_of(chain.pairs), start, until)
        assert sum(purses_in(path).values()) == 0
        usage.close()


@pytest.mark.parametrize(
    "period", [{"start": -1}, {"until": 2**63}, {"start": 5, "until": 4}, {"offset": -1}, {"limit": 0}]
)
def test_a_period_that_cannot_be_meant_is_refused(usage: UsageIndex, period: dict[str, int]) -> None:
    for ask in (usage.statement, usage.payments):
        with pytest.raises(RequestError):
            ask(1, **period)
    with pytest.raises(RequestError):
        usage.earnings(-1)


def test_a_statement_of_a_time_to_come_is_empty(happened: Market, usage: UsageIndex) -> None:
    later = happened.chain.pairs[-1][0].time + 10**9
    statement = usage.statement(happened.number("lab"), start=later)
    assert (statement.until, statement.count, statement.credited) == (later, 0, 0)
    assert statement.opening == statement.closing == happened.chain.balance(f"account/{happened.number('lab')}")
