"""Typed reading of the state, and the changes a block is about to make."""

from collections.abc import Iterator
from typing import TypeVar

from audiera.protocol.accesses.totals import unpack_uses
from audiera.protocol.encoding import decode_own, encode
from audiera.protocol.errors import LedgerError, RecordError
from audiera.protocol.merkle import Frontier
from audiera.protocol.records import (
    Account,
    AppKey,
    Asset,
    Dispute,
    Endpoint,
    Grant,
    GrantUsage,
    License,
    Model,
    Params,
    PriceList,
    Record,
    Run,
    RunUse,
    Settlement,
    Snapshot,
    Work,
)
from audiera.protocol.state.rows import Commitment, LogHead, LogState, NodeState, SessionState
from audiera.protocol.state.tree import StateStore

T = TypeVar("T")


def number_key(prefix: bytes, *numbers: int) -> bytes:
    """A key of a prefix and u64 numbers, so that keys sort as their numbers do.

    Raises:
        RecordError: a number that cannot be a ledger number; nothing stands under it.
    """
    key = prefix
    try:
        for number in numbers:
            key += number.to_bytes(8, "big")
    except OverflowError as cause:
        raise RecordError(f"a ledger number is between 0 and 2^64 - 1, got {numbers}") from cause
    return key


class StateView:
    """Typed reading of the state."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def get(self, key: bytes) -> bytes | None:
        """The row under a key."""
        return self._store.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with the prefix, ascending."""
        return self._store.scan(prefix)

    def _load(self, key: bytes, kind: type[T]) -> T | None:
        raw = self.get(key)
        return None if raw is None else decode_own(raw, kind)

    def _u64(self, key: bytes) -> int:
        raw = self.get(key)
        return 0 if raw is None else int.from_bytes(raw, "big")

    def params(self) -> Params:
        """The parameters in force."""
        found = self._load(b"p", Params)
        if found is None:
            raise LedgerError("the state has no parameters; it is damaged or before its genesis")
        return found

    def next_number(self) -> int:
        """The ledger number the next registered object gets."""
        return self._u64(b"c") + 1

    def number_of(self, object_id: bytes) -> int | None:
        """The ledger number of what a transaction with this id created."""
        return self._u64(b"i" + object_id) or None

    def account_of_key(self, key: bytes) -> int | None:
        """The account a public key belongs to."""
        return self._u64(b"k" + key) or None

    def former_account_of_key(self, key: bytes) -> int | None:
        """The account that a public key belonged to before it was removed; None when it never was."""
        return self._u64(b"o" + key) or None

    def sequence(self, account: int) -> int:
        """The sequence number of an account's last transaction."""
        return self._u64(number_key(b"q", account))

    def balance(self, purse: str) -> int:
        """What stands in a purse, microcredits."""
        raw = self.get(b"b" + purse.encode("ascii"))
        return 0 if raw is None else int.from_bytes(raw, "big", signed=True)

    def balances(self) -> Iterator[tuple[str, int]]:
        """Every purse that ever held credits."""
        for key, raw in self.scan(b"b"):
            yield key[1:].decode("ascii"), int.from_bytes(raw, "big", signed=True)

    def account(self, number: int) -> Account | None:
        """An account."""
        return self._load(number_key(b"a", number), Account)

    def app_key(self, number: int) -> AppKey | None:
        """An application key."""
        return self._load(number_key(b"K", number), AppKey)

    def app_key_by_hash(self, key_hash: bytes) -> AppKey | None:
        """The application key with this hashed secret."""
        number = self._u64(b"h" + key_hash)
        return self.app_key(number) if number else None

    def work(self, number: int) -> Work | None:
        """A work or recording."""
        return self._load(number_key(b"w", number), Work)

    def asset(self, number: int) -> Asset | None:
        """An asset."""
        return self._load(number_key(b"s", number), Asset)

    def asset_of_blob(self, blob: bytes) -> int | None:
        """The asset that was first registered with exactly these bytes."""
        return self._u64(b"B" + blob) or None

    def license(self, number: int, revision: int = 0) -> License | None:
        """A license; revision 0 is the newest."""
        wanted = revision or self._u64(number_key(b"L", number))
        return self._load(number_key(b"l", number, wanted), License)

    def grant(self, number: int) -> Grant | None:
        """A grant."""
        return self._load(number_key(b"g", number), Grant)

    def grant_usage(self, number: int) -> GrantUsage:
        """How much of a grant is used."""
        return self._load(number_key(b"u", number), GrantUsage) or GrantUsage()

    def snapshot(self, number: int) -> Snapshot | None:
        """A snapshot."""
        return self._load(number_key(b"d", number), Snapshot)

    def run(self, number: int) -> Run | None:
        """A run."""
        return self._load(number_key(b"r", number), Run)

    def run_uses(self, run: int) -> Iterator[tuple[int, RunUse]]:
        """The assets a run opened, ascending by number."""
        for _, page in self.scan(number_key(b"R", run)):
            for asset, accesses, audio_ms, size in unpack_uses(page):
                yield asset, RunUse(accesses=accesses, audio_ms=audio_ms, bytes=size)

    def coverage(self, grant: int) -> bytes:
        """The packed coverage of a grant, see :mod:`audiera.protocol.accesses.totals`."""
        return self.get(number_key(b"G", grant)) or b""

    def model(self, number: int) -> Model | None:
        """A model."""
        return self._load(number_key(b"m", number), Model)

    def endpoint(self, model: int) -> Endpoint | None:
        """A model's endpoint."""
        return self._load(number_key(b"e", model), Endpoint)

    def price_list(self, model: int, version: int) -> PriceList | None:
        """A version of a model's price list."""
        return self._load(number_key(b"E", model, version), PriceList)

    def settlement(self, number: int) -> Settlement | None:
        """A settlement."""
        return self._load(number_key(b"t", number), Settlement)

    def dispute(self, number: int) -> Dispute | None:
        """A dispute."""
        return self._load(number_key(b"x", number), Dispute)

    def open_dispute(self, asset: int) -> int | None:
        """The dispute about an asset that is not decided yet."""
        return self._u64(number_key(b"D", asset)) or None

    def awarded_account(self, blob: bytes) -> int | None:
        """The account that moderators found to be in the right about these bytes."""
        return self._u64(b"A" + blob) or None

    def commitment(self, number: int) -> Commitment | None:
        """Reserved registrations."""
        return self._load(number_key(b"C", number), Commitment)

    def node(self, number: int) -> NodeState:
        """How far a node's rows have come."""
        return self._load(number_key(b"n", number), NodeState) or NodeState()

    def session(self, node: int, session: int) -> SessionState | None:
        """A node's session."""
        return self._load(number_key(b"S", node, session), SessionState)

    def log_state(self) -> LogState:
        """The access log's frontier."""
        return self._load(b"z", LogState) or LogState()

    def log(self) -> LogHead:
        """The access log's size, root and row count."""
        state = self.log_state()
        return LogHead(state.size, Frontier(state.size, state.frontier).root(), state.records)


class Stage(StateView):
    """Writable view: rows changed by the block so far, and by the transaction at hand."""

    def __init__(self, store: StateStore) -> None:
        super().__init__(store)
        self._block: dict[bytes, bytes | None] = {}
        self._open: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The row under a key as the transaction at hand sees it."""
        if key in self._open:
            return self._open[key]
        if key in self._block:
            return self._block[key]
        return self._store.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows under a prefix as the transaction at hand sees them, ascending."""
        changed = {**self._block, **self._open}
        rows: dict[bytes, bytes | None] = dict(self._store.scan(prefix))
        rows.update((key, value) for key, value in changed.items() if key.startswith(prefix))
        for key in sorted(rows):
            value = rows[key]
            if value is not None:
                yield key, value

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change a row; ``None`` removes it."""
        self._open[key] = value

    def put_record(self, key: bytes, record: Record) -> None:
        """Change a row to a record's encoding."""
        self._open[key] = encode(record)

    def put_u64(self, key: bytes, value: int) -> None:
        """Change a row to a number."""
        self._open[key] = value.to_bytes(8, "big")

    def keep(self) -> None:
        """The transaction at hand succeeded: its changes become the block's."""
        self._block.update(self._open)
        self._open.clear()

    def drop(self) -> None:
        """The transaction at hand failed: its changes never were."""
        self._open.clear()

    def writes(self) -> tuple[tuple[bytes, bytes | None], ...]:
        """The block's changes, ascending by key."""
        return tuple((key, self._block[key]) for key in sorted(self._block))
