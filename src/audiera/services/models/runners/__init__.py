"""What runs a model: in the node from its files, or at its developer's endpoint."""

from audiera.services.models.runners.addresses import is_public, resolve
from audiera.services.models.runners.http import HttpRunner
from audiera.services.models.runners.texture import TextureRunner

__all__ = ["HttpRunner", "TextureRunner", "is_public", "resolve"]
