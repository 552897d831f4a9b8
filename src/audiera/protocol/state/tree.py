"""The state: rows under keys, committed to by a tree of 65,536 hash buckets.

A row's bucket is the first two bytes of the SHA-256 of its key. A bucket holds, sorted, 64 bytes for each of its
rows: SHA-256 of the key, SHA-256 of the value. Bucket hashes are the leaves of a binary tree of 16 levels whose
root is the state root, so that one row's change costs one bucket and 16 hashes, and a row is proved by its bucket
and 16 siblings. Neither height nor time enters: an empty block leaves the root as it was.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from typing import Protocol

from audiera.protocol.errors import ProofError
from audiera.protocol.records import Record

BUCKETS = 65_536
LEVELS = 16
_EMPTY_BUCKET = bytes(32)


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

    def apply(self, writes: tuple[tuple[bytes, bytes | None], ...], buckets: tuple[tuple[int, bytes], ...]) -> None:
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


class StateProof(Record, frozen=True, kw_only=True):
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


def changed_buckets(store: StateStore, writes: tuple[tuple[bytes, bytes | None], ...]) -> tuple[tuple[int, bytes], ...]:
    """The buckets that rows change, with their new content, ascending."""
    contents: dict[int, bytes] = {}
    for key, value in writes:
        index = bucket_of(key)
        content = contents.get(index)
        contents[index] = change_bucket(store.bucket(index) if content is None else content, key, value)
    return tuple((index, contents[index]) for index in sorted(contents))
