"""Refusals are recorded too, summed up so that asking in vain cannot fill the log."""

from collections.abc import Callable

from audiera.protocol.accesses.rows import OP_REFUSAL
from audiera.services.access.meter import Meter, RowFields

WINDOW_US = 10_000_000
"""Equal refusals within this time share one row; its units say how many."""

_MOST = 10_000
"""How many different refusals are summed up at a time."""


class Refusals:
    """Writes the first refusal at once and sums up its repetitions.

    Args:
        meter: where rows become durable.
        clock: microseconds since 1970 UTC.
    """

    def __init__(self, meter: Meter, clock: Callable[[], int]) -> None:
        self._meter = meter
        self._clock = clock
        self._seen: dict[tuple[RowFields, tuple[str, ...]], list[int]] = {}

    async def record(self, fields: RowFields, reasons: tuple[str, ...]) -> None:
        """Record a refusal; ``fields`` is the access asked for."""
        asked = fields._replace(op=OP_REFUSAL, bytes=0, units=0, flags=0)
        key = (asked, reasons)
        now = self._clock()
        entry = self._seen.get(key)
        if entry is not None and now - entry[0] < WINDOW_US:
            entry[1] += 1
            return
        count = 1 + (entry[1] if entry is not None else 0)
        if len(self._seen) >= _MOST and entry is None:
            await self.write_down(older_than_us=0)
        self._seen[key] = [now, 0]
        await self._meter.record(asked._replace(units=count))

    async def write_down(self, *, older_than_us: int = WINDOW_US) -> None:
        """Write the sums of repetitions that have waited long enough, and forget what is old."""
        now = self._clock()
        old = [key for key, entry in self._seen.items() if now - entry[0] >= older_than_us]
        for key in old:
            entry = self._seen.pop(key, None)
            if entry is not None and entry[1]:
                await self._meter.record(key[0]._replace(units=entry[1]))
