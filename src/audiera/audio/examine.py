"""One pass over a file: everything an upload is described by."""

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soxr

from audiera.audio.analysis import Analysis, Limits
from audiera.audio.decode import Facts, Sound
from audiera.audio.errors import SoundError
from audiera.audio.estimate import LONGEST_S, estimate
from audiera.audio.estimate import RATE as ESTIMATE_RATE
from audiera.audio.measure import METHOD, Levels, Meter
from audiera.audio.preview import SECONDS, encode_preview
from audiera.audio.tags import read_tags

Floats = npt.NDArray[np.float32]

_CLIP = 1.0


class _Excerpt:
    """Keeps the half minute that begins a quarter into the sound, or the first one when it is short."""

    def __init__(self, facts: Facts) -> None:
        self._length = SECONDS * facts.sample_rate
        claimed = facts.claimed_ms * facts.sample_rate // 1_000
        self._start = claimed // 4 if claimed > 2 * self._length else 0
        self._at = 0
        self._first: list[Floats] = []
        self._kept: list[Floats] = []

    def add(self, block: Floats) -> None:
        """Take a block in order."""
        end = self._at + block.shape[1]
        if self._at < self._length:
            self._first.append(block[:, : self._length - self._at].astype(np.float16))
        if self._start and end > self._start and self._at < self._start + self._length:
            low = max(self._start - self._at, 0)
            self._kept.append(block[:, low : self._start + self._length - self._at].astype(np.float16))
        self._at = end

    def samples(self) -> Floats:
        """The excerpt, float32 (channels, samples)."""
        whole = self._kept if sum(part.shape[1] for part in self._kept) * 2 > self._length else self._first
        return np.concatenate(whole, axis=1).astype(np.float32)


class _Listener:
    """Mono sound at 11,025 Hz of the first ten minutes, for estimates."""

    def __init__(self, rate: int) -> None:
        self._stream = soxr.ResampleStream(rate, ESTIMATE_RATE, 1, dtype="float32", quality="MQ")
        self._kept: list[Floats] = []
        self._room = LONGEST_S * ESTIMATE_RATE

    def add(self, block: Floats) -> None:
        """Take a block in order."""
        if self._room > 0:
            self._keep(self._stream.resample_chunk(block.mean(axis=0, dtype=np.float32)))

    def _keep(self, samples: Floats) -> None:
        self._kept.append(samples[: max(self._room, 0)])
        self._room -= len(samples)

    def samples(self) -> Floats:
        """What was heard, float32 (samples,)."""
        if self._room > 0:
            self._keep(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        return np.concatenate(self._kept) if self._kept else np.zeros(0, dtype=np.float32)


def examine(file: BinaryIO, limits: Limits) -> Analysis:
    """Decode a file once and describe it.

    Args:
        file: the bytes, seekable.
        limits: what it may ask for.

    Raises:
        SoundError: it cannot be taken in; the code says why.
    """
    sound = Sound(file, limits)
    facts = sound.facts
    meter, excerpt, listener = Meter(facts.sample_rate, facts.channels), _Excerpt(facts), _Listener(facts.sample_rate)
    broken = 0
    for block in sound.blocks():
        if block.shape[0] != facts.channels:
            raise SoundError(
                f"the number of channels changes from {facts.channels} to {block.shape[0]}", code="corrupt"
            )
        bad = ~np.isfinite(block) | (np.abs(block) > 1e6)
        broken += int(bad.sum())
        finite = np.where(bad, np.float32(0.0), block) if broken else block
        meter.add(finite)
        excerpt.add(np.clip(finite, -4.0, 4.0))
        listener.add(finite)
    levels = meter.levels()
    _check(levels, facts, limits, broken)
    return _describe(file, sound, levels, excerpt, listener)


def _check(levels: Levels, facts: Facts, limits: Limits, broken: int) -> None:
    if levels.samples * 1_000 < limits.min_ms * facts.sample_rate:
        if not levels.samples:
            raise SoundError("no sound could be decoded", code="corrupt", position=0)
        code = "truncated" if facts.claimed_ms > 2 * limits.min_ms else "too_short"
        raise SoundError(
            f"at least {limits.min_ms} ms of sound expected, {levels.samples} samples could be decoded", code=code
        )
    if broken * 100 > levels.samples * facts.channels:
        raise SoundError(
            f"{broken} samples are not finite numbers; export the file again", code="non_finite", samples=broken
        )


def _describe(file: BinaryIO, sound: Sound, levels: Levels, excerpt: _Excerpt, listener: _Listener) -> Analysis:
    facts = sound.facts
    duration_ms = levels.samples * 1_000 // facts.sample_rate
    truncated = facts.claimed_ms * 100 > duration_ms * 101 + 5_000
    warnings = [
        name
        for name, applies in (
            ("silent", levels.silent),
            ("truncated", truncated),
            ("damaged", sound.damaged),
            ("clipped", levels.peak_mdb > 0),
        )
        if applies
    ]
    guesses = () if levels.silent else estimate(listener.samples())
    return Analysis(
        container=facts.container,
        codec=facts.codec,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        bit_depth=facts.bit_depth,
        samples=levels.samples,
        duration_ms=duration_ms,
        claimed_ms=facts.claimed_ms,
        truncated=truncated,
        silent=levels.silent,
        peak_mdb=levels.peak_mdb,
        true_peak_mdb=levels.true_peak_mdb,
        loudness_mlufs=levels.loudness_mlufs,
        range_mlu=levels.range_mlu,
        waveform=levels.waveform,
        preview=b"" if levels.silent else encode_preview(excerpt.samples(), facts.sample_rate),
        data_type=_guess_type(duration_ms),
        tags=read_tags(file, facts.metadata),
        guesses=guesses,
        warnings=tuple(warnings),
        method=METHOD,
    )


def _guess_type(duration_ms: int) -> str:
    """A guess by length alone; whoever uploads says what it is."""
    if duration_ms < 3_000:
        return "sample"
    return "loop" if duration_ms < 12_000 else "recording"
