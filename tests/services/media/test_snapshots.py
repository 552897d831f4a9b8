"""Clips cover their asset exactly; shards are what the ledger takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.errors import RecordError
from audiera.protocol.records import Asset, Content, Split, Technical
from audiera.protocol.records.snapshot import check_shards
from audiera.services.media.snapshots import clips_of, shards_of


def _asset(number: int, duration_ms: int) -> Asset:
    technical = Technical(
        container="wav",
        codec="pcm_s16le",
        sample_rate=8_000,
        channels=1,
        bit_depth=16,
        samples=duration_ms * 8,
        duration_ms=duration_ms,
        peak_mdb=-1_000,
    )
    content = Content(
        data_type="recording",
        blob=number.to_bytes(32, "big"),
        size=1,
        manifest_root=bytes(32),
        technical=technical,
        sheet=bytes(32),
    )
    splits = (Split(account=1, share=10_000),)
    return Asset(number=number, id=bytes(32), holder=1, content=content, splits=splits, license=2)


@given(st.integers(1, 100_000), st.integers(0, 40_000))
def test_clips_cover_an_asset_without_gap_or_overlap(duration_ms: int, clip_ms: int) -> None:
    clips = clips_of(_asset(5, duration_ms), max(clip_ms, duration_ms // 500) if clip_ms else 0)
    at = 0
    for clip in clips:
        assert clip.start_ms == at
        assert clip.duration_ms >= 1
        at += clip.duration_ms
    assert at == duration_ms


def test_shards_hold_all_clips_in_order() -> None:
    shards = shards_of([_asset(n, 1_000) for n in (3, 1, 2)], clip_ms=300, clips_per_shard=5)
    check_shards(shards)
    assert [len(shard.clips) for shard in shards] == [5, 5, 2]
    assert [clip.asset for shard in shards for clip in shard.clips] == [3] * 4 + [1] * 4 + [2] * 4


def test_assets_that_cannot_be_in_a_snapshot_are_refused() -> None:
    asset = _asset(1, 1_000)
    for assets in ([replace(asset, status="contested")], [asset, asset], [], [_asset(2, 10_000_000)]):
        with pytest.raises(RecordError):
            shards_of(assets, clip_ms=1_000)
