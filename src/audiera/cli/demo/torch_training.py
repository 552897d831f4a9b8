"""The demo's training in torch, for whoever has it: the same model, the same rule, another library."""

import numpy as np
import torch

from audiera.audio.texture import Floats, Weights, contexts


class TorchTrainer:
    """Learns by Adam on the squared error of the next frame.

    Args:
        start: the weights to begin with.
    """

    library = "torch"

    def __init__(self, start: Weights) -> None:
        self._start = start
        self._layers = torch.nn.Sequential(
            torch.nn.Linear(*start.hidden.shape), torch.nn.Tanh(), torch.nn.Linear(*start.output.shape)
        )
        with torch.no_grad():
            for place, (weight, bias) in {
                0: (start.hidden, start.hidden_bias),
                2: (start.output, start.output_bias),
            }.items():
                self._layers[place].weight.copy_(torch.from_numpy(weight.T.copy()))
                self._layers[place].bias.copy_(torch.from_numpy(bias))
        self._adam = torch.optim.Adam(self._layers.parameters())
        self._error = np.ones(len(start.mean), dtype=np.float32)

    def step(self, frames: Floats, *, rate: float) -> float:
        """Learn from a stretch of log-mel frames, float32 (n, 64); the mean squared error before the step."""
        inputs, targets = contexts(((frames - self._start.mean) / self._start.scale).astype(np.float32))
        if not len(inputs):
            return 0.0
        for group in self._adam.param_groups:
            group["lr"] = rate
        error = self._layers(torch.from_numpy(inputs.copy())) - torch.from_numpy(targets.copy())
        loss = (error**2).mean()
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        self._error = (0.9 * self._error + 0.1 * error.detach().numpy().std(axis=0)).astype(np.float32)
        return float(loss.detach())

    def weights(self) -> Weights:
        """What has been learned so far."""
        first, last = self._layers[0], self._layers[2]
        return self._start._replace(
            hidden=_array(first.weight).T.copy(),
            hidden_bias=_array(first.bias),
            output=_array(last.weight).T.copy(),
            output_bias=_array(last.bias),
            noise=self._error,
        )


def _array(parameter: "torch.Tensor") -> Floats:
    values: Floats = parameter.detach().numpy().copy()
    return values
