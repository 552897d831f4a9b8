"""What the rest of a node may ask about use and money, whichever engine counts."""

from collections.abc import Iterable
from typing import Final, Protocol

from audiera.protocol.api.usage import (
    AccessHistory,
    AssetUse,
    DayUse,
    Earnings,
    Payments,
    Refusals,
    Selection,
    SessionFacts,
    Statement,
    Total,
    Trail,
    TransactionHistory,
)
from audiera.protocol.chain import Block
from audiera.protocol.results import BlockResult
from audiera.protocol.state import StateView

MAX_PART: Final = 1_000
"""The most rows, lines or transactions one answer lists."""


class UsageIndex(Protocol):
    """Follows the ledger and says who used what. Every method is synchronous and thread-safe.

    Nothing in it is a truth of its own: it can be dropped and rebuilt from the blocks and their results. Each answer
    is of one moment: what it lists, its totals and its height belong together. Where a ``limit`` is taken it is 1 to
    :data:`MAX_PART`. Periods are of block time, microseconds; ``until`` is not included, and 0 is no end.
    """

    @property
    def height(self) -> int:
        """The last block applied; 0 before the first."""

    def apply(self, result: BlockResult, block: Block) -> None:
        """Take in one block, whole or not at all; a block applied before is skipped.

        A crash may lose the newest ones, which whoever follows the ledger applies again.

        Raises:
            StorageError: blocks are missing in between, the block applied before was another one, or the result is
                not the block's.
        """

    def rebuild(self, blocks: Iterable[tuple[BlockResult, Block]]) -> None:
        """Forget everything and apply the blocks from the first on; interrupted, it goes on with :meth:`apply`."""

    def asset_history(self, asset: int, *, after: int | None = None, limit: int = 100) -> AccessHistory:
        """Every row about an asset, snapshot or model, refusals too, newest first.

        Args:
            asset: its ledger number; one nobody used has an empty history.
            after: ``next`` of the part before; None for the first part.
            limit: rows in this part.

        Raises:
            RequestError: a number out of range.
        """

    def account_history(self, account: int, *, after: int | None = None, limit: int = 100) -> AccessHistory:
        """Every row of an account's own use, refusals too, newest first; see :meth:`asset_history`."""

    def transactions_of(self, account: int, *, after: int | None = None, limit: int = 100) -> TransactionHistory:
        """Every transaction an account signed, refused ones too, newest first.

        What others signed with a key that was not the account's is not among them.

        Args:
            account: its ledger number.
            after: ``next`` of the part before; None for the first part.
            limit: transactions in this part.

        Raises:
            RequestError: a number out of range.
        """

    def statement(
        self, account: int, *, start: int = 0, until: int = 0, offset: int = 0, limit: int = 100
    ) -> Statement:
        """An account's own purse over a period: opening + credited - debited = closing.

        Args:
            account: its ledger number.
            start: first moment.
            until: end; without one, the statement's ``until`` is just after the last block.
            offset: lines of the period to skip.
            limit: lines listed.

        Raises:
            RequestError: a number out of range, or an end before the start.
        """

    def payments(self, payer: int, *, start: int = 0, until: int = 0, offset: int = 0, limit: int = 100) -> Payments:
        """Every movement of one payer's money, wherever it went, oldest first; arguments as in :meth:`statement`."""

    def earnings(self, asset: int) -> Earnings:
        """What an asset earned, all of it as of one block: accesses - waiting + models = paid_out.

        Raises:
            RequestError: a number out of range.
        """

    def totals(self, selection: Selection) -> tuple[Total, ...]:
        """Rows, units and bytes by purpose and operation, refusals among them, in the order of their codes.

        Raises:
            RequestError: a selection that cannot be meant.
        """

    def days(self, selection: Selection) -> tuple[DayUse, ...]:
        """Uses by day and purpose, ascending; days without use are left out.

        Raises:
            RequestError: a selection that cannot be meant.
        """

    def top_assets(self, selection: Selection, *, limit: int = 10) -> tuple[AssetUse, ...]:
        """What was used most, by rows; equal ones by number.

        Raises:
            RequestError: a selection that cannot be meant.
        """

    def refusals(self, selection: Selection, *, limit: int = 100) -> Refusals:
        """What was refused: uses at a gate, and transactions, the newest ``limit`` of them.

        Transactions are selected by who signed them and by what a refused request for a grant asked for; with no
        condition but time, all refused transactions are meant.

        Raises:
            RequestError: a selection that cannot be meant.
        """

    def session(self, node: int, number: int) -> SessionFacts:
        """A session as its opening in a batch says; whether the ledger accepted it is in the state.

        Raises:
            NotFound: no batch opened it, or not yet.
        """

    def trail(self, state: StateView, node: int, index: int) -> Trail:
        """From one access back to everything and everyone behind it.

        Args:
            state: the committed state, at the index's height or later.
            node: ledger number of the serving node.
            index: number of the row among all the node's rows, as its receipt says.

        Raises:
            NotFound: no such access is on the ledger, or not yet.
        """

    def close(self) -> None:
        """Give the file back."""
