"""How every SQLite file of a node is opened: write-ahead log, and each commit synced before it returns."""

import sqlite3
from pathlib import Path

from audiera.protocol.errors import StorageError
from audiera.services.storage.files import PRIVATE_FILE, make_folder

BUSY_TIMEOUT_S = 10.0


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for reading and writing; only its owner may read the file.

    The connection may be used by any thread, one at a time: whoever holds it brings a lock.
    """
    make_folder(path.parent)
    path.touch(mode=PRIVATE_FILE)
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Open a database that another connection writes; sees what that one has committed."""
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA query_only=ON")
    return db


def erase_traces(db: sqlite3.Connection) -> None:
    """Empty the write-ahead log, which would still hold pages as they were before a deletion.

    Raises:
        StorageError: somebody reads the pages as they were, and did not end within the time databases wait.
    """
    is_busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise StorageError(
            "what was erased is gone from the tables, but not yet from the file: a reader still holds the pages as "
            "they were; erase it again",
            code="erasing_delayed",
        )
