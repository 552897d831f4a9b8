"""What stands beside a group's rows in the write-ahead file: sessions, watermarks and request ids first seen in it."""

import msgspec

from audiera.protocol.accesses import SessionOpen, Watermark
from audiera.protocol.encoding import decode, encode


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A caller's own name for one access, so that asking again is not another access."""

    session: int
    """The node's number of the session."""

    request: str
    """The caller's name for it."""

    index: int
    """Index of the row it became."""


class Companions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything beside the rows of one group."""

    sessions: tuple[SessionOpen, ...] = ()
    """Sessions opened."""

    watermarks: tuple[Watermark, ...] = ()
    """Watermarks received."""

    requests: tuple[Request, ...] = ()
    """Requests answered by rows of this group."""


def encode_companions(companions: Companions) -> bytes:
    """The bytes kept beside a group; none for nothing."""
    return encode(companions) if companions != Companions() else b""


def decode_companions(data: bytes) -> Companions:
    """What stands beside a group.

    Raises:
        EncodingError: it is damaged.
    """
    return decode(data, Companions, max_bytes=len(data)) if data else Companions()
