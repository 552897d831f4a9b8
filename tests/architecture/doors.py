"""Drivers are reached through the door of their package: nobody outside it imports what lies behind."""

import ast
from collections.abc import Iterator
from pathlib import Path

SERVICES = ("audiera", "services")
DOOR_DEPTH = 4
"""``audiera.services.storage.blobs`` is a door; ``audiera.services.storage.blobs.local`` lies behind it."""


def trespasses(source_root: Path) -> list[str]:
    """Imports that go past a door, as ``importing module -> imported module``.

    Args:
        source_root: the folder that holds the package.
    """
    found = set()
    modules = {module_name(path, source_root): path for path in sorted(source_root.rglob("*.py"))}
    for importing, path in modules.items():
        for imported in imports(ast.parse(path.read_text(encoding="utf-8"))):
            parts = imported.split(".")
            if tuple(parts[:2]) != SERVICES or len(parts) <= DOOR_DEPTH or imported not in modules:
                continue
            door = ".".join(parts[:DOOR_DEPTH])
            if importing != door and not importing.startswith(door + "."):
                found.add(f"{importing} -> {imported}")
    return sorted(found)


def module_name(path: Path, source_root: Path) -> str:
    """The dotted name of a module's file."""
    parts = path.relative_to(source_root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """All dotted names that might be modules imported anywhere in the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
