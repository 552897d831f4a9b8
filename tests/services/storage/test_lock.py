import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiera.protocol.errors import StorageError
from audiera.services.storage.lock import FolderLock

HOLD = """
import sys
from pathlib import Path
from audiera.services.storage.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_second_opener_in_this_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path / "home"),
        pytest.raises(StorageError, match=f"process {os.getpid()}") as refused,
    ):
        FolderLock(tmp_path / "home")
    assert refused.value.code == "folder_in_use"


def test_released_folder_can_be_opened_again(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_folder_held_by_another_process_is_free_once_that_is_killed(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StorageError) as refused:
            FolderLock(tmp_path)
        assert refused.value.values["process"] == str(other.pid)
    finally:
        other.kill()
        other.communicate()
    FolderLock(tmp_path).release()
