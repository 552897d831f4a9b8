"""The index of blobs: which file holds one, and the file's key, wrapped by the node's master key.

Erasing a row erases the only copy of the key, and with it every copy of the bytes.
"""

import threading
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audiera.protocol.errors import StorageError
from audiera.services.storage.files import Entropy
from audiera.services.storage.sqlite import connect, connect_for_reading, erase_traces

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
    blob BLOB PRIMARY KEY, file BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, manifest_root BLOB NOT NULL,
    wrapped_key BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS manifests (blob BLOB PRIMARY KEY, leaves BLOB NOT NULL);
"""

_NONCE_BYTES = 12
_CHECK = b"audiera/master-key-check/1"


class BlobRow(NamedTuple):
    """What is known of a stored blob."""

    blob: bytes
    """SHA-256 of its bytes."""

    file: bytes
    """Random id of the file that holds it."""

    size: int
    """Its length in bytes."""

    manifest_root: bytes
    """RFC 9162 root over its 1 MiB chunks."""

    key: bytes
    """The file's key."""


def _bound(blob: bytes, file: bytes, size: int, manifest_root: bytes) -> bytes:
    return b"audiera/blob-key/1" + blob + file + size.to_bytes(8, "big") + manifest_root


class BlobKeys:
    """The rows, in one SQLite file that overwrites what is deleted. Thread-safe.

    Args:
        path: the file; made when it is not there.
        master_key: 32 secret bytes.
        entropy: source of the wrapping nonces.

    Raises:
        StorageError: the rows were written under another master key.
    """

    def __init__(self, path: Path, *, master_key: bytes, entropy: Entropy) -> None:
        self._cipher = AESGCM(master_key)
        self._entropy = entropy
        self._lock = threading.Lock()
        self._db = connect(path)
        self._db.executescript("PRAGMA secure_delete=ON;" + _SCHEMA)
        self._check_master_key()
        # Lookups have their own connection, so that they never wait for a commit's sync.
        self._reading = threading.Lock()
        self._reader = connect_for_reading(path)

    def _check_master_key(self) -> None:
        found = self._db.execute("SELECT value FROM meta WHERE name = 'master-key-check'").fetchone()
        if found is None:
            with self._db:
                self._db.execute("INSERT INTO meta VALUES ('master-key-check', ?)", (self._wrap(_CHECK, b""),))
            return
        try:
            self._unwrap(found[0], b"")
        except InvalidTag as cause:
            self._db.close()
            raise StorageError(
                "the blobs in this folder were encrypted under another master key; put that key file back",
                code="master_key_differs",
            ) from cause

    def _wrap(self, secret: bytes, bound: bytes) -> bytes:
        nonce = self._entropy(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, bound)

    def _unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], bound)

    def add(self, row: BlobRow, leaves: tuple[bytes, ...]) -> None:
        """Make a blob visible, durably; a row already there is replaced."""
        wrapped = self._wrap(row.key, _bound(row.blob, row.file, row.size, row.manifest_root))
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)",
                (row.blob, row.file, row.size, row.manifest_root, wrapped),
            )
            self._db.execute("INSERT OR REPLACE INTO manifests VALUES (?, ?)", (row.blob, b"".join(leaves)))

    def find(self, blob: bytes) -> BlobRow | None:
        """The row of a blob.

        Raises:
            StorageError: the row was altered.
        """
        with self._reading:
            found = self._reader.execute(
                "SELECT file, size, manifest_root, wrapped_key FROM blobs WHERE blob = ?", (blob,)
            ).fetchone()
        if found is None:
            return None
        file, size, manifest_root, wrapped = found
        try:
            key = self._unwrap(wrapped, _bound(blob, file, size, manifest_root))
        except InvalidTag as cause:
            raise StorageError(
                f"the index row of blob {blob.hex()} is damaged: its key does not unwrap; "
                "fetch the blob again from another copy",
                code="blob_damaged",
                blob=blob.hex(),
            ) from cause
        return BlobRow(blob, file, size, manifest_root, key)

    def leaves(self, blob: bytes) -> tuple[bytes, ...]:
        """Leaf hashes of a blob's 1 MiB chunks, as stored; empty when it is not here."""
        with self._reading:
            found = self._reader.execute("SELECT leaves FROM manifests WHERE blob = ?", (blob,)).fetchone()
        joined = b"" if found is None else found[0]
        return tuple(joined[at : at + 32] for at in range(0, len(joined), 32))

    def holds_file(self, file: bytes) -> bool:
        """Whether some blob is in this file."""
        with self._reading:
            return self._reader.execute("SELECT 1 FROM blobs WHERE file = ?", (file,)).fetchone() is not None

    def remove(self, blob: bytes) -> bytes | None:
        """Erase a blob's row and key; returns the id of its file, None when there was none."""
        with self._lock:
            with self._db:
                found = self._db.execute("SELECT file FROM blobs WHERE blob = ?", (blob,)).fetchone()
                self._db.execute("DELETE FROM blobs WHERE blob = ?", (blob,))
                self._db.execute("DELETE FROM manifests WHERE blob = ?", (blob,))
            with self._reading:
                erase_traces(self._db)
        return None if found is None else bytes(found[0])

    def close(self) -> None:
        """Give the file back."""
        with self._lock, self._reading:
            self._reader.close()
            self._db.close()
