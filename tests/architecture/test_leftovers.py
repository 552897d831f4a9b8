"""Nothing unfinished, and nothing of the machine it was written on, is in the checkout."""

import subprocess

import pytest
from tests.architecture.leftovers import leftovers, tracked_texts


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("unfinished", "# TO" + "DO: later"),
        ("unfinished", "x = 1  # FIX" + "ME"),
        ("machine path", 'x = "/ho' + 'me/someone/x"'),
        ("machine path", "cd /wo" + "rk/main"),
        ("machine path", "/Us" + "ers/a/b"),
        ("package host", "https://py" + "pi.org/simple"),
        ("package host", "--index" + "-url x"),
        ("package host", "https://files.python" + "hosted.org/x"),
    ],
)
def test_each_leftover_is_seen(rule, line):
    assert leftovers(f"first\n{line}\n") == [(2, rule)]


@pytest.mark.parametrize("line", ["src/work/main.py", "{root}/home/x", "./home/x", "a route /works/1", "~/home/x"])
def test_other_text_is_left_alone(line):
    assert leftovers(line) == []


def test_only_tracked_texts_are_read(tmp_path):
    (tmp_path / "kept.txt").write_text("a")
    (tmp_path / "other.txt").write_text("b")
    (tmp_path / "sound.bin").write_bytes(b"\0\1")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "kept.txt", "sound.bin"], cwd=tmp_path, check=True)
    assert tracked_texts(tmp_path) == [tmp_path / "kept.txt"]


def test_outside_git_all_visible_texts_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "a.txt").write_text("a")
    (tmp_path / "kept.txt").write_text("b")
    assert tracked_texts(tmp_path) == [tmp_path / "kept.txt"]


def test_the_checkout_has_no_leftovers(root):
    paths = tracked_texts(root)
    assert root / "pyproject.toml" in paths
    found = [
        f"{path.relative_to(root)}:{number}: {rule}"
        for path in paths
        for number, rule in leftovers(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
