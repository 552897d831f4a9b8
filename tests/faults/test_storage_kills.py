"""A process that stores dies at any moment: what was promised is there afterwards, whole, and nothing else stays."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.storage_process import MASTER, SEGMENT_BYTES, rows_of

from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.waf import open_write_ahead

pytestmark = pytest.mark.slow


def promises(root: Path, what: str, folder: Path, count: int) -> list[str]:
    """What a process promised until it was killed, a moment after its ``count``-th promise."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.storage_process", what, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(count)]
    finally:
        process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return [line.strip() for line in lines if line.endswith("\n")]


def test_acknowledged_rows_survive_kills_in_order_and_once(root: Path, tmp_path: Path) -> None:
    moments = random.Random(3)
    for _ in range(6):
        end = int(promises(root, "rows", tmp_path, moments.randrange(1, 60))[-1])
        file = open_write_ahead(tmp_path, entropy=os.urandom, segment_bytes=SEGMENT_BYTES)
        rows = b"".join(group[1] for group in file.groups(0))
        file.close()
        assert rows == rows_of(0, len(rows) // 64)
        assert len(rows) // 64 >= end


def test_finished_blobs_survive_kills_and_unfinished_ones_leave_nothing(root: Path, tmp_path: Path) -> None:
    moments = random.Random(4)
    for _ in range(4):
        ids = promises(root, "blobs", tmp_path, moments.randrange(1, 12))
        blobs = open_blobs(tmp_path, master_key=MASTER, entropy=os.urandom)
        for name in ids:
            reader = blobs.open(bytes.fromhex(name))
            assert hashlib.sha256(reader.read(0, reader.size)).hexdigest() == name
            reader.close()
        assert list((tmp_path / "incoming").iterdir()) == []
        blobs.close()
