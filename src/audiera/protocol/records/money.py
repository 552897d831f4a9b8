"""Money: where credits stand, how they moved, and what was settled for whom."""

from typing import Literal

from audiera.protocol.records.base import Record

MovementReason = Literal[
    "deposit",
    "withdrawal",
    "grant-price",
    "grant-budget",
    "budget-return",
    "access",
    "model-call",
    "network-fee",
    "node-fee",
    "training-share",
    "base-model-share",
    "developer-share",
    "settlement",
    "payout",
    "split",
]


class Movement(Record, frozen=True, kw_only=True):
    """One double entry: the amount leaves one purse and enters another."""

    debit: str
    """Purse it leaves."""

    credit: str
    """Purse it enters."""

    amount: int
    """Microcredits, >= 1."""

    reason: MovementReason
    """Why."""

    reference: int
    """Ledger number of what it is for: asset, grant, model, settlement."""

    payer: int = 0
    """Account whose money it was, where one payer can be named."""


class Settlement(Record, frozen=True, kw_only=True, tag="settlement"):
    """A pool closed for a period: amount, total weight and root fixed, so each payee can prove its own part."""

    number: int
    """Ledger number."""

    model: int
    """Model whose training pool it divides."""

    amount: int
    """Microcredits divided."""

    total_weight: int
    """Sum of all weights."""

    root: bytes
    """Merkle-sum root over (asset, weight) in the order of its seed."""

    seed: bytes
    """Application hash before the settling block; fixes the order of payees."""

    paid: int = 0
    """Microcredits claimed so far."""

    assets: int = 0
    """Number of payee assets."""

    claimed: int = 0
    """Number of payee assets that claimed."""

    settled_at: int = 0
    """Block time, microseconds."""
