"""Merkle proofs: the inclusion and consistency vectors of transparency logs, one JSON object for each file.

An object has ``leafIdx, treeSize, root, leafHash, proof`` or ``size1, size2, root1, root2, proof``, with hashes in
base64, and ``desc`` and ``wantErr``. A file may also hold many such objects, and roots over leaves, in
``{"format": "audiera/vectors/merkle/1", "cases": [...]}``; a root has ``leaves`` in hexadecimal and ``root``.
"""

import base64
from collections.abc import Iterator
from typing import Any, Final

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import leaf_hash, tree_root, verify_consistency, verify_inclusion
from audiera.services.conformance.cases import Case, UnknownFormat, run_case

FORMAT: Final = "audiera/vectors/merkle/1"


def merkle_cases(document: Any) -> Iterator[Case]:
    """Run a file's cases.

    Raises:
        UnknownFormat: not one of the formats above.
    """
    listed = isinstance(document, dict) and document.get("format") == FORMAT
    for number, case in enumerate(document["cases"] if listed else [document]):
        yield _run(case, str(number))


def _run(case: Any, fallback: str) -> Case:
    if not isinstance(case, dict):
        raise UnknownFormat("a case is a JSON object")
    name, expected = str(case.get("desc") or fallback), not case.get("wantErr", False)
    if "leafIdx" in case:
        return run_case(name, lambda: _inclusion(case), expected=expected)
    if "size1" in case:
        return run_case(name, lambda: _consistency(case), expected=expected)
    if "leaves" in case:
        return run_case(name, lambda: _root(case), expected=expected)
    raise UnknownFormat("a case has leafIdx, size1 or leaves")


def _raw(text: str | None) -> bytes:
    return base64.b64decode(text or "", validate=True)


def _path(case: dict[str, Any]) -> list[bytes]:
    return [_raw(sibling) for sibling in case["proof"] or ()]


def _inclusion(case: dict[str, Any]) -> None:
    root = _raw(case["root"])
    verify_inclusion(_raw(case["leafHash"]), case["leafIdx"], case["treeSize"], _path(case), root)


def _consistency(case: dict[str, Any]) -> None:
    verify_consistency(case["size1"], case["size2"], _raw(case["root1"]), _raw(case["root2"]), _path(case))


def _root(case: dict[str, Any]) -> None:
    found = tree_root([leaf_hash(bytes.fromhex(leaf)) for leaf in case["leaves"]])
    if found != _raw(case["root"]):
        raise ProofError(f"the root is {base64.b64encode(found).decode()}")
