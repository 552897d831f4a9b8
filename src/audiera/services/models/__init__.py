"""Models as services: what they are made of, what runs them, and the gateway that meters every call."""

from audiera.services.models.gateway import Called, Gateway
from audiera.services.models.ports import (
    CallAnswer,
    CallRequest,
    Deployment,
    ModelError,
    Package,
    PackageFile,
    Runner,
)
from audiera.services.models.registry import Registry

__all__ = [
    "CallAnswer",
    "CallRequest",
    "Called",
    "Deployment",
    "Gateway",
    "ModelError",
    "Package",
    "PackageFile",
    "Registry",
    "Runner",
]
