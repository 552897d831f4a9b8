"""Putting a snapshot together: assets become clips, clips become shards."""

from collections.abc import Sequence

from audiera.protocol.errors import RecordError
from audiera.protocol.records import Asset, Clip, Shard
from audiera.protocol.records.snapshot import MAX_CLIPS, check_shards

CLIPS_PER_SHARD = 256
"""How many clips go into a shard unless asked otherwise."""


def clips_of(asset: Asset, clip_ms: int = 0) -> tuple[Clip, ...]:
    """An asset cut into clips without gap or overlap.

    Args:
        asset: what is cut.
        clip_ms: length of each clip but the last, milliseconds; 0 makes one clip of the whole.
    """
    blob, duration = asset.content.blob, max(asset.content.technical.duration_ms, 1)
    step = clip_ms or duration
    return tuple(
        Clip(asset=asset.number, blob=blob, start_ms=start, duration_ms=min(step, duration - start))
        for start in range(0, duration, step)
    )


def shards_of(
    assets: Sequence[Asset], *, clip_ms: int = 0, clips_per_shard: int = CLIPS_PER_SHARD
) -> tuple[Shard, ...]:
    """The shards of a snapshot of these assets, in their order.

    Args:
        assets: active assets, each once.
        clip_ms: length of a clip, milliseconds; 0 makes one clip of each asset.
        clips_per_shard: clips delivered together, 1 to 1,000.

    Raises:
        RecordError: an asset is not active or comes twice, or there are too many clips for one snapshot.
    """
    for asset in assets:
        if asset.status != "active":
            raise RecordError(f"asset {asset.number} is {asset.status}; leave it out", asset=asset.number)
    if len({asset.number for asset in assets}) != len(assets):
        raise RecordError("an asset comes twice; name each once")
    clips = [clip for asset in assets for clip in clips_of(asset, clip_ms)]
    if len(clips) > MAX_CLIPS:
        raise RecordError(
            f"{len(clips)} clips, and a snapshot has at most {MAX_CLIPS}; take longer clips or several snapshots"
        )
    shards = tuple(
        Shard(clips=tuple(clips[start : start + clips_per_shard])) for start in range(0, len(clips), clips_per_shard)
    )
    check_shards(shards)
    return shards
