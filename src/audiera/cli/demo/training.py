"""The demo's training: a real loop over a real stream, small enough for a minute on a laptop."""

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import NamedTuple, Protocol

import numpy as np
from safetensors.numpy import save

from audiera.audio.texture import CONTEXT, RATE, Floats, Trainer, Weights, log_mel
from audiera.protocol.errors import RequestError
from audiera.sdk import Dataset

_STRETCH = 64
"""Frames in one step: about a second and a half."""

_RATE = 3e-4
"""Small, for what follows in a stream is alike: larger steps would forget one piece over the next."""


class Trained(NamedTuple):
    """A model that was just trained."""

    file: bytes
    """Its weights, safetensors."""

    first_loss: float
    """Mean squared error of the first epoch, each stretch before it was learned from."""

    last_loss: float
    """Of the last one."""

    steps: int
    """Steps taken."""

    heard_s: float
    """Seconds of sound heard, repeated ones counted again."""

    library: str
    """What computed: numpy or torch."""


def train(dataset: Dataset, *, epochs: int, progress: Callable[[int, int], None]) -> Trained:
    """Train the texture model on a dataset's stream; every epoch streams every asset again, which is recorded.

    The first epoch is heard to its end before anything is learned, so that what is learned from is scaled by all of
    it; the later ones are learned from as they stream.

    Args:
        dataset: within a run.
        epochs: how often each asset is streamed.
        progress: told (assets streamed, in all).

    Raises:
        RequestError: all of it is shorter than one step needs.
    """
    heard = _Heard(dataset, epochs, progress)
    first = list(heard.epoch(0))
    if not any(len(frames) > CONTEXT for frames in first):
        raise RequestError("the pieces are too short to learn from; use longer ones", code="too_short")
    every = np.concatenate(first)
    trainer = make_learner(every.mean(axis=0), every.std(axis=0))
    losses = [_learn(trainer, first)]
    losses += [_learn(trainer, heard.epoch(epoch)) for epoch in range(1, epochs)]
    steps = sum(each.steps for each in losses)
    return Trained(
        file=save(trainer.weights().arrays()),
        first_loss=losses[0].loss,
        last_loss=losses[-1].loss,
        steps=steps,
        heard_s=heard.seconds,
        library=trainer.library,
    )


class Learner(Protocol):
    """What learns from frames."""

    library: str
    """What computes: numpy or torch."""

    def step(self, frames: Floats, *, rate: float) -> float:
        """Learn from a stretch of log-mel frames, float32 (n, 64); the mean squared error before the step."""

    def weights(self) -> Weights:
        """What has been learned so far."""


def make_learner(mean: Floats, scale: Floats) -> Learner:
    """A learner in torch where that is installed, else in numpy; both learn the same model by the same rule."""
    if find_spec("torch") is None:
        return Trainer(mean, scale)
    from audiera.cli.demo.torch_training import TorchTrainer

    return TorchTrainer(Trainer(mean, scale).weights())


class _Heard:
    """What comes from the stream, as frames."""

    def __init__(self, dataset: Dataset, epochs: int, progress: Callable[[int, int], None]) -> None:
        self._dataset = dataset
        self._epochs = epochs
        self._progress = progress
        self.seconds = 0.0

    def epoch(self, number: int) -> Iterator[Floats]:
        """Stream every asset once: log-mel frames, float32 (n, 64), of each."""
        for done, clip in enumerate(self._dataset, start=1):
            samples, rate = clip.samples(rate=RATE, mono=True)
            self.seconds += samples.shape[1] / rate
            yield log_mel(samples[0])
            self._progress(number * len(self._dataset) + done, self._epochs * len(self._dataset))


class _Epoch(NamedTuple):
    """One pass over everything."""

    steps: int
    """Steps taken."""

    loss: float
    """Mean squared error over all frames, each stretch before it was learned from."""


def _learn(trainer: Learner, pieces: Iterable[Floats]) -> _Epoch:
    """Take a step on each stretch of each piece."""
    losses: list[float] = []
    counts: list[int] = []
    for frames in pieces:
        for at in range(0, len(frames) - CONTEXT, _STRETCH - CONTEXT):
            stretch = frames[at : at + _STRETCH]
            losses.append(trainer.step(stretch, rate=_RATE))
            counts.append(len(stretch) - CONTEXT)
    return _Epoch(len(losses), float(np.average(losses, weights=counts)) if losses else 0.0)
