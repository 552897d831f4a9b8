"""The usage index's tables, and how numbers larger than SQLite's own stand in them."""

import sqlite3
from typing import Final, NamedTuple

from audiera.protocol.errors import RequestError
from audiera.protocol.units import I64_MAX, U64_MAX

VERSION: Final = 1
"""Version of these tables; a file of another version is begun anew."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, time INTEGER NOT NULL UNIQUE, transactions INTEGER NOT NULL,
    movements INTEGER NOT NULL, accesses INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS transactions (
    number INTEGER PRIMARY KEY, height INTEGER NOT NULL, place INTEGER NOT NULL, id BLOB NOT NULL,
    account INTEGER NOT NULL, kind TEXT NOT NULL, created INTEGER NOT NULL, batch INTEGER
);
CREATE INDEX IF NOT EXISTS transactions_by_account ON transactions (account);
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY, account INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    reasons TEXT NOT NULL, purpose INTEGER
);
CREATE INDEX IF NOT EXISTS refused_by_account ON refused (account);
CREATE TABLE IF NOT EXISTS asked (
    asset INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (asset, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    log_index INTEGER PRIMARY KEY, height INTEGER NOT NULL, time INTEGER NOT NULL, id BLOB NOT NULL,
    node INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, first_index INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_by_node ON batches (node, first_index);
CREATE TABLE IF NOT EXISTS accesses (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, nth INTEGER NOT NULL, t INTEGER NOT NULL,
    asset INTEGER NOT NULL, consumer INTEGER NOT NULL, grant INTEGER NOT NULL, session INTEGER NOT NULL,
    bytes INTEGER NOT NULL, units INTEGER NOT NULL, policy INTEGER NOT NULL, purpose INTEGER NOT NULL,
    op INTEGER NOT NULL, flags INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS accesses_by_asset ON accesses (asset);
CREATE INDEX IF NOT EXISTS accesses_by_consumer ON accesses (consumer);
CREATE TABLE IF NOT EXISTS sessions (
    node INTEGER NOT NULL, number INTEGER NOT NULL, grant INTEGER NOT NULL, consumer INTEGER NOT NULL,
    purpose INTEGER NOT NULL, run INTEGER NOT NULL, app_key INTEGER NOT NULL, opened_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, height INTEGER NOT NULL, PRIMARY KEY (node, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holders (asset INTEGER PRIMARY KEY, holder INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS holders_by_holder ON holders (holder);
CREATE TABLE IF NOT EXISTS purses (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, high INTEGER NOT NULL, low INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS movements (
    number INTEGER PRIMARY KEY, tx INTEGER NOT NULL, place INTEGER NOT NULL, debit INTEGER NOT NULL,
    credit INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL, reason TEXT NOT NULL,
    reference INTEGER NOT NULL, payer INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS movements_by_payer ON movements (payer);
CREATE TABLE IF NOT EXISTS entries (
    purse INTEGER NOT NULL, movement INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL,
    PRIMARY KEY (purse, movement)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
    asset INTEGER NOT NULL, settlement INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL,
    PRIMARY KEY (asset, settlement)
) WITHOUT ROWID;
"""

TABLES: Final = (
    "blocks",
    "transactions",
    "refused",
    "asked",
    "batches",
    "accesses",
    "sessions",
    "holders",
    "purses",
    "movements",
    "entries",
    "claims",
)

_LOW_BITS: Final = 32


def stored(number: int) -> int:
    """A u64 as the i64 with the same bits.

    A row is recorded whatever it says, so its numbers may be any u64; SQLite's integers are i64.
    """
    return number - 2**64 if number > I64_MAX else number


def loaded(number: int) -> int:
    """The u64 that :func:`stored` put away."""
    return number + 2**64 if number < 0 else number


def halves(amount: int) -> tuple[int, int]:
    """An amount as (high, low), low having 32 bits, so that neither any amount nor any sum of them overflows."""
    return amount >> _LOW_BITS, amount & (2**_LOW_BITS - 1)


def whole(high: int | None, low: int | None) -> int:
    """The amount of two halves or of two sums of halves; nothing summed up is 0."""
    return ((high or 0) << _LOW_BITS) + (low or 0)


class Span(NamedTuple):
    """The numbers from the first up to, and without, the end."""

    first: int
    """The first."""

    end: int
    """One more than the last."""


class Period(NamedTuple):
    """What the blocks of a period hold."""

    transactions: Span
    """Numbers of their transactions."""

    movements: Span
    """Numbers of their movements."""

    accesses: Span
    """Numbers of their rows."""


def period(db: sqlite3.Connection, start: int, until: int) -> Period:
    """What the blocks from one moment up to, and without, another hold; 0 is no end.

    A block's time is later than that of the block before, so a period is a stretch of the chain.
    """
    first = _first_numbers(db, start)
    end = _first_numbers(db, until) if until else (I64_MAX,) * 3
    return Period(*(Span(*numbers) for numbers in zip(first, end, strict=True)))


def _first_numbers(db: sqlite3.Connection, moment: int) -> tuple[int, ...]:
    """The first transaction, movement and row of blocks from a moment on."""
    sql = "SELECT transactions, movements, accesses FROM blocks WHERE time >= ? ORDER BY time LIMIT 1"
    found: tuple[int, ...] | None = db.execute(sql, (moment,)).fetchone()
    return found or (I64_MAX,) * 3


def purse_number(db: sqlite3.Connection, name: str) -> int:
    """The number of a purse; 0 when it never held credits."""
    found = db.execute("SELECT number FROM purses WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def require_number(value: int, what: str, *, most: int = U64_MAX) -> int:
    """The number, which must be 0 to ``most``.

    Raises:
        RequestError: it is not.
    """
    if not 0 <= value <= most:
        raise RequestError(f"{what} is 0 to {most}, got {value}")
    return value


def check_period(start: int, until: int) -> None:
    """Refuse a period that ends before it begins.

    Raises:
        RequestError: it does, or a moment is out of range.
    """
    require_number(start, "start", most=I64_MAX)
    require_number(until, "until", most=I64_MAX)
    if until and until < start:
        raise RequestError(f"the period ends at {until}, before its start at {start}")
