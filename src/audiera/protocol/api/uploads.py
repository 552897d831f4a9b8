"""Uploads by tus 1.0 (core, creation, termination, checksum), and what the node found in one.

Source: the tus resumable upload protocol, version 1.0.0.
"""

from audiera.protocol.api.base import Message
from audiera.protocol.records.asset import DataType, Estimate, Technical

TUS_VERSION = "1.0.0"
TUS_EXTENSIONS = "creation,termination,checksum"


class Tags(Message, frozen=True, kw_only=True):
    """What the tags inside a file say; a claim of whoever wrote them. Empty where they say nothing."""

    title: str = ""
    """Title."""

    artist: str = ""
    """Artist."""

    album: str = ""
    """Album."""

    track: str = ""
    """Position on the album."""

    genre: str = ""
    """Genre."""

    date: str = ""
    """Date or year, as written."""

    isrc: str = ""
    """ISRC without hyphens, as written."""

    mbid: str = ""
    """MusicBrainz recording id, as written."""

    copyright: str = ""
    """Copyright line."""

    license: str = ""
    """License text or address named in the file; information only."""

    comment: str = ""
    """Comment."""


class Waveform(Message, frozen=True, kw_only=True):
    """The outline of a sound, for drawing."""

    duration_ms: int
    """Length of the sound, milliseconds."""

    low: tuple[int, ...]
    """Lowest value in each of 1,024 equally long stretches, -128 to 127."""

    high: tuple[int, ...]
    """Highest value in each of them, -128 to 127."""


class UploadReport(Message, frozen=True, kw_only=True):
    """What the node found: the parts of an asset's content that must not be invented."""

    blob: str
    """Id of the bytes; the blob is durable here."""

    size: int
    """Length in bytes."""

    manifest_root: bytes
    """RFC 9162 root over its 1 MiB chunks."""

    technical: Technical
    """What was measured; goes into the content unchanged."""

    data_type: DataType
    """What kind of thing it seems to be; the uploader decides."""

    estimates: tuple[Estimate, ...] = ()
    """What programs guessed; the uploader may leave them out or declare others."""

    tags: Tags = Tags()
    """What the file's tags say."""

    warnings: tuple[str, ...] = ()
    """What was odd and did not prevent taking it in."""

    waveform: Waveform | None = None
    """Its outline."""

    fingerprint: bytes = b""
    """Commitment to the fingerprint sidecar: 32 bytes, or empty when there is none."""

    duplicate_of: int = 0
    """Asset already registered with exactly these bytes; 0 for none."""
