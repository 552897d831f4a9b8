"""What executing a block comes to: the same on every machine, saved beside the block, read by all followers."""

from msgspec.structs import replace

from audiera.protocol.encoding import digest_of
from audiera.protocol.records import (
    Account,
    AppKey,
    Asset,
    Dispute,
    Endpoint,
    Grant,
    License,
    Model,
    Movement,
    Params,
    Record,
    Run,
    Settlement,
    Snapshot,
    Work,
)

Recorded = (
    Account
    | AppKey
    | Asset
    | Dispute
    | Endpoint
    | Grant
    | License
    | Model
    | Params
    | Run
    | Settlement
    | Snapshot
    | Work
)
"""Anything that stands in the state under a ledger number."""

OK = "ok"


class AppliedBatch(Record, frozen=True, kw_only=True):
    """Where an access batch stands in the access log."""

    node: int
    """Ledger number of the node that sealed it."""

    first_index: int
    """Index of its first row among that node's rows."""

    count: int
    """Rows in it."""

    log_index: int
    """Position of its entry in the access log."""

    entry: bytes
    """The log entry: height, number of the first row in the whole log, batch header."""

    unmatched: int = 0
    """Rows whose grant did not cover them when the batch was applied; recorded, never paid."""


class TransactionResult(Record, frozen=True, kw_only=True):
    """What one transaction did."""

    id: bytes
    """Transaction id."""

    account: int
    """Account that signed it (for a new account: its new number)."""

    kind: str
    """Tag of the body, such as ``issue-grant``."""

    code: str = OK
    """``ok``, or the stable code of why it was refused."""

    message: str = ""
    """Why it was refused, for a person."""

    reasons: tuple[str, ...] = ()
    """Reason codes of a refused decision."""

    number: int = 0
    """Ledger number of what it created."""

    records: tuple[Recorded, ...] = ()
    """Every record it created or changed, as it stands afterwards."""

    movements: tuple[Movement, ...] = ()
    """Every movement of credits."""

    batch: AppliedBatch | None = None
    """For an access batch: where it stands."""

    @property
    def ok(self) -> bool:
        """Whether it did what it asked for."""
        return self.code == OK

    def header_data(self) -> bytes:
        """What the block header's results hash commits to for this transaction.

        Not the message: it may quote a library, and validators with another version of it must not disagree.
        """
        return digest_of(replace(self, message=""))


class BlockResult(Record, frozen=True, kw_only=True):
    """What one block did."""

    height: int
    """Number of the block."""

    time: int
    """Block time, microseconds."""

    app_hash: bytes
    """Application hash after it."""

    transactions: tuple[TransactionResult, ...] = ()
    """One result for each transaction, in order."""
