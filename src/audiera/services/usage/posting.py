"""What a block changes in the tables."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from audiera.protocol.accesses import Batch, decode_entry, open_batch
from audiera.protocol.chain import Block
from audiera.protocol.errors import StorageError
from audiera.protocol.purposes import purpose_code
from audiera.protocol.records import Asset, Movement, Settlement
from audiera.protocol.results import AppliedBatch, BlockResult, TransactionResult
from audiera.protocol.revenue import part_of
from audiera.protocol.transactions import (
    Body,
    ClaimPayouts,
    IssueGrant,
    RecordAccesses,
    decode_transaction,
    transaction_id,
)
from audiera.services.usage.tables import halves, stored, whole

_NOT_ITS_OWN: Final = ("key_not_authorized", "unknown_account")
"""Codes of transactions that name an account whose keys did not sign them: anybody can bring those into a block."""

_U64_COLUMNS: Final = ("asset", "consumer", "grant", "session", "bytes")
_SMALL_COLUMNS: Final = ("units", "policy", "purpose", "op", "flags")


def check_pair(result: BlockResult, block: Block) -> None:
    """Refuse a result that is not the block's.

    Raises:
        StorageError: height or transactions differ.
    """
    same = result.height == block.header.height and len(result.transactions) == len(block.transactions)
    if not same or any(
        done.id != transaction_id(data) for done, data in zip(result.transactions, block.transactions, strict=True)
    ):
        raise StorageError(
            f"the results of block {result.height} are not those of block {block.header.height} with "
            f"{len(block.transactions)} transactions; read both at the same height",
            code="usage_pair_differs",
            height=result.height,
        )


def post_block(db: sqlite3.Connection, result: BlockResult, block: Block) -> None:
    """Take in a block; the caller's transaction makes it whole."""
    row = (
        result.height,
        result.time,
        _next_number(db, "transactions", 1),
        _next_number(db, "movements", 1),
        _next_number(db, "accesses", 0),
    )
    db.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", row)
    purses = _Purses(db)
    for place, (done, data) in enumerate(zip(result.transactions, block.transactions, strict=True)):
        _post_transaction(db, purses, _Posted(row[2] + place, result, place, done, data, block.header.chain_id))
    purses.save()


def _next_number(db: sqlite3.Connection, table: str, first: int) -> int:
    (last,) = db.execute(f"SELECT max(number) FROM {table}").fetchone()  # noqa: S608
    return first if last is None else int(last) + 1


class _Posted(NamedTuple):
    """A transaction being taken in."""

    number: int
    result: BlockResult
    place: int
    done: TransactionResult
    data: bytes
    chain_id: str

    @property
    def body(self) -> Body:
        """What it asked for."""
        return decode_transaction(self.data, len(self.data)).envelope.body

    @property
    def signer(self) -> int:
        """The account that signed it; 0 when none is known to have."""
        return 0 if self.done.code in _NOT_ITS_OWN else self.done.account


def _post_transaction(db: sqlite3.Connection, purses: "_Purses", posted: _Posted) -> None:
    done = posted.done
    batch = done.batch.log_index if done.batch is not None else None
    row = (posted.number, posted.result.height, posted.place, done.id, posted.signer, done.kind, done.number, batch)
    db.execute("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    if not done.ok:
        _post_refusal(db, posted)
        return
    purses.post(posted.number, done.movements)
    holders = [(record.number, record.holder) for record in done.records if isinstance(record, Asset)]
    db.executemany("INSERT OR REPLACE INTO holders VALUES (?, ?)", holders)
    if done.kind == "claim-payouts":
        _post_claims(db, posted)
    if done.batch is not None:
        _post_batch(db, posted, done.batch)


def _post_refusal(db: sqlite3.Connection, posted: _Posted) -> None:
    """A refused transaction; what a request for a grant asked for is kept, so that holders see it."""
    done = posted.done
    asked = posted.body if done.kind == "issue-grant" and posted.signer else None
    purpose = None
    if isinstance(asked, IssueGrant):
        purpose = purpose_code(asked.purpose)
        numbers = (*asked.assets, *(number for number in (asked.snapshot, asked.model) if number))
        db.executemany("INSERT INTO asked VALUES (?, ?)", [(stored(number), posted.number) for number in numbers])
    row = (posted.number, posted.signer, done.code, done.message, " ".join(done.reasons), purpose)
    db.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)", row)


def _post_claims(db: sqlite3.Connection, posted: _Posted) -> None:
    """Which asset a payout from a settlement was for: movements name the settlement only."""
    body = posted.body
    settlements = {record.number: record for record in posted.done.records if isinstance(record, Settlement)}
    for claim in body.settlements if isinstance(body, ClaimPayouts) else ():
        pool = settlements[claim.settlement]
        amount = part_of(pool.amount, claim.before, claim.weight, pool.total_weight)
        row = (claim.asset, claim.settlement, *halves(amount))
        db.execute("INSERT INTO claims VALUES (?, ?, ?, ?)", row)


def _post_batch(db: sqlite3.Connection, posted: _Posted, applied: AppliedBatch) -> None:
    body = posted.body
    entry = decode_entry(applied.entry)
    batch = open_batch(body.batch, chain_id=posted.chain_id) if isinstance(body, RecordAccesses) else None
    if batch is None or batch.header != entry.header:
        raise StorageError(
            f"entry {applied.log_index} of the access log is not that of the batch in block {posted.result.height}",
            code="usage_pair_differs",
            height=posted.result.height,
        )
    row = (
        applied.log_index,
        posted.result.height,
        posted.result.time,
        posted.done.id,
        applied.node,
        entry.global_first,
        applied.count,
        applied.first_index,
    )
    db.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    rows = _rows(batch, applied.log_index, entry.global_first)
    db.executemany("INSERT INTO accesses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    _post_sessions(db, batch, posted.result.height)


def _rows(batch: Batch, log_index: int, first: int) -> Iterator[tuple[int, ...]]:
    """The rows of a batch, in its order, each with its place in the order of time, by which its node counts."""
    rows = batch.rows
    nth = np.empty(len(rows), dtype=np.int64)
    nth[np.argsort(rows["t"], kind="stable")] = np.arange(len(rows))
    by_name = {name: rows[name].astype("<u8").view("<i8").tolist() for name in ("t", *_U64_COLUMNS)}
    by_name |= {name: rows[name].tolist() for name in _SMALL_COLUMNS}
    columns = [by_name[name] for name in ("t", *_U64_COLUMNS, *_SMALL_COLUMNS)]
    return zip(range(first, first + len(rows)), [log_index] * len(rows), nth.tolist(), *columns, strict=True)


def _post_sessions(db: sqlite3.Connection, batch: Batch, height: int) -> None:
    rows = [
        (
            session.node,
            session.number,
            stored(session.grant),
            stored(session.consumer),
            purpose_code(session.purpose),
            stored(session.run),
            stored(session.app_key),
            session.opened_at,
            session.expires_at,
            height,
        )
        for session in batch.sessions
    ]
    db.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


class _Purses:
    """What the purses hold as a block moves credits between them; written back once, at its end."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = {}
        self._balances: dict[int, int] = {}

    def post(self, transaction: int, movements: Sequence[Movement]) -> None:
        """Enter a transaction's movements, and what each left in both purses."""
        number = _next_number(self._db, "movements", 1)
        for place, movement in enumerate(movements):
            debit, credit = self._number(movement.debit), self._number(movement.credit)
            self._balances[debit] -= movement.amount
            self._balances[credit] += movement.amount
            amount = halves(movement.amount)
            row = (number + place, transaction, place, debit, credit, *amount)
            row_end = (movement.reason, movement.reference, movement.payer)
            self._db.execute("INSERT INTO movements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row + row_end)
            for purse in dict.fromkeys((debit, credit)):
                entry = (purse, number + place, *halves(self._balances[purse]))
                self._db.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", entry)

    def save(self) -> None:
        """Write what they hold now."""
        rows = [(*halves(balance), number) for number, balance in self._balances.items()]
        self._db.executemany("UPDATE purses SET high = ?, low = ? WHERE number = ?", rows)

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            sql = "SELECT number, high, low FROM purses WHERE name = ?"
            found = self._db.execute(sql, (name,)).fetchone()
            if found is None:
                self._db.execute("INSERT INTO purses (name, high, low) VALUES (?, 0, 0)", (name,))
                found = self._db.execute(sql, (name,)).fetchone()
            self._numbers[name] = int(found[0])
            self._balances[self._numbers[name]] = whole(found[1], found[2])
        return self._numbers[name]
