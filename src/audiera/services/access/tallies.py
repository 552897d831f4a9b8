"""What a node has promised under grants and the ledger has not counted yet, row by row.

A cap or a budget is held only if every row between the decision and its block is counted here at what it can cost.
Rows are posted in the order in which they were recorded, so what a batch settles is the oldest of what was entered.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from audiera.protocol.accesses.rows import OP_CALL, OP_RANGE, OP_WHOLE

_COUNTED = (OP_WHOLE, OP_RANGE, OP_CALL)


class Promise(NamedTuple):
    """One authorized access at what it can cost."""

    grant: int
    """Ledger number of its grant."""

    bytes: int
    """Bytes it may release."""

    charge: int
    """Microcredits."""

    key: int = 0
    """Application key it also draws on; 0 for none."""


@dataclass
class Tally:
    """What is promised under one grant."""

    accesses: int = 0
    """Rows."""

    bytes: int = 0
    """Bytes."""

    charges: int = 0
    """Microcredits."""

    entered: deque[Promise] = field(default_factory=deque)
    """Those whose row is recorded, in the order of rows."""


_NOTHING = Tally()


class Tallies:
    """The promises of all grants. For one thread."""

    def __init__(self) -> None:
        self._tallies: dict[int, Tally] = {}
        self._keys: Counter[int] = Counter()

    def of(self, grant: int) -> Tally:
        """What is promised under a grant."""
        return self._tallies.get(grant, _NOTHING)

    def of_key(self, key: int) -> int:
        """Microcredits promised that an application key will be charged, under all grants."""
        return self._keys[key]

    def reserve(self, promise: Promise) -> None:
        """Count an access whose row is recorded later; :meth:`enter` must follow."""
        tally = self._tallies.setdefault(promise.grant, Tally())
        tally.accesses += 1
        tally.bytes += promise.bytes
        tally.charges += promise.charge
        if promise.key:
            self._keys[promise.key] += promise.charge

    def enter(self, promise: Promise, final: Promise) -> None:
        """The row of a reserved access is recorded now; what it really takes replaces what was reserved."""
        tally = self._tallies[promise.grant]
        tally.bytes += final.bytes - promise.bytes
        tally.charges += final.charge - promise.charge
        if promise.key:
            self._add_to_key(promise.key, final.charge - promise.charge)
        tally.entered.append(final)

    def settle(self, rows: np.ndarray) -> None:
        """A batch is on the ledger: what its rows were promised is counted there now.

        Args:
            rows: the batch's rows; only those recorded under a grant matter.
        """
        grants, counts = np.unique(counted_rows(rows)["grant"], return_counts=True)
        for grant, count in zip(grants.tolist(), counts.tolist(), strict=True):
            tally = self._tallies.get(grant)
            if tally is None:
                continue
            for _ in range(min(count, len(tally.entered))):
                self._settle_oldest(tally)
            if not tally.accesses:
                del self._tallies[grant]

    def _settle_oldest(self, tally: Tally) -> None:
        settled = tally.entered.popleft()
        tally.accesses -= 1
        tally.bytes -= settled.bytes
        tally.charges -= settled.charge
        if settled.key:
            self._add_to_key(settled.key, -settled.charge)

    def _add_to_key(self, key: int, amount: int) -> None:
        self._keys[key] += amount
        if not self._keys[key]:
            del self._keys[key]


def counted_rows(rows: np.ndarray) -> np.ndarray:
    """The rows that count under a grant, in the order given."""
    return rows[np.isin(rows["op"], _COUNTED) & (rows["grant"] > 0)]
