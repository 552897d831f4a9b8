"""Audiera: music and audio as training data, with rights, a trail and payouts.

``audiera.connect`` opens a client of a node; everything else lives in the rooms below this package.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiera.sdk import connect as connect

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``connect``, imported when first asked for, so that the package itself imports nothing."""
    if name == "connect":
        from audiera.sdk import connect

        return connect
    raise AttributeError(f"module 'audiera' has no attribute {name!r}")
