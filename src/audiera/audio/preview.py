"""The half minute a listener may hear before deciding: Ogg Opus, re-encoded, never the original."""

import io
from typing import cast

import av
import numpy as np
import numpy.typing as npt
import soxr

Floats = npt.NDArray[np.float32]

RATE = 48_000
SECONDS = 30
BIT_RATE = 64_000


def encode_preview(samples: Floats, rate: int) -> bytes:
    """At most two channels of a sound as Ogg Opus.

    Args:
        samples: float32 (channels, samples), at most 30 s.
        rate: its rate in hertz.
    """
    if samples.shape[0] > 2:
        samples = samples.mean(axis=0, keepdims=True, dtype=np.float32)
    if rate != RATE:
        samples = soxr.resample(samples.T, rate, RATE).T
    samples = np.clip(np.ascontiguousarray(samples, dtype=np.float32), -1.0, 1.0)
    return encode(samples, RATE, container="ogg", codec="libopus", bit_rate=BIT_RATE)


def encode(samples: Floats, rate: int, *, container: str, codec: str, bit_rate: int = 128_000) -> bytes:
    """A sound encoded by PyAV; the same sound gives the same bytes.

    Args:
        samples: float32 (1 or 2 channels, samples).
        rate: its rate in hertz; the codec must know it.
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        bit_rate: bits per second.
    """
    buffer = io.BytesIO()
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    # Else FFmpeg numbers the stream at random, and where it can open no source of randomness it spins for 100 ms.
    with av.open(buffer, mode="w", format=container, options={"fflags": "+bitexact"}) as output:
        stream = cast(av.AudioStream, output.add_stream(codec, rate=rate))
        stream.layout = layout
        stream.bit_rate = bit_rate
        stream.codec_context.thread_count = 1
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = 0
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 0)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return buffer.getvalue()
