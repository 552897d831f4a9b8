"""Sums over the accesses a selection names, and what was refused."""

import sqlite3
from typing import Final, NamedTuple

from audiera.protocol.accesses.rows import OP_REFUSAL
from audiera.protocol.api.usage import AssetUse, DayUse, Refusals, Selection, Total
from audiera.protocol.errors import RequestError
from audiera.protocol.purposes import PURPOSES, purpose_code
from audiera.protocol.units import DAY_US
from audiera.services.usage.histories import TRANSACTIONS, operation_of, transaction_of
from audiera.services.usage.tables import check_period, loaded, period, require_number, stored

_BYTES: Final = "sum(a.bytes >> 20), sum(a.bytes & 1048575)"
"""The bytes of many rows in two sums, neither of which can overflow: a row claims less than 2^40."""


class _Chosen(NamedTuple):
    """The end of a query over chosen rows: ``FROM`` and ``WHERE``, and what stands for the question marks."""

    sql: str
    values: tuple[int, ...]


def check_selection(selection: Selection) -> None:
    """Refuse a selection that cannot be meant.

    Raises:
        RequestError: which field, what it may be, and what it was.
    """
    for name in ("asset", "consumer", "holder"):
        require_number(getattr(selection, name), name)
    check_period(selection.start, selection.until)
    if selection.purpose and selection.purpose not in PURPOSES:
        raise RequestError(f"purpose is one of {', '.join(PURPOSES)}, got {selection.purpose[:40]!r}")


def _chosen(db: sqlite3.Connection, selection: Selection, *, which: str) -> _Chosen:
    """The rows a selection names.

    Args:
        db: the tables.
        selection: which rows.
        which: a further condition.
    """
    check_selection(selection)
    span = period(db, selection.start, selection.until).accesses
    tables = "accesses a JOIN batches b ON b.log_index = a.batch"
    conditions = ["a.number >= ?", "a.number < ?", which]
    values = [span.first, span.end]
    for name in ("asset", "consumer"):
        if getattr(selection, name):
            conditions.append(f"a.{name} = ?")
            values.append(stored(getattr(selection, name)))
    if selection.purpose:
        conditions.append("a.purpose = ?")
        values.append(purpose_code(selection.purpose))
    if selection.holder:
        conditions.append("a.asset IN (SELECT asset FROM holders WHERE holder = ?)")
        values.append(stored(selection.holder))
    return _Chosen(f"FROM {tables} WHERE {' AND '.join(conditions)}", tuple(values))


_ALL: Final = "a.op > 0"
_USES: Final = f"a.op <> {OP_REFUSAL}"
_REFUSALS: Final = f"a.op = {OP_REFUSAL}"


def totals(db: sqlite3.Connection, selection: Selection, *, which: str = _ALL) -> tuple[Total, ...]:
    """Rows, units and bytes by purpose and operation."""
    chosen = _chosen(db, selection, which=which)
    sql = f"SELECT a.purpose, a.op, count(*), sum(a.units), {_BYTES} {chosen.sql} GROUP BY 1, 2 ORDER BY 1, 2"
    return tuple(
        Total(
            purpose=PURPOSES[purpose],
            op=operation_of(op),
            accesses=count,
            units=units,
            bytes=(high << 20) + low,
        )
        for purpose, op, count, units, high, low in db.execute(sql, chosen.values)
    )


def days(db: sqlite3.Connection, selection: Selection) -> tuple[DayUse, ...]:
    """Uses by day and purpose."""
    chosen = _chosen(db, selection, which=_USES)
    sql = f"SELECT b.time / {DAY_US}, a.purpose, count(*), {_BYTES} {chosen.sql} GROUP BY 1, 2 ORDER BY 1, 2"
    return tuple(
        DayUse(day=day, purpose=PURPOSES[purpose], accesses=count, bytes=(high << 20) + low)
        for day, purpose, count, high, low in db.execute(sql, chosen.values)
    )


def top_assets(db: sqlite3.Connection, selection: Selection, limit: int) -> tuple[AssetUse, ...]:
    """What was used most."""
    chosen = _chosen(db, selection, which=_USES)
    counts = f"SELECT a.asset, count(*), count(DISTINCT a.consumer), {_BYTES}"
    sql = f"{counts} {chosen.sql} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?"
    return tuple(
        AssetUse(asset=loaded(asset), accesses=count, consumers=consumers, bytes=(high << 20) + low)
        for asset, count, consumers, high, low in db.execute(sql, (*chosen.values, limit))
    )


def refusals(db: sqlite3.Connection, selection: Selection, limit: int) -> Refusals:
    """What was refused; equal refusals share a row, whose units say how many they were."""
    by_purpose = totals(db, selection, which=_REFUSALS)
    chosen = _chosen_transactions(db, selection)
    sql = f"{TRANSACTIONS.format(join='JOIN')} {chosen.sql} ORDER BY r.number DESC LIMIT ?"
    rows = db.execute(sql, (*chosen.values, limit)).fetchall()
    return Refusals(
        accesses=sum(total.units for total in by_purpose),
        by_purpose=by_purpose,
        transactions=tuple(map(transaction_of, rows)),
    )


def _chosen_transactions(db: sqlite3.Connection, selection: Selection) -> _Chosen:
    """The refused transactions a selection names."""
    span = period(db, selection.start, selection.until).transactions
    conditions = ["r.number >= ?", "r.number < ?"]
    values = [span.first, span.end]
    if selection.consumer:
        conditions.append("r.account = ?")
        values.append(stored(selection.consumer))
    if selection.purpose:
        conditions.append("r.purpose = ?")
        values.append(purpose_code(selection.purpose))
    if selection.asset:
        conditions.append("r.number IN (SELECT number FROM asked WHERE asset = ?)")
        values.append(stored(selection.asset))
    if selection.holder:
        conditions.append(
            "r.number IN (SELECT q.number FROM holders h JOIN asked q ON q.asset = h.asset WHERE h.holder = ?)"
        )
        values.append(stored(selection.holder))
    return _Chosen(f"WHERE {' AND '.join(conditions)}", tuple(values))
