"""An SQLite file that follows the ledger: it knows its block, takes the next one whole, and can be dropped."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from audiera.protocol.errors import StorageError
from audiera.protocol.results import BlockResult
from audiera.services.storage.sqlite import connect, connect_for_reading, erase_traces

_POSITION = """
CREATE TABLE IF NOT EXISTS position (
    only INTEGER PRIMARY KEY CHECK (only = 1), height INTEGER NOT NULL, time INTEGER NOT NULL, app_hash BLOB NOT NULL
);
INSERT OR IGNORE INTO position VALUES (1, 0, 0, x'');
"""


class Position(NamedTuple):
    """Where a file stands."""

    height: int
    """Its last block; 0 before the first."""

    time: int
    """That block's time, microseconds."""

    app_hash: bytes
    """Application hash after it."""


def position(db: sqlite3.Connection) -> Position:
    """Where a file stands."""
    return Position(*db.execute("SELECT height, time, app_hash FROM position").fetchone())


class DerivedFile:
    """One file of tables made from blocks. Thread-safe: one writer at a time, any number of readers.

    A block is taken whole or not at all. After a crash the file may stand some blocks back, for it is not synced at
    each: the ledger has them, and whoever follows it takes them again.

    Args:
        path: the file; one that another version of the program wrote is begun anew.
        name: what it is called in messages.
        version: version of its tables.
        schema: SQL that makes them where they are not there.
        tables: their names.
    """

    def __init__(self, path: Path, *, name: str, version: int, schema: str, tables: Sequence[str]) -> None:
        self._path = path
        self._name = name
        self._tables = tuple(tables)
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False
        self._db = connect(path)
        if self._db.execute("PRAGMA user_version").fetchone()[0] not in (0, version):
            self._db.close()
            for file in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(file).unlink(missing_ok=True)
            self._db = connect(path)
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA secure_delete=ON")
        self._db.executescript(f"{_POSITION} {schema} PRAGMA user_version={version};")

    @property
    def height(self) -> int:
        """The last block taken; 0 before the first."""
        with self._lock:
            return position(self._db).height

    @contextmanager
    def taking(self, result: BlockResult) -> Iterator[sqlite3.Connection | None]:
        """A connection to put a block into the tables with, kept when the ``with`` block ends well.

        None when the block was taken before.

        Raises:
            StorageError: blocks are missing in between, or the block taken before was another one.
        """
        with self._lock:
            if not self._is_next(position(self._db), result):
                yield None
                return
            with self._db:
                yield self._db
                self._db.execute(
                    "UPDATE position SET height = ?, time = ?, app_hash = ?",
                    (result.height, result.time, result.app_hash),
                )

    def _is_next(self, stands: Position, result: BlockResult) -> bool:
        if result.height == stands.height and result.app_hash != stands.app_hash:
            raise StorageError(
                f"block {result.height} is not the one the {self._name} holds: it belongs to another chain; rebuild it",
                code="follower_of_another_chain",
                height=result.height,
            )
        if result.height > stands.height + 1:
            raise StorageError(
                f"the {self._name} stands at block {stands.height}, so block {stands.height + 1} is next, got "
                f"{result.height}; follow the ledger from there",
                code="follower_gap",
                height=stands.height,
            )
        return result.height == stands.height + 1

    def clear(self) -> None:
        """Empty every table; the first block is next."""
        with self.writing() as db:
            for table in self._tables:
                db.execute(f"DELETE FROM {table}")  # noqa: S608
            db.execute("UPDATE position SET height = 0, time = 0, app_hash = x''")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection for changes that no block makes, kept when the ``with`` block ends well."""
        with self._lock, self._db:
            yield self._db

    def erase_traces(self) -> None:
        """Take what was deleted out of the write-ahead log as well."""
        with self._lock:
            erase_traces(self._db)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the file."""
        with self._lock:
            db = self._idle.pop() if self._idle else None
        if db is None:
            db = connect_for_reading(self._path)
        try:
            db.execute("BEGIN")
            yield db
        finally:
            db.execute("ROLLBACK")
            with self._lock:
                if self._is_closed:
                    db.close()
                else:
                    self._idle.append(db)

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._is_closed = True
            for db in (*self._idle, self._db):
                db.close()
            self._idle.clear()
