"""Disputes: a claim on an asset freezes its licensing and payouts until moderators decide."""

from typing import Literal

from audiera.protocol.records.base import Record


class Dispute(Record, frozen=True, kw_only=True, tag="dispute"):
    """A claim on an asset."""

    number: int
    """Ledger number."""

    asset: int
    """Asset claimed."""

    claimant: int
    """Account that claims it."""

    evidence: bytes
    """SHA-256 of the evidence, kept off the ledger."""

    votes: tuple[int, ...] = ()
    """Moderators for the claimant, ascending."""

    against: tuple[int, ...] = ()
    """Moderators for the holder, ascending."""

    outcome: Literal["open", "claimant", "holder"] = "open"
    """How it ended."""

    opened_at: int = 0
    """Block time, microseconds."""
