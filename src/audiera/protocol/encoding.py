"""The one place where records become bytes and bytes become records.

The form is DAG-CBOR: map keys sorted, shortest integers, no floats, no duplicates. A record has exactly one
encoding: fields equal to their default are left out, and bytes are accepted only if encoding what was decoded
gives the same bytes again. That closes non-minimal integers and lengths, which the decoder itself lets through.

Source: https://ipld.io/specs/codecs/dag-cbor/spec/ and RFC 8949, section 4.2.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import TypeVar, cast

import libipld
import msgspec

from audiera.protocol.errors import EncodingError
from audiera.protocol.units import I64_MAX, U64_MAX

T = TypeVar("T")

MAX_DEPTH = 16
"""How deep arrays and maps may nest; deeper input would exhaust the decoder's stack."""

MAX_BYTES = 4 * 1024 * 1024
"""The largest encoding accepted where a type sets no smaller limit."""

_CONTAINER_HEADS = bytes(range(0x80, 0xC0))
_LINK = re.compile(rb"\xd8\x2a(?:[\x40-\x57]|\x58.|\x59..|\x5a....)\x00", re.DOTALL)
"""How a content id begins: tag 42, the head of a byte string, its prefix 0; hardly ever found by chance elsewhere."""


def _to_lists(value: object) -> object:
    """Plain data with lists for tuples; refuses floats and integers beyond 64 bits, wherever they are."""
    kind = type(value)
    if kind is bytes or kind is str:
        return value
    if kind is int:
        if not -I64_MAX - 1 <= cast(int, value) <= U64_MAX:
            raise EncodingError(f"integers lie between -2^63 and 2^64 - 1, got {value}")
        return value
    if kind is dict:
        mapping = cast(dict[str, object], value)
        for key, item in mapping.items():
            part = type(item)
            if part is not bytes and part is not str and part is not bool:
                mapping[key] = _to_lists(item)
        return mapping
    if kind is tuple or kind is list:
        return [_to_lists(item) for item in cast(Sequence[object], value)]
    if kind is bool or value is None:
        return value
    raise EncodingError(f"{value!r} of type {kind.__name__} has no place in a record")


def encode(record: object) -> bytes:
    """The canonical bytes of a record (a msgspec Struct, or plain data of dict, tuple, bytes, str, int, bool).

    Raises:
        EncodingError: the record holds something that has no canonical form, such as a float.
    """
    try:
        plain = _to_lists(msgspec.to_builtins(record, builtin_types=(bytes,)))
        data = libipld.encode_dag_cbor(plain)
        return data if _LINK.search(data) is None else _encode_plain(plain)
    except (ValueError, TypeError, OverflowError) as cause:
        raise EncodingError(f"a {type(record).__name__} cannot be encoded: {cause}") from cause


def _encode_plain(value: object) -> bytes:
    """The same bytes without the library, which makes a link of any byte string that could be a content id.

    One digest in 2^18 could be one. Records hold no links: a byte string is a byte string.
    """
    match value:
        case bytes():
            return _write_head(2, len(value)) + value
        case str():
            text = value.encode()
            return _write_head(3, len(text)) + text
        case list():
            return _write_head(4, len(value)) + b"".join(_encode_plain(item) for item in value)
        case dict():
            pairs = sorted((_encode_plain(key), _encode_plain(item)) for key, item in value.items())
            return _write_head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
        case _:
            return libipld.encode_dag_cbor(value)


def _write_head(major: int, length: int) -> bytes:
    """The shortest CBOR head of a length."""
    if length < 24:
        return bytes((major << 5 | length,))
    width = 1 if length < 1 << 8 else 2 if length < 1 << 16 else 4
    return bytes((major << 5 | 23 + width.bit_length(),)) + length.to_bytes(width, "big")


def encode_bytes(data: bytes) -> bytes:
    """The canonical encoding of a byte string, for whoever puts a record together from parts made before."""
    return _write_head(2, len(data)) + data


def encode_array_head(count: int) -> bytes:
    """What stands before the items of an array."""
    return _write_head(4, count)


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Read one CBOR head: (major type, argument, position after it)."""
    if at >= len(data):
        raise EncodingError("the bytes end inside an item", position=at)
    first = data[at]
    major, info = first >> 5, first & 31
    if info < 24:
        return major, info, at + 1
    if info > 27:
        raise EncodingError(f"an indefinite or reserved length at byte {at}; lengths are definite", position=at)
    width = 1 << (info - 24)
    if at + 1 + width > len(data):
        raise EncodingError("the bytes end inside a length", position=at)
    return major, int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width


def check_depth(data: bytes, limit: int = MAX_DEPTH) -> None:
    """Refuse bytes whose arrays and maps nest deeper than ``limit``, in one pass and without recursion.

    Raises:
        EncodingError: nested too deeply, or cut short.
    """
    if len(data) - len(data.translate(None, _CONTAINER_HEADS)) <= limit:
        return
    open_items: list[int] = []
    at = 0
    while at < len(data):
        while open_items and open_items[-1] == 0:
            open_items.pop()
        if open_items:
            open_items[-1] -= 1
        major, argument, at = _head(data, at)
        if major in (2, 3):
            at += argument
        elif major in (4, 5):
            open_items.append(argument if major == 4 else argument * 2)
            if len(open_items) > limit:
                raise EncodingError(f"nested deeper than {limit} levels at byte {at}", position=at)
        elif major == 6:
            open_items.append(1)
            if len(open_items) > limit:
                raise EncodingError(f"nested deeper than {limit} levels at byte {at}", position=at)


def decode(data: bytes, kind: type[T], *, max_bytes: int = MAX_BYTES) -> T:
    """The record that ``data`` is the canonical encoding of.

    Args:
        data: the whole encoding, nothing before or after it.
        kind: the Struct type (or tagged union) expected.
        max_bytes: refuse anything longer, unread.

    Raises:
        EncodingError: too long, nested too deeply, malformed, of another type, or not canonical.
    """
    if len(data) > max_bytes:
        raise EncodingError(f"at most {max_bytes} bytes expected, got {len(data)}", length=len(data))
    check_depth(data)
    record = decode_own(data, kind)
    if encode(record) != data:
        raise EncodingError("not the canonical encoding: re-encoding what was decoded gives other bytes")
    return record


def decode_own(data: bytes, kind: type[T]) -> T:
    """The record in bytes that :func:`encode` made here, such as a row of the state; never for bytes from elsewhere.

    What this machine wrote is canonical already, so its depth is not looked at and it is not encoded again.

    Raises:
        EncodingError: malformed, or of another type.
    """
    try:
        return msgspec.convert(libipld.decode_dag_cbor(data), kind, strict=True, builtin_types=(bytes,))
    except (ValueError, TypeError, RecursionError, OverflowError) as cause:
        name = getattr(kind, "__name__", str(kind))
        raise EncodingError(f"not a valid {name}: {cause}") from cause


def digest(data: bytes) -> bytes:
    """SHA-256 of the bytes: 32 bytes."""
    return hashlib.sha256(data).digest()


def digest_of(record: object) -> bytes:
    """SHA-256 of a record's canonical bytes: 32 bytes."""
    return hashlib.sha256(encode(record)).digest()
