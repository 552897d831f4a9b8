"""The parts of the documentation that the code says better: written here, compared by a test.

``python -m tests.docs.generate`` writes every generated part anew; with names of pages, only those.
A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import click
import msgspec
from click.testing import CliRunner

from audiera.cli.main import NOUNS, SECTIONS, audiera
from audiera.node.config import table
from audiera.node.http.operations import Operation
from audiera.node.http.surface import OPERATIONS
from audiera.protocol.records.money import MovementReason
from audiera.protocol.records.params import Params
from audiera.protocol.rights import REASONS
from audiera.protocol.transactions import Body
from tests.docs.pages import DOCS, ROOT

RESULTS: Final = ROOT / "benchmarks" / "results"

_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> str:
    return _row(*head) + "|" + "---|" * len(head) + "\n" + "".join(_row(*row) for row in rows)


# ---------------------------------------------------------------- the command line


def _help(*words: str) -> str:
    with patch.dict(os.environ, {"COLUMNS": "112"}):
        result = CliRunner().invoke(audiera, [*words, "--help"], prog_name="audiera")
    assert result.exit_code == 0, result.output
    return f"```text\n$ audiera {' '.join((*words, '--help'))}\n{result.output.rstrip()}\n```\n"


def _commands(name: str) -> Iterator[tuple[str, ...]]:
    """A noun, then its verbs."""
    yield (name,)
    command = audiera.get_command(click.Context(audiera), name)
    if isinstance(command, click.Group):
        for verb in command.list_commands(click.Context(command)):
            yield (name, verb)


def command_line() -> str:
    """The help of every command."""
    parts = [_help()]
    for section, nouns in SECTIONS.items():
        parts.append(f"## {section}\n")
        for noun in nouns:
            for words in _commands(noun):
                parts.append(f"#{'#' * (len(words) + 1)} {' '.join(words)}\n")
                parts.append(_help(*words))
    assert len(NOUNS) == sum(map(len, SECTIONS.values()))
    return "\n".join(parts)


# ---------------------------------------------------------------- settings, routes, words


def settings() -> str:
    """Every setting."""
    return _table(
        ("setting", "in the environment", "kind", "default", "what it does"),
        (
            (
                f"`{row.name}`",
                f"`{row.variable}`",
                row.kind + (f", {row.unit}" if row.unit else ""),
                f"`{row.default}`" if row.default else "",
                row.help,
            )
            for row in table()
        ),
    )


_WHO = {
    "anyone": "anyone",
    "account": "an account",
    "own-upload": "whoever made the upload",
    "own-session": "whoever opened the session",
    "caller": "a session's token or an application's key",
}


def routes() -> str:
    """Every operation of a node."""
    return _table(
        ("method", "path", "who", "what"),
        (
            (
                operation.route.method,
                f"`{operation.route.path}`",
                _WHO[operation.access] + (" or its application" if _is_for_applications(operation) else ""),
                inspect.cleandoc(operation.handler.__doc__ or "").partition("\n")[0].rstrip(".").replace("``", "`"),
            )
            for operation in OPERATIONS
        ),
    )


def _is_for_applications(operation: Operation) -> bool:
    return operation.for_applications and operation.access in ("account", "own-session")


def reasons() -> str:
    """Every reason of a refused decision."""
    return _table(("reason", "it means"), ((f"`{code}`", text) for code, text in REASONS.items()))


def transactions() -> str:
    """Every transaction."""
    return _table(
        ("transaction", "tag", "what it does"),
        (
            (kind.__name__, f"`{kind.__struct_config__.tag}`", inspect.cleandoc(kind.__doc__ or "").partition("\n")[0])
            for kind in Body.__args__
        ),
    )


def parameters() -> str:
    """The chain's parameters with the defaults of a new chain."""
    docs = _field_docs(Params)
    defaults = Params()
    return _table(
        ("parameter", "new chains begin with", "what it is"),
        ((f"`{name}`", f"{getattr(defaults, name):,}", docs[name]) for name in Params.__struct_fields__),
    )


def _field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """What stands below each field."""
    found = re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', inspect.getsource(kind), flags=re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def movements() -> str:
    """Every reason for which credits move."""
    return ", ".join(f"`{reason}`" for reason in MovementReason.__args__) + "\n"  # type: ignore[attr-defined]


# ---------------------------------------------------------------- performance


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _results() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def performance() -> str:
    """What the benchmarks found last."""
    rows: list[tuple[object, ...]] = []
    for name, result in _results().items():
        met = {True: "yes", False: "no", None: ""}[result["met"]]
        target = result["target"] or ""
        rows.append((f"`{name}`", result["figure"], _number(result["median"]), result["unit"], target, met))
        if result.get("wall"):
            wall = result["wall"]
            rows.append(("", "the same by the clock", _number(wall["median"]), wall["unit"], "", ""))
        for detail in result["details"].values():
            rows.append(("", detail["what"], _number(detail["median"]), detail["unit"], detail.get("target", ""), ""))
    return _table(("benchmark", "figure", "median", "unit", "target", "met"), iter(rows))


def baselines() -> str:
    """What each benchmark is compared with."""
    return _table(
        ("benchmark", "baseline", "its median", "ratio"),
        (
            (f"`{name}`", result["baseline"]["what"], _number(result["baseline"]["median"]), _number(result["ratio"]))
            for name, result in _results().items()
        ),
    )


def _machine(found: dict[str, Any]) -> str:
    return f"{found['processor']}; {found['cores']} cores; {found['system']}; {found['python']}"


def machines() -> str:
    """Where and when the figures were measured."""
    return _table(
        ("benchmark", "measured", "commit", "machine"),
        (
            (
                f"`{name}`",
                result["measured"],
                result["commit"],
                _machine(result["machine"]),
            )
            for name, result in _results().items()
        ),
    )


def decisions() -> str:
    """Every page of the decisions."""
    return _table(
        ("page", "decision"),
        (
            (f"[{page.name[:4]}]({page.name})", page.read_text(encoding="utf-8").partition("\n")[0].partition(": ")[2])
            for page in sorted((DOCS / "adr").glob("[0-9]*.md"))
        ),
    )


PARTS: Final[dict[str, Callable[[], str]]] = {
    "command-line": command_line,
    "settings": settings,
    "routes": routes,
    "reasons": reasons,
    "transactions": transactions,
    "parameters": parameters,
    "movements": movements,
    "performance": performance,
    "baselines": baselines,
    "machines": machines,
    "decisions": decisions,
}
"""What can be generated, by name."""


def generated(text: str) -> str:
    """A page's text with its generated parts made anew."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[4]}", text)


def pages_with_parts() -> list[Path]:
    """The pages that have a generated part."""
    return [page for page in sorted(DOCS.rglob("*.md")) if _PART.search(page.read_text(encoding="utf-8"))]


def main(names: list[str]) -> None:
    """Write pages anew."""
    for page in pages_with_parts():
        if not names or page.name in names:
            text = page.read_text(encoding="utf-8")
            made = generated(text)
            if made != text:
                page.write_text(made, encoding="utf-8")
                print(f"{page.relative_to(ROOT)} is written anew")


if __name__ == "__main__":
    main(sys.argv[1:])
