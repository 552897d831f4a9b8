"""Histories: rows and transactions one by one, newest first."""

import sqlite3
from typing import Final, Literal, cast

from audiera.protocol.accesses.rows import FLAG_ABORTED, FLAG_CACHED, FLAG_FAILED, FLAG_LATE, OPS
from audiera.protocol.api.usage import Access, AccessHistory, Flag, Operation, SignedTransaction, TransactionHistory
from audiera.protocol.ids import format_id
from audiera.protocol.purposes import PURPOSES
from audiera.protocol.results import OK
from audiera.protocol.units import I64_MAX
from audiera.services.storage.derived import position
from audiera.services.usage.tables import loaded, require_number, stored

ACCESSES: Final = (
    "SELECT a.number, b.height, b.time, a.batch, a.number - b.first, b.first_index + a.nth, b.node, a.t, a.asset, "
    "a.consumer, a.grant, a.session, a.bytes, a.units, a.policy, a.purpose, a.op, a.flags "
    "FROM accesses a JOIN batches b ON b.log_index = a.batch "
)
"""Asks for rows as :func:`access_of` reads them."""

TRANSACTIONS: Final = (
    "SELECT t.number, t.id, t.height, t.place, k.time, t.account, t.kind, r.code, r.message, r.reasons, t.created "
    "FROM transactions t JOIN blocks k ON k.height = t.height {join} refused r ON r.number = t.number "
)
"""Asks for transactions as :func:`transaction_of` reads them; how refusals are joined is left open."""

_FLAGS: Final[tuple[tuple[int, Flag], ...]] = (
    (FLAG_LATE, "late"),
    (FLAG_CACHED, "cached"),
    (FLAG_ABORTED, "aborted"),
    (FLAG_FAILED, "failed"),
)


def operation_of(code: int) -> Operation:
    """The name of an op code."""
    return cast("Operation", OPS[code])


def access_of(row: tuple[int, ...]) -> Access:
    """A row as it is answered."""
    index, height, time, log_index, place, node_index, node, t, *numbers, size, units, policy, purpose, op, flags = row
    asset, consumer, grant, session = map(loaded, numbers)
    return Access(
        index=index,
        height=height,
        time=time,
        log_index=log_index,
        place=place,
        node_index=node_index,
        node=node,
        t=loaded(t),
        asset=asset,
        consumer=consumer,
        grant=grant,
        session=session,
        bytes=size,
        units=units,
        policy=policy,
        purpose=PURPOSES[purpose],
        op=operation_of(op),
        flags=tuple(name for bit, name in _FLAGS if flags & bit),
    )


def history(
    db: sqlite3.Connection, whose: Literal["asset", "consumer"], number: int, after: int | None, limit: int
) -> AccessHistory:
    """A part of the rows that name an asset or an account."""
    key, before = stored(require_number(number, whose)), _before(after)
    sql = f"{ACCESSES} WHERE a.{whose} = ? AND a.number < ? ORDER BY a.number DESC LIMIT ?"
    rows = db.execute(sql, (key, before, limit + 1)).fetchall()
    (total,) = db.execute(f"SELECT count(*) FROM accesses WHERE {whose} = ?", (key,)).fetchone()  # noqa: S608
    return AccessHistory(
        total=total,
        accesses=tuple(map(access_of, rows[:limit])),
        height=position(db).height,
        next=rows[limit - 1][0] if len(rows) > limit else None,
    )


def _before(after: int | None) -> int:
    return I64_MAX if after is None else require_number(after, "after", most=I64_MAX)


def transaction_of(row: tuple[object, ...]) -> SignedTransaction:
    """A transaction as it is answered."""
    _, id_, height, place, time, account, kind, code, message, reasons, created = row
    return SignedTransaction(
        id=format_id(cast("bytes", id_)),
        height=cast("int", height),
        position=cast("int", place),
        time=cast("int", time),
        account=cast("int", account),
        kind=cast("str", kind),
        code=cast("str", code) if code is not None else OK,
        message=cast("str", message) or "",
        reasons=tuple(cast("str", reasons or "").split()),
        number=cast("int", created),
    )


def transactions_of(db: sqlite3.Connection, account: int, after: int | None, limit: int) -> TransactionHistory:
    """A part of the transactions an account signed."""
    key, before = require_number(account, "account", most=I64_MAX), _before(after)
    where = "WHERE t.account = ? AND t.account > 0 AND t.number < ? ORDER BY t.number DESC LIMIT ?"
    rows = db.execute(f"{TRANSACTIONS.format(join='LEFT JOIN')} {where}", (key, before, limit + 1)).fetchall()
    sql = "SELECT count(*) FROM transactions WHERE account = ? AND account > 0"
    (total,) = db.execute(sql, (key,)).fetchone()
    return TransactionHistory(
        total=total,
        transactions=tuple(map(transaction_of, rows[:limit])),
        height=position(db).height,
        next=rows[limit - 1][0] if len(rows) > limit else None,
    )
