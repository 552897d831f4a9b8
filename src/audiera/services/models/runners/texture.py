"""Runs the small texture model inside the node: no audio in, a WAV of generated texture out."""

import io

import soundfile
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from audiera.audio.texture import RATE, Weights, generate, weights_of
from audiera.services.models.ports import CallAnswer, CallRequest, ModelError

_MAX_SECONDS = 30.0


class TextureRunner:
    """Serves one set of weights.

    Args:
        data: the safetensors file; nothing in such a file can run.

    Raises:
        ModelError: the file does not hold this architecture's arrays.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._weights: Weights = weights_of(load_arrays(data))
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as cause:
            raise ModelError(f"not the weights of a texture model: {cause}", code="model_unusable") from cause

    def run(self, request: CallRequest) -> CallAnswer:
        """Generate ``seconds`` (0.1 to 30) of texture from ``seed``; both are parameters of the call.

        Raises:
            ModelError: a parameter is out of range.
        """
        seconds = _number(request.parameters, "seconds", 4.0)
        seed = _number(request.parameters, "seed", 0.0)
        if not 0.1 <= seconds <= _MAX_SECONDS:
            raise ModelError(f"seconds is 0.1 to 30, got {seconds}", code="model_input_invalid")
        if not 0 <= seed < 2**32 or seed != int(seed):
            raise ModelError(f"seed is a whole number below 2^32, got {seed}", code="model_input_invalid")
        sound = generate(self._weights, seconds, seed=int(seed))
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, RATE, format="WAV", subtype="PCM_16")
        return CallAnswer(buffer.getvalue(), "audio/wav")

    def close(self) -> None:
        """Nothing is held open."""


def _number(parameters: dict[str, str], name: str, default: float) -> float:
    text = parameters.get(name)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError as cause:
        raise ModelError(f"{name} is a number, got {text[:40]!r}", code="model_input_invalid") from cause
