"""May I, open, stream, acknowledge, prove."""

from audiera.protocol.api.base import Message
from audiera.protocol.records.license import Duty, Price


class DecisionRequest(Message, frozen=True, kw_only=True):
    """May I use these? Exactly one of assets and snapshot is named."""

    purpose: str
    """One of the nine purposes of assets."""

    assets: tuple[int, ...] = ()
    """Ledger numbers of assets, at most 1,000."""

    snapshot: int = 0
    """Ledger number of a snapshot."""

    commercial: bool = False
    """Whether for commercial use."""

    territory: str = "*"
    """Two-letter country, or ``*`` for everywhere."""


class AssetDecision(Message, frozen=True, kw_only=True):
    """The answer for one asset, by the license in force now."""

    asset: int
    """Which."""

    allowed: bool
    """Whether a grant would be issued without asking anybody."""

    reasons: tuple[str, ...]
    """``("allowed",)`` or every reason against it."""

    explanation: str
    """The reasons as a sentence."""

    license: int = 0
    """License that decided."""

    revision: int = 0
    """Its revision."""

    price: Price | None = None
    """What it costs; nothing when absent."""

    revenue_share: int = 0
    """Basis points of a derived model's revenue owed to training data."""

    duties: tuple[Duty, ...] = ()
    """What the grantee must do."""


class PriceEstimate(Message, frozen=True, kw_only=True):
    """What using all allowed assets once would cost, microcredits."""

    flat: int
    """Paid once when the grant is issued; the least ``max_price``."""

    once: int
    """Drawn from the budget when every asset is opened once in full."""


class DecisionAnswer(Message, frozen=True, kw_only=True):
    """The answer for all of them."""

    allowed: bool
    """Whether every one is allowed."""

    decisions: tuple[AssetDecision, ...]
    """One for each asset, in the order asked; of a snapshot, by number."""

    price: PriceEstimate
    """What it would cost."""

    height: int
    """Block whose state decided."""


class ReservationRequest(Message, frozen=True, kw_only=True):
    """Ask for the number a session will have, which its opening must name before it is signed."""

    grant: int
    """Grant the session will run under."""


class ReservationAnswer(Message, frozen=True, kw_only=True):
    """What to put into a SessionOpen before signing it."""

    number: int
    """The session's number at this node; good for one opening."""

    node: int
    """Ledger number of the serving node."""

    now: int
    """The node's clock, microseconds; the opening may not be far from it."""


class SessionRequest(Message, frozen=True, kw_only=True):
    """Open a line of accesses under one grant."""

    session: bytes
    """The encoded SessionOpen, signed by one of the grantee's keys."""


class SessionAnswer(Message, frozen=True, kw_only=True):
    """An open session."""

    session: int
    """Its number at this node."""

    token: str
    """Bearer token good for this session only."""

    expires_at: int
    """Its end, microseconds."""

    node: int
    """Ledger number of the serving node."""

    credit_rows: int
    """Accesses it serves past the last signed watermark."""


class WatermarkRequest(Message, frozen=True, kw_only=True):
    """Acknowledge what was received."""

    watermark: bytes
    """The encoded Watermark, signed by one of the grantee's keys."""


class WatermarkAnswer(Message, frozen=True, kw_only=True):
    """How far the session is acknowledged."""

    session: int
    """Which."""

    rows: int
    """Accesses acknowledged."""


class FlushAnswer(Message, frozen=True, kw_only=True):
    """Everything the session received is on the ledger."""

    session: int
    """Which."""

    rows: int
    """Accesses of the session so far."""

    height: int
    """A block at or after the one that holds the last of them."""
