"""What runs a model: in the node from its files, or at its developer's endpoint."""

from audiera.services.models.ports import ModelError, Runner
from audiera.services.models.runners.addresses import is_public, resolve
from audiera.services.models.runners.http import HttpRunner
from audiera.services.models.runners.texture import TextureRunner

__all__ = ["HttpRunner", "TextureRunner", "is_public", "open_runner", "resolve"]


def open_runner(architecture: str, data: bytes) -> Runner:
    """Make the runner of an embedded model from its file.

    Raises:
        ModelError: no runner understands the architecture, or the file is not one of its kind.
    """
    if architecture == "audiera-texture-1":
        return TextureRunner(data)
    if architecture == "onnx":
        return _onnx_runner(data)
    raise ModelError(
        f"this node runs audiera-texture-1 and onnx, got {architecture[:60]!r}; serve it over http",
        code="architecture_unknown",
    )


def _onnx_runner(data: bytes) -> Runner:
    try:
        from audiera.services.models.runners.onnx import OnnxRunner
    except ImportError as cause:
        raise ModelError(
            "ONNX models need the package onnxruntime; install audiera[onnx]", code="onnx_missing"
        ) from cause
    return OnnxRunner(data)
