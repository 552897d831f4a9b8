"""Grants: one account's right to use given assets, snapshot or model, bounded in time and amount."""

from typing import Literal

from audiera.protocol.purposes import Purpose
from audiera.protocol.records.base import Record
from audiera.protocol.records.license import Caps, Duty, Price

GrantStatus = Literal["requested", "offered", "active", "exhausted", "expired", "revoked", "declined"]


class AgreedTerms(Record, frozen=True, kw_only=True):
    """What was agreed for the assets under one license, frozen with its revision."""

    license: int
    """Ledger number of the license."""

    revision: int
    """Revision the decision was taken under."""

    price: Price | None = None
    """Price per use; nothing when absent."""

    revenue_share: int = 0
    """Basis points of a derived model's revenue owed to training data."""

    duties: tuple[Duty, ...] = ()
    """What the grantee must do."""


class Grant(Record, frozen=True, kw_only=True, tag="grant"):
    """One account's right to use what it names."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the issuing transaction."""

    grantee: int
    """Ledger number of the account that may use it."""

    purpose: Purpose
    """What for."""

    commercial: bool = False
    """Whether for commercial use."""

    territory: str = "*"
    """Where; ``*`` for the world."""

    assets: tuple[int, ...] = ()
    """Assets covered, ascending; empty for a grant on a snapshot or model."""

    snapshot: int = 0
    """Snapshot covered; 0 for none."""

    model: int = 0
    """Model that may be called; 0 for none."""

    terms: tuple[AgreedTerms, ...] = ()
    """What was agreed, one entry per license, by license number."""

    caps: Caps = Caps()
    """Limits: the strictest of all its licenses."""

    status: GrantStatus = "active"
    """Where it stands."""

    valid_from: int = 0
    """First moment, microseconds."""

    valid_until: int = 0
    """Last moment, microseconds; 0 for no end."""

    paid: int = 0
    """Flat price paid when it was issued, microcredits."""

    budget: int = 0
    """Credits set aside for priced uses when it was issued, microcredits."""

    revoked_at: int = 0
    """Block time of revocation, microseconds."""

    awaiting: tuple[int, ...] = ()
    """Holders still to answer, ascending, while it is requested."""


class GrantUsage(Record, frozen=True, kw_only=True):
    """How much of a grant was used; kept apart because it changes with every batch."""

    accesses: int = 0
    """Accesses recorded."""

    bytes: int = 0
    """Bytes recorded."""

    spent: int = 0
    """Microcredits drawn from the budget."""

    models: int = 0
    """Models registered from its runs."""
