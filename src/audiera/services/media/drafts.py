"""What was found out about each blob, and which account brought it; asked again when it is registered."""

import threading
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiera.audio import Analysis
from audiera.services.storage.ports import BlobInfo
from audiera.services.storage.sqlite import connect

_SCHEMA = """
CREATE TABLE IF NOT EXISTS drafts (
    blob BLOB PRIMARY KEY, size INTEGER NOT NULL, manifest_root BLOB NOT NULL, analysis BLOB NOT NULL,
    preview BLOB NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    upload TEXT PRIMARY KEY, account INTEGER NOT NULL, blob BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_of_blob ON uploads (blob, account);
"""


class Draft(NamedTuple):
    """A blob that was taken in."""

    info: BlobInfo
    """What is stored."""

    analysis: Analysis
    """What was found out, without the preview's bytes."""

    preview: bytes
    """Blob of the preview; empty when there is none."""

    at: int
    """When it was last taken in or registered, microseconds."""


class Drafts:
    """The drafts of a node in one SQLite file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = connect(path)
        self._db.executescript(_SCHEMA)

    def keep(self, upload: str, account: int, draft: Draft) -> None:
        """Remember a draft and who brought it; durable when this returns."""
        row = (
            draft.info.id,
            draft.info.size,
            draft.info.manifest_root,
            msgspec.msgpack.encode(draft.analysis),
            draft.preview,
            draft.at,
        )
        with self._lock, self._db:
            self._db.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?, ?, ?, ?)", row)
            self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?)", (upload, account, draft.info.id))

    def find(self, blob: bytes) -> Draft | None:
        """The draft of a blob."""
        with self._lock:
            row = self._db.execute(
                "SELECT size, manifest_root, analysis, preview, at FROM drafts WHERE blob = ?", (blob,)
            ).fetchone()
        if row is None:
            return None
        analysis = msgspec.msgpack.decode(row[2], type=Analysis)
        return Draft(BlobInfo(blob, row[0], bytes(row[1])), analysis, bytes(row[3]), row[4])

    def taken(self, upload: str) -> tuple[int, bytes] | None:
        """Account and blob of an upload that was taken in."""
        with self._lock:
            row = self._db.execute("SELECT account, blob FROM uploads WHERE upload = ?", (upload,)).fetchone()
        return None if row is None else (row[0], bytes(row[1]))

    def brought(self, blob: bytes, account: int) -> bool:
        """Whether the account uploaded exactly these bytes here."""
        with self._lock:
            query = "SELECT 1 FROM uploads WHERE blob = ? AND account = ? LIMIT 1"
            return self._db.execute(query, (blob, account)).fetchone() is not None

    def touch(self, blob: bytes, now: int) -> None:
        """Count a draft's age from now on."""
        with self._lock, self._db:
            self._db.execute("UPDATE drafts SET at = ? WHERE blob = ?", (now, blob))

    def older(self, before: int) -> list[tuple[bytes, bytes]]:
        """Blob and preview of drafts last touched before a moment."""
        with self._lock:
            rows = self._db.execute("SELECT blob, preview FROM drafts WHERE at < ?", (before,)).fetchall()
        return [(bytes(blob), bytes(preview)) for blob, preview in rows]

    def forget(self, blob: bytes, before: int) -> bool:
        """Drop a draft unless it was touched since; says whether it is gone."""
        with self._lock, self._db:
            gone = self._db.execute("DELETE FROM drafts WHERE blob = ? AND at < ?", (blob, before)).rowcount == 1
            if gone:
                self._db.execute("DELETE FROM uploads WHERE blob = ?", (blob,))
        return gone

    def previews(self, preview: bytes) -> int:
        """How many drafts have this preview."""
        with self._lock:
            query = "SELECT COUNT(*) FROM drafts WHERE preview = ?"
            return int(self._db.execute(query, (preview,)).fetchone()[0])

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()
