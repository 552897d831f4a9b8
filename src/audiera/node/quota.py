"""How often an address may do what costs the log a row and the asker nothing."""

from audiera.node.clock import Clock

_MINUTE_US = 60_000_000
_MOST = 10_000


class Quota:
    """A bucket of turns for each address, refilled evenly over a minute. For the event loop's thread.

    Args:
        clock: the node's clock.
        per_minute: turns an address has in a minute.
    """

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._cost_us = _MINUTE_US // per_minute
        self._free_at: dict[str, int] = {}

    def take(self, address: str) -> bool:
        """Use a turn up; False when none is left."""
        now = self._clock()
        free_at = max(self._free_at.pop(address, 0), now - _MINUTE_US) + self._cost_us
        is_left = free_at <= now
        self._free_at[address] = free_at if is_left else free_at - self._cost_us
        while len(self._free_at) > _MOST:
            del self._free_at[next(iter(self._free_at))]
        return is_left
