"""How large modules and functions are, and what rooms are called."""

import ast
from collections.abc import Iterable
from pathlib import PurePath

MAX_LINES = 500
MAX_STATEMENTS = 40
NO_ROOMS = frozenset({"utils", "util", "common", "helpers", "helper", "core", "misc", "shared"})


def oversize(source: str) -> list[str]:
    """What is too large in a module: the module itself, functions in it."""
    found = []
    lines = len(source.splitlines())
    if lines > MAX_LINES:
        found.append(f"{lines} lines, at most {MAX_LINES} expected")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = statements(node)
            if count > MAX_STATEMENTS:
                found.append(f"{node.name}: {count} statements, at most {MAX_STATEMENTS} expected")
    return found


def statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The statements in a function's body, nested ones included, its docstring not."""
    count = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return count - (ast.get_docstring(function) is not None)


def nameless_rooms(paths: Iterable[PurePath]) -> list[str]:
    """Paths with a part whose name says nothing about what belongs there."""
    return [str(path) for path in paths if NO_ROOMS & {*path.parts[:-1], path.stem}]
