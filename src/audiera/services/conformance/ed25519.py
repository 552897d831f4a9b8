"""Ed25519 signatures: the CCTV list, Wycheproof's ``eddsa_verify`` files, and our own.

The CCTV list gives no verdicts, only the properties of each signature, because verifiers differ. Our pinned rule is
libsodium's, and the verdict follows from the properties: refused when A or R is of low order, when either is not
canonically encoded, when the equation holds only after multiplication by the cofactor (``low_order_residue``), and
when it holds only with a challenge over re-encoded points (``reencoded_k``). A component of low order alone
(``low_order_component_A``, ``low_order_component_R``) changes nothing. A property not named here refuses the file.

Our own files are ``{"format": "audiera/vectors/ed25519/1", "cases": [{"key", "msg", "sig", "valid"}]}``, hexadecimal.
"""

from collections.abc import Iterator
from typing import Any, Final

from audiera.protocol.keys import verify_bytes
from audiera.services.conformance.cases import Case, UnknownFormat, run_case

FORMAT: Final = "audiera/vectors/ed25519/1"

REFUSING: Final = frozenset(
    ("low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue", "reencoded_k")
)
HARMLESS: Final = frozenset(("low_order_component_A", "low_order_component_R"))


def ed25519_cases(document: Any) -> Iterator[Case]:
    """Run a file's cases.

    Raises:
        UnknownFormat: not one of the formats above.
    """
    if isinstance(document, list):
        yield from (_cctv(case) for case in document)
    elif isinstance(document, dict) and document.get("format") == FORMAT:
        yield from (_own(number, case) for number, case in enumerate(document["cases"]))
    elif isinstance(document, dict) and "testGroups" in document:
        yield from _wycheproof(document)
    else:
        raise UnknownFormat("neither a CCTV list nor a Wycheproof file nor one of ours")


def _check(name: str, key: bytes, message: bytes, signature: bytes, *, expected: bool) -> Case:
    return run_case(name, lambda: verify_bytes(key, message, signature), expected=expected)


def _cctv(case: Any) -> Case:
    flags = frozenset(case["flags"] or ())
    unknown = sorted(flags - REFUSING - HARMLESS)
    if unknown:
        raise UnknownFormat(f"vector {case['number']} has the property {unknown[0]!r}, whose verdict is not known")
    return _check(
        f"vector {case['number']}",
        bytes.fromhex(case["key"]),
        case["msg"].encode(),
        bytes.fromhex(case["sig"]),
        expected=not flags & REFUSING,
    )


def _own(number: int, case: Any) -> Case:
    key, message, signature = (bytes.fromhex(case[name]) for name in ("key", "msg", "sig"))
    return _check(str(case.get("desc", number)), key, message, signature, expected=case["valid"])


def _wycheproof(document: dict[str, Any]) -> Iterator[Case]:
    for group in document["testGroups"]:
        public = group.get("publicKey") or group.get("key") or {}
        for test in group["tests"]:
            name = f"test {test['tcId']}"
            if public.get("curve") != "edwards25519":
                note = f"signatures of {public.get('curve') or group.get('type')} are not Ed25519"
                yield Case(name, expected=False, accepted=False, skipped=note)
                continue
            if test["result"] not in ("valid", "invalid"):
                yield Case(name, expected=False, accepted=False, skipped=f"the verdict is {test['result']!r}")
                continue
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            expected = test["result"] == "valid"
            yield _check(name, bytes.fromhex(public["pk"]), message, signature, expected=expected)
