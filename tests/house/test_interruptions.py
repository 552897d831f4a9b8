"""Whatever happens while the environment is made, an unfinished one is never used."""

import os
import signal
import sys

import dev
import pytest
from tests.house.conftest import MAKING, ran

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="named pipes and kill -9 are POSIX"),
]


def test_two_first_runs_at_once_make_one_environment(project):
    runs = [project.start("node", str(number)) for number in range(3)]
    results = [process.communicate(timeout=120) for process in runs]
    assert [process.returncode for process in runs] == [0, 0, 0]
    assert sum(MAKING in stderr for _, stderr in results) == 1
    assert project.builds == 1
    for number, (stdout, _) in enumerate(results):
        assert stdout.startswith(f"ran|['node', '{number}']|1|")


def test_a_run_that_has_to_wait_says_so_and_goes_on_when_it_can(project):
    with dev.locked(project.root / ".venv.lock"):
        process = project.start("node")
        assert "waiting" in process.stderr.readline()
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0
    assert stdout.startswith("ran|")
    assert MAKING in stderr


def test_a_run_killed_half_way_is_waited_for_cleared_and_made_again(project):
    hold = project.root / "hold"
    os.mkfifo(hold)
    killed = project.start("node")
    with hold.open("w"):  # opens when the installer reads it, so the installer is at work now
        hold.unlink()
        killed.send_signal(signal.SIGKILL)
        killed.wait(timeout=60)
        assert (project.root / ".venv" / "bin" / "python").exists()
        assert not (project.root / ".venv" / dev.MARKER).exists()
        unfinished = project.root / ".venv" / "unfinished"
        unfinished.touch()
        following = project.start("node")
        assert "waiting" in following.stderr.readline()  # the orphaned installer still writes
    stdout, stderr = following.communicate(timeout=120)
    killed.communicate(timeout=60)
    assert following.returncode == 0, stderr
    assert stdout.startswith("ran|['node']|1|")
    assert MAKING in stderr
    assert not unfinished.exists()


def test_a_failed_install_says_what_to_do_and_the_next_run_starts_afresh(project):
    (project.root / "broken").touch()
    failed = project.run("node")
    assert failed.returncode == 1
    assert "could not be installed from pyproject.toml" in failed.stderr
    assert "Traceback" not in failed.stderr.splitlines()[-1]
    (project.root / "broken").unlink()
    assert ran(project.run("node"), arguments=["node"])


def test_a_package_with_other_bytes_than_pinned_is_refused(project):
    project.pin("1", honest=False)
    refused = project.run("node")
    assert refused.returncode == 1
    assert "the pinned packages could not be installed" in refused.stderr
    assert "ran" not in refused.stdout


def test_somebody_elses_environment_is_moved_aside_and_kept(project):
    (project.root / ".venv").mkdir()
    (project.root / ".venv" / "theirs").write_text("precious")
    done = project.run("node")
    assert ran(done, arguments=["node"])
    assert "was not made by this script" in done.stderr
    (kept,) = project.root.glob(".venv.before-*/venv/theirs")
    assert kept.read_text() == "precious"


def test_a_uv_that_fails_is_replaced_by_pip(project, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\necho uv \"$@\" >> '{tmp_path}/uv.log'\nexit 1\n")
    (folder / "uv").chmod(0o755)
    done = project.run("node", PATH=f"{folder}:/usr/bin:/bin")
    assert ran(done, arguments=["node"])
    calls = (tmp_path / "uv.log").read_text()
    assert "venv" in calls
    assert "--require-hashes" in calls
    assert "trying pip" in done.stderr
