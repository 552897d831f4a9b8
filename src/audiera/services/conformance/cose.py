"""COSE_Sign1 with EdDSA: the examples of the COSE working group, and our own.

The working group's files have ``input.sign0`` (key, algorithm, external data), ``output.cbor`` and, where the message
must be refused, ``fail``. On the ledger a message is untagged, its protected header is ``{alg: -8}`` and its
unprotected map is empty; theirs are freer. So the signed structure is built from their headers and checked by the
pinned rule, and a message with our protected header also passes through the functions a transaction passes through.
Messages of other algorithms, curves and kinds are skipped.

Our own files are ``{"format": "audiera/vectors/cose/1", "cases": [{"key", "message", "payload", "valid"}]}``,
hexadecimal, for messages exactly as they are on the ledger.

Source: RFC 9052, sections 3, 4.2 and 4.4.
"""

import base64
from collections.abc import Iterator
from typing import Any, Final

from audiera.protocol.encoding import encode
from audiera.protocol.errors import SignatureError
from audiera.protocol.keys import join_signed, split_signed, verify_bytes, verify_signed
from audiera.services.conformance.cases import Case, UnknownFormat, run_case
from audiera.services.conformance.cbor import Tagged, read_cbor

FORMAT: Final = "audiera/vectors/cose/1"
_SIGN1_TAG: Final = 18
_ALGORITHM: Final = 1
_CRITICAL: Final = 2
_EDDSA: Final = -8
_PROTECTED: Final = bytes((0xA1, 0x01, 0x27))


def cose_cases(document: Any) -> Iterator[Case]:
    """Run a file's cases.

    Raises:
        UnknownFormat: not one of the formats above.
    """
    if not isinstance(document, dict):
        raise UnknownFormat("a JSON object expected")
    if document.get("format") == FORMAT:
        yield from (_own(number, case) for number, case in enumerate(document["cases"]))
    elif "input" in document and "output" in document:
        yield _example(document)
    else:
        raise UnknownFormat("neither an example of the COSE working group nor one of our files")


def _own(number: int, case: Any) -> Case:
    key, message, payload = (bytes.fromhex(case[name]) for name in ("key", "message", "payload"))

    def check() -> None:
        _verify(key, message, payload)

    return run_case(str(case.get("desc", number)), check, expected=case["valid"])


def _verify(key: bytes, message: bytes, payload: bytes | None) -> None:
    signed = split_signed(message)
    if payload is not None and signed.payload != payload:
        raise SignatureError("the message has another payload")
    verify_signed(key, signed)


def _example(document: dict[str, Any]) -> Case:
    name, expected = str(document.get("title", "")), not document.get("fail", False)
    sign0 = document["input"].get("sign0")
    note = _not_ours(sign0)
    if note:
        return Case(name, expected, accepted=False, skipped=note)
    key, message = _key(sign0["key"]), bytes.fromhex(document["output"]["cbor"])
    external = bytes.fromhex(sign0.get("external", ""))
    stated = (document.get("intermediates") or {}).get("ToBeSign_hex")

    def check() -> None:
        structure = verify_sign1(key, message, external)
        if expected and stated and structure != bytes.fromhex(stated):
            raise SignatureError("what is signed differs from what the example states")

    return run_case(name, check, expected=expected)


def _not_ours(sign0: Any) -> str:
    """Why an example is not about what we do; empty when it is."""
    if not isinstance(sign0, dict):
        return "not a COSE_Sign1"
    headers = [sign0, sign0.get("protected") or {}, sign0.get("unprotected") or {}]
    algorithm = next((header["alg"] for header in headers if "alg" in header), None)
    if algorithm != "EdDSA" or sign0["key"].get("crv") != "Ed25519":
        return f"signed with {algorithm} on {sign0['key'].get('crv')}, not with EdDSA on Ed25519"
    return ""


def _key(key: dict[str, str]) -> bytes:
    if "x_hex" in key:
        return bytes.fromhex(key["x_hex"])
    return base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))


def verify_sign1(key: bytes, message: bytes, external: bytes) -> bytes:
    """Check a COSE_Sign1 and give the structure its signature is over.

    Args:
        key: the signer's public key.
        message: the message, with the tag 18 or without a tag.
        external: data that is signed and not in the message.

    Raises:
        EncodingError: no definite-length CBOR.
        SignatureError: no COSE_Sign1 with EdDSA, or it does not verify.
    """
    value = read_cbor(message)
    if isinstance(value, Tagged):
        if value.tag != _SIGN1_TAG:
            raise SignatureError(f"the tag {_SIGN1_TAG} of COSE_Sign1 expected, got {value.tag}")
        value = value.value
    if not isinstance(value, list) or len(value) != 4 or not isinstance(value[1], dict):
        raise SignatureError("a COSE_Sign1 has four parts, the second a map")
    protected, unprotected, payload, signature = value
    if not isinstance(protected, bytes) or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise SignatureError("protected header, payload and signature are byte strings")
    signed_header = _check_headers(protected, unprotected)
    structure = encode(("Signature1", signed_header, external, payload))
    verify_bytes(key, structure, signature)
    if protected == _PROTECTED and not external:
        _verify(key, join_signed(payload, signature), payload)
    return structure


def _check_headers(protected: bytes, unprotected: dict[object, object]) -> bytes:
    """The protected header as it is signed; an empty map counts as no bytes (section 4.4)."""
    header = read_cbor(protected) if protected else {}
    if not isinstance(header, dict) or any(label in unprotected for label in header):
        raise SignatureError("the protected header is a map, and shares no label with the unprotected one")
    if _CRITICAL in header or (header | unprotected).get(_ALGORITHM) != _EDDSA:
        raise SignatureError("the algorithm is not EdDSA, or a header must be understood that is not known here")
    return protected if header else b""
