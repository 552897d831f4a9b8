"""The ledger's database: state, results and indexes in one SQLite file, one commit for each block.

Everything in it follows from the block log and can be made again by replay; so its only promise is that it
always stands exactly at the end of some block.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiera.protocol.errors import StorageError
from audiera.services.storage.ports import BlockWrites, StoredBlock, Tip
from audiera.services.storage.sqlite import connect, connect_for_reading

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS buckets (number INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, start INTEGER NOT NULL, result BLOB NOT NULL, result_digest BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS transactions (
    id BLOB PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_entries (number INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tiles (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, number)
) WITHOUT ROWID;
"""

_SCAN_ROWS = 1_000
_CACHED_ROWS = 200_000
_CACHED_ROW_BYTES = 4_096
_CACHED_BUCKETS = 65_536


class StateDatabase:
    """The state store of a node. Any thread reads; one thread commits.

    Args:
        path: the SQLite file; made when it is not there.
        start: where the block log's first record begins.
    """

    def __init__(self, path: Path, *, start: int) -> None:
        self._path = path
        self._reading = threading.Lock()
        # A read that began before a commit must not put what it found into the cache after it.
        self._cached = threading.Lock()
        self._generation = 0
        self._rows: dict[bytes, bytes | None] = {}
        self._buckets: dict[int, bytes] = {}
        with self._damage_told():
            self._db = connect(path)
            self._db.executescript(_SCHEMA)
            self._reader = connect_for_reading(path)
            if self._db.execute("SELECT 1 FROM meta WHERE name = 'height'").fetchone() is None:
                with self._db:
                    self._write_tip(Tip(0, b"", start))

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as cause:
            raise StorageError(
                f"the state database {self._path} cannot be used: {cause}; when it is damaged, move it away, "
                "and it is made anew from the block log",
                code="state_damaged",
                file=str(self._path),
            ) from cause

    @contextmanager
    def _reads(self) -> Iterator[sqlite3.Connection]:
        with self._reading, self._damage_told():
            yield self._reader

    # ------------------------------------------------------------------ the state store

    def get(self, key: bytes) -> bytes | None:
        """The row under a key."""
        try:
            return self._rows[key]
        except KeyError:
            generation = self._generation
        found = self._one("SELECT value FROM rows WHERE key = ?", key)
        value = None if found is None else bytes(found[0])
        with self._cached:
            if generation == self._generation:
                self._keep(key, value)
        return value

    def _keep(self, key: bytes, value: bytes | None) -> None:
        if value is not None and len(value) > _CACHED_ROW_BYTES:
            self._rows.pop(key, None)
            return
        if len(self._rows) >= _CACHED_ROWS:
            self._rows.clear()
        self._rows[key] = value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with the prefix, ascending by key."""
        last, strictly = prefix, ""
        while True:
            with self._reads() as reader:
                page = reader.execute(
                    f"SELECT key, value FROM rows WHERE key >{strictly or '='} ? ORDER BY key LIMIT ?",  # noqa: S608
                    (last, _SCAN_ROWS),
                ).fetchall()
            for key, value in page:
                if not key.startswith(prefix):
                    return
                yield key, value
            if len(page) < _SCAN_ROWS:
                return
            last, strictly = page[-1][0], " "

    def bucket(self, index: int) -> bytes:
        """The content of a hash bucket; empty when it has no rows."""
        try:
            return self._buckets[index]
        except KeyError:
            generation = self._generation
        found = self._one("SELECT content FROM buckets WHERE number = ?", index)
        content = b"" if found is None else bytes(found[0])
        with self._cached:
            if generation == self._generation:
                if len(self._buckets) >= _CACHED_BUCKETS:
                    self._buckets.clear()
                self._buckets[index] = content
        return content

    def buckets(self) -> Iterator[tuple[int, bytes]]:
        """Every bucket that has rows, ascending."""
        yield from self._pages("SELECT number, content FROM buckets WHERE number > ? ORDER BY number LIMIT ?", (-1,))

    # ------------------------------------------------------------------ one block

    def commit(self, writes: BlockWrites) -> None:
        """Take over a block in one transaction: durable, and visible to readers, when this returns."""
        db = self._db
        height = writes.tip.height
        gone = [(key,) for key, value in writes.rows if value is None]
        empty = [(number,) for number, content in writes.buckets if not content]
        places = [(name, height, position) for name, position in writes.transactions]
        entries = list(enumerate(writes.entries, writes.first_entry))
        digest = hashlib.sha256(writes.result).digest()
        with self._damage_told(), db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM rows WHERE key = ?", gone)
            db.executemany("REPLACE INTO rows VALUES (?, ?)", [row for row in writes.rows if row[1] is not None])
            db.executemany("DELETE FROM buckets WHERE number = ?", empty)
            db.executemany("REPLACE INTO buckets VALUES (?, ?)", [one for one in writes.buckets if one[1]])
            db.execute("INSERT INTO blocks VALUES (?, ?, ?, ?)", (height, writes.start, writes.result, digest))
            db.executemany("REPLACE INTO transactions VALUES (?, ?, ?)", places)
            db.executemany("INSERT INTO log_entries VALUES (?, ?)", entries)
            db.executemany("REPLACE INTO tiles VALUES (?, ?, ?)", writes.tiles)
            self._write_tip(writes.tip)
        with self._cached:
            self._generation += 1
            for key, value in writes.rows:
                self._keep(key, value)
            self._buckets.update(writes.buckets)

    def _write_tip(self, tip: Tip) -> None:
        named = [("height", tip.height), ("app_hash", tip.app_hash), ("end", tip.end)]
        self._db.executemany("REPLACE INTO meta VALUES (?, ?)", named)

    # ------------------------------------------------------------------ reading

    def _one(self, query: str, *values: object) -> sqlite3.Row | None:
        with self._reads() as reader:
            found: sqlite3.Row | None = reader.execute(query, values).fetchone()
        return found

    def _pages(self, query: str, last: tuple[object, ...]) -> Iterator[Any]:
        """Rows in the order of their first columns, read page by page behind ``last``."""
        page = [last]
        while page:
            with self._reads() as reader:
                page = reader.execute(query, (*last, _SCAN_ROWS)).fetchall()
            yield from page
            if page:
                last = page[-1][: len(last)]

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every state row, ascending by key."""
        yield from self._pages("SELECT key, value FROM rows WHERE key > ? ORDER BY key LIMIT ?", (b"",))

    def tip(self) -> Tip:
        """Where the database stands."""
        with self._reads() as reader:
            named = dict(reader.execute("SELECT name, value FROM meta").fetchall())
        height, app_hash, end = named.get("height"), named.get("app_hash"), named.get("end")
        if not (isinstance(height, int) and isinstance(app_hash, bytes) and isinstance(end, int)):
            raise StorageError(
                f"the state database {self._path} does not say where it stands; move it away, "
                "and it is made anew from the block log",
                code="state_damaged",
                file=str(self._path),
            )
        return Tip(height, app_hash, end)

    def block(self, height: int) -> StoredBlock | None:
        """Where a block is and what it did."""
        found = self._one("SELECT start, result, result_digest FROM blocks WHERE height = ?", height)
        if found is None:
            return None
        start, result, digest = found
        return StoredBlock(start, result, hashlib.sha256(result).digest() == digest)

    def transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Height and position of a transaction."""
        found = self._one("SELECT height, position FROM transactions WHERE id = ?", transaction_id)
        return None if found is None else (found[0], found[1])

    def transactions(self) -> Iterator[tuple[bytes, int, int]]:
        """Every indexed transaction: id, height, position, ascending by id."""
        yield from self._pages("SELECT id, height, position FROM transactions WHERE id > ? ORDER BY id LIMIT ?", (b"",))

    def log_entry(self, number: int) -> bytes | None:
        """An entry of the access log."""
        found = self._one("SELECT entry FROM log_entries WHERE number = ?", number)
        return None if found is None else bytes(found[0])

    def log_entries(self) -> Iterator[tuple[int, bytes]]:
        """Every entry of the access log with its number, ascending."""
        yield from self._pages("SELECT number, entry FROM log_entries WHERE number > ? ORDER BY number LIMIT ?", (-1,))

    def tiles(self) -> Iterator[tuple[int, int, bytes]]:
        """Every tile of the access log's tree: level, number, hashes, ascending."""
        yield from self._pages(
            "SELECT level, number, hashes FROM tiles WHERE (level, number) > (?, ?) ORDER BY 1, 2 LIMIT ?",
            (-1, -1),
        )

    def tile(self, level: int, number: int) -> bytes:
        """The hashes of a tile of the access log's tree, as far as it is filled."""
        found = self._one("SELECT hashes FROM tiles WHERE level = ? AND number = ?", level, number)
        return b"" if found is None else bytes(found[0])

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        tables = ("rows", "buckets", "blocks", "transactions", "log_entries", "tiles")
        with self._reads() as reader:
            return {
                name: reader.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
                for name in tables
            }

    def faults(self) -> list[str]:
        """What SQLite itself finds wrong with the file's structure."""
        with self._reads() as reader:
            found = reader.execute("PRAGMA integrity_check").fetchall()
        return [text for (text,) in found if text != "ok"]

    def close(self) -> None:
        """Give the file back."""
        with self._reading:
            self._reader.close()
        self._db.close()
