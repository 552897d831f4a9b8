"""Models as services: packages, deployments, calls."""

from typing import Literal

from audiera.protocol.api.base import Message
from audiera.protocol.records import Endpoint, Model


class PackageAnswer(Message, frozen=True, kw_only=True):
    """A model's file is stored durably."""

    weights: bytes
    """Digest of the package; the model's record names it."""

    blob: str
    """Id of the file's bytes."""

    size: int
    """Its length."""


class DeploymentRequest(Message, frozen=True, kw_only=True):
    """Say how this node serves a model."""

    kind: Literal["embedded", "http"]
    """From its stored package, or at an endpoint of its developer."""

    url: str = ""
    """Where calls go, for http."""


class DeploymentAnswer(Message, frozen=True, kw_only=True):
    """The model takes calls."""

    model: int
    """Ledger number of the model."""

    kind: str
    """embedded or http."""


class ModelAnswer(Message, frozen=True, kw_only=True):
    """A model, what a call costs, and what it was trained on."""

    id: str
    """Its id."""

    model: Model
    """The record; its runs' certificates are its lineage."""

    endpoint: Endpoint | None = None
    """Where and for how much it is offered."""

    assets: int = 0
    """Distinct assets in its lineage."""
