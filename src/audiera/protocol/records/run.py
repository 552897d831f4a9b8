"""Training runs and the certificates the machine computes from the access log."""

from typing import Literal

from audiera.protocol.purposes import Purpose
from audiera.protocol.records.base import Record


class Certificate(Record, frozen=True, kw_only=True):
    """What the machine attests that a run streamed."""

    snapshots: tuple[bytes, ...]
    """Roots of the snapshots the run's grants name, by snapshot number."""

    purpose: Purpose
    """What the run was for."""

    commercial: bool
    """Whether for commercial use."""

    assets: int
    """Distinct assets opened."""

    accesses: int
    """Accesses recorded."""

    audio_ms: int
    """Milliseconds of audio opened, repeated openings counted again."""

    first_height: int
    """Block of the first batch that held one of its accesses; 0 for none."""

    last_height: int
    """Block of the last such batch."""

    weights_root: bytes
    """Merkle-sum root over (asset, milliseconds times license weight)."""

    total_weight: int
    """Sum of these weights."""

    revenue_share: int
    """Largest share of model revenue any of its licenses asks for, basis points."""

    bytes: int
    """Bytes released."""


class Run(Record, frozen=True, kw_only=True, tag="run"):
    """A training run: opened under grants, closed into a certificate."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the opening transaction."""

    account: int
    """Ledger number of the account that trains."""

    grants: tuple[int, ...]
    """Grants it runs under, ascending."""

    purpose: Purpose
    """What for; equal to every grant's purpose."""

    commercial: bool = False
    """Whether for commercial use."""

    status: Literal["open", "closed"] = "open"
    """Whether accesses may still be added."""

    certificate: Certificate | None = None
    """What it streamed, once closed."""

    opened_at: int = 0
    """Block time, microseconds."""

    closed_at: int = 0
    """Block time, microseconds."""


class RunUse(Record, frozen=True, kw_only=True):
    """How much of one asset a run opened."""

    accesses: int
    """Accesses recorded."""

    audio_ms: int
    """Milliseconds of audio in all of them."""

    bytes: int
    """Bytes in all of them."""
