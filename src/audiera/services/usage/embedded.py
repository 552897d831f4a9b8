"""The usage index in one SQLite file, for one node."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
from audiera.protocol.errors import RequestError
from audiera.protocol.results import BlockResult
from audiera.protocol.state import StateView
from audiera.services.storage.derived import DerivedFile
from audiera.services.usage import histories, statements, sums, trails
from audiera.services.usage.ports import MAX_PART
from audiera.services.usage.posting import check_pair, post_block
from audiera.services.usage.tables import SCHEMA, TABLES, VERSION


class EmbeddedUsage:
    """Use and money on one node. Thread-safe: one writer at a time, any number of readers.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = DerivedFile(path, name="usage index", version=VERSION, schema=SCHEMA, tables=TABLES)

    @property
    def height(self) -> int:
        """The last block applied."""
        return self._file.height

    def apply(self, result: BlockResult, block: Block) -> None:
        """Take in one block, whole or not at all.

        Raises:
            StorageError: blocks are missing in between, the block applied before was another one, or the result is
                not the block's.
        """
        check_pair(result, block)
        with self._file.taking(result) as db:
            if db is not None:
                post_block(db, result, block)

    def rebuild(self, blocks: Iterable[tuple[BlockResult, Block]]) -> None:
        """Forget everything and apply the blocks from the first on."""
        self._file.clear()
        for result, block in blocks:
            self.apply(result, block)

    def asset_history(self, asset: int, *, after: int | None = None, limit: int = 100) -> AccessHistory:
        """Every row about an asset, snapshot or model, newest first."""
        with self._reading(limit) as db:
            return histories.history(db, "asset", asset, after, limit)

    def account_history(self, account: int, *, after: int | None = None, limit: int = 100) -> AccessHistory:
        """Every row of an account's own use, newest first."""
        with self._reading(limit) as db:
            return histories.history(db, "consumer", account, after, limit)

    def transactions_of(self, account: int, *, after: int | None = None, limit: int = 100) -> TransactionHistory:
        """Every transaction an account signed, newest first."""
        with self._reading(limit) as db:
            return histories.transactions_of(db, account, after, limit)

    def statement(
        self, account: int, *, start: int = 0, until: int = 0, offset: int = 0, limit: int = 100
    ) -> Statement:
        """An account's own purse over a period."""
        with self._reading(limit) as db:
            return statements.statement(db, account, start=start, until=until, offset=offset, limit=limit)

    def payments(self, payer: int, *, start: int = 0, until: int = 0, offset: int = 0, limit: int = 100) -> Payments:
        """Every movement of one payer's money, oldest first."""
        with self._reading(limit) as db:
            return statements.payments(db, payer, start=start, until=until, offset=offset, limit=limit)

    def earnings(self, asset: int) -> Earnings:
        """What an asset earned."""
        with self._reading() as db:
            return statements.earnings(db, asset)

    def totals(self, selection: Selection) -> tuple[Total, ...]:
        """Rows, units and bytes by purpose and operation."""
        with self._reading() as db:
            return sums.totals(db, selection)

    def days(self, selection: Selection) -> tuple[DayUse, ...]:
        """Uses by day and purpose."""
        with self._reading() as db:
            return sums.days(db, selection)

    def top_assets(self, selection: Selection, *, limit: int = 10) -> tuple[AssetUse, ...]:
        """What was used most."""
        with self._reading(limit) as db:
            return sums.top_assets(db, selection, limit)

    def refusals(self, selection: Selection, *, limit: int = 100) -> Refusals:
        """What was refused."""
        with self._reading(limit) as db:
            return sums.refusals(db, selection, limit)

    def session(self, node: int, number: int) -> SessionFacts:
        """A session as its opening says.

        Raises:
            NotFound: no batch opened it.
        """
        with self._reading() as db:
            return trails.session(db, node, number)

    def trail(self, state: StateView, node: int, index: int) -> Trail:
        """From one access back to everything and everyone behind it.

        Raises:
            NotFound: no such access.
        """
        with self._reading() as db:
            return trails.trail(db, state, node, index)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    @contextmanager
    def _reading(self, limit: int = 1) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the database, for an answer of at most so many rows."""
        if not 1 <= limit <= MAX_PART:
            raise RequestError(f"limit is 1 to {MAX_PART}, got {limit}")
        with self._file.reading() as db:
            yield db
