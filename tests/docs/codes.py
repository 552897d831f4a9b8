"""Every stable code an error can carry, read from the source."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import ROOT

SOURCE = ROOT / "src" / "audiera"

_NAMES = ("code", "default_code")
_RESULTS = frozenset({"ok"})
"""Codes that say that nothing is wrong."""


def _texts(value: ast.expr | None) -> Iterator[str]:
    """The texts an expression can be, as far as it says so itself."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body)
        yield from _texts(value.orelse)


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _places(trees: dict[Path, ast.Module]) -> dict[str, set[int]]:
    """Functions with a parameter named ``code``: where among the positional ones it stands."""
    found: dict[str, set[int]] = defaultdict(set)
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args if argument.arg != "self"]
                if "code" in names:
                    found[node.name].add(names.index("code"))
    return found


def _given(node: ast.AST, places: dict[str, set[int]]) -> Iterator[str]:
    """The codes a node of the tree gives."""
    if isinstance(node, ast.Call):
        yield from _given_in_call(node, places)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id in _NAMES for target in targets):
            yield from _texts(node.value)
    elif isinstance(node, ast.FunctionDef):
        yield from _given_as_default(node)


def _given_in_call(node: ast.Call, places: dict[str, set[int]]) -> Iterator[str]:
    for keyword in node.keywords:
        if keyword.arg == "code":
            yield from _texts(keyword.value)
    for place in places.get(_name(node.func), ()):
        if len(node.args) > place:
            yield from _texts(node.args[place])


def _given_as_default(node: ast.FunctionDef) -> Iterator[str]:
    named = node.args.args[len(node.args.args) - len(node.args.defaults) :]
    pairs = [
        *zip(named, node.args.defaults, strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        if argument.arg == "code":
            yield from _texts(default)


def _kinds(tree: ast.Module) -> Iterator[str]:
    """What ``found`` of the HTTP rooms looks up: its code is ``<kind>_not_found``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "found" and len(node.args) == 3:
            for kind in _texts(node.args[1]):
                yield f"{kind.replace(' ', '_')}_not_found"


def codes_in_source() -> dict[str, set[str]]:
    """Every code, with the files that give it."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    places = _places(trees)
    found: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        where = path.relative_to(SOURCE).as_posix()
        given = [code for node in ast.walk(tree) for code in _given(node, places)]
        if where.startswith("node/http/"):
            given += _kinds(tree)
        for code in given:
            if code and code not in _RESULTS:
                found[code].add(where)
    return dict(found)
