"""What every request and answer of the HTTP API has in common."""

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything sent. As JSON: bytes are base64 with padding, moments are microseconds since 1970 UTC."""
