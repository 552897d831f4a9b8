"""The committed state for those who read it again and again: a row is decoded once, not at every look."""

import threading
from typing import Any, Final, TypeVar

from audiera.protocol.encoding import decode_own
from audiera.protocol.state import StateStore, StateView

T = TypeVar("T")

REMEMBERED_BYTES: Final = 32 * 2**20
"""How many bytes of rows are kept decoded, unless told otherwise; the oldest are forgotten first."""


class CommittedState(StateView):
    """Typed reading of a store that many read. Thread-safe.

    What is remembered belongs to the bytes of a row and not to its key, so it is never out of date: a row that changed
    has other bytes. Records are frozen, so all readers share one.

    Args:
        store: committed rows.
        remembered_bytes: most bytes of rows kept decoded.
    """

    def __init__(self, store: StateStore, *, remembered_bytes: int = REMEMBERED_BYTES) -> None:
        super().__init__(store)
        self._limit = remembered_bytes
        self._writing = threading.Lock()
        self._decoded: dict[tuple[bytes, type], Any] = {}
        self._size = 0

    def _load(self, key: bytes, kind: type[T]) -> T | None:
        row = self.get(key)
        if row is None:
            return None
        known: T | None = self._decoded.get((row, kind))
        if known is None:
            known = decode_own(row, kind)
            self._remember(row, kind, known)
        return known

    def _remember(self, row: bytes, kind: type, record: object) -> None:
        with self._writing:
            if (row, kind) not in self._decoded:
                self._decoded[row, kind] = record
                self._size += len(row)
            while self._size > self._limit:
                oldest = next(iter(self._decoded))
                del self._decoded[oldest]
                self._size -= len(oldest[0])
