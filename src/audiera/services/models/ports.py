"""What the gateway asks of whatever runs a model, and of whoever measures sound."""

from typing import NamedTuple, Protocol

import msgspec

from audiera.protocol.errors import AudieraError


class ModelError(AudieraError):
    """A model could not answer; the call is recorded and not billed."""

    default_code = "model_failed"


class CallRequest(NamedTuple):
    """What a caller sends to a model."""

    body: bytes
    """The request body as it came."""

    media_type: str
    """Its media type, without parameters."""

    parameters: dict[str, str]
    """Named parameters of the call."""


class CallAnswer(NamedTuple):
    """What a model sends back."""

    body: bytes
    """The answer's body."""

    media_type: str
    """Its media type."""


class Runner(Protocol):
    """Runs one model. Synchronous; called from a bounded pool of threads."""

    def run(self, request: CallRequest) -> CallAnswer:
        """Answer one call; ModelError when it cannot."""

    def close(self) -> None:
        """Give everything back."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this node serves a model."""

    model: int
    """Ledger number of the model."""

    kind: str
    """``embedded``: run here from its stored files; ``http``: an endpoint of its developer."""

    package: str = ""
    """For embedded: id of the package document (files and architecture)."""

    url: str = ""
    """For http: where calls are sent."""


class PackageFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a model."""

    name: str
    """File name within the package, such as ``weights.safetensors``."""

    blob: bytes
    """SHA-256 of its bytes, stored as a blob."""

    size: int
    """Its length in bytes."""


class Package(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model version is made of; its digest is the ``weights`` of the model's record."""

    architecture: str
    """Which runner understands it: ``audiera-texture-1`` or ``onnx``."""

    files: tuple[PackageFile, ...]
    """Its files, by name."""
