"""The type of a file by its first bytes, whatever its name says."""

from typing import Final

CONTAINERS: Final = ("wav", "aiff", "flac", "mp3", "ogg", "m4a")
"""The types that are taken in."""

DEMUXERS: Final = {"wav": "wav", "aiff": "aiff", "flac": "flac", "mp3": "mp3", "ogg": "ogg", "m4a": "mov"}
"""The one demuxer that may open each type."""

HEAD_BYTES: Final = 4_096


def sniff(head: bytes) -> str | None:
    """The container of a file that begins with these bytes; None when it is none of those taken in.

    Args:
        head: the first bytes, 4,096 are enough.
    """
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[4:8] == b"ftyp":
        return "m4a"
    if head[:3] == b"ID3":
        return _after_id3(head)
    return "mp3" if _is_mpeg_frame(head) else None


def _after_id3(head: bytes) -> str:
    """An ID3 tag stands before MP3, and in some files before FLAC."""
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    behind = head[10 + size : 14 + size]
    return "flac" if behind == b"fLaC" else "mp3"


def _is_mpeg_frame(head: bytes) -> bool:
    """Whether the bytes begin with an MPEG audio layer III frame header."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer == 1 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
