"""Decoding: PyAV by the one demuxer the sniffed type allows, soundfile as a second opinion."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import av.error
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from audiera.audio.analysis import Limits
from audiera.audio.errors import SoundError
from audiera.audio.sniff import DEMUXERS, HEAD_BYTES, sniff

Floats = npt.NDArray[np.float32]


class Facts(NamedTuple):
    """What a file's headers say, before anything is decoded."""

    container: str
    """Sniffed type."""

    codec: str
    """Name of the codec."""

    sample_rate: int
    """Frames per second."""

    channels: int
    """Number of channels."""

    bit_depth: int
    """Bits per sample; 0 where the codec has none."""

    claimed_ms: int
    """Milliseconds claimed; 0 for no claim."""

    metadata: dict[str, str]
    """Tags as the demuxer names them."""


class Sound:
    """An open sound: its facts, and its samples in blocks.

    Args:
        file: the bytes, seekable.
        limits: what it may ask for.

    Raises:
        SoundError: of no known type, or neither decoder opens it, or out of limits.
    """

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        file.seek(0)
        head = file.read(HEAD_BYTES)
        if not head:
            raise SoundError("the file is empty; nothing was taken in", code="empty")
        container = sniff(head)
        if container is None:
            raise SoundError(
                f"a WAV, AIFF, FLAC, MP3, Ogg or M4A file expected, got something that begins with {head[:8]!r}",
                code="unsupported_type",
            )
        self.damaged = False
        self._file = file
        self._limits = limits
        try:
            self.facts, self._blocks = _open_av(file, container)
        except (av.error.FFmpegError, ValueError, IndexError) as first:
            self.facts, self._blocks = _open_soundfile(file, container, first)
        self._check()

    def _check(self) -> None:
        facts, limits = self.facts, self._limits
        if not 1 <= facts.channels <= limits.max_channels:
            raise SoundError(
                f"1 to {limits.max_channels} channels expected, got {facts.channels}", code="too_many_channels"
            )
        if not limits.min_rate <= facts.sample_rate <= limits.max_rate:
            raise SoundError(
                f"{limits.min_rate} to {limits.max_rate} Hz expected, got {facts.sample_rate}",
                code="rate_out_of_range",
            )

    def blocks(self) -> Iterator[Floats]:
        """The samples in order, float32 (channels, samples), values as decoded.

        Raises:
            SoundError: longer than allowed, or no longer decodable before anything useful came.
        """
        total = 0
        longest = self._limits.max_seconds * self.facts.sample_rate
        try:
            for block in self._blocks:
                total += block.shape[1]
                if total > longest:
                    raise SoundError(f"longer than {self._limits.max_seconds} s", code="too_long", samples=total)
                yield block
        except (av.error.FFmpegError, soundfile.SoundFileRuntimeError, ValueError) as cause:
            if total * 1_000 < self._limits.min_ms * self.facts.sample_rate:
                raise SoundError(f"no sound could be decoded: {cause}", code="corrupt", position=total) from cause
            self.damaged = True


def _open_av(file: BinaryIO, container: str) -> tuple[Facts, Iterator[Floats]]:
    file.seek(0)
    demuxer = DEMUXERS[container]
    opened = av.open(file, mode="r", format=demuxer, options={"format_whitelist": demuxer}, metadata_errors="replace")
    if not opened.streams.audio:
        raise ValueError("no audio stream")
    stream = opened.streams.audio[0]
    context = stream.codec_context
    context.thread_count = 1
    layout = context.layout
    claimed = 0
    if stream.duration is not None and stream.time_base is not None:
        claimed = int(stream.duration * stream.time_base * 1_000)
    elif opened.duration is not None:
        claimed = opened.duration // 1_000
    tags = {key.lower(): value for key, value in {**opened.metadata, **stream.metadata}.items()}
    facts = Facts(
        container=container,
        codec=context.name,
        sample_rate=context.sample_rate or 0,
        channels=layout.nb_channels,
        bit_depth=_bit_depth(context.name, context.format.name),
        claimed_ms=max(claimed, 0),
        metadata=tags,
    )
    return facts, _av_blocks(opened, stream)


_SAMPLE_BITS = {"u8": 8, "s16": 16, "s32": 32, "s64": 64, "flt": 32, "dbl": 64}
_LOSSY = ("mp3", "vorbis", "opus", "aac")


def _bit_depth(codec: str, sample_format: str) -> int:
    if any(name in codec for name in _LOSSY):
        return 0
    for bits in (24, 16, 32, 64, 8):
        if codec.startswith("pcm_") and str(bits) in codec.removeprefix("pcm_"):
            return bits
    return _SAMPLE_BITS.get(sample_format.rstrip("p"), 0)


def _av_blocks(opened: "av.container.InputContainer", stream: "av.AudioStream") -> Iterator[Floats]:
    resampler: av.AudioResampler | None = None
    for frame in opened.decode(stream):
        if resampler is None:
            resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
        for planar in resampler.resample(frame):
            yield planar.to_ndarray().astype(np.float32, copy=False)
    if resampler is not None:
        for planar in resampler.resample(None):
            yield planar.to_ndarray().astype(np.float32, copy=False)


def _open_soundfile(file: BinaryIO, container: str, first: Exception) -> tuple[Facts, Iterator[Floats]]:
    file.seek(0)
    try:
        opened = soundfile.SoundFile(file)
    except (soundfile.SoundFileError, ValueError, TypeError) as cause:
        raise SoundError(f"a {container} file that cannot be decoded: {first}", code="corrupt", position=0) from cause
    bits = opened.subtype.rpartition("_")[2]
    facts = Facts(
        container=container,
        codec=opened.subtype.lower(),
        sample_rate=opened.samplerate,
        channels=opened.channels,
        bit_depth=int(bits) if bits.isdigit() and container in ("wav", "aiff", "flac") else 0,
        claimed_ms=opened.frames * 1_000 // max(opened.samplerate, 1),
        metadata={},
    )
    return facts, _soundfile_blocks(opened)


def _soundfile_blocks(opened: soundfile.SoundFile) -> Iterator[Floats]:
    while True:
        block = opened.read(65_536, dtype="float32", always_2d=True)
        if not len(block):
            return
        yield np.ascontiguousarray(block.T)


def decode_float(
    source: Path | bytes, *, rate: int | None = None, mono: bool = False, limits: Limits | None = None
) -> tuple[Floats, int]:
    """Decode a trusted file whole, for training and listening; untrusted ones go through the pool.

    Args:
        source: a path, or the file's bytes.
        rate: resample to this rate, hertz; None keeps the file's own.
        mono: mix all channels into one.
        limits: what it may ask for.

    Returns:
        float32 (channels, samples) and the rate in hertz.

    Raises:
        SoundError: it cannot be decoded.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        sound = Sound(file, limits or Limits())
        blocks = list(sound.blocks())
    if not blocks:
        raise SoundError("no sound could be decoded", code="corrupt", position=0)
    samples = np.concatenate(blocks, axis=1)
    if mono and samples.shape[0] > 1:
        samples = samples.mean(axis=0, keepdims=True, dtype=np.float32)
    found = sound.facts.sample_rate
    if rate is not None and rate != found:
        samples = np.ascontiguousarray(soxr.resample(samples.T, found, rate).T, dtype=np.float32)
    return samples, rate or found
