"""What compares pages with programs sees a difference."""

from pathlib import Path

import pytest

from tests.docs.pages import Block, anchors, blocks, plain_prose, rows
from tests.docs.sessions import Done, Session, check, commands, normal, pattern

BLOCK = Block(Path(__file__), 1, "console", "", "")

PAGE = """# A page

Save this as `one/two.json`:

```json
{"a": 1}
```

| word | meaning |
|---|---|
| a \\| b | `user` |

## What it `says`, twice

```console
$ cat one/two.json
{"a": 1}
$ python -c \\
    "print('x 7170 y')"
x ... y
```

```python
from pathlib import Path

print(Path("one/two.json").read_text().strip())
```

```output
{"a": ...}
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "page.md"
    file.write_text(PAGE, encoding="utf-8")
    return file


def test_page_is_taken_apart(page: Path) -> None:
    found = [block._replace(page=Path()) for block in blocks(page)]
    assert [(block.kind, block.name, block.line) for block in found] == [
        ("json", "one/two.json", 5),
        ("console", "", 15),
        ("python", "", 23),
        ("output", "", 29),
    ]
    assert rows(page) == [("a | b", "`user`")]
    assert anchors(page) == {"a-page", "what-it-says-twice"}
    assert "user" not in plain_prose(page)


def test_commands_go_on_after_a_backslash() -> None:
    assert list(commands("$ a \\\n  b\nout\n$ c")) == [("a b", "out"), ("c", "")]


@pytest.mark.parametrize(
    ("expected", "output", "fits"),
    [
        ("a   b", "a b\n", True),
        ("a b", "a\n", False),
        ("a ... c", "a b c\n", True),
        ("a ... c", "a b\nc\n", False),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("a\n...", "a\nb\n", True),
        ("a", "a\nb\n", False),
        ("1 (x)", "1 (y)\n", False),
    ],
)
def test_output_is_compared_line_by_line(expected: str, output: str, fits: bool) -> None:
    assert bool(pattern(expected).fullmatch(normal(output))) is fits


def test_another_output_or_exit_code_fails() -> None:
    check(BLOCK, "x", Done(0, "a\n"), "a")
    check(BLOCK, "x", Done(1, "a\n"), "a\n(exit code 1)")
    check(BLOCK, "x", Done(0, "anything"), "")
    for done, expected in ((Done(0, "b\n"), "a"), (Done(1, "a\n"), "a"), (Done(0, "a\n"), "a\n(exit code 1)")):
        with pytest.raises(AssertionError):
            check(BLOCK, "x", done, expected)


def test_page_is_run_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    Session(tmp_path / ".", "http://127.0.0.1:9").run(page)


@pytest.mark.parametrize(
    ("true", "false"),
    [('{"a": 1}\n$ python', '{"a": 2}\n$ python'), ('{"a": ...}', '{"b": ...}'), ("x ... y", "x ... z")],
)
def test_page_that_says_something_else_fails(page: Path, tmp_path: Path, true: str, false: str) -> None:
    assert PAGE.count(true) == 1
    page.write_text(PAGE.replace(true, false), encoding="utf-8")
    with pytest.raises(AssertionError):
        Session(tmp_path, "http://127.0.0.1:9").run(page)
