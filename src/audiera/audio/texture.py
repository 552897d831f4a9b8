"""A small generative model of sound texture, in numpy: real enough to train in seconds and to serve.

It looks at the last four log-mel frames and predicts the next one through one hidden layer. To generate, it is let
run on from its own predictions with noise of the size of its training error, and the frames shape white noise. It
makes textures in the color of what it heard; it does not compose.

Shapes: frames are float32 (n, 64); a context is four frames in a row, (n, 256).
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RATE: Final = 22_050
"""Sampling rate the model hears and speaks at, hertz."""

HOP: Final = 512
WINDOW: Final = 2_048
BANDS: Final = 64
CONTEXT: Final = 4
HIDDEN: Final = 96
ARCHITECTURE: Final = "audiera-texture-1"
"""Name of this architecture in a model's interface and its file."""

_FLOOR: Final = 1e-5


class Weights(NamedTuple):
    """Everything the model has learned; all float32."""

    mean: Floats
    """(64,) mean log-mel frame."""

    scale: Floats
    """(64,) standard deviation of log-mel frames."""

    hidden: Floats
    """(256, 96) context to hidden."""

    hidden_bias: Floats
    """(96,)"""

    output: Floats
    """(96, 64) hidden to next frame."""

    output_bias: Floats
    """(64,)"""

    noise: Floats
    """(64,) standard deviation of the prediction error."""

    def arrays(self) -> dict[str, Floats]:
        """The arrays by name, as they are stored."""
        return dict(zip(self._fields, self, strict=True))


def _shapes() -> dict[str, tuple[int, ...]]:
    wide = BANDS * CONTEXT
    return {
        "mean": (BANDS,),
        "scale": (BANDS,),
        "hidden": (wide, HIDDEN),
        "hidden_bias": (HIDDEN,),
        "output": (HIDDEN, BANDS),
        "output_bias": (BANDS,),
        "noise": (BANDS,),
    }


def weights_of(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Weights:
    """The weights in stored arrays.

    Raises:
        ValueError: an array is missing, has another shape or type, or is not finite.
    """
    found: dict[str, Floats] = {}
    for name, shape in _shapes().items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"the array {name!r} is float32 {shape}, got {None if array is None else array.shape}")
        found[name] = array.astype(np.float32, copy=True)
        if not np.isfinite(found[name]).all():
            raise ValueError(f"the array {name!r} holds values that are not finite")
    return Weights(**found)


def mel_filters() -> Floats:
    """Triangular filters from spectrum to mel bands, float32 (1025, 64).

    Source: O'Shaughnessy's mel scale, 2595 log10(1 + f / 700).
    """
    top = 2_595.0 * np.log10(1.0 + (RATE / 2) / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, BANDS + 2) / 2_595.0) - 1.0)
    bins = np.fft.rfftfreq(WINDOW, 1.0 / RATE)
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])[None, :]
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])[None, :]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(mono: Floats) -> Floats:
    """Log-mel frames of mono sound at 22,050 Hz: float32 (n, 64); n is 0 below one window."""
    count = 1 + (len(mono) - WINDOW) // HOP if len(mono) >= WINDOW else 0
    if count <= 0:
        return np.zeros((0, BANDS), dtype=np.float32)
    views = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::HOP]
    spectrum = np.abs(np.fft.rfft(views * np.hanning(WINDOW).astype(np.float32), axis=1)).astype(np.float32)
    frames: Floats = np.log(spectrum @ mel_filters() + _FLOOR).astype(np.float32)
    return frames


def contexts(frames: Floats) -> tuple[Floats, Floats]:
    """Pairs to learn from: contexts (n, 256) and the frames that follow them (n, 64)."""
    if len(frames) <= CONTEXT:
        return np.zeros((0, BANDS * CONTEXT), dtype=np.float32), np.zeros((0, BANDS), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(frames, (CONTEXT, BANDS))[:-1, 0]
    return windows.reshape(len(frames) - CONTEXT, -1).astype(np.float32), frames[CONTEXT:]


class Trainer:
    """Learns by Adam on the squared error of the next frame.

    Args:
        mean: (64,) mean frame of the data, to normalize by.
        scale: (64,) deviation of the data.
        seed: fixes the initial weights.
    """

    library = "numpy"

    def __init__(self, mean: Floats, scale: Floats, *, seed: int = 7) -> None:
        random = np.random.default_rng(seed)
        wide = BANDS * CONTEXT
        self._mean, self._scale = mean.astype(np.float32), np.maximum(scale, 1e-3).astype(np.float32)
        self._values: dict[str, Floats] = {
            "hidden": (random.standard_normal((wide, HIDDEN)) / np.sqrt(wide)).astype(np.float32),
            "hidden_bias": np.zeros(HIDDEN, dtype=np.float32),
            "output": (random.standard_normal((HIDDEN, BANDS)) / np.sqrt(HIDDEN)).astype(np.float32),
            "output_bias": np.zeros(BANDS, dtype=np.float32),
        }
        self._first = {name: np.zeros_like(value) for name, value in self._values.items()}
        self._second = {name: np.zeros_like(value) for name, value in self._values.items()}
        self._steps = 0
        self._error = np.ones(BANDS, dtype=np.float32)

    def step(self, frames: Floats, *, rate: float = 3e-3) -> float:
        """Learn from a stretch of log-mel frames (n, 64); returns the mean squared error before the step."""
        inputs, targets = contexts(((frames - self._mean) / self._scale).astype(np.float32))
        if not len(inputs):
            return 0.0
        values = self._values
        hidden = np.tanh(inputs @ values["hidden"] + values["hidden_bias"])
        error = hidden @ values["output"] + values["output_bias"] - targets
        self._error = (0.9 * self._error + 0.1 * error.std(axis=0)).astype(np.float32)
        slope = 2.0 * error / error.size
        back = (slope @ values["output"].T) * (1.0 - hidden**2)
        gradients = {
            "hidden": inputs.T @ back,
            "hidden_bias": back.sum(axis=0),
            "output": hidden.T @ slope,
            "output_bias": slope.sum(axis=0),
        }
        self._adam(gradients, rate)
        return float(np.mean(error**2))

    def _adam(self, gradients: dict[str, Floats], rate: float) -> None:
        self._steps += 1
        for name, gradient in gradients.items():
            self._first[name] = (0.9 * self._first[name] + 0.1 * gradient).astype(np.float32)
            self._second[name] = (0.999 * self._second[name] + 0.001 * gradient**2).astype(np.float32)
            first = self._first[name] / (1.0 - 0.9**self._steps)
            second = self._second[name] / (1.0 - 0.999**self._steps)
            self._values[name] = (self._values[name] - rate * first / (np.sqrt(second) + 1e-8)).astype(np.float32)

    def weights(self) -> Weights:
        """What has been learned so far."""
        return Weights(mean=self._mean, scale=self._scale, noise=self._error, **self._values)


def generate(weights: Weights, seconds: float, *, seed: int) -> Floats:
    """Let the model run on from silence.

    Args:
        weights: what it learned.
        seconds: length, 0.1 to 30.
        seed: fixes the noise, so that the same call gives the same sound.

    Returns:
        Mono sound at 22,050 Hz, float32 (samples,), peak at 0.9.
    """
    random = np.random.default_rng(seed)
    count = int(seconds * RATE) // HOP + 1
    shapes = np.stack(list(_frames(weights, count, random)))
    magnitudes = np.exp(np.clip(shapes, np.log(_FLOOR), 12.0)) @ mel_filters().T
    phases = np.exp(2j * np.pi * random.random(magnitudes.shape))
    pieces = np.fft.irfft(magnitudes * phases, axis=1) * np.hanning(WINDOW)
    sound = np.zeros(count * HOP + WINDOW)
    for place, piece in enumerate(pieces):
        sound[place * HOP : place * HOP + WINDOW] += piece
    sound = sound[WINDOW // 2 : WINDOW // 2 + int(seconds * RATE)]
    return (sound * (0.9 / max(float(np.abs(sound).max()), 1e-9))).astype(np.float32)


def _frames(weights: Weights, count: int, random: np.random.Generator) -> Iterator[Floats]:
    context = np.zeros((CONTEXT, BANDS), dtype=np.float32)
    for _ in range(count):
        hidden = np.tanh(context.reshape(-1) @ weights.hidden + weights.hidden_bias)
        frame = hidden @ weights.output + weights.output_bias
        frame = np.clip(frame + random.standard_normal(BANDS) * weights.noise, -4.0, 4.0).astype(np.float32)
        context = np.concatenate([context[1:], frame[None]])
        yield frame * weights.scale + weights.mean
