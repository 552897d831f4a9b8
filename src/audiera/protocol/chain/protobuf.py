"""The little of protocol buffers that blocks need: deterministic writing, strict reading.

Fields are written in ascending order, default values left out, exactly as CometBFT does; reading accepts nothing
that writing would not have produced, which the callers check by writing again.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from typing import NamedTuple

from audiera.protocol.errors import EncodingError

VARINT, FIXED64, BYTES = 0, 1, 2


def varint(value: int) -> bytes:
    """An unsigned varint; negative numbers as their 64-bit two's complement."""
    rest = value & 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def field_int(number: int, value: int) -> bytes:
    """An integer field; nothing for 0."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def field_fixed64(number: int, value: int) -> bytes:
    """A 64-bit little-endian field; nothing for 0."""
    return varint(number << 3 | FIXED64) + value.to_bytes(8, "little", signed=True) if value else b""


def field_bytes(number: int, value: bytes) -> bytes:
    """A bytes or text field; nothing when empty."""
    return field_message(number, value) if value else b""


def field_message(number: int, value: bytes) -> bytes:
    """An embedded message; written even when empty."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def timestamp(time_ns: int) -> bytes:
    """A Timestamp message: seconds and nanoseconds since 1970."""
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return field_int(1, seconds) + field_int(2, nanos)


class Field(NamedTuple):
    """One field read from a message."""

    number: int
    """Field number."""

    value: int | bytes
    """An integer for varint and fixed64, bytes otherwise."""


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise EncodingError("a message ends inside a number, or the number is too long", position=at)
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def read_fields(data: bytes) -> list[Field]:
    """The fields of a message, in the order written.

    Raises:
        EncodingError: cut short, out of order, or of a kind blocks do not use.
    """
    fields: list[Field] = []
    at = 0
    while at < len(data):
        head, at = _read_varint(data, at)
        number, kind = head >> 3, head & 7
        if fields and number < fields[-1].number:
            raise EncodingError("the fields of a message are out of order", position=at)
        if kind == VARINT:
            value, at = _read_varint(data, at)
            fields.append(Field(number, value))
        elif kind in (FIXED64, BYTES):
            length, at = (8, at) if kind == FIXED64 else _read_varint(data, at)
            if at + length > len(data):
                raise EncodingError("a message ends inside a field", position=at)
            piece = data[at : at + length]
            fields.append(Field(number, int.from_bytes(piece, "little", signed=True) if kind == FIXED64 else piece))
            at += length
        else:
            raise EncodingError(f"wire type {kind} is not used in blocks", position=at)
    return fields


class Message:
    """A message read field by field, each field at most once unless asked for as a list."""

    def __init__(self, data: bytes) -> None:
        self._fields = read_fields(data)

    def _one(self, number: int) -> int | bytes | None:
        found = [field.value for field in self._fields if field.number == number]
        if len(found) > 1:
            raise EncodingError(f"field {number} appears {len(found)} times", number=number)
        return found[0] if found else None

    def integer(self, number: int) -> int:
        """A signed 64-bit integer; 0 when absent."""
        value = self._one(number)
        if value is None:
            return 0
        if not isinstance(value, int):
            raise EncodingError(f"field {number} is a number", number=number)
        return value - 2**64 if value >= 2**63 else value

    def octets(self, number: int) -> bytes:
        """Bytes; empty when absent."""
        value = self._one(number)
        if value is None:
            return b""
        if not isinstance(value, bytes):
            raise EncodingError(f"field {number} is a length of bytes", number=number)
        return value

    def text(self, number: int) -> str:
        """ASCII text; empty when absent."""
        try:
            return self.octets(number).decode("ascii")
        except UnicodeDecodeError as cause:
            raise EncodingError(f"field {number} is ASCII text", number=number) from cause

    def each(self, number: int) -> list[bytes]:
        """Every occurrence of a bytes field."""
        found = [field.value for field in self._fields if field.number == number]
        if not all(isinstance(value, bytes) for value in found):
            raise EncodingError(f"field {number} is a length of bytes", number=number)
        return [value for value in found if isinstance(value, bytes)]


def read_timestamp(data: bytes) -> int:
    """Nanoseconds since 1970 of a Timestamp message."""
    message = Message(data)
    nanos = message.integer(2)
    if not 0 <= nanos < 1_000_000_000:
        raise EncodingError("a timestamp has 0 to 999,999,999 nanoseconds", nanos=nanos)
    return message.integer(1) * 1_000_000_000 + nanos
