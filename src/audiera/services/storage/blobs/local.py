"""Blobs in a local folder: one encrypted file for each, and one index of their keys."""

import hashlib
import os
import threading
from pathlib import Path

from audiera.protocol.errors import NotFound, StorageError
from audiera.protocol.ids import format_blob_id
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.services.storage.blobs.keys import BlobKeys, BlobRow
from audiera.services.storage.blobs.sealing import (
    CHUNK_BYTES,
    FILE_ID_BYTES,
    HEAD_BYTES,
    SEALED_BYTES,
    Sealer,
    last_chunk,
    sealed_size,
)
from audiera.services.storage.files import PRIVATE_FILE, Entropy, make_folder, sync_folder, write_all
from audiera.services.storage.lock import FolderLock
from audiera.services.storage.ports import BlobInfo

MANIFEST_CHUNK_BYTES = 1_048_576
"""How much of a blob one leaf of its manifest stands for."""

_CHUNKS_AT_ONCE = MANIFEST_CHUNK_BYTES // CHUNK_BYTES


class LocalWriter:
    """Takes a blob's bytes; holds at most 1 MiB of them in memory. For one thread.

    Made by :meth:`LocalBlobs.begin`.
    """

    def __init__(self, store: "LocalBlobs", path: Path, key: bytes, file_id: bytes) -> None:
        self._store = store
        self._path = path
        self._key = key
        self._file_id = file_id
        self._sealer = Sealer(key, file_id)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        self._at = write_all(self._descriptor, [self._sealer.head], 0)
        self._hash = hashlib.sha256()
        self._leaves: list[bytes] = []
        self._held = bytearray()
        self._index = 0
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            StorageError: the disk is full or failing, or the writer was finished; nothing of the blob stays.
        """
        self._require_open()
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        try:
            # A full piece is put away only when more follows: the last chunk is encrypted as the last.
            while len(self._held) + len(view) > MANIFEST_CHUNK_BYTES:
                take = MANIFEST_CHUNK_BYTES - len(self._held)
                if self._held:
                    self._held += view[:take]
                    self._put(bytes(self._held), last=False)
                    self._held.clear()
                else:
                    self._put(view[:take], last=False)
                view = view[take:]
            self._held += view
        except OSError as cause:
            self.abort()
            raise self._failure(cause) from cause

    def _put(self, piece: bytes | memoryview, *, last: bool) -> None:
        if piece:
            self._leaves.append(leaf_hash(bytes(piece)))
        view = memoryview(piece)
        sealed: list[bytes | memoryview] = []
        for start in range(0, max(len(view), 1), CHUNK_BYTES):
            ends = last and start + CHUNK_BYTES >= len(view)
            sealed.append(self._sealer.seal(self._index, view[start : start + CHUNK_BYTES], last=ends))
            self._index += 1
        self._at += write_all(self._descriptor, sealed, self._at)

    def finish(self) -> BlobInfo:
        """Make the blob durable, then visible; a blob already here is kept.

        Raises:
            StorageError: the disk did not take it; nothing of the blob stays.
        """
        self._require_open()
        try:
            self._put(bytes(self._held), last=True)
            os.fsync(self._descriptor)
            self._close()
            sync_folder(self._path.parent)
        except OSError as cause:
            self.abort()
            raise self._failure(cause) from cause
        leaves = tuple(self._leaves)
        row = BlobRow(self._hash.digest(), self._file_id, self._size, tree_root(leaves), self._key)
        return self._store.adopt(row, leaves, self._path)

    def abort(self) -> None:
        """Drop what was written; quiet after finish."""
        if self._descriptor >= 0:
            self._close()
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def _require_open(self) -> None:
        if self._descriptor < 0:
            raise StorageError("this blob was finished or dropped; begin another", code="writer_closed")

    def _failure(self, cause: OSError) -> StorageError:
        return StorageError(
            f"the blob could not be written after {self._size} bytes: {cause.strerror}; "
            "make room on the disk or check it, then write the blob again",
            code="blob_not_written",
            written=self._size,
        )


class LocalReader:
    """Reads one blob; any number of threads may share it."""

    def __init__(self, row: BlobRow, path: Path) -> None:
        self._row = row
        self._sealer = Sealer(row.key, row.file)
        self._last = last_chunk(row.size)
        self._descriptor = os.open(path, os.O_RDONLY)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._row.size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` (fewer only at the end).

        Raises:
            StorageError: a chunk of the range is damaged or missing, and which; or the range is negative.
        """
        if offset < 0 or length < 0:
            raise StorageError(
                f"a range has an offset and a length of 0 or more, got {offset} and {length}",
                code="range_invalid",
            )
        length = min(length, self._row.size - offset)
        if length <= 0:
            return b""
        first, final = offset // CHUNK_BYTES, (offset + length - 1) // CHUNK_BYTES
        skip = offset - first * CHUNK_BYTES
        if first == final:
            chunk = self._chunks(first, 1)[0]
            return chunk if len(chunk) == length else chunk[skip : skip + length]
        pieces: list[bytes] = []
        for start in range(first, final + 1, _CHUNKS_AT_ONCE):
            pieces += self._chunks(start, min(_CHUNKS_AT_ONCE, final + 1 - start))
        end = length - sum(len(piece) for piece in pieces[:-1]) + skip
        pieces[0], pieces[-1] = pieces[0][skip:], pieces[-1][:end]
        return b"".join(pieces)

    def _chunks(self, first: int, count: int) -> list[bytes]:
        sealed = memoryview(os.pread(self._descriptor, count * SEALED_BYTES, HEAD_BYTES + first * SEALED_BYTES))
        chunks = []
        for number in range(count):
            index = first + number
            part = sealed[number * SEALED_BYTES : (number + 1) * SEALED_BYTES]
            try:
                chunks.append(self._sealer.unseal(index, part, last=index == self._last))
            except StorageError as cause:
                name = format_blob_id(self._row.blob)
                raise StorageError(f"blob {name}: {cause.message}", code=cause.code, blob=name, chunk=index) from cause
        return chunks

    def close(self) -> None:
        """Give the file back; quiet when it was given back before."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LocalBlobs:
    """The blobs of one folder. Thread-safe; one process at a time.

    A writer's file grows under ``incoming``. To finish: file synced, folder synced, index row committed (now
    the blob is visible), file moved under ``files``. A crash before the commit leaves a file without a row,
    one after it a file to be moved; both are put right at the next start.
    """

    def __init__(self, folder: Path, *, master_key: bytes, entropy: Entropy) -> None:
        self._lock = FolderLock(folder)
        self._incoming = folder / "incoming"
        self._files = folder / "files"
        self._entropy = entropy
        self._moving = threading.Lock()
        try:
            make_folder(self._incoming)
            make_folder(self._files)
            self._keys = BlobKeys(folder / "keys.sqlite", master_key=master_key, entropy=entropy)
            self._sweep()
        except BaseException:
            self._lock.release()
            raise

    def _sweep(self) -> None:
        for path in sorted(self._incoming.iterdir()):
            file_id = bytes.fromhex(path.name) if len(path.name) == 2 * FILE_ID_BYTES else b""
            if self._keys.holds_file(file_id):
                self._settle(file_id)
            else:
                path.unlink()

    def _settle(self, file_id: bytes) -> None:
        """Move a file to its place for good."""
        place = self._place(file_id)
        make_folder(place.parent)
        (self._incoming / file_id.hex()).replace(place)

    def _place(self, file_id: bytes) -> Path:
        name = file_id.hex()
        return self._files / name[:2] / name

    def begin(self) -> LocalWriter:
        """Start writing a blob."""
        file_id = self._entropy(FILE_ID_BYTES)
        return LocalWriter(self, self._incoming / file_id.hex(), self._entropy(32), file_id)

    def adopt(self, row: BlobRow, leaves: tuple[bytes, ...], path: Path) -> BlobInfo:
        """Make a finished file visible, or drop it when its blob is already here whole."""
        with self._moving:
            known = self._keys.find(row.blob)
            if known is not None and self._is_whole(known):
                path.unlink()
            else:
                self._keys.add(row, leaves)
                self._settle(row.file)
                if known is not None:
                    self._place(known.file).unlink(missing_ok=True)
        return BlobInfo(row.blob, row.size, row.manifest_root)

    def _is_whole(self, row: BlobRow) -> bool:
        place = self._place(row.file)
        return place.is_file() and place.stat().st_size == sealed_size(row.size)

    def _require(self, blob: bytes) -> BlobRow:
        row = self._keys.find(blob)
        if row is None:
            raise NotFound(f"blob {format_blob_id(blob)} is not here", code="blob_not_found", blob=blob.hex())
        return row

    def open(self, blob: bytes) -> LocalReader:
        """Open a blob for reading.

        Raises:
            NotFound: it is not here.
            StorageError: its file is gone.
        """
        row = self._require(blob)
        try:
            return LocalReader(row, self._place(row.file))
        except FileNotFoundError:
            pass  # its row is committed and its file is being moved: wait for that
        with self._moving:
            row = self._require(blob)
            try:
                return LocalReader(row, self._place(row.file))
            except OSError as cause:
                raise StorageError(
                    f"the file of blob {format_blob_id(blob)} cannot be opened: {cause.strerror}; "
                    "write the blob again, or fetch it from another copy",
                    code="blob_damaged",
                    blob=blob.hex(),
                ) from cause

    def info(self, blob: bytes) -> BlobInfo | None:
        """What is stored under an id, if anything."""
        row = self._keys.find(blob)
        return None if row is None else BlobInfo(row.blob, row.size, row.manifest_root)

    def chunk_hashes(self, blob: bytes) -> tuple[bytes, ...]:
        """Leaf hashes of its 1 MiB chunks.

        Raises:
            NotFound: it is not here.
            StorageError: they do not lead to its manifest root.
        """
        row = self._require(blob)
        leaves = self._keys.leaves(blob)
        if tree_root(leaves) != row.manifest_root:
            raise StorageError(
                f"the chunk hashes of blob {format_blob_id(blob)} do not lead to its manifest root",
                code="blob_damaged",
                blob=blob.hex(),
            )
        return leaves

    def delete(self, blob: bytes) -> None:
        """Erase a blob's key, then its file; quiet when it is not here."""
        with self._moving:
            file_id = self._keys.remove(blob)
            if file_id is not None:
                self._place(file_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the folder back."""
        self._keys.close()
        self._lock.release()
