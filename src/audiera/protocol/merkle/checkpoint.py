"""Checkpoints: a log's size and root as a text people and machines read, signed and cosigned.

The text is ``origin``, ``size``, ``root`` and optional further lines. A signed note is the text, an empty line, and a
line for each signature. There are two kinds: 0x01 signs the text itself; 0x04, a cosignature, signs the text after a
line with the time at which the cosigner saw it.

Parsing accepts exactly what formatting gives: ``format(parse(x)) == x``. No sign, no leading zero, no digit that is
not ASCII, no base64 with stray bits.

Source: https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from audiera.protocol.errors import ProofError
from audiera.protocol.keys import is_signature_valid, public_key, sign_bytes
from audiera.protocol.units import U64_MAX

KIND_SIGNATURE: Final = 0x01
"""Ed25519 over the text."""

KIND_COSIGNATURE: Final = 0x04
"""Ed25519 over ``cosignature/v1``, the time and the text."""

MAX_NOTE: Final = 65_536
"""The longest note accepted, in characters."""

MAX_SIGNATURES: Final = 100
_DASH: Final = "\u2014 "


class Checkpoint(NamedTuple):
    """A log at a moment."""

    origin: str
    """The log's name, such as ``audiera/<chain>/accesses``."""

    size: int
    """Its entries."""

    root: bytes
    """The RFC 9162 root over them, 32 bytes."""

    extensions: tuple[str, ...] = ()
    """Further lines."""


class NoteSignature(NamedTuple):
    """A signature line of a note."""

    name: str
    """The signer's name."""

    key_id: bytes
    """4 bytes of a hash over name, kind and key."""

    signature: bytes
    """What follows the key id: 64 bytes for kind 0x01; time (u64) and 64 bytes for kind 0x04."""


class SignedCheckpoint(NamedTuple):
    """A checkpoint with its signatures, which are not verified yet."""

    checkpoint: Checkpoint
    """What is signed."""

    signatures: tuple[NoteSignature, ...]
    """In the order of their lines, at least one."""


class Cosigned(NamedTuple):
    """A cosignature that verified."""

    key: bytes
    """Whose."""

    time_s: int
    """When the cosigner saw it, seconds since 1970 UTC."""


def access_log_origin(chain_id: str) -> str:
    """The name of a chain's access log."""
    return f"audiera/{chain_id}/accesses"


def _is_clean(text: str) -> bool:
    """Whether a line holds no control character and no half of a character."""
    return all(" " <= character != "\x7f" and not "\ud800" <= character <= "\udfff" for character in text)


def _check_name(name: str) -> None:
    if not name or not name.isascii() or not _is_clean(name) or " " in name or "+" in name or len(name) > 255:
        raise ProofError(f"a signer's name is 1 to 255 ASCII characters without space or plus, got {name[:80]!r}")


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text of a checkpoint, which is what signatures are over.

    Raises:
        ProofError: a line that cannot stand in it, a size out of range, or a root that is not 32 bytes.
    """
    lines = (checkpoint.origin, *checkpoint.extensions)
    if not all(line and _is_clean(line) for line in lines):
        raise ProofError("origin and further lines are not empty and hold no control characters")
    if not 0 <= checkpoint.size <= U64_MAX or len(checkpoint.root) != 32:
        raise ProofError(f"a size between 0 and 2^64 - 1 and a root of 32 bytes expected, got {checkpoint.size}")
    root = base64.b64encode(checkpoint.root).decode("ascii")
    return "".join(f"{line}\n" for line in (checkpoint.origin, str(checkpoint.size), root, *checkpoint.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of :func:`format_checkpoint`'s text; refuses every other spelling.

    Raises:
        ProofError: it is none.
    """
    lines = text.split("\n")
    if len(text) > MAX_NOTE or len(lines) < 4 or lines[-1]:
        raise ProofError("a checkpoint is origin, size, root and further lines, each ended by a newline")
    origin, size, root, *extensions = lines[:-1]
    checkpoint = Checkpoint(origin, _parse_size(size), _parse_base64(root), tuple(extensions))
    if format_checkpoint(checkpoint) != text:
        raise ProofError("the checkpoint is not spelled in its one form")
    return checkpoint


def _parse_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20 or (text[0] == "0" and text != "0"):
        raise ProofError(f"a size is decimal digits without sign or leading zero, got {text[:40]!r}")
    return int(text)


def _parse_base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as cause:
        raise ProofError(f"base64 expected, got {text[:100]!r}") from cause
    if base64.b64encode(raw).decode("ascii") != text:
        raise ProofError(f"base64 in its one form expected, got {text[:100]!r}")
    return raw


def format_signed(signed: SignedCheckpoint) -> str:
    """The text of a signed note.

    Raises:
        ProofError: no signatures, too many, or a name or key id that cannot stand in a line.
    """
    if not 1 <= len(signed.signatures) <= MAX_SIGNATURES:
        raise ProofError(f"a note has 1 to {MAX_SIGNATURES} signatures, got {len(signed.signatures)}")
    lines: list[str] = []
    for line in signed.signatures:
        _check_name(line.name)
        if len(line.key_id) != 4 or not line.signature:
            raise ProofError("a signature line holds a key id of 4 bytes and a signature")
        lines.append(f"{_DASH}{line.name} {base64.b64encode(line.key_id + line.signature).decode('ascii')}\n")
    return format_checkpoint(signed.checkpoint) + "\n" + "".join(lines)


def parse_signed(text: str) -> SignedCheckpoint:
    """The signed checkpoint of :func:`format_signed`'s text; refuses every other spelling. Verifies nothing.

    Raises:
        ProofError: it is none.
    """
    if len(text) > MAX_NOTE:
        raise ProofError(f"a note has at most {MAX_NOTE} characters, got {len(text)}")
    body, separator, tail = text.rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or lines[-1] or not 1 < len(lines) <= MAX_SIGNATURES + 1:
        raise ProofError("a signed note is a text, an empty line, and a line for each signature")
    signed = SignedCheckpoint(parse_checkpoint(body + "\n"), tuple(_parse_line(line) for line in lines[:-1]))
    if format_signed(signed) != text:
        raise ProofError("the note is not spelled in its one form")
    return signed


def _parse_line(line: str) -> NoteSignature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:
        raise ProofError(f"a signature line is a dash, a name and base64, got {line[:80]!r}")
    raw = _parse_base64(parts[1])
    return NoteSignature(parts[0], raw[:4], raw[4:])


def key_id(name: str, key: bytes, kind: int) -> bytes:
    """The 4 bytes that point to a key: the start of SHA-256(name || 0A || kind || key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + key).digest()[:4]


def cosigned_bytes(checkpoint: Checkpoint, time_s: int) -> bytes:
    """What a cosigner signs."""
    return f"cosignature/v1\ntime {time_s}\n{format_checkpoint(checkpoint)}".encode()


def sign_checkpoint(seed: bytes, name: str, checkpoint: Checkpoint) -> NoteSignature:
    """A signature of kind 0x01: the log's own word."""
    _check_name(name)
    signature = sign_bytes(seed, format_checkpoint(checkpoint).encode())
    return NoteSignature(name, key_id(name, public_key(seed), KIND_SIGNATURE), signature)


def cosign(seed: bytes, name: str, checkpoint: Checkpoint, *, time_s: int) -> NoteSignature:
    """A cosignature, kind 0x04.

    Args:
        seed: the cosigner's secret.
        name: the cosigner's name.
        checkpoint: what it saw and found to extend what it saw before.
        time_s: when, seconds since 1970 UTC.

    Raises:
        ProofError: a name or time that cannot be.
    """
    _check_name(name)
    if not 0 <= time_s <= U64_MAX:
        raise ProofError(f"a time in seconds as u64 expected, got {time_s}")
    signature = sign_bytes(seed, cosigned_bytes(checkpoint, time_s))
    pointer = key_id(name, public_key(seed), KIND_COSIGNATURE)
    return NoteSignature(name, pointer, time_s.to_bytes(8, "big") + signature)


def verify_signature(line: NoteSignature, key: bytes, checkpoint: Checkpoint) -> bool:
    """Whether a line is this key's signature of kind 0x01 over the checkpoint."""
    known = line.key_id == key_id(line.name, key, KIND_SIGNATURE)
    return known and is_signature_valid(key, format_checkpoint(checkpoint).encode(), line.signature)


def verify_cosignature(line: NoteSignature, key: bytes, checkpoint: Checkpoint) -> Cosigned | None:
    """The cosignature a line holds, if it is this key's; None when it points to another key.

    Raises:
        ProofError: it points to this key and does not verify.
    """
    if line.key_id != key_id(line.name, key, KIND_COSIGNATURE):
        return None
    time_s = int.from_bytes(line.signature[:8], "big")
    if not is_signature_valid(key, cosigned_bytes(checkpoint, time_s), line.signature[8:]):
        raise ProofError(f"the cosignature of {line.name} does not verify")
    return Cosigned(key, time_s)


def verify_cosigned(
    text: str, *, origin: str, keys: Sequence[bytes], quorum: int
) -> tuple[Checkpoint, tuple[Cosigned, ...]]:
    """The checkpoint in a note that enough of the known cosigners stand behind. Unknown signers count for nothing.

    Args:
        text: the signed note.
        origin: the log it must be of.
        keys: the public keys whose cosignatures count.
        quorum: how many of them are needed, at least 1.

    Raises:
        ProofError: malformed, another log's, too few cosignatures, or one of them does not verify.
    """
    signed = parse_signed(text)
    if signed.checkpoint.origin != origin:
        raise ProofError(f"a checkpoint of {origin!r} expected, got one of {signed.checkpoint.origin!r}")
    found: dict[bytes, Cosigned] = {}
    for line in signed.signatures:
        for key in keys:
            cosigned = verify_cosignature(line, key, signed.checkpoint)
            if cosigned is not None:
                found[key] = cosigned
    if quorum < 1 or len(found) < quorum:
        raise ProofError(f"{max(quorum, 1)} known cosignatures needed, got {len(found)}", found=len(found))
    return signed.checkpoint, tuple(found.values())
