"""What is found out about a sound, in integers; and the limits within which it is found out."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a file may ask for."""

    max_bytes: int = 2**30
    """Largest file."""

    max_seconds: int = 6 * 3_600
    """Longest sound, by decoded samples."""

    min_ms: int = 50
    """Shortest sound."""

    max_channels: int = 8
    """Most channels."""

    min_rate: int = 8_000
    """Lowest sampling rate, hertz."""

    max_rate: int = 192_000
    """Highest sampling rate, hertz."""

    memory_bytes: int = 1_536 * 2**20
    """Address space the analyzing process may add to what it begins with."""

    cpu_s: int = 600
    """Processor seconds for one file."""

    wall_s: int = 900
    """Seconds for one file."""


class Tags(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file says of itself; cleaned of control characters and cut to length, never believed."""

    title: str = ""
    artist: str = ""
    album: str = ""
    track: str = ""
    isrc: str = ""
    copyright: str = ""
    license: str = ""
    date: str = ""
    genre: str = ""
    comment: str = ""
    mbid: str = ""


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """A value a program estimated."""

    name: str
    """tempo_mbpm, key, brightness_hz."""

    value: str
    """In the unit of the name."""

    confidence: int
    """0 to 10,000 basis points."""

    method: str
    """Name and version of the method."""


class SandboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which walls stand around the analyzing process on this machine."""

    rlimits: bool
    """Memory, processor time, file size and open files are limited."""

    landlock: bool
    """The kernel lets it open no file at all."""

    seccomp: bool
    """The kernel refuses it network, new programs and tracing."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything found out about one file."""

    container: str
    """wav, aiff, flac, mp3, ogg, m4a."""

    codec: str
    """Name of the codec."""

    sample_rate: int
    """Frames per second."""

    channels: int
    """Number of channels."""

    bit_depth: int
    """Bits per sample of the source; 0 where the codec has none."""

    samples: int
    """Frames decoded."""

    duration_ms: int
    """Milliseconds, from the decoded frames."""

    claimed_ms: int
    """Milliseconds the header claims; 0 when it claims nothing."""

    truncated: bool
    """Whether the header claims over 1 % more than was decoded."""

    silent: bool
    """Whether nothing in it is louder than -70 dB."""

    peak_mdb: int
    """Sample peak, thousandths of a decibel relative to full scale; -400,000 for digital silence."""

    true_peak_mdb: int | None
    """True peak at four times the rate."""

    loudness_mlufs: int | None
    """Integrated loudness, thousandths of a LUFS; absent when everything is gated out."""

    range_mlu: int | None
    """Loudness range, thousandths of a LU."""

    waveform: bytes
    """1,024 pairs of signed bytes, lowest and highest sample of each stretch."""

    preview: bytes
    """At most 30 s as Ogg Opus; empty when silent."""

    data_type: str
    """recording, loop, sample or effect: a guess by length."""

    tags: Tags
    """What the file says of itself."""

    guesses: tuple[Guess, ...]
    """What was estimated."""

    warnings: tuple[str, ...]
    """Codes of what is odd but no reason to refuse: silent, truncated, damaged, clipped."""

    method: str
    """Name and version of the measurement."""
