"""Snapshots: immutable versions of a dataset, whose members may belong to many owners."""

from audiera.protocol.encoding import encode
from audiera.protocol.records.base import Record, require, require_digest, require_number, require_range
from audiera.protocol.units import U32_MAX

MAX_CLIPS = 4_096
"""How many clips one transaction may publish."""


class Clip(Record, frozen=True, kw_only=True):
    """One member of a snapshot: a stretch of an asset."""

    asset: int
    """Ledger number of the asset."""

    blob: bytes
    """SHA-256 of the asset's bytes."""

    start_ms: int
    """Where it begins, milliseconds from the asset's start."""

    duration_ms: int
    """How long it is, milliseconds; its weight in payouts."""


class Shard(Record, frozen=True, kw_only=True):
    """A run of clips delivered together."""

    clips: tuple[Clip, ...]
    """1 to 1,000 clips."""


class Snapshot(Record, frozen=True, kw_only=True, tag="snapshot"):
    """An immutable dataset version."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the publishing transaction."""

    publisher: int
    """Ledger number of the account that compiled it."""

    root: bytes
    """RFC 9162 root over the shard roots, each a root over its clips."""

    shard_roots: tuple[bytes, ...]
    """The shard roots, in order."""

    clip_count: int
    """Clips in all."""

    audio_ms: int
    """Milliseconds of audio in all."""

    assets: tuple[int, ...]
    """Distinct assets, ascending."""

    sheet: bytes = b""
    """Salted digest of its title and description, off the ledger."""

    replaces: int = 0
    """Snapshot it is a new version of; 0 for none."""

    published_at: int = 0
    """Block time, microseconds."""


def clip_leaf(clip: Clip) -> bytes:
    """The bytes a clip contributes to its shard's tree."""
    return encode(clip)


def check_shards(shards: tuple[Shard, ...]) -> None:
    """Refuse shards that are empty, too many, or hold impossible clips.

    Raises:
        RecordError: which rule is broken.
    """
    require(1 <= len(shards) <= 64, f"1 to 64 shards, got {len(shards)}")
    total = sum(len(shard.clips) for shard in shards)
    require(total <= MAX_CLIPS, f"at most {MAX_CLIPS} clips, got {total}")
    for shard in shards:
        require(1 <= len(shard.clips) <= 1_000, f"a shard has 1 to 1000 clips, got {len(shard.clips)}")
        for clip in shard.clips:
            require_number(clip.asset, "a clip's asset")
            require_digest(clip.blob, "a clip's blob")
            require_range(clip.start_ms, 0, U32_MAX, "a clip's start_ms")
            require_range(clip.duration_ms, 1, U32_MAX, "a clip's duration_ms")
