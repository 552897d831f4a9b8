"""The block log: every block and its commit, appended in order and synced one by one. What is here is final.

Each record is one frame: length of the block's bytes, the block, the commit. A crash during an append leaves
a torn tail that nobody was told of; it is cut when the log is opened for writing. A bad record with good ones
behind it, or below a height the state already has, is damage.
"""

import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from audiera.protocol.errors import LedgerError
from audiera.services.storage.files import PRIVATE_FILE, Entropy, sync_data, sync_folder, write_all
from audiera.services.storage.frames import (
    FILE_HEAD_BYTES,
    HEAD_BYTES,
    file_head,
    frame_after,
    frame_at,
    frame_head,
    salt_of,
)

FILE_MAGIC = b"ADBLKS\x00\x01"
_FRAME_MAGIC = b"ADBK"
_SPLIT = struct.Struct("<I")
_READ_BYTES = 1024 * 1024


class LoggedBlock(NamedTuple):
    """A record of the log."""

    start: int
    """Where it begins in the file."""

    end: int
    """Where the next one begins."""

    block: bytes
    """Encoded block."""

    commit: bytes
    """Encoded commit."""


def nothing_after(step: str) -> None:
    """Do nothing after a durable step: what a log outside a test does."""


class BlockLog:
    """One append-only file. Reads are thread-safe; one thread appends.

    Args:
        path: the file; made when it is not there and ``entropy`` is given.
        entropy: source of the file's salt; None opens for reading only.
        after: called with the name of each durable step once it is done.

    Raises:
        LedgerError: the file is no block log.
    """

    def __init__(
        self, path: Path, *, entropy: Entropy | None = None, after: Callable[[str], None] = nothing_after
    ) -> None:
        self._path = path
        self._after = after
        self._reading = threading.Lock()
        if entropy is not None and not path.exists():
            self._create(entropy)
        self._descriptor = os.open(path, os.O_RDONLY if entropy is None else os.O_RDWR)
        salt = salt_of(os.pread(self._descriptor, FILE_HEAD_BYTES, 0), FILE_MAGIC)
        if salt is None:
            os.close(self._descriptor)
            raise LedgerError(
                f"{path} does not begin as a block log does; restore it from a copy",
                code="block_log_damaged",
                file=str(path),
                offset=0,
            )
        self._salt = salt
        self._end = os.fstat(self._descriptor).st_size

    def _create(self, entropy: Entropy) -> None:
        draft = self._path.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        try:
            write_all(descriptor, [file_head(FILE_MAGIC, entropy(4))], 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(self._path)
        sync_folder(self._path.parent)

    @property
    def end(self) -> int:
        """Where the next record will begin."""
        return self._end

    def append(self, block: bytes, commit: bytes) -> LoggedBlock:
        """Add a record; it is durable when this returns.

        Raises:
            LedgerError: the disk did not take it; what it holds is unknown and the log must not be used on.
        """
        parts = [_SPLIT.pack(len(block)), block, commit]
        start = self._end
        try:
            head = frame_head(_FRAME_MAGIC, self._salt, parts)
            length = write_all(self._descriptor, [head, *parts], start)
            self._after("block-written")
            sync_data(self._descriptor)
        except OSError as cause:
            raise LedgerError(
                f"the block log {self._path} was not written: {cause.strerror}; check the disk and restart",
                code="block_log_not_written",
            ) from cause
        self._end = start + length
        return LoggedBlock(start, self._end, block, commit)

    def read(self, start: int) -> LoggedBlock:
        """The record that begins at a position.

        Raises:
            LedgerError: no whole record begins there.
        """
        with self._reading:
            raw = os.pread(self._descriptor, _READ_BYTES, start)
            length = int.from_bytes(raw[4:8], "little") + HEAD_BYTES
            if len(raw) < length <= self._end - start:
                raw += os.pread(self._descriptor, length - len(raw), start + len(raw))
        frame = frame_at(memoryview(raw), 0, _FRAME_MAGIC, self._salt)
        if frame is None:
            raise self.damage(start)
        return _logged(start, frame.payload)

    def records(self, start: int = FILE_HEAD_BYTES) -> Iterator[LoggedBlock]:
        """Every record from a position to the end, in order.

        Raises:
            LedgerError: the bytes at some position are no whole record.
        """
        while start < self._end:
            record = self.read(start)
            yield record
            start = record.end

    def damage(self, start: int) -> LedgerError:
        """The error for bytes that are no record."""
        return LedgerError(
            f"the block log {self._path} is damaged at byte {start}; restore the file from a copy",
            code="block_log_damaged",
            file=str(self._path),
            offset=start,
        )

    def is_torn_at(self, start: int) -> bool:
        """Whether what begins at a position is the rest of an interrupted append: no whole record is behind it."""
        return frame_after(memoryview(self._tail(start)), 0, _FRAME_MAGIC, self._salt) is None

    def cut_torn_tail(self, committed: int) -> int:
        """Cut what an interrupted append left behind the last whole record; returns how many bytes.

        Args:
            committed: end of the last record the state has executed; records up to there are not looked at.

        Raises:
            LedgerError: the log ends before ``committed``, or whole records stand behind a bad one.
        """
        if self._end < committed:
            raise self.damage(self._end)
        data = memoryview(self._tail(committed))
        at = 0
        while (frame := frame_at(data, at, _FRAME_MAGIC, self._salt)) is not None:
            at = frame.end
        torn = len(data) - at
        if torn:
            if frame_after(data, at, _FRAME_MAGIC, self._salt) is not None:
                raise self.damage(committed + at)
            os.ftruncate(self._descriptor, committed + at)
            os.fsync(self._descriptor)
            self._end = committed + at
        return torn

    def _tail(self, start: int) -> bytes:
        pieces: list[bytes] = []
        while start < self._end:
            piece = os.pread(self._descriptor, self._end - start, start)
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Give the file back; quiet when it was given back before."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _logged(start: int, payload: memoryview) -> LoggedBlock:
    (length,) = _SPLIT.unpack_from(payload)
    body = bytes(payload[_SPLIT.size :])
    return LoggedBlock(start, start + HEAD_BYTES + len(payload), body[:length], body[length:])
