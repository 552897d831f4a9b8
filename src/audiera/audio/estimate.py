"""Tempo, key and brightness: estimates, marked as such, from at most ten minutes of mono sound at 11,025 Hz."""

from typing import Final

import numpy as np
import numpy.typing as npt

from audiera.audio.analysis import Guess

Floats = npt.NDArray[np.float32]

RATE: Final = 11_025
LONGEST_S: Final = 600
_SHORTEST_S: Final = 8

_NAMES: Final = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")
_MAJOR: Final = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR: Final = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""Krumhansl and Kessler's probe-tone profiles (1982)."""


def estimate(mono: Floats) -> tuple[Guess, ...]:
    """What can be estimated of a sound.

    Args:
        mono: float32 (samples,) at 11,025 Hz.
    """
    guesses: list[Guess] = []
    if len(mono) >= 2_048:
        guesses.append(_brightness(mono))
    if len(mono) >= _SHORTEST_S * RATE:
        guesses += [guess for guess in (_tempo(mono), _key(mono)) if guess is not None]
    return tuple(guesses)


def _spectra(mono: Floats, window: int, hop: int) -> Floats:
    views = np.lib.stride_tricks.sliding_window_view(mono, window)[::hop]
    shape = np.hanning(window).astype(np.float32)
    parts = [np.abs(np.fft.rfft(views[at : at + 512] * shape, axis=1)) for at in range(0, len(views), 512)]
    return np.concatenate(parts).astype(np.float32)


def _brightness(mono: Floats) -> Guess:
    power = (_spectra(mono, 2_048, 2_048) ** 2).sum(axis=0)
    bins = np.fft.rfftfreq(2_048, 1.0 / RATE)
    centroid = float((bins * power).sum() / max(float(power.sum()), 1e-12))
    return Guess(name="brightness_hz", value=str(round(centroid)), confidence=10_000, method="centroid-11k-1")


def _onsets(mono: Floats) -> Floats:
    """Strength of onsets, 43 frames per second: rises of the logarithmic spectrum in 40 bands."""
    spectra = _spectra(mono, 1_024, 256)
    edges = np.unique(np.geomspace(2, spectra.shape[1] - 1, 41).astype(int))
    bands = np.log1p(1_000.0 * np.add.reduceat(spectra, edges[:-1], axis=1) / spectra.max(initial=1e-9))
    rises = np.maximum(np.diff(bands, axis=0), 0.0).mean(axis=1)
    smooth = np.convolve(rises, np.ones(43) / 43.0, mode="same")
    strengths: Floats = np.maximum(rises - smooth, 0.0).astype(np.float32)
    return strengths


def _tempo(mono: Floats) -> Guess | None:
    """Autocorrelation of onsets, summed over harmonics, weighed by a log-normal prior around 120."""
    onsets = _onsets(mono)
    if len(onsets) < 128 or float(onsets.max(initial=0.0)) <= 0.0:
        return None
    size = 1 << (2 * len(onsets) - 1).bit_length()
    spectrum = np.fft.rfft(onsets - onsets.mean(), size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(onsets)]
    correlation = correlation / max(float(correlation[0]), 1e-12)
    frames = RATE / 256
    tempi = np.geomspace(45.0, 210.0, 600)
    lags = frames * 60.0 / tempi
    places = np.arange(len(correlation))
    strength = sum(np.interp(lags * k, places, correlation, right=0.0) / k for k in (1, 2, 3, 4))
    weighed = np.maximum(strength, 0.0) * np.exp(-0.5 * (np.log2(tempi / 120.0) / 0.9) ** 2)
    best = int(weighed.argmax())
    confidence = float(np.clip(np.interp(lags[best], places, correlation), 0.0, 1.0))
    return Guess(
        name="tempo_mbpm",
        value=str(round(1_000.0 * float(tempi[best]))),
        confidence=round(10_000.0 * confidence),
        method="onset-autocorrelation-1",
    )


def _key(mono: Floats) -> Guess | None:
    """Chroma of spectral peaks against the probe-tone profiles of all 24 keys."""
    spectra = _spectra(mono, 8_192, 4_096)
    bins = np.fft.rfftfreq(8_192, 1.0 / RATE)
    inner = spectra[:, 1:-1]
    peaks = np.where((inner > spectra[:, :-2]) & (inner >= spectra[:, 2:]), inner, 0.0)
    used = (bins[1:-1] >= 80.0) & (bins[1:-1] <= 2_500.0)
    classes = np.round(12.0 * np.log2(np.maximum(bins[1:-1], 1.0) / 261.6256)).astype(int) % 12
    energy = np.sqrt(peaks[:, used]).sum(axis=0)
    chroma = np.bincount(classes[used], weights=energy, minlength=12)
    if float(chroma.max(initial=0.0)) <= 0.0:
        return None
    scores = [
        (float(np.corrcoef(np.roll(profile, root), chroma)[0, 1]), f"{_NAMES[root]}-{mode}")
        for mode, profile in (("major", _MAJOR), ("minor", _MINOR))
        for root in range(12)
    ]
    scores.sort(reverse=True)
    confidence = round(10_000.0 * float(np.clip((scores[0][0] - scores[1][0]) * 4.0, 0.0, 1.0)))
    return Guess(name="key", value=scores[0][1], confidence=confidence, method="peak-chroma-krumhansl-1")
