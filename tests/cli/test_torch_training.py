"""The demo's training in torch learns what the one in numpy learns."""

import numpy as np
import pytest

from audiera.audio.texture import Trainer


def test_torch_learns_what_numpy_learns() -> None:
    pytest.importorskip("torch", reason="needs torch: pip install 'audiera[torch]'")
    from audiera.cli.demo.torch_training import TorchTrainer

    random = np.random.default_rng(3)
    frames = np.cumsum(random.standard_normal((200, 64)), axis=0).astype(np.float32)
    mean, scale = frames.mean(axis=0), frames.std(axis=0)
    ours = Trainer(mean, scale)
    theirs = TorchTrainer(Trainer(mean, scale).weights())
    for at in range(0, 192, 64):
        assert theirs.step(frames[at : at + 64], rate=1e-3) == pytest.approx(
            ours.step(frames[at : at + 64], rate=1e-3), rel=1e-3
        )
    for one, other in zip(ours.weights(), theirs.weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)
