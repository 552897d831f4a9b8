"""Who used what, and what was paid: everything here follows from the ledger alone and can be proved by it."""

from typing import Literal

from audiera.protocol.api.base import Message
from audiera.protocol.records import Grant, Model
from audiera.protocol.records.money import MovementReason

Operation = Literal["whole", "range", "shard", "call", "preview", "refusal"]
Flag = Literal["late", "cached", "aborted", "failed"]


class Access(Message, frozen=True, kw_only=True):
    """One row of the access log, and where it stands."""

    index: int
    """Its number among all rows of the chain; the cursor of every listing."""

    height: int
    """Block that holds it."""

    time: int
    """Block time, microseconds; counts for periods and days."""

    log_index: int
    """Entry of the access log that holds it."""

    place: int
    """Its position in its batch, ordered by asset and time."""

    node_index: int
    """Its number among all rows of its node, as its receipt says; asks for a proof."""

    node: int
    """Ledger number of the serving node."""

    t: int
    """When, by the node's clock, microseconds."""

    asset: int
    """Ledger number of the asset; of the snapshot for a shard, of the model for a call."""

    consumer: int
    """Ledger number of the account that used it."""

    grant: int
    """Ledger number of the grant; 0 for none."""

    session: int
    """The node's number of the session; 0 for none."""

    bytes: int
    """Bytes authorized to be released."""

    units: int
    """Milliseconds of audio; seconds for a call; how many times for refusals."""

    policy: int
    """License revision the decision was taken under."""

    purpose: str
    """What for."""

    op: Operation
    """What was done."""

    flags: tuple[Flag, ...] = ()
    """What else is to be said of it."""


class AccessHistory(Message, frozen=True, kw_only=True):
    """A part of a history, newest first."""

    total: int
    """How many rows there are in all."""

    accesses: tuple[Access, ...]
    """This part of them."""

    height: int
    """Block up to which the history is complete."""

    next: int | None = None
    """Pass as ``after`` for the next part; None at the end."""


class SignedTransaction(Message, frozen=True, kw_only=True):
    """A transaction an account signed."""

    id: str
    """Transaction id."""

    height: int
    """Block that holds it."""

    position: int
    """Its position in the block."""

    time: int
    """Block time, microseconds."""

    account: int
    """Account that signed it."""

    kind: str
    """Tag of its body, such as ``issue-grant``."""

    code: str
    """``ok``, or why it was refused."""

    message: str = ""
    """Why it was refused, for a person."""

    reasons: tuple[str, ...] = ()
    """Reason codes of a refused decision."""

    number: int = 0
    """Ledger number of what it created."""


class TransactionHistory(Message, frozen=True, kw_only=True):
    """A part of the transactions of an account, newest first."""

    total: int
    """How many there are in all."""

    transactions: tuple[SignedTransaction, ...]
    """This part of them."""

    height: int
    """Block up to which the history is complete."""

    next: int | None = None
    """Pass as ``after`` for the next part; None at the end."""


class Line(Message, frozen=True, kw_only=True):
    """A movement of credits, and where it stands."""

    height: int
    """Block that holds it."""

    position: int
    """Position of its transaction in the block."""

    place: int
    """Its position among the transaction's movements."""

    time: int
    """Block time, microseconds."""

    transaction: str
    """Transaction id."""

    log_index: int | None
    """Entry of the access log that caused it, from which its accesses can be proved; None for other causes."""

    debit: str
    """Purse it left."""

    credit: str
    """Purse it entered."""

    amount: int
    """Microcredits."""

    reason: MovementReason
    """Why."""

    reference: int
    """Ledger number of what it was for."""

    payer: int
    """Account whose money it was; 0 where no single payer can be named."""


class ReasonSum(Message, frozen=True, kw_only=True):
    """What one reason came to."""

    reason: MovementReason
    """Why."""

    credited: int
    """Microcredits that came in."""

    debited: int
    """Microcredits that went out."""


class Statement(Message, frozen=True, kw_only=True):
    """An account's credits over a period: opening + credited - debited = closing, to the microcredit."""

    account: int
    """Ledger number."""

    start: int
    """First moment of the period, microseconds of block time."""

    until: int
    """End of the period, not included."""

    opening: int
    """Microcredits before it."""

    credited: int
    """Microcredits that came in."""

    debited: int
    """Microcredits that went out."""

    closing: int
    """Microcredits at its end."""

    sums: tuple[ReasonSum, ...]
    """By reason; they add up to credited and debited."""

    count: int
    """How many movements there are in the period."""

    lines: tuple[Line, ...]
    """Them, oldest first, from the offset asked for."""

    height: int
    """Block up to which it is complete."""


class Payments(Message, frozen=True, kw_only=True):
    """A part of the movements of one payer's money, oldest first."""

    total: int
    """How many there are in all."""

    lines: tuple[Line, ...]
    """This part of them."""

    height: int
    """Block up to which it is complete."""


class Earnings(Message, frozen=True, kw_only=True):
    """What an asset earned for its splits, microcredits."""

    asset: int
    """Ledger number."""

    accesses: int
    """From priced accesses, after fees."""

    waiting: int
    """Of that, not paid out yet."""

    models: int
    """Claimed from settled training pools."""

    paid_out: int
    """Paid to its splits from both."""

    height: int
    """Block up to which it is complete."""


class Selection(Message, frozen=True, kw_only=True):
    """Which accesses to sum up; conditions are joined by and."""

    asset: int = 0
    """Of this asset, snapshot or model; 0 for any."""

    consumer: int = 0
    """By this account; 0 for any."""

    holder: int = 0
    """Of assets this account manages now; 0 for any."""

    purpose: str = ""
    """For this purpose; empty for any."""

    start: int = 0
    """From this block time on, microseconds."""

    until: int = 0
    """Before this block time; 0 for no end."""


class DayUse(Message, frozen=True, kw_only=True):
    """The uses of one day for one purpose; refusals are not uses."""

    day: int
    """Days since 1970-01-01 UTC, by block time."""

    purpose: str
    """What for."""

    accesses: int
    """Rows."""

    bytes: int
    """Bytes in all of them."""


class AssetUse(Message, frozen=True, kw_only=True):
    """How much an asset was used; refusals are not uses."""

    asset: int
    """Ledger number."""

    accesses: int
    """Rows."""

    consumers: int
    """Different accounts."""

    bytes: int
    """Bytes in all of them."""


class Total(Message, frozen=True, kw_only=True):
    """What all rows of one purpose and operation come to."""

    purpose: str
    """What for."""

    op: Operation
    """What was done."""

    accesses: int
    """Rows."""

    units: int
    """Milliseconds of audio; seconds for calls; how many times for refusals."""

    bytes: int
    """Bytes in all of them."""


class Refusals(Message, frozen=True, kw_only=True):
    """What was refused."""

    accesses: int
    """How many uses were refused at a gate."""

    by_purpose: tuple[Total, ...]
    """Them by purpose."""

    transactions: tuple[SignedTransaction, ...]
    """Transactions that were refused, newest first."""


class SessionFacts(Message, frozen=True, kw_only=True):
    """A session as its opening says."""

    node: int
    """Ledger number of the node."""

    number: int
    """The node's number of it."""

    grant: int
    """Ledger number of the grant."""

    consumer: int
    """Ledger number of the account."""

    purpose: str
    """What for."""

    run: int
    """Ledger number of the run; 0 for none."""

    app_key: int
    """Ledger number of the application key; 0 for none."""

    opened_at: int
    """When, microseconds."""

    expires_at: int
    """Its end, microseconds."""

    height: int
    """Block whose batch brought it."""


class Source(Message, frozen=True, kw_only=True):
    """An asset that a run streamed, and what of it."""

    run: int
    """Ledger number of the run."""

    model: int
    """Ledger number of the model trained in it."""

    asset: int
    """Ledger number of the asset."""

    holder: int
    """Ledger number of the account that manages it now."""

    accesses: int
    """Rows recorded."""

    audio_ms: int
    """Milliseconds of audio in them."""


class Trail(Message, frozen=True, kw_only=True):
    """From one access back to everything and everyone behind it."""

    access: Access
    """The row."""

    transaction: str
    """Transaction that brought its batch."""

    session: SessionFacts | None
    """The session it belongs to, if any."""

    grant: Grant | None
    """The grant it ran under, as it stands now."""

    model: Model | None
    """The model called, for a call."""

    sources: tuple[Source, ...]
    """For a call: what the model and its base models were trained on, most audio first; at most 1,000."""

    payments: tuple[Line, ...]
    """Movements from the grant's budget that its batch caused; all rows of the grant in it together."""


class Totals(Message, frozen=True, kw_only=True):
    """Uses and refusals summed up."""

    totals: tuple[Total, ...]
    """By purpose and operation."""


class Days(Message, frozen=True, kw_only=True):
    """Uses by day."""

    days: tuple[DayUse, ...]
    """Ascending; days without use are left out."""


class AssetUses(Message, frozen=True, kw_only=True):
    """What was used most."""

    assets: tuple[AssetUse, ...]
    """By rows, most first."""
