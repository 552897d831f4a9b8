"""Small original pieces, rendered from a seed: for the demo where no music is at hand, and for tests."""

import io
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from audiera.audio.preview import encode

Floats = npt.NDArray[np.float32]

KINDS: Final = ("kick", "snare", "hat", "tone", "sweep")
_SCALE: Final = (0, 2, 3, 5, 7, 8, 10)
_FORMATS: Final = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
}


def _decay(count: int, rate: int, seconds: float) -> npt.NDArray[np.float64]:
    return np.exp(-np.arange(count) / (rate * seconds))


def _tone(frequency: float, count: int, rate: int, *, bright: float) -> npt.NDArray[np.float64]:
    phase = 2.0 * np.pi * frequency * np.arange(count) / rate
    return sum(bright ** (k - 1) * np.sin(k * phase) for k in range(1, 6)) * _decay(count, rate, 0.35)


def render_sample(seed: int, kind: str, rate: int = 44_100) -> Floats:
    """A one-shot: float32 (1, samples), about half a second.

    Args:
        seed: two seeds give two sounds.
        kind: one of :data:`KINDS`.
        rate: frames per second.
    """
    random = np.random.default_rng(seed)
    count = int(rate * (0.15 if kind == "hat" else 0.5))
    times = np.arange(count) / rate
    if kind == "kick":
        sweep = 45.0 + random.uniform(60, 140) * np.exp(-times * 30)
        sound = np.sin(2 * np.pi * np.cumsum(sweep) / rate) * _decay(count, rate, 0.12)
    elif kind in ("snare", "hat"):
        sound = random.standard_normal(count) * _decay(count, rate, 0.08 if kind == "snare" else 0.03)
        if kind == "hat":
            sound = np.diff(sound, prepend=0.0)
        else:
            sound += 0.6 * np.sin(2 * np.pi * random.uniform(160, 220) * times) * _decay(count, rate, 0.06)
    elif kind == "sweep":
        rise = np.geomspace(random.uniform(80, 200), random.uniform(1_500, 6_000), count)
        sound = np.sin(2 * np.pi * np.cumsum(rise) / rate) * np.hanning(count)
    else:
        sound = _tone(random.uniform(110, 660), count, rate, bright=random.uniform(0.2, 0.6))
    scaled: Floats = (0.8 * sound / np.abs(sound).max())[None].astype(np.float32)
    return scaled


def render_piece(seed: int, seconds: float, rate: int = 44_100) -> Floats:
    """A piece with melody, bass and drums in a minor key: float32 (2, samples), peak at 0.8.

    Args:
        seed: fixes tempo, key and every note.
        seconds: length.
        rate: frames per second.
    """
    random = np.random.default_rng(seed)
    beat = 60.0 / random.integers(84, 140)
    root = 55.0 * 2.0 ** (random.integers(0, 12) / 12.0)
    count = int(seconds * rate)
    left, right = np.zeros(count), np.zeros(count)
    drums = {kind: render_sample(seed + 1, kind, rate)[0] for kind in ("kick", "snare", "hat")}
    for step in range(int(seconds / beat * 2)):
        at = int(step * beat / 2 * rate)
        drum = "hat" if step % 2 else ("snare" if step % 4 == 2 else "kick")
        _mix(left, drums[drum], at, 0.5)
        _mix(right, drums[drum], at, 0.5)
        degree = _SCALE[int(random.integers(0, 7))]
        note = _tone(4 * root * 2 ** (degree / 12), int(beat * rate), rate, bright=0.4)
        pan = random.uniform(0.2, 0.8)
        if random.random() < 0.7:
            _mix(left, note, at, 0.35 * pan)
            _mix(right, note, at, 0.35 * (1 - pan))
        if step % 4 == 0:
            bass = _tone(root * 2 ** (_SCALE[(step // 4) * 3 % 7] / 12), int(beat * 2 * rate), rate, bright=0.25)
            _mix(left, bass, at, 0.3)
            _mix(right, bass, at, 0.3)
    stereo = np.stack([left, right])
    return (0.8 * stereo / max(float(np.abs(stereo).max()), 1e-9)).astype(np.float32)


def _mix(target: npt.NDArray[np.float64], sound: Floats | npt.NDArray[np.float64], at: int, gain: float) -> None:
    end = min(len(target), at + len(sound))
    target[at:end] += gain * sound[: end - at]


def write_audio(samples: Floats, rate: int, container: str) -> bytes:
    """A sound as a file.

    Args:
        samples: float32 (channels, samples).
        rate: frames per second.
        container: wav, flac, aiff, ogg, mp3, opus or m4a.
    """
    if container in _FORMATS:
        buffer = io.BytesIO()
        name, subtype = _FORMATS[container]
        soundfile.write(buffer, samples.T, rate, format=name, subtype=subtype)
        return buffer.getvalue()
    if container == "opus":
        import soxr

        resampled = soxr.resample(samples.T, rate, 48_000).T.astype(np.float32)
        return encode(np.ascontiguousarray(resampled), 48_000, container="ogg", codec="libopus")
    codecs = {"mp3": ("mp3", "libmp3lame"), "m4a": ("mp4", "aac")}
    name, codec = codecs[container]
    return encode(np.ascontiguousarray(samples), rate, container=name, codec=codec)
