"""Content ids: 32 bytes inside, CIDv1 text outside.

What a transaction creates is named by the SHA-256 of the transaction's exact signed bytes
(CIDv1, codec dag-cbor); a blob is named by the SHA-256 of its bytes (CIDv1, codec raw).

Source: https://github.com/multiformats/cid, the CIDv1 layout; base32 lower case without padding.
"""

import base64
import binascii
from typing import NewType

from audiera.protocol.errors import IdError

TransactionId = NewType("TransactionId", bytes)
"""SHA-256 of a transaction's signed bytes."""

AccountId = NewType("AccountId", bytes)
AssetId = NewType("AssetId", bytes)
LicenseId = NewType("LicenseId", bytes)
GrantId = NewType("GrantId", bytes)
SnapshotId = NewType("SnapshotId", bytes)
RunId = NewType("RunId", bytes)
ModelId = NewType("ModelId", bytes)
BlobId = NewType("BlobId", bytes)
"""SHA-256 of a blob's bytes."""

_RECORD_PREFIX = bytes((0x01, 0x71, 0x12, 0x20))
_BLOB_PREFIX = bytes((0x01, 0x55, 0x12, 0x20))
_TEXT_LENGTH = 59


def _format(prefix: bytes, digest: bytes) -> str:
    if len(digest) != 32:
        raise IdError(f"an id is 32 bytes, got {len(digest)}", length=len(digest))
    return "b" + base64.b32encode(prefix + digest).decode("ascii").rstrip("=").lower()


def _parse(prefix: bytes, text: str, kind: str) -> bytes:
    if len(text) != _TEXT_LENGTH or not text.isascii() or text[0] != "b":
        raise IdError(f"{kind} id expected (59 characters starting with 'b'), got {text[:70]!r}", text=text)
    try:
        raw = base64.b32decode(text[1:].upper() + "======")
    except binascii.Error as cause:
        raise IdError(f"{kind} id expected, got {text!r}, which is not base32", text=text) from cause
    if raw[:4] != prefix or len(raw) != 36 or _format(prefix, raw[4:]) != text:
        raise IdError(f"{kind} id expected, got {text!r}, an id of another kind or form", text=text)
    return raw[4:]


def format_id(digest: bytes) -> str:
    """Text of the id of anything a transaction created: ``bafyrei...``."""
    return _format(_RECORD_PREFIX, digest)


def parse_id(text: str) -> bytes:
    """The 32 bytes of :func:`format_id`'s text; refuses every other spelling.

    Raises:
        IdError: the text is not exactly such an id.
    """
    return _parse(_RECORD_PREFIX, text, "a record")


def format_blob_id(digest: bytes) -> str:
    """Text of a blob's id: ``bafkrei...``."""
    return _format(_BLOB_PREFIX, digest)


def parse_blob_id(text: str) -> BlobId:
    """The 32 bytes of :func:`format_blob_id`'s text; refuses every other spelling.

    Raises:
        IdError: the text is not exactly such an id.
    """
    return BlobId(_parse(_BLOB_PREFIX, text, "a blob"))
