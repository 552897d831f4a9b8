"""The node's randomness: the only place where it is drawn."""

import os


def system_entropy(count: int) -> bytes:
    """That many bytes nobody can guess."""
    return os.urandom(count)
