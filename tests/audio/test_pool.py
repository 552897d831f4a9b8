"""The sandbox: one bad file costs one clear error, and nothing outlives the node."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from audiera.audio import AnalyzerPool, Limits, SoundError
from audiera.audio.compose import render_piece, render_sample, write_audio


@pytest.fixture(scope="module")
def pool() -> Iterator[AnalyzerPool]:
    pool = AnalyzerPool(2)
    yield pool
    pool.close()


def saved(folder: Path, data: bytes, name: str = "upload") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_file_is_described_behind_the_walls(pool: AnalyzerPool, tmp_path: Path) -> None:
    analysis = pool.analyze(saved(tmp_path, write_audio(render_piece(2, 10), 44_100, "mp3")))
    assert analysis.container == "mp3"
    assert pool.sandbox is not None
    assert pool.sandbox.rlimits


def test_a_playlist_cannot_make_it_read_another_file(pool: AnalyzerPool, tmp_path: Path) -> None:
    secret = saved(tmp_path, write_audio(render_sample(1, "tone"), 44_100, "wav"), "secret.wav")
    for head in (b"", b"\xff\xfb\x90\x00"):
        trap = saved(tmp_path, head + f"ffconcat version 1.0\nfile '{secret}'\n".encode(), "song.mp3")
        with pytest.raises(SoundError):
            pool.analyze(trap)


def test_an_empty_file_and_a_too_large_one_are_refused_unread(pool: AnalyzerPool, tmp_path: Path) -> None:
    with pytest.raises(SoundError) as empty:
        pool.analyze(saved(tmp_path, b""))
    with pytest.raises(SoundError) as large:
        pool.analyze(saved(tmp_path, bytes(2_000)), Limits(max_bytes=1_000))
    assert (empty.value.code, large.value.code) == ("empty", "too_large")


def test_a_file_that_takes_too_long_is_given_up_and_the_next_one_goes_on(pool: AnalyzerPool, tmp_path: Path) -> None:
    long = saved(tmp_path, write_audio(np.zeros((2, 44_100 * 600), dtype=np.float32), 44_100, "flac"))
    with pytest.raises(SoundError) as error:
        pool.analyze(long, Limits(cpu_s=1, wall_s=60))
    assert error.value.code in ("timeout", "crashed")
    with pytest.raises(SoundError) as error:
        pool.analyze(long, Limits(wall_s=0))
    assert error.value.code == "timeout"
    assert pool.analyze(saved(tmp_path, write_audio(render_sample(1, "kick"), 44_100, "wav"), "next")).samples > 0


def test_a_file_that_wants_too_much_memory_is_refused_and_the_next_one_goes_on(
    pool: AnalyzerPool, tmp_path: Path
) -> None:
    hungry = saved(tmp_path, write_audio(render_piece(1, 60), 44_100, "flac"))
    with pytest.raises(SoundError) as error:
        pool.analyze(hungry, Limits(memory_bytes=2**20))
    assert error.value.code in ("too_large", "crashed")
    assert pool.analyze(hungry).duration_ms == 60_000


def test_many_callers_share_the_workers(pool: AnalyzerPool, tmp_path: Path) -> None:
    paths = [saved(tmp_path, write_audio(render_sample(seed, "tone"), 44_100, "wav"), f"{seed}") for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(pool.analyze, paths))
    assert len({analysis.waveform for analysis in found}) == 8


def test_a_killed_worker_costs_one_error_only(tmp_path: Path) -> None:
    pool = AnalyzerPool(1)
    path = saved(tmp_path, write_audio(render_sample(1, "kick"), 44_100, "wav"))
    pool.analyze(path)
    (worker,) = pool._all
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    with pytest.raises(SoundError) as error:
        pool.analyze(path)
    assert error.value.code == "crashed"
    assert pool.analyze(path).samples > 0
    pool.close()


NODE = """
import sys
from pathlib import Path
from audiera.audio import AnalyzerPool
pool = AnalyzerPool(1)
pool.analyze(Path(sys.argv[1]))
print(pool._all[0].process.pid, flush=True)
sys.stdin.read()
"""


def test_workers_end_when_the_node_is_killed(tmp_path: Path) -> None:
    path = saved(tmp_path, write_audio(render_sample(1, "kick"), 44_100, "wav"))
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert node.stdout is not None
    assert node.stdin is not None
    worker = int(node.stdout.readline())
    node.kill()
    node.wait()
    node.stdin.close()
    node.stdout.close()
    end = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < end, "the worker lives on"
        time.sleep(0.05)
