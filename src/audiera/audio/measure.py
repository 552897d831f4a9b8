"""Measuring in one pass with constant memory: peaks, loudness, waveform.

Source: ITU-R BS.1770-5 (loudness, true peak), EBU R128 and EBU Tech 3342 (loudness range).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly, sosfilt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

METHOD: Final = "bs1770-sosfilt-1"
"""Name and version of these measurements."""

COLUMNS: Final = 1_024
_FRAME: Final = 256
_TRUE_PEAK_BLOCK: Final = 16_384
_SILENCE: Final = 10.0 ** (-70.0 / 20.0)


class Levels(NamedTuple):
    """What was measured."""

    samples: int
    """Frames."""

    peak_mdb: int
    """Sample peak."""

    true_peak_mdb: int | None
    """True peak; None for silence."""

    loudness_mlufs: int | None
    """Integrated loudness; None when everything is gated out."""

    range_mlu: int | None
    """Loudness range; None when too short."""

    waveform: bytes
    """1,024 pairs of signed bytes."""

    silent: bool
    """Whether the peak is below -70 dB."""


def k_weighting(rate: int) -> Doubles:
    """The two K-weighting sections for a rate, second-order sections (2, 6)."""
    wide = np.tan(np.pi * 1681.974450955533 / rate)
    gain = 10.0 ** (3.999843853973347 / 20.0)
    band = gain**0.4996667741545416
    first = 1.0 + wide / 0.7071752369554196 + wide**2
    shelf = [
        (gain + band * wide / 0.7071752369554196 + wide**2) / first,
        2.0 * (wide**2 - gain) / first,
        (gain - band * wide / 0.7071752369554196 + wide**2) / first,
        1.0,
        2.0 * (wide**2 - 1.0) / first,
        (1.0 - wide / 0.7071752369554196 + wide**2) / first,
    ]
    low = np.tan(np.pi * 38.13547087602444 / rate)
    second = 1.0 + low / 0.5003270373238773 + low**2
    high_pass = [
        1.0,
        -2.0,
        1.0,
        1.0,
        2.0 * (low**2 - 1.0) / second,
        (1.0 - low / 0.5003270373238773 + low**2) / second,
    ]
    return np.array([shelf, high_pass])


def _channel_weights(channels: int) -> Doubles:
    """Weights of ITU-R BS.1770: surround channels count 1.41, the low-frequency channel not at all."""
    weights = np.ones(channels)
    if channels == 5:
        weights[3:] = 1.41
    elif channels >= 6:
        weights[3] = 0.0
        weights[4:] = 1.41
    return weights


class Meter:
    """Takes blocks in order and adds them up.

    Args:
        rate: frames per second.
        channels: number of channels.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._filters = k_weighting(rate)
        self._state = np.zeros((2, channels, 2))
        self._weights = _channel_weights(channels)
        self._step = rate // 10
        self._rest = np.zeros((channels, 0))
        self._energies: list[Doubles] = []
        self._frames: list[tuple[Floats, Floats]] = []
        self._mono = np.zeros(0, dtype=np.float32)
        self._tail = np.zeros((channels, 0), dtype=np.float32)
        self._peak = 0.0
        self._true_peak = 0.0
        self._samples = 0

    def add(self, block: Floats) -> None:
        """Take a block, float32 (channels, samples), finite."""
        self._samples += block.shape[1]
        peak = float(np.abs(block).max(initial=0.0))
        self._peak = max(self._peak, peak)
        self._add_loudness(block)
        self._add_waveform(block)
        self._tail = np.concatenate([self._tail, block], axis=1)
        if self._tail.shape[1] >= _TRUE_PEAK_BLOCK:
            self._look_between_samples()

    def _look_between_samples(self) -> None:
        """Interpolate where the true peak could be: near the loudest samples so far."""
        local = float(np.abs(self._tail).max(initial=0.0))
        if local > 0.6 * max(self._true_peak, self._peak) and self._tail.shape[1]:
            between = resample_poly(self._tail, 4, 1, axis=1)
            self._true_peak = max(self._true_peak, float(np.abs(between).max(initial=0.0)))
        self._tail = self._tail[:, -32:]

    def _add_loudness(self, block: Floats) -> None:
        weighted, self._state = sosfilt(self._filters, block.astype(np.float64), axis=1, zi=self._state)
        joined = np.concatenate([self._rest, weighted], axis=1)
        count = joined.shape[1] // self._step
        if count:
            whole = joined[:, : count * self._step].reshape(len(joined), count, self._step)
            self._energies.append(np.tensordot(self._weights, (whole**2).mean(axis=2), axes=1))
        self._rest = joined[:, count * self._step :]

    def _add_waveform(self, block: Floats) -> None:
        joined = np.concatenate([self._mono, block.mean(axis=0, dtype=np.float32)])
        count = len(joined) // _FRAME
        if count:
            frames = joined[: count * _FRAME].reshape(count, _FRAME)
            self._frames.append((frames.min(axis=1), frames.max(axis=1)))
        self._mono = joined[count * _FRAME :]

    def levels(self) -> Levels:
        """Everything that was measured."""
        self._look_between_samples()
        energies = np.concatenate(self._energies) if self._energies else np.zeros(0)
        silent = self._peak < _SILENCE
        return Levels(
            samples=self._samples,
            peak_mdb=_mdb(self._peak),
            true_peak_mdb=None if silent else _mdb(max(self._true_peak, self._peak)),
            loudness_mlufs=_integrated(energies),
            range_mlu=_loudness_range(energies),
            waveform=self._waveform(),
            silent=silent,
        )

    def _waveform(self) -> bytes:
        if len(self._mono):
            self._frames.append((self._mono.min(keepdims=True), self._mono.max(keepdims=True)))
        if not self._frames:
            return bytes(2 * COLUMNS)
        low = np.concatenate([frame[0] for frame in self._frames])
        high = np.concatenate([frame[1] for frame in self._frames])
        edges = np.arange(COLUMNS) * len(low) // COLUMNS
        pairs = np.stack([np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)], axis=1)
        return np.clip(np.rint(pairs * 127.0), -127, 127).astype(np.int8).tobytes()


def _mdb(value: float) -> int:
    return max(-400_000, round(20_000.0 * float(np.log10(value)))) if value > 0.0 else -400_000


def _lufs(energy: Doubles) -> Doubles:
    return -0.691 + 10.0 * np.log10(np.maximum(energy, 1e-40))


def _windows(energies: Doubles, length: int) -> Doubles:
    """Mean energies of overlapping windows, one step of 100 ms apart."""
    if len(energies) < length:
        return np.zeros(0)
    sums = np.cumsum(np.concatenate([[0.0], energies]))
    means: Doubles = (sums[length:] - sums[:-length]) / length
    return means


def _integrated(energies: Doubles) -> int | None:
    """Gated loudness of 400 ms windows: absolute gate at -70 LUFS, relative gate 10 LU below."""
    windows = _windows(energies, 4)
    windows = windows[_lufs(windows) >= -70.0]
    if not len(windows):
        return None
    gate = _lufs(np.array([windows.mean()]))[0] - 10.0
    kept = windows[_lufs(windows) > gate]
    return round(1_000.0 * float(_lufs(np.array([kept.mean()]))[0])) if len(kept) else None


def _loudness_range(energies: Doubles) -> int | None:
    """Spread between the 10th and 95th percentile of 3 s windows, gated 20 LU below their mean."""
    windows = _windows(energies, 30)
    windows = windows[_lufs(windows) >= -70.0]
    if not len(windows):
        return None
    gate = _lufs(np.array([windows.mean()]))[0] - 20.0
    kept = np.sort(_lufs(windows[_lufs(windows) >= gate]))
    low, high = kept[round(0.1 * (len(kept) - 1))], kept[round(0.95 * (len(kept) - 1))]
    return round(1_000.0 * float(high - low))
