"""dev.py makes its environment once, and whatever happens on the way never uses an unfinished one."""

import os
import signal
import sys

import dev
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="named pipes and kill -9 are POSIX"),
]

MAKING = "making the environment"


def ran(done, *, arguments, version="1"):
    """The command ran inside the environment with these arguments and this version of the pinned package."""
    assert done.returncode == 0, done.stdout + done.stderr
    word, given, pinned, prefix, _ = done.stdout.strip().split("|")
    return (word, given, pinned, prefix.endswith(".venv")) == ("ran", str(arguments), version, True)


def test_the_first_run_makes_the_environment_and_the_second_reuses_it(project):
    first = project.run("node", "--port", "0")
    assert ran(first, arguments=["node", "--port", "0"])
    assert MAKING in first.stderr
    second = project.run("node")
    assert ran(second, arguments=["node"])
    assert second.stderr == ""
    assert project.builds == 1


def test_it_runs_from_any_working_directory_and_keeps_it(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = project.run("node", cwd=elsewhere)
    assert ran(done, arguments=["node"])
    assert done.stdout.strip().endswith(str(elsewhere))
    assert list(elsewhere.iterdir()) == []


def test_changed_requirements_make_a_new_environment(project):
    project.run("node")
    inherited = project.root / ".venv" / "left-behind"
    inherited.touch()
    project.pin("2")
    done = project.run("node")
    assert ran(done, arguments=["node"], version="2")
    assert not inherited.exists()
    assert not list(project.root.glob(".venv.old-*"))


def test_a_changed_pyproject_installs_only_the_project_again(project):
    project.run("node")
    kept = project.root / ".venv" / "kept"
    kept.touch()
    with (project.root / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    done = project.run("node")
    assert ran(done, arguments=["node"])
    assert "pyproject.toml has changed" in done.stderr
    assert kept.exists()
    assert project.builds == 2
    assert project.run("node").stderr == ""


def test_a_moved_checkout_makes_a_new_environment(project):
    project.run("node")
    moved = project.root.rename(project.root.with_name("moved"))
    done = type(project)(moved).run("node")
    assert ran(done, arguments=["node"])
    assert MAKING in done.stderr
    assert str(moved) in done.stdout


def test_an_environment_whose_python_is_gone_is_made_again(project):
    project.run("node")
    for name in ("python", "python3"):
        (project.root / ".venv" / "bin" / name).unlink()
    done = project.run("node")
    assert ran(done, arguments=["node"])
    assert MAKING in done.stderr


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


def test_the_demo_takes_its_recordings_where_they_can_be_had(project):
    project.pin("7", named="demo.txt", package="recordings")
    assert ran(project.run("demo", "--keep"), arguments=["demo", "--keep"])
    assert (project.root / ".venv" / dev.MUSIC_MARKER).exists()
    assert list((project.root / ".venv").rglob("recordings.py"))


def test_the_demo_goes_on_without_its_recordings_and_says_so(project):
    project.pin("7", named="demo.txt", package="recordings", honest=False)
    done = project.run("demo")
    assert ran(done, arguments=["demo"])
    assert "cannot be had" in done.stderr
    assert not (project.root / ".venv" / dev.MUSIC_MARKER).exists()


def test_a_demo_on_a_persons_own_music_installs_no_recordings(project):
    project.pin("7", named="demo.txt", package="recordings")
    assert ran(project.run("demo", "--music=mine"), arguments=["demo", "--music=mine"])
    assert not list((project.root / ".venv").rglob("recordings.py"))
