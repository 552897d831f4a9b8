"""The catalog's tables: what a block, a sheet or its erasure changes in them."""

import sqlite3
from typing import Final

from audiera.protocol.encoding import encode
from audiera.protocol.records import Asset, Endpoint, License, Model, Snapshot
from audiera.protocol.results import BlockResult, Recorded
from audiera.services.catalog.entries import (
    Entry,
    Text,
    entry_of_asset,
    entry_of_model,
    entry_of_snapshot,
    identifiers_of,
    names_of,
    text_of_model,
    text_of_sheet,
)
from audiera.services.catalog.ports import Sheets
from audiera.services.catalog.words import fold

VERSION: Final = 1
"""Version of these tables; a file of another version is begun anew."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, holder INTEGER NOT NULL,
    license INTEGER NOT NULL, sheet BLOB NOT NULL, published_at INTEGER NOT NULL, contains_ai TEXT,
    duration_ms INTEGER, sample_rate INTEGER, channels INTEGER, loudness_mlufs INTEGER, tempo_mbpm INTEGER, key TEXT,
    price INTEGER, title TEXT, artist TEXT, title_key TEXT
);
CREATE INDEX IF NOT EXISTS entries_by_sheet ON entries (sheet);
CREATE INDEX IF NOT EXISTS entries_by_holder ON entries (holder);
CREATE INDEX IF NOT EXISTS entries_by_time ON entries (published_at);
CREATE TABLE IF NOT EXISTS licenses (number INTEGER PRIMARY KEY, revision INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS members (
    snapshot INTEGER NOT NULL, asset INTEGER NOT NULL, PRIMARY KEY (snapshot, asset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identifiers (
    value TEXT NOT NULL, scheme TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (value, scheme, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identifiers_by_number ON identifiers (number);
CREATE TABLE IF NOT EXISTS names (
    start TEXT NOT NULL, number INTEGER NOT NULL, field TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (start, number, field, text)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_by_number ON names (number);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    title, artist, tags, description, tokenize = 'unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE IF NOT EXISTS vocabulary USING fts5vocab (words, row);
"""

TABLES: Final = ("entries", "licenses", "members", "identifiers", "names", "words")
_ENTRY: Final = ", ".join(Entry._fields)
_UPSERT: Final = (
    f"INSERT INTO entries ({_ENTRY}) VALUES ({', '.join('?' * len(Entry._fields))}) "  # noqa: S608
    "ON CONFLICT (number) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in Entry._fields if name != "number")
)


def take_block(db: sqlite3.Connection, result: BlockResult, sheets: Sheets) -> None:
    """Take in a block; the caller's transaction makes it whole."""
    for transaction in result.transactions:
        if transaction.ok:
            for record in transaction.records:
                _take(db, record, sheets)


def _take(db: sqlite3.Connection, record: Recorded, sheets: Sheets) -> None:
    match record:
        case Asset():
            _put_entry(db, entry_of_asset(record), sheets)
            db.execute("DELETE FROM identifiers WHERE number = ?", (record.number,))
            claimed = identifiers_of(record.content.identifiers)
            db.executemany(
                "INSERT INTO identifiers (scheme, value, number) VALUES (?, ?, ?)",
                [(scheme, value, record.number) for scheme, value in claimed],
            )
        case Snapshot():
            _put_entry(db, entry_of_snapshot(record), sheets)
            members = [(record.number, asset) for asset in record.assets]
            db.executemany("INSERT OR IGNORE INTO members VALUES (?, ?)", members)
        case License():
            row = (record.number, record.revision, encode(record))
            db.execute("INSERT OR REPLACE INTO licenses VALUES (?, ?, ?)", row)
        case Model():
            db.execute(_UPSERT, entry_of_model(record))
            put_text(db, record.number, text_of_model(record))
        case Endpoint():
            status = "active" if record.active else "withdrawn"
            price = record.price.per_call
            db.execute("UPDATE entries SET status = ?, price = ? WHERE number = ?", (status, price, record.model))
        case _:
            pass


def _put_entry(db: sqlite3.Connection, entry: Entry, sheets: Sheets) -> None:
    before = db.execute("SELECT sheet FROM entries WHERE number = ?", (entry.number,)).fetchone()
    db.execute(_UPSERT, entry)
    if before is None or before[0] != entry.sheet:
        put_text(db, entry.number, text_of_sheet(entry.sheet, sheets))


def put_text(db: sqlite3.Connection, number: int, text: Text | None) -> None:
    """Give an entry its words, in place of those it had; None takes them away."""
    db.execute("DELETE FROM words WHERE rowid = ?", (number,))
    db.execute("DELETE FROM names WHERE number = ?", (number,))
    facts = (None, None, None) if text is None else (text.title, text.artist, fold(text.title))
    db.execute("UPDATE entries SET title = ?, artist = ?, title_key = ? WHERE number = ?", (*facts, number))
    if text is None:
        return
    folded = (fold(text.title), fold(text.artist), fold(" ".join(text.tags)), fold(text.description))
    db.execute("INSERT INTO words (rowid, title, artist, tags, description) VALUES (?, ?, ?, ?, ?)", (number, *folded))
    names = [(name.start, number, name.field, name.text) for name in names_of(text)]
    db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?)", names)


def numbers_with_sheet(db: sqlite3.Connection, digest: bytes) -> list[int]:
    """Everything a sheet describes."""
    return [number for (number,) in db.execute("SELECT number FROM entries WHERE sheet = ?", (digest,))]


def compact_words(db: sqlite3.Connection) -> None:
    """Rewrite the word index without what was deleted; its cost grows with the whole index."""
    db.execute("INSERT INTO words (words) VALUES ('optimize')")
