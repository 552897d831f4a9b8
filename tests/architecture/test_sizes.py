"""Modules and functions stay small enough to read, and rooms have names that say what belongs in them."""

from pathlib import PurePath

import pytest
from tests.architecture.sizes import nameless_rooms, oversize


def test_a_module_of_501_lines_is_too_long():
    assert oversize("x = 1\n" * 500) == []
    assert oversize("x = 1\n" * 501) == ["501 lines, at most 500 expected"]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_function_of_41_statements_is_too_long(keyword):
    def function(count: int) -> str:
        return f'{keyword} f():\n    "What it does."\n    if x:\n' + "        y = 1\n" * (count - 1)

    assert oversize(function(40)) == []
    assert oversize(function(41)) == ["f: 41 statements, at most 40 expected"]


@pytest.mark.parametrize("path", ["src/audiera/utils/a.py", "src/audiera/node/helpers.py", "tests/common/a.py"])
def test_rooms_for_odds_and_ends_are_refused(path):
    assert nameless_rooms([PurePath(path)]) == [str(PurePath(path))]
    assert nameless_rooms([PurePath("src/audiera/node/app.py")]) == []


def test_the_source_is_small_enough(root):
    modules = sorted((root / "src").rglob("*.py"))
    assert len(modules) > 10
    found = [
        f"{path.relative_to(root)}: {finding}"
        for path in modules
        for finding in oversize(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_room_is_called_for_odds_and_ends(root):
    folders = ("src", "tests", "benchmarks", "examples")
    paths = [path.relative_to(root) for folder in folders for path in (root / folder).rglob("*.py")]
    assert paths
    assert nameless_rooms(paths) == []
