"""Money: what came into a purse, what left it, and where each movement stands on the ledger."""

import sqlite3
from collections.abc import Iterable
from typing import Final, cast

from audiera.protocol.api.usage import Earnings, Line, Payments, ReasonSum, Statement
from audiera.protocol.ids import format_id
from audiera.protocol.machine import account_purse, asset_purse
from audiera.protocol.records.money import MovementReason
from audiera.protocol.units import I64_MAX
from audiera.services.storage.derived import position
from audiera.services.usage.tables import Span, check_period, period, purse_number, require_number, whole

_LINES: Final = (
    "SELECT t.height, t.place, m.place, k.time, t.id, t.batch, d.name, c.name, m.high, m.low, m.reason, "
    "m.reference, m.payer FROM movements m JOIN transactions t ON t.number = m.tx JOIN blocks k ON k.height = t.height "
    "JOIN purses d ON d.number = m.debit JOIN purses c ON c.number = m.credit "
)
"""Asks for movements as :func:`_lines_of` reads them."""

_OF_PURSE: Final = "JOIN entries e ON e.movement = m.number WHERE e.purse = ? AND e.movement >= ? AND e.movement < ?"


def _lines_of(rows: Iterable[tuple[object, ...]]) -> tuple[Line, ...]:
    return tuple(
        Line(
            height=cast("int", height),
            position=cast("int", position_),
            place=cast("int", place),
            time=cast("int", time),
            transaction=format_id(cast("bytes", id_)),
            log_index=cast("int | None", batch),
            debit=cast("str", debit),
            credit=cast("str", credit),
            amount=whole(cast("int", high), cast("int", low)),
            reason=cast("MovementReason", reason),
            reference=cast("int", reference),
            payer=cast("int", payer),
        )
        for height, position_, place, time, id_, batch, debit, credit, high, low, reason, reference, payer in rows
    )


def statement(db: sqlite3.Connection, account: int, *, start: int, until: int, offset: int, limit: int) -> Statement:
    """An account's own purse over a period."""
    check_period(start, until)
    purse = purse_number(db, account_purse(require_number(account, "account")))
    stands = position(db)
    span = period(db, start, until).movements
    sums = _sums_by_reason(db, purse, span)
    of_purse = "SELECT count(*) FROM entries WHERE purse = ? AND movement >= ? AND movement < ?"
    (count,) = db.execute(of_purse, (purse, *span)).fetchone()
    sql = f"{_LINES} {_OF_PURSE} ORDER BY e.movement LIMIT ? OFFSET ?"
    rows = db.execute(sql, (purse, *span, limit, require_number(offset, "offset", most=I64_MAX)))
    return Statement(
        account=account,
        start=start,
        until=until or max(start, stands.time + 1),
        opening=_balance_before(db, purse, span.first),
        credited=sum(each.credited for each in sums),
        debited=sum(each.debited for each in sums),
        closing=_balance_before(db, purse, span.end),
        sums=sums,
        count=count,
        lines=_lines_of(rows),
        height=stands.height,
    )


def _balance_before(db: sqlite3.Connection, purse: int, movement: int) -> int:
    """What a purse held before a movement, as the movement before it left it."""
    sql = "SELECT high, low FROM entries WHERE purse = ? AND movement < ? ORDER BY movement DESC LIMIT 1"
    found = db.execute(sql, (purse, movement)).fetchone()
    return whole(*found) if found else 0


def _sums_by_reason(db: sqlite3.Connection, purse: int, span: Span) -> tuple[ReasonSum, ...]:
    came = "sum(m.high) FILTER (WHERE m.credit = e.purse), sum(m.low) FILTER (WHERE m.credit = e.purse)"
    went = "sum(m.high) FILTER (WHERE m.debit = e.purse), sum(m.low) FILTER (WHERE m.debit = e.purse)"
    sql = f"SELECT m.reason, {came}, {went} FROM movements m {_OF_PURSE} GROUP BY 1 ORDER BY 1"  # noqa: S608
    return tuple(
        ReasonSum(reason=reason, credited=whole(high_in, low_in), debited=whole(high_out, low_out))
        for reason, high_in, low_in, high_out, low_out in db.execute(sql, (purse, *span))
    )


def payments(db: sqlite3.Connection, payer: int, *, start: int, until: int, offset: int, limit: int) -> Payments:
    """Every movement of one payer's money."""
    check_period(start, until)
    span = period(db, start, until).movements
    values = (require_number(payer, "payer", most=I64_MAX), *span)
    where = "WHERE m.payer = ? AND m.payer > 0 AND m.number >= ? AND m.number < ?"
    (total,) = db.execute(f"SELECT count(*) FROM movements m {where}", values).fetchone()  # noqa: S608
    sql = f"{_LINES} {where} ORDER BY m.number LIMIT ? OFFSET ?"
    rows = db.execute(sql, (*values, limit, require_number(offset, "offset", most=I64_MAX)))
    return Payments(total=total, lines=_lines_of(rows), height=position(db).height)


def lines_in_block(db: sqlite3.Connection, purse: str, height: int, transaction: bytes) -> tuple[Line, ...]:
    """What one transaction of a block moved into or out of a purse."""
    time = db.execute("SELECT time FROM blocks WHERE height = ?", (height,)).fetchone()[0]
    span = period(db, time, time + 1).movements
    sql = f"{_LINES} {_OF_PURSE} AND t.id = ? ORDER BY e.movement"
    return _lines_of(db.execute(sql, (purse_number(db, purse), *span, transaction)))


def earnings(db: sqlite3.Connection, asset: int) -> Earnings:
    """What an asset earned."""
    purse = purse_number(db, asset_purse(require_number(asset, "asset", most=I64_MAX)))
    came = sum(each.credited for each in _sums_by_reason(db, purse, Span(0, I64_MAX)))
    waiting = _balance_before(db, purse, I64_MAX)
    claimed = whole(*db.execute("SELECT sum(high), sum(low) FROM claims WHERE asset = ?", (asset,)).fetchone())
    return Earnings(
        asset=asset,
        accesses=came,
        waiting=waiting,
        models=claimed,
        paid_out=came - waiting + claimed,
        height=position(db).height,
    )
