"""The write-ahead file: groups of access rows, durable before anyone hears of them.

Segments of fixed size are filled with zeros before use, so that an append changes no metadata and its sync is
one write to the disk. A group is one frame: first index, length of its rows, rows, sessions. After a crash
the file holds every acknowledged group and at most one torn one, which is wiped; anything else is damage and
refused.
"""

import logging
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from audiera.protocol.errors import StorageError
from audiera.services.storage.files import (
    PRIVATE_FILE,
    Entropy,
    make_folder,
    sync_data,
    sync_folder,
    write_all,
)
from audiera.services.storage.frames import (
    FILE_HEAD_BYTES,
    HEAD_BYTES,
    Frame,
    file_head,
    frame_after,
    frame_at,
    frame_head,
    salt_of,
)
from audiera.services.storage.lock import FolderLock
from audiera.services.storage.ports import WriteAheadFile

ROW_BYTES = 64
SEGMENT_BYTES = 64 * 1024 * 1024
EXIT_SYNC_FAILED = 74

_SEGMENT_MAGIC = b"ADWAF\x00\x00\x01"
_FRAME_MAGIC = b"ADGR"
_GROUP = struct.Struct("<QI")
_ZEROS = bytes(1024 * 1024)

_log = logging.getLogger(__name__)


class Group(NamedTuple):
    """One appended group."""

    first_index: int
    """Index of its first row."""

    rows: bytes
    """Its rows, 64 bytes each."""

    sessions: bytes
    """Sessions and watermarks first seen in it."""

    @property
    def end_index(self) -> int:
        """Index after its last row; a group without rows counts as one, at its index."""
        return self.first_index + max(len(self.rows) // ROW_BYTES, 1)


class _Segment(NamedTuple):
    """A file that is no longer written, or was not yet."""

    number: int
    path: Path
    end_index: int
    """Index after its last row; 0 when it holds none."""


def open_write_ahead(
    folder: Path,
    *,
    entropy: Entropy,
    segment_bytes: int = SEGMENT_BYTES,
    sync: Callable[[int], None] = sync_data,
    end_process: Callable[[int], NoReturn] = os._exit,
) -> WriteAheadFile:
    """Open the write-ahead file in a folder, cutting a torn tail.

    Args:
        folder: where its segments are; made when it is not there.
        entropy: source of each segment's salt.
        segment_bytes: size of new segments.
        sync: makes a file descriptor's data durable.
        end_process: called with an exit status when a sync failed; must not return.

    Raises:
        StorageError: another process has it open, or it is damaged before its tail.
    """
    return SegmentedFile(folder, entropy=entropy, segment_bytes=segment_bytes, sync=sync, end_process=end_process)


class SegmentedFile:
    """The groups in a folder of pre-zeroed segments. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        *,
        entropy: Entropy,
        segment_bytes: int,
        sync: Callable[[int], None],
        end_process: Callable[[int], NoReturn],
    ) -> None:
        self._folder = folder
        self._entropy = entropy
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._end_process = end_process
        self._lock = threading.Lock()
        self._folder_lock = FolderLock(folder)
        self._sealed: list[_Segment] = []
        self._row_end = 0
        self._spare: threading.Thread | None = None
        self._descriptor = -1
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------ opening

    def _recover(self) -> None:
        make_folder(self._folder)
        for draft in self._folder.glob("*.draft"):
            draft.unlink()
        paths = sorted(self._folder.glob("*.segment"))
        for path in paths:
            end_index, tail, torn = self._scan(path, is_newest=path == paths[-1])
            if path == paths[-1]:
                self._resume(path, end_index, tail, torn)
            else:
                self._sealed.append(_Segment(_number(path), path, end_index))
        if not paths:
            self._begin_segment(self._prepare(1))

    def _scan(self, path: Path, *, is_newest: bool) -> tuple[int, int, int]:
        """Where a segment's rows and frames end, and where the bytes of a torn frame end behind them."""
        data = memoryview(path.read_bytes())
        salt = salt_of(data[:FILE_HEAD_BYTES], _SEGMENT_MAGIC)
        if salt is None:
            raise _damaged(path, 0)
        at, end_index = FILE_HEAD_BYTES, 0
        for frame in _frames(data, salt):
            group = _group_of(frame)
            end_index = max(end_index, group.end_index)
            self._row_end = max(self._row_end, group.first_index + len(group.rows) // ROW_BYTES)
            at = frame.end
        torn = at + len(bytes(data[at:]).rstrip(b"\0"))
        if torn > at and (not is_newest or frame_after(data, at, _FRAME_MAGIC, salt) is not None):
            raise _damaged(path, at)
        return end_index, at, torn

    def _resume(self, path: Path, end_index: int, tail: int, torn: int) -> None:
        self._adopt(path, end_index, tail)
        if torn > tail:
            _log.warning("waf.cut_torn_tail file=%s offset=%d bytes=%d", path.name, tail, torn - tail)
        short = self._size - os.fstat(self._descriptor).st_size
        if torn > tail or short > 0:
            _write_zeros(self._descriptor, tail, max(torn, self._size if short > 0 else torn))
            os.fsync(self._descriptor)

    def _adopt(self, path: Path, end_index: int, tail: int) -> None:
        self._descriptor = os.open(path, os.O_RDWR)
        self._path = path
        self._at = tail
        self._end_index = end_index
        self._size = max(self._segment_bytes, os.fstat(self._descriptor).st_size)
        self._salt = salt_of(os.pread(self._descriptor, FILE_HEAD_BYTES, 0), _SEGMENT_MAGIC) or 0

    # ------------------------------------------------------------------ segments

    def _prepare(self, number: int) -> Path:
        """Make a segment full of zeros, durable under its draft name."""
        draft = self._folder / f"{number:016d}.draft"
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        try:
            _write_zeros(descriptor, 0, self._segment_bytes)
            write_all(descriptor, [file_head(_SEGMENT_MAGIC, self._entropy(4))], 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return draft

    def _begin_segment(self, draft: Path) -> None:
        path = draft.with_suffix(".segment")
        draft.replace(path)
        sync_folder(self._folder)
        self._adopt(path, 0, FILE_HEAD_BYTES)

    def _prepare_spare(self) -> None:
        """Make the next segment in the background once the newest is half full."""
        if self._spare is None and self._at * 2 > self._size:
            number = _number(self._path) + 1
            self._spare = threading.Thread(target=self._try_prepare, args=(number,), name="waf-spare", daemon=True)
            self._spare.start()

    def _try_prepare(self, number: int) -> None:
        try:
            self._prepare(number)
        except OSError as cause:
            _log.warning("waf.spare_failed number=%d error=%s", number, cause)  # tried again when it is needed

    def _roll_over(self) -> None:
        number = _number(self._path) + 1
        draft = self._folder / f"{number:016d}.draft"
        if self._spare is not None:
            self._spare.join()
            self._spare = None
        if not draft.exists() or draft.stat().st_size != self._segment_bytes:
            try:
                self._prepare(number)
            except OSError as cause:
                raise StorageError(
                    f"the next segment of {self._segment_bytes} bytes cannot be made in {self._folder}: "
                    f"{cause.strerror}; make room on the disk",
                    code="write_ahead_full",
                ) from cause
        self._sealed.append(_Segment(number - 1, self._path, self._end_index))
        os.close(self._descriptor)
        self._descriptor = -1
        self._begin_segment(draft)

    # ------------------------------------------------------------------ the port

    def append(self, first_index: int, rows: bytes, sessions: bytes) -> None:
        """Write one group and sync it; a failed write or sync ends the process.

        Raises:
            StorageError: the group is malformed, larger than a segment, or repeats an index.
        """
        head = _GROUP.pack(first_index, len(rows))
        with self._lock:
            self._check(first_index, rows, sessions)
            parts = [head, rows, sessions]
            needed = HEAD_BYTES + len(head) + len(rows) + len(sessions)
            try:
                if self._at + needed > self._size:
                    self._roll_over()
                write_all(self._descriptor, [frame_head(_FRAME_MAGIC, self._salt, parts), *parts], self._at)
                self._sync(self._descriptor)
            except OSError as cause:
                # What the disk holds is unknown now, and a later sync that succeeds would not say so.
                _log.critical("waf.sync_failed file=%s offset=%d error=%s", self._path.name, self._at, cause)
                self._end_process(EXIT_SYNC_FAILED)
            self._at += needed
            group = Group(first_index, rows, sessions)
            self._end_index = max(self._end_index, group.end_index)
            self._row_end = max(self._row_end, first_index + len(rows) // ROW_BYTES)
            self._prepare_spare()

    def _check(self, first_index: int, rows: bytes, sessions: bytes) -> None:
        largest = self._segment_bytes - FILE_HEAD_BYTES - HEAD_BYTES - _GROUP.size
        if self._descriptor < 0:
            raise StorageError("the write-ahead file is closed", code="write_ahead_closed")
        if len(rows) % ROW_BYTES or len(rows) + len(sessions) > largest:
            raise StorageError(
                f"a group is rows of {ROW_BYTES} bytes and at most {largest} bytes in all, "
                f"got {len(rows)} bytes of rows and {len(sessions)} of sessions",
                code="group_invalid",
            )
        if first_index < self._row_end:
            raise StorageError(
                f"rows up to index {self._row_end} are written, so a group cannot begin at {first_index}",
                code="group_repeated",
                expected=self._row_end,
                got=first_index,
            )

    def groups(self, from_index: int) -> list[tuple[int, bytes, bytes]]:
        """Every whole group that holds an index >= ``from_index``, in order."""
        with self._lock:
            paths = [segment.path for segment in self._sealed if segment.end_index > from_index]
            paths.append(self._path)
            found: list[tuple[int, bytes, bytes]] = []
            for path in paths:
                data = memoryview(path.read_bytes())
                salt = salt_of(data[:FILE_HEAD_BYTES], _SEGMENT_MAGIC)
                if salt is None:
                    raise _damaged(path, 0)
                groups = (_group_of(frame) for frame in _frames(data, salt))
                found += [group for group in groups if group.end_index > from_index]
            return found

    def forget(self, below_index: int) -> None:
        """Delete whole segments whose rows are all below the index."""
        with self._lock:
            gone = [segment for segment in self._sealed if segment.end_index <= below_index]
            for segment in gone:
                segment.path.unlink()
                self._sealed.remove(segment)
            if gone:
                sync_folder(self._folder)

    def close(self) -> None:
        """Give the files back; quiet when they were given back before."""
        with self._lock:
            if self._spare is not None:
                self._spare.join()
                self._spare = None
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            self._folder_lock.release()


def _number(path: Path) -> int:
    return int(path.stem)


def _frames(data: memoryview, salt: int) -> list[Frame]:
    frames = []
    frame = frame_at(data, FILE_HEAD_BYTES, _FRAME_MAGIC, salt)
    while frame is not None:
        frames.append(frame)
        frame = frame_at(data, frame.end, _FRAME_MAGIC, salt)
    return frames


def _group_of(frame: Frame) -> Group:
    first_index, length = _GROUP.unpack_from(frame.payload)
    body = bytes(frame.payload[_GROUP.size :])
    return Group(first_index, body[:length], body[length:])


def _write_zeros(descriptor: int, start: int, end: int) -> None:
    while start < end:
        start += write_all(descriptor, [memoryview(_ZEROS)[: end - start]], start)


def _damaged(path: Path, offset: int) -> StorageError:
    return StorageError(
        f"{path} is damaged at byte {offset}, before its end; acknowledged rows are behind it. "
        "Keep the file, and restore it from a copy",
        code="write_ahead_damaged",
        file=str(path),
        offset=offset,
    )
