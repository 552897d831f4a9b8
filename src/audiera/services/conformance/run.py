"""Find vector files, run them, count."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from audiera.services.conformance.cases import Case, UnknownFormat
from audiera.services.conformance.cose import cose_cases
from audiera.services.conformance.ed25519 import ed25519_cases
from audiera.services.conformance.merkle import merkle_cases

Kind = Literal["merkle", "ed25519", "cose"]
"""What vectors are about."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_READERS: Final[Mapping[Kind, Callable[[object], Iterator[Case]]]] = {
    "merkle": merkle_cases,
    "ed25519": ed25519_cases,
    "cose": cose_cases,
}

_MAX_BYTES: Final = 64 * 1024 * 1024


class FileResult(NamedTuple):
    """What became of one file."""

    path: Path
    """The file."""

    passed: int
    """Cases whose outcome was the expected one."""

    failed: int
    """Cases whose outcome was another, and 1 if the file could not be read."""

    skipped: int
    """Cases about something that is not ours, such as another signature algorithm."""

    failures: tuple[str, ...]
    """For each failed case: its name, what was expected, what came."""

    notes: tuple[str, ...]
    """Why cases were skipped, each reason once."""


def run_vectors(kind: Kind, paths: Iterable[Path]) -> Iterator[FileResult]:
    """Run vector files through our own code.

    Args:
        kind: what the vectors are about.
        paths: JSON files, and folders whose ``*.json`` files are meant, at any depth.

    Yields:
        One result for each file, files of a folder in the order of their paths. A file that is absent, no JSON, or of
        no known format fails; a path never passes by holding nothing.
    """
    for path in paths:
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        if not files:
            yield FileResult(path, 0, 1, 0, ("the folder holds no *.json file",), ())
        for file in files:
            yield _run_file(kind, file)


def _run_file(kind: Kind, path: Path) -> FileResult:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UnknownFormat(f"the file is larger than {_MAX_BYTES} bytes")
        document = json.loads(path.read_bytes())
        cases = list(_READERS[kind](document))
    except (OSError, ValueError, RecursionError) as problem:
        return FileResult(path, 0, 1, 0, (f"the file cannot be used: {problem}",), ())
    except (KeyError, TypeError, AttributeError) as problem:
        return FileResult(path, 0, 1, 0, (f"the file is not in its format: {problem!r}",), ())
    if not cases:
        return FileResult(path, 0, 1, 0, ("the file holds no cases",), ())
    return _count(path, cases)


def _count(path: Path, cases: Sequence[Case]) -> FileResult:
    failures: list[str] = []
    notes: list[str] = []
    passed = 0
    for case in cases:
        if case.skipped:
            notes.append(case.skipped)
        elif case.accepted == case.expected:
            passed += 1
        else:
            wanted, came = ("accepted", "refused") if case.expected else ("refused", "accepted")
            detail = f": {case.reason}" if case.reason else ""
            failures.append(f"{case.name}: must be {wanted}, was {came}{detail}")
    return FileResult(path, passed, len(failures), len(notes), tuple(failures), tuple(dict.fromkeys(notes)))
