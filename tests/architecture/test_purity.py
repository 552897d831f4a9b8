"""The protocol is pure, and the check that says so sees every way in which it might not be."""

import pytest
from tests.architecture.purity import impurities

VIOLATIONS = [
    ("float", "x = 0.5"),
    ("float", "x = 2j"),
    ("float", "x = 10 ** -3"),
    ("division", "def f(a: int, b: int) -> int:\n    return int(a / b)"),
    ("division", "def f(a):\n    a /= 2"),
    ("assert", "def f(a):\n    assert a"),
    ("global", "def f():\n    global a\n    a = 1"),
    ("async", "async def f():\n    pass"),
    ("async", "async def f(a):\n    return [b async for b in a]"),
    ("broad except", "try:\n    pass\nexcept Exception:\n    pass"),
    ("broad except", "try:\n    pass\nexcept (ValueError, BaseException):\n    pass"),
    ("broad except", "try:\n    pass\nexcept:\n    pass"),
    ("import", "from . import units"),
    ("import", "import audiera.node"),
    ("import", "from audiera.services import ledger"),
    ("import", "import nacl.utils"),
    ("import", "import numpy"),
    ("import", "import zstandard"),
    *(("name", f"def f(a):\n    return {name}(a)") for name in ("hash", "id", "round", "open", "print", "float")),
    ("name", "def f(a):\n    return sorted(a, key=hash)"),
    ("inexact", "def f(a):\n    return a.mean()"),
    ("set order", "for a in {1, 2}:\n    pass"),
    ("set order", "names = frozenset({1, 2})\nx = [a for a in names]"),
    ("set order", "def f(a: set[int]) -> list[int]:\n    return list(a)"),
    ("set order", "def f(a: 'frozenset[int]'):\n    return tuple(a)"),
    ("set order", "def f(a, b: set[int]):\n    for c in b | a:\n        pass"),
    ("set order", "def f(a, b):\n    return b','.join(set(a))"),
    ("set order", "def f(a):\n    b = {c for c in a}\n    return (*b, 1)"),
    ("set order", "def f(a):\n    b = set(a)\n    return b.pop()"),
    ("set order", "def f(a, b):\n    return {c: 1 for c in a.intersection(b)}"),
    ("set order", "class A:\n    b: frozenset[int]\n    def f(self):\n        return [c for c in self.b]"),
    ("set order", "def f() -> set[int]:\n    return {1}\nx = list(f())"),
]

OUTSIDE_WORLD = sorted(
    {"asyncio", "concurrent.futures", "datetime", "decimal", "fractions", "importlib", "io", "json", "locale"}
    | {"logging", "math", "multiprocessing", "os", "pathlib", "pickle", "platform", "random", "secrets"}
    | {"socket", "statistics", "subprocess", "sys", "tempfile", "threading", "time", "uuid"}
)

ARRAY_VIOLATIONS = [
    ("sort", "import numpy as np\nx = np.argsort(y)"),
    ("sort", "import numpy as np\nx = np.sort(y, kind='quicksort')"),
    ("inexact", "import numpy as np\nx = np.zeros(3, dtype=np.float64)"),
    ("inexact", "import numpy as np\nx = np.random.default_rng()"),
    ("inexact", "from numpy import float32"),
]

CLEAN = '''
"""A module as it should be."""
import hashlib
from typing import Final
import msgspec
from audiera.protocol.units import Microcredits

NAMES: Final = frozenset({"a", "b"})

def share(amount: Microcredits, parts: list[int], seen: set[int]) -> list[int]:
    """Exact shares."""
    if amount in seen or "a" not in NAMES or len(seen) > sum(part for part in seen):
        raise ValueError("no")
    return [amount * part // 10_000 for part in sorted(seen)] + [b for b in parts]
'''


@pytest.mark.parametrize(("rule", "source"), VIOLATIONS)
def test_each_impurity_is_seen(rule, source):
    assert rule in {finding.rule for finding in impurities(source)}


@pytest.mark.parametrize("module", OUTSIDE_WORLD)
@pytest.mark.parametrize("form", ["import {}", "import {} as other", "from {} import anything"])
def test_the_outside_world_cannot_be_imported(module, form):
    assert "import" in {finding.rule for finding in impurities(form.format(module))}


@pytest.mark.parametrize(("rule", "source"), ARRAY_VIOLATIONS)
def test_arrays_stay_exact_and_stable(rule, source):
    assert rule in {finding.rule for finding in impurities(source, arrays=True)}


def test_arrays_may_be_used_where_they_are_allowed():
    source = "import numpy as np\nimport zstandard\nx = np.argsort(y, kind='stable').astype(np.uint64)"
    assert impurities(source, arrays=True) == []


def test_a_pure_module_has_no_findings():
    assert impurities(CLEAN) == []


def test_the_protocol_is_pure(root):
    protocol = root / "src" / "audiera" / "protocol"
    modules = sorted(protocol.rglob("*.py"))
    assert len(modules) > 10
    found = []
    for path in modules:
        arrays = path.relative_to(protocol).parts[0] in ("accesses", "accesses.py")
        for finding in impurities(path.read_text(encoding="utf-8"), arrays=arrays):
            found.append(f"{path.relative_to(root)}:{finding.line}: {finding.rule}: {finding.text}")
    assert found == []
