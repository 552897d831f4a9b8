"""What the program imports, its package asks for: an installation has no development packages."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path


def imported(source: Path) -> set[str]:
    """The top-level names of everything imported anywhere below a folder."""
    found: set[str] = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"audiera"}


def asked_for(root: Path) -> set[str]:
    """The distributions named as dependencies or in an extra."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {re.split(r"[<>=;\[ ]", line)[0].lower() for line in lines}


def test_everything_imported_is_asked_for(root: Path) -> None:
    names, asked = packages_distributions(), asked_for(root)
    missing = {
        name
        for name in imported(root / "src")
        if not {name, *(distribution.lower() for distribution in names.get(name, []))} & asked
    }
    assert missing == set()
