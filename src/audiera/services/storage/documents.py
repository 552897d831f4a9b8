"""Private documents in one SQLite file that overwrites what is erased."""

import hashlib
import threading
from pathlib import Path

from audiera.protocol.errors import StorageError
from audiera.services.storage.ports import Documents
from audiera.services.storage.sqlite import connect, erase_traces

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, digest BLOB NOT NULL, document BLOB NOT NULL, PRIMARY KEY (kind, digest)
) WITHOUT ROWID;
"""


def open_documents(path: Path) -> Documents:
    """Open the documents in a file; made when it is not there."""
    return LocalDocuments(path)


class LocalDocuments:
    """Documents by kind and digest. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = connect(path)
        self._db.executescript("PRAGMA secure_delete=ON;" + _SCHEMA)

    def put(self, kind: str, document: bytes) -> bytes:
        """Store a document durably; returns its SHA-256."""
        digest = hashlib.sha256(document).digest()
        with self._lock, self._db:
            self._db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?)", (kind, digest, document))
        return digest

    def get(self, kind: str, digest: bytes) -> bytes | None:
        """The document, unless it was never here or was erased.

        Raises:
            StorageError: what is stored is not what was put.
        """
        with self._lock:
            found = self._db.execute(
                "SELECT document FROM documents WHERE kind = ? AND digest = ?", (kind, digest)
            ).fetchone()
        if found is None:
            return None
        if hashlib.sha256(found[0]).digest() != digest:
            raise StorageError(
                f"the {kind} document {digest.hex()} is damaged: its bytes have another digest; put it again",
                code="document_damaged",
                kind=kind,
                digest=digest.hex(),
            )
        return bytes(found[0])

    def erase(self, kind: str, digest: bytes) -> None:
        """Forget it for ever: page and write-ahead log are overwritten."""
        with self._lock:
            with self._db:
                self._db.execute("DELETE FROM documents WHERE kind = ? AND digest = ?", (kind, digest))
            erase_traces(self._db)

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()
