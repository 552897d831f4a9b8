"""The node's clock: the only place where time is read."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives the present moment, microseconds since 1970-01-01 UTC."""


def system_clock() -> int:
    """The machine's clock, microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def system_stopwatch() -> int:
    """Counts microseconds steadily from some moment; tells how long something took, never when it was."""
    return time.monotonic_ns() // 1_000
