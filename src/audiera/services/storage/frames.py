"""Frames: records in an append-only file that are either whole or recognizably not there.

A frame is ``magic, length, CRC-32`` and the payload. The CRC starts from a salt that is random for each file,
so that bytes somebody else put inside a payload never pass for a frame of their own. A file that ends inside
a frame has a torn tail, which a crash during the last append leaves; a bad frame with good ones behind it is
damage.
"""

import struct
import zlib
from typing import NamedTuple

_HEAD = struct.Struct("<4sII")
HEAD_BYTES = _HEAD.size
_LENGTH = struct.Struct("<I")

FILE_HEAD_BYTES = 64


class Frame(NamedTuple):
    """A whole frame found in a file."""

    start: int
    """Where its head begins."""

    payload: memoryview
    """What it carries."""

    @property
    def end(self) -> int:
        """Where the next frame begins."""
        return self.start + HEAD_BYTES + len(self.payload)


def file_head(magic: bytes, salt: bytes) -> bytes:
    """The first 64 bytes of a file of frames: magic (8), salt (4), CRC-32 of both, zeros."""
    start = magic + salt
    return (start + _LENGTH.pack(zlib.crc32(start))).ljust(FILE_HEAD_BYTES, b"\0")


def salt_of(head: bytes | memoryview, magic: bytes) -> int | None:
    """The salt in a file's head; None when the bytes are no such head."""
    raw = bytes(head)
    salt = raw[8:12]
    return int.from_bytes(salt, "little") if raw == file_head(magic, salt) else None


def frame_head(magic: bytes, salt: int, parts: list[bytes]) -> bytes:
    """The head to write before a payload given in parts."""
    length = sum(len(part) for part in parts)
    check = zlib.crc32(_LENGTH.pack(length), salt)
    for part in parts:
        check = zlib.crc32(part, check)
    return _HEAD.pack(magic, length, check)


def frame_at(data: memoryview, start: int, magic: bytes, salt: int) -> Frame | None:
    """The frame that begins at a position; None when none does, or it is not whole."""
    if start + HEAD_BYTES > len(data):
        return None
    found, length, check = _HEAD.unpack_from(data, start)
    first = start + HEAD_BYTES
    if found != magic or first + length > len(data):
        return None
    payload = data[first : first + length]
    if zlib.crc32(payload, zlib.crc32(_LENGTH.pack(length), salt)) != check:
        return None
    return Frame(start, payload)


def frame_after(data: memoryview, start: int, magic: bytes, salt: int) -> Frame | None:
    """The first whole frame that begins anywhere behind a position: the sign that what is there is damage."""
    raw = bytes(data[start:])
    at = raw.find(magic)
    while at >= 0:
        frame = frame_at(data, start + at, magic, salt)
        if frame is not None:
            return frame
        at = raw.find(magic, at + 1)
    return None
