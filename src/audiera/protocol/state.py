"""The state: rows under keys, committed to by a tree of 65,536 hash buckets.

A row's bucket is the first two bytes of the SHA-256 of its key. A bucket holds, sorted, 64 bytes for each of its
rows: SHA-256 of the key, SHA-256 of the value. Bucket hashes are the leaves of a binary tree of 16 levels whose
root is the state root, so that one row's change costs one bucket and 16 hashes, and a row is proved by its bucket
and 16 siblings. Neither height nor time enters: an empty block leaves the root as it was.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

from audiera.protocol.accesses.totals import unpack_uses
from audiera.protocol.encoding import decode, encode
from audiera.protocol.errors import LedgerError, ProofError
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
    Record,
    Run,
    RunUse,
    Settlement,
    Snapshot,
    Work,
)

BUCKETS = 65_536
LEVELS = 16
_EMPTY_BUCKET = bytes(32)

T = TypeVar("T")


class StateStore(Protocol):
    """Where committed rows are kept. Reads see exactly the last committed block."""

    def get(self, key: bytes) -> bytes | None:
        """The row under a key."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with the prefix, ascending by key."""

    def bucket(self, index: int) -> bytes:
        """The content of a hash bucket; empty when it has no rows."""

    def buckets(self) -> Iterator[tuple[int, bytes]]:
        """Every bucket that has rows, ascending."""


class MemoryStore:
    """Rows in memory: for tests, audits and replays."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._buckets: dict[int, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The row under a key."""
        return self._rows.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All rows whose key begins with the prefix, ascending by key."""
        for key in sorted(key for key in self._rows if key.startswith(prefix)):
            yield key, self._rows[key]

    def bucket(self, index: int) -> bytes:
        """The content of a hash bucket."""
        return self._buckets.get(index, b"")

    def buckets(self) -> Iterator[tuple[int, bytes]]:
        """Every bucket that has rows, ascending."""
        for index in sorted(self._buckets):
            yield index, self._buckets[index]

    def apply(
        self, writes: tuple[tuple[bytes, bytes | None], ...], buckets: tuple[tuple[int, bytes], ...]
    ) -> None:
        """Take over what executing a block wrote."""
        for key, value in writes:
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value
        for index, content in buckets:
            if content:
                self._buckets[index] = content
            else:
                self._buckets.pop(index, None)


class StateProof(Record):
    """Shows that a row stands in the state with a given root, or that no row stands under a key."""

    bucket: bytes
    """The whole content of the key's bucket."""

    path: tuple[bytes, ...]
    """Sibling hashes from the bucket up, 16 of them."""


def bucket_of(key: bytes) -> int:
    """The bucket a key belongs to, 0 to 65,535."""
    return int.from_bytes(hashlib.sha256(key).digest()[:2], "big")


def _bucket_hash(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest() if content else _EMPTY_BUCKET


def _find(content: bytes, name: bytes) -> tuple[int, bool]:
    """Position of a key's entry in a bucket, and whether it is there."""
    count = len(content) // 64
    place = bisect_left(range(count), name, key=lambda entry: content[entry * 64 : entry * 64 + 32])
    return place * 64, content[place * 64 : place * 64 + 32] == name


def change_bucket(content: bytes, key: bytes, value: bytes | None) -> bytes:
    """A bucket's content after one row changed; ``None`` removes the row."""
    name = hashlib.sha256(key).digest()
    at, present = _find(content, name)
    after = content[at + 64 :] if present else content[at:]
    if value is None:
        return content[:at] + after
    return content[:at] + name + hashlib.sha256(value).digest() + after


class StateTree:
    """The hashes over all buckets, kept in memory (4 MiB), rebuilt from the buckets at start."""

    def __init__(self, store: StateStore) -> None:
        empty = [_EMPTY_BUCKET]
        for _ in range(LEVELS):
            empty.append(hashlib.sha256(b"\x01" + empty[-1] + empty[-1]).digest())
        self._levels = [bytearray(empty[level] * (BUCKETS >> level)) for level in range(LEVELS + 1)]
        self.update(tuple(store.buckets()))

    @property
    def root(self) -> bytes:
        """The state root."""
        return bytes(self._levels[LEVELS])

    def update(self, buckets: tuple[tuple[int, bytes], ...]) -> None:
        """Take over new contents of buckets."""
        self._write(_leaves(buckets))

    def root_after(self, buckets: tuple[tuple[int, bytes], ...]) -> bytes:
        """The root the tree would have with these contents, leaving it as it is."""
        kept = [(index, bytes(self._levels[0][index * 32 : index * 32 + 32])) for index, _ in buckets]
        self._write(_leaves(buckets))
        root = self.root
        self._write(kept)
        return root

    def _write(self, leaves: list[tuple[int, bytes]]) -> None:
        for index, leaf in leaves:
            self._levels[0][index * 32 : index * 32 + 32] = leaf
        touched = [index for index, _ in leaves]
        for level in range(LEVELS):
            lower, upper = self._levels[level], self._levels[level + 1]
            touched = list(dict.fromkeys(index >> 1 for index in touched))
            for index in touched:
                pair = lower[index * 64 : index * 64 + 64]
                upper[index * 32 : index * 32 + 32] = hashlib.sha256(b"\x01" + pair).digest()

    def path(self, index: int) -> tuple[bytes, ...]:
        """Sibling hashes from a bucket up to the root."""
        path: list[bytes] = []
        for level in range(LEVELS):
            sibling = (index >> level) ^ 1
            path.append(bytes(self._levels[level][sibling * 32 : sibling * 32 + 32]))
        return tuple(path)


def _leaves(buckets: tuple[tuple[int, bytes], ...]) -> list[tuple[int, bytes]]:
    return [(index, _bucket_hash(content)) for index, content in buckets]


def verify_state(proof: StateProof, key: bytes, value: bytes | None, root: bytes) -> None:
    """Check that ``key`` holds exactly ``value`` (``None``: nothing) in the state with this root.

    Raises:
        ProofError: the bucket does not lead to the root, is malformed, or says otherwise.
    """
    content = proof.bucket
    names = [content[at : at + 32] for at in range(0, len(content), 64)]
    if len(content) % 64 or names != sorted(dict.fromkeys(names)) or len(proof.path) != LEVELS:
        raise ProofError("the bucket is not a sorted list of 64-byte entries with a path of 16")
    at, present = _find(content, hashlib.sha256(key).digest())
    shown = content[at + 32 : at + 64] if present else None
    if shown != (None if value is None else hashlib.sha256(value).digest()):
        raise ProofError("the bucket holds another value under this key", present=present)
    node, index = _bucket_hash(content), bucket_of(key)
    for sibling in proof.path:
        pair = sibling + node if index & 1 else node + sibling
        node, index = hashlib.sha256(b"\x01" + pair).digest(), index >> 1
    if node != root:
        raise ProofError("the bucket does not lead to the given state root")


class NodeState(Record):
    """How far a node's access rows have come."""

    next_index: int = 0
    """Index its next row must have."""

    last_t: int = 0
    """Time of its newest row, microseconds."""

    last_header_hash: bytes = bytes(32)
    """SHA-256 of its newest batch header."""

    last_session: int = 0
    """Largest session number it has used."""


class SessionState(Record):
    """What the ledger knows of a node's session."""

    grant: int
    """Grant it runs under; 0 for previews."""

    consumer: int
    """Account that opened it."""

    purpose: int
    """Code of its purpose."""

    run: int
    """Run it belongs to; 0 for none."""

    expires_at: int
    """End, microseconds."""

    app_key: int = 0
    """Application key it was opened with; 0 for none."""

    rows: int = 0
    """Rows recorded."""

    acknowledged: int = 0
    """Rows the consumer's newest watermark acknowledges."""


class Commitment(Record):
    """Registrations reserved by an account."""

    account: int
    """Who reserved."""

    root: bytes
    """Root over the hidden leaves."""

    count: int
    """How many leaves."""

    height: int
    """Block that holds it."""


class LogHead(NamedTuple):
    """The access log's size and root."""

    size: int
    """Entries."""

    root: bytes
    """RFC 9162 root over them."""

    records: int
    """Rows in all entries together."""


class LogState(Record):
    """The access log's frontier."""

    size: int = 0
    """Entries."""

    records: int = 0
    """Rows in all of them."""

    frontier: tuple[bytes, ...] = ()
    """Roots of its complete subtrees, largest first."""


def number_key(prefix: bytes, *numbers: int) -> bytes:
    """A key of a prefix and u64 numbers, so that keys sort as their numbers do."""
    return prefix + b"".join(number.to_bytes(8, "big") for number in numbers)


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
        return None if raw is None else decode(raw, kind)

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

    def settlement(self, number: int) -> Settlement | None:
        """A settlement."""
        return self._load(number_key(b"t", number), Settlement)

    def dispute(self, number: int) -> Dispute | None:
        """A dispute."""
        return self._load(number_key(b"x", number), Dispute)

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


def changed_buckets(
    store: StateStore, writes: tuple[tuple[bytes, bytes | None], ...]
) -> tuple[tuple[int, bytes], ...]:
    """The buckets that rows change, with their new content, ascending."""
    contents: dict[int, bytes] = {}
    for key, value in writes:
        index = bucket_of(key)
        content = contents.get(index)
        contents[index] = change_bucket(store.bucket(index) if content is None else content, key, value)
    return tuple((index, contents[index]) for index in sorted(contents))
