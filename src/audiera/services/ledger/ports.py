"""What the rest of a node may ask of the ledger, whichever engine orders the transactions."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from audiera.protocol.chain import Block, Commit, Header
from audiera.protocol.errors import LedgerError
from audiera.protocol.records import Genesis
from audiera.protocol.results import BlockResult, TransactionResult
from audiera.protocol.state import StateView


class Head(NamedTuple):
    """The newest committed block."""

    height: int
    """0 before the first block."""

    time: int
    """Its block time, microseconds; the genesis time before the first block."""

    app_hash: bytes
    """Application hash after it."""

    log_size: int
    """Entries in the access log."""

    records: int
    """Access records in all entries together."""


class Ledger(Protocol):
    """An engine and what it has committed.

    All methods are thread-safe. Everything read is committed and durable: nothing of a block is visible
    before block, writes, height and application hash are on disk.
    """

    @property
    def genesis(self) -> Genesis:
        """What the chain began with."""

    @property
    def failure(self) -> LedgerError | None:
        """Why the engine stopped; None while it runs. A node whose ledger failed must end."""

    def submit(self, transaction: bytes) -> "Future[TransactionResult]":
        """Hand in a signed transaction.

        The future resolves only when the block that holds it is durable and executed; a transaction the
        machine refused resolves to a result whose code is not ``ok``. It fails with TransactionError when the
        transaction was refused before it entered a block (malformed, bad signature, wrong sequence), and with
        LedgerError when the ledger has stopped. The same bytes again, while they wait or after they
        succeeded, get the same answer. The future cannot be cancelled.

        Raises:
            LedgerError: checking it met a fault that no rule foresees; the ledger has stopped.
        """

    def head(self) -> Head:
        """The newest committed block."""

    def wait(self, height: int, timeout_s: float) -> bool:
        """Block until the head is at least ``height``; False when the time is up first.

        Raises:
            LedgerError: the ledger has stopped below that height.
        """

    def block(self, height: int) -> Block:
        """A committed block; NotFound beyond the head."""

    def header_and_commit(self, height: int) -> tuple[Header, Commit]:
        """A committed block's header and the validators' signatures over it."""

    def results(self, height: int) -> BlockResult:
        """What a committed block did."""

    def follow(self, from_height: int) -> Iterator[BlockResult]:
        """Results from a height up to the head at the time of each step; ends at the head."""

    def state(self) -> StateView:
        """The committed state, for reading; a later commit may change what it shows."""

    def transaction_at(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Height and position of a committed transaction; None when there is none."""

    def log_entry(self, index: int) -> bytes:
        """An entry of the access log, 208 bytes."""

    def log_path(self, index: int, size: int) -> tuple[bytes, ...]:
        """Inclusion path of an entry in the access log's tree of the first ``size`` entries."""

    def log_consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """Consistency path between two sizes of the access log."""

    def log_tile(self, level: int, number: int) -> bytes:
        """The hashes of a tile of the access log's tree, 32 bytes each, 256 when it is full; empty beyond its end."""

    def checkpoint(self) -> str:
        """The newest signed checkpoint of the access log (C2SP tlog-checkpoint); one text for each head.

        Its further lines are ``height`` and ``app-hash`` of the head. Signed by the log and cosigned by the
        validator.
        """

    def close(self) -> None:
        """Finish what has been accepted, then stop."""
