"""Ed25519 by one pinned rule, COSE_Sign1 by one accepted form, and the text form of a key.

The rule is libsodium's: a signature is good when libsodium accepts it, which also refuses low-order and
non-canonical points. A chain whose nodes may choose a library forks on edge-case signatures, so the library is
pinned and :func:`self_test` compares it with known answers before a node starts.

Source: RFC 8032 (Ed25519), RFC 9052 section 4.2 (COSE_Sign1), the did:key method (multicodec 0xed01, base58btc).
"""

from typing import NamedTuple

import nacl.bindings
import nacl.exceptions

from audiera.protocol.errors import IdError, LedgerError, SignatureError

_PROTECTED = bytes((0x43, 0xA1, 0x01, 0x27))
"""bstr {alg: EdDSA (-8)}: the only protected header on the ledger."""

_SIGN1_HEAD = b"\x84" + _PROTECTED + b"\xa0"
_SIGNATURE_HEAD = bytes((0x58, 0x40))
_TO_SIGN_HEAD = b"\x84\x6aSignature1" + _PROTECTED + b"\x40"

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DID_PREFIX = "did:key:z"
_ED25519_CODEC = bytes((0xED, 0x01))


class Signed(NamedTuple):
    """A COSE_Sign1 taken apart; not yet verified."""

    payload: bytes
    signature: bytes


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte secret seed."""
    return nacl.bindings.crypto_sign_seed_keypair(seed)[0]


def sign_bytes(seed: bytes, message: bytes) -> bytes:
    """The 64-byte Ed25519 signature of a message."""
    secret = nacl.bindings.crypto_sign_seed_keypair(seed)[1]
    return nacl.bindings.crypto_sign(message, secret)[:64]


def is_signature_valid(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the pinned rule accepts the signature."""
    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature + message, key)
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError):
        return False
    return True


def verify_bytes(key: bytes, message: bytes, signature: bytes) -> None:
    """Refuse a signature the pinned rule does not accept.

    Raises:
        SignatureError: it does not verify.
    """
    if not is_signature_valid(key, message, signature):
        raise SignatureError("the signature does not verify under the stated key; sign exactly the sent bytes")


def _byte_string_head(length: int) -> bytes:
    if length < 24:
        return bytes((0x40 | length,))
    for info, width in ((24, 1), (25, 2), (26, 4)):
        if length < 1 << (8 * width):
            return bytes((0x40 | info,)) + length.to_bytes(width, "big")
    raise SignatureError(f"a payload of {length} bytes is too long to sign", length=length)


def to_sign(payload: bytes) -> bytes:
    """What is really signed for a payload: the COSE Sig_structure (RFC 9052, section 4.4)."""
    return _TO_SIGN_HEAD + _byte_string_head(len(payload)) + payload


def sign(seed: bytes, payload: bytes) -> bytes:
    """An untagged COSE_Sign1 over the payload. Prefix the byte D2 and any COSE library verifies it."""
    signature = sign_bytes(seed, to_sign(payload))
    return join_signed(payload, signature)


def join_signed(payload: bytes, signature: bytes) -> bytes:
    """The COSE_Sign1 bytes of a payload and its 64-byte signature."""
    return _SIGN1_HEAD + _byte_string_head(len(payload)) + payload + _SIGNATURE_HEAD + signature


def split_signed(data: bytes) -> Signed:
    """Take a COSE_Sign1 apart; only the one canonical form is accepted.

    Raises:
        SignatureError: another header, another length form, or bytes left over.
    """
    if not data.startswith(_SIGN1_HEAD) or len(data) < len(_SIGN1_HEAD) + 1 + 66:
        raise SignatureError("not a COSE_Sign1 with alg -8 and an empty unprotected map", length=len(data))
    at = len(_SIGN1_HEAD)
    info = data[at] & 31
    width = {24: 1, 25: 2, 26: 4}.get(info, 0)
    length = info if info < 24 else int.from_bytes(data[at + 1 : at + 1 + width], "big")
    start = at + 1 + width
    payload, tail = data[start : start + length], data[start + length :]
    if tail[:2] != _SIGNATURE_HEAD or join_signed(payload, tail[2:]) != data or len(tail) != 66:
        raise SignatureError("not a canonical COSE_Sign1: a length is wrong or bytes are left over", length=len(data))
    return Signed(payload, tail[2:])


def verify_signed(key: bytes, signed: Signed) -> None:
    """Refuse a COSE_Sign1 whose signature is not the key's.

    Raises:
        SignatureError: it does not verify.
    """
    verify_bytes(key, to_sign(signed.payload), signed.signature)


def format_key(key: bytes) -> str:
    """The text of a public key: ``did:key:z6Mk...``."""
    number = int.from_bytes(_ED25519_CODEC + key, "big")
    digits = ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return _DID_PREFIX + digits


def parse_key(text: str) -> bytes:
    """The public key of :func:`format_key`'s text.

    Raises:
        IdError: the text is not such a key.
    """
    number = 0
    if not text.startswith(_DID_PREFIX) or len(text) > 64:
        raise IdError(f"a key such as did:key:z6Mk... expected, got {text[:80]!r}", text=text)
    for character in text[len(_DID_PREFIX) :]:
        value = _BASE58.find(character)
        if value < 0:
            raise IdError(f"a key in base58 expected, got {text!r}", text=text)
        number = number * 58 + value
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if raw[:2] != _ED25519_CODEC or len(raw) != 34 or format_key(raw[2:]) != text:
        raise IdError(f"an Ed25519 key such as did:key:z6Mk... expected, got {text!r}", text=text)
    return raw[2:]


_KNOWN_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
_KNOWN_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
_KNOWN_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
_ORDER = 2**252 + 27742317777372353535851937790883648493


def self_test() -> None:
    """Compare the signature library with known answers; a node that fails this must not start.

    Checks the first test of RFC 8032 section 7.1, a flipped bit, an s that is not reduced, and the fourteen
    low-order encodings as key and as R.

    Raises:
        LedgerError: the library here follows another rule; it would fork from the network.
    """
    answers = [
        is_signature_valid(_KNOWN_KEY, b"", _KNOWN_SIGNATURE) and sign_bytes(_KNOWN_SEED, b"") == _KNOWN_SIGNATURE,
        not is_signature_valid(_KNOWN_KEY, b"x", _KNOWN_SIGNATURE),
        not is_signature_valid(_KNOWN_KEY, b"", _unreduced(_KNOWN_SIGNATURE)),
    ]
    for point in low_order_points():
        answers.append(not is_signature_valid(point, b"", point + bytes(32)))
        answers.append(not is_signature_valid(_KNOWN_KEY, b"", point + _KNOWN_SIGNATURE[32:]))
    if not all(answers):
        raise LedgerError(
            "the Ed25519 library of this installation does not follow the pinned rule; install the pinned PyNaCl",
            code="signature_rule_differs",
        )


def _unreduced(signature: bytes) -> bytes:
    scalar = int.from_bytes(signature[32:], "little") + _ORDER
    return signature[:32] + scalar.to_bytes(32, "little")


def low_order_points() -> tuple[bytes, ...]:
    """The fourteen encodings of points whose order divides 8, canonical and not."""
    prime = 2**255 - 19
    eighth = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
    values = (0, 1, prime - 1, prime, prime + 1, eighth, prime - eighth)
    plain = tuple(value.to_bytes(32, "little") for value in values)
    return plain + tuple(point[:31] + bytes((point[31] | 0x80,)) for point in plain)
