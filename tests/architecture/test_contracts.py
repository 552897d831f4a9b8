"""The import contracts hold, and each of them catches what it forbids."""

import itertools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports_command as run; run()"


def contracts() -> dict[str, dict]:
    """The layer contracts of pyproject.toml by their id."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def layers(contract: dict) -> list[list[str]]:
    """The rooms of a contract, highest layer first."""
    return [re.findall(r"\w+", layer) for layer in contract["layers"]]


def violations() -> list[tuple[str, str, str]]:
    """(contract, importing room, imported room): each layer reaching up, each neighbor reaching aside."""
    found = []
    for name, contract in contracts().items():
        rows = layers(contract)
        for upper, lower in itertools.pairwise(rows):
            found.append((name, lower[0], upper[-1]))
        for row in rows:
            found += [(name, left, right) for left, right in itertools.pairwise(row)]
    return found


def lint(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the linter on the package under ``root/src``."""
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", *options],
        cwd=root,
        env=dict(os.environ, PYTHONPATH=str(root / "src"), COLUMNS="200"),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A checkout with every room, all empty, and the real contracts."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    package = tmp_path / "src" / "audiera"
    for contract in contracts().values():
        for container in contract["containers"]:
            folder = tmp_path / "src" / container.replace(".", "/")
            for room in itertools.chain.from_iterable(layers(contract)):
                (folder / room).mkdir(parents=True, exist_ok=True)
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").touch()
    return tmp_path


def test_the_contracts_are_the_drawn_ones():
    rows = {name: layers(contract) for name, contract in contracts().items()}
    assert rows["rooms"] == [["cli"], ["node", "sdk"], ["services"], ["audio"], ["protocol"]]
    assert rows["services"] == [
        ["models"],
        ["access", "catalog", "media", "usage", "conformance"],
        ["ledger"],
        ["storage"],
    ]
    assert rows["protocol"] == [
        ["api", "machine"],
        ["state", "rights", "revenue", "transactions"],
        ["results"],
        ["accesses", "chain"],
        ["records", "merkle"],
        ["keys"],
        ["encoding"],
        ["ids"],
        ["errors", "units", "purposes"],
    ]
    for contract in contracts().values():
        assert contract["exhaustive"]
        assert all(":" not in layer for layer in contract["layers"])


def test_empty_rooms_break_no_contract(skeleton):
    done = lint(skeleton)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("contract", "importing", "imported"), violations())
def test_a_forbidden_import_breaks_its_contract(skeleton, contract, importing, imported):
    container = contracts()[contract]["containers"][0]
    room = skeleton / "src" / container.replace(".", "/") / importing
    (room / "deep.py").write_text(f"def f():\n    from {container}.{imported} import x\n")
    done = lint(skeleton, "--contract", contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{container}.{importing} is not allowed to import {container}.{imported}" in done.stdout


@pytest.mark.parametrize("contract", contracts())
def test_a_room_nobody_drew_breaks_the_contract(skeleton, contract):
    container = contracts()[contract]["containers"][0]
    (skeleton / "src" / container.replace(".", "/") / "attic.py").touch()
    done = lint(skeleton, "--contract", contract)
    assert done.returncode == 1
    assert f"{container}.attic" in done.stdout


def test_the_source_keeps_all_contracts():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
