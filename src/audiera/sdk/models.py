"""Registering, publishing and calling models."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CallAnswer:
    """What a model sent back, and what the call came to."""

    body: bytes
    """The answer."""

    media_type: str
    """Its media type."""

    price: int
    """Microcredits it cost."""

    node: int
    """Node that served it."""

    index: int
    """Index of its record among all the node's."""
