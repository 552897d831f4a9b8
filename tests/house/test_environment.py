"""dev.py makes its environment once, and makes it again when what it is made from changes."""

import sys

import dev
import pytest
from tests.house.conftest import MAKING, ran

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the folders of an environment are POSIX ones here"),
]


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
