"""A small reader of definite-length CBOR with tags and any keys, for foreign messages; the ledger has its own.

Source: RFC 8949, section 3.
"""

from typing import Final, NamedTuple

from audiera.protocol.errors import EncodingError

_MAX_DEPTH: Final = 16


class Tagged(NamedTuple):
    """A tagged value."""

    tag: int
    """Its tag."""

    value: object
    """What is tagged."""


def read_cbor(data: bytes) -> object:
    """The one value that the bytes hold.

    Raises:
        EncodingError: malformed, cut short, nested too deeply, followed by more bytes, or of a kind not read here
            (indefinite lengths, floats, simple values but null and the booleans).
    """
    value, at = _read(data, 0, _MAX_DEPTH)
    if at != len(data):
        raise EncodingError(f"{len(data) - at} bytes are left over", position=at)
    return value


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    if at >= len(data):
        raise EncodingError("the bytes end inside a value", position=at)
    major, info = data[at] >> 5, data[at] & 31
    if info < 24:
        return major, info, at + 1
    width = {24: 1, 25: 2, 26: 4, 27: 8}.get(info)
    if width is None or at + 1 + width > len(data):
        raise EncodingError(f"no definite length at byte {at}", position=at)
    return major, int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width


def _read(data: bytes, at: int, depth: int) -> tuple[object, int]:
    if depth == 0:
        raise EncodingError(f"nested deeper than {_MAX_DEPTH} levels", position=at)
    major, argument, start = _head(data, at)
    if major in (0, 1):
        return (argument if major == 0 else -1 - argument), start
    if major in (2, 3):
        return _string(data, start, argument, text=major == 3), start + argument
    if major == 4:
        return _items(data, start, argument, depth)
    if major == 5:
        return _pairs(data, start, argument, depth)
    if major == 6:
        value, end = _read(data, start, depth - 1)
        return Tagged(argument, value), end
    if data[at] in (0xF4, 0xF5, 0xF6):
        return (False, True, None)[data[at] - 0xF4], start
    raise EncodingError(f"a value of a kind not read here at byte {at}", position=at)


def _string(data: bytes, start: int, length: int, *, text: bool) -> bytes | str:
    if start + length > len(data):
        raise EncodingError("the bytes end inside a string", position=start)
    raw = data[start : start + length]
    try:
        return raw.decode() if text else raw
    except UnicodeDecodeError as cause:
        raise EncodingError("a text that is no UTF-8", position=start) from cause


def _items(data: bytes, at: int, count: int, depth: int) -> tuple[list[object], int]:
    items: list[object] = []
    for _ in range(min(count, len(data) + 1)):
        item, at = _read(data, at, depth - 1)
        items.append(item)
    return items, at


def _pairs(data: bytes, at: int, count: int, depth: int) -> tuple[dict[object, object], int]:
    flat, at = _items(data, at, 2 * count, depth)
    keys = flat[::2]
    if any(not isinstance(key, int | str | bytes) for key in keys) or len(dict.fromkeys(keys)) != count:
        raise EncodingError("a map has simple keys, each once", position=at)
    return dict(zip(keys, flat[1::2], strict=True)), at
