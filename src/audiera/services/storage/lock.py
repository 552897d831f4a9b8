"""One process for each folder: whoever opens second is told who was first."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from audiera.protocol.errors import StorageError
from audiera.services.storage.files import PRIVATE_FILE, make_folder

NAME = "lock"


class FolderLock:
    """Holds a folder for this process alone, until released or until the process ends, however it ends.

    Args:
        folder: made when it is not there.

    Raises:
        StorageError: another process (or another part of this one) holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StorageError(
                f"{folder} is already open in process {holder}; stop that one first, or use another folder",
                code="folder_in_use",
                folder=str(folder),
                process=holder,
            ) from cause
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Let others open the folder; quiet when it was released before."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
