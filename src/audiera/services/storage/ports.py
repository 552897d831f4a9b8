"""What the rest of a node may ask of its disks. Every method is synchronous and thread-safe."""

from typing import NamedTuple, Protocol

from audiera.protocol.state import StateStore


class BlobInfo(NamedTuple):
    """A stored blob."""

    id: bytes
    """SHA-256 of its bytes."""

    size: int
    """Its length in bytes."""

    manifest_root: bytes
    """RFC 9162 root over its 1 MiB chunks."""


class BlobWriter(Protocol):
    """Takes a blob's bytes in order; nothing of it is visible before :meth:`finish`."""

    def write(self, data: bytes) -> None:
        """Append bytes."""

    def finish(self) -> BlobInfo:
        """Make the blob durable (file, key and folder synced), then visible; a blob already here is kept."""

    def abort(self) -> None:
        """Drop what was written."""


class BlobReader(Protocol):
    """Reads one blob; verified against its encryption tags."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` (fewer only at the end); StorageError when damaged."""

    def close(self) -> None:
        """Give the file back."""


class BlobStore(Protocol):
    """Content-addressed bytes, encrypted at rest, one random key for each blob."""

    def begin(self) -> BlobWriter:
        """Start writing a blob."""

    def open(self, blob: bytes) -> BlobReader:
        """Open a blob for reading; NotFound when it is not here."""

    def info(self, blob: bytes) -> BlobInfo | None:
        """What is stored under an id, if anything."""

    def chunk_hashes(self, blob: bytes) -> tuple[bytes, ...]:
        """Leaf hashes of its 1 MiB chunks, for verified range reads."""

    def delete(self, blob: bytes) -> None:
        """Erase a blob and its key; quiet when it is not here."""

    def close(self) -> None:
        """Give the folder back."""


class Documents(Protocol):
    """Small private documents that can be erased: sheets and profiles, found by their salted digest."""

    def put(self, kind: str, document: bytes) -> bytes:
        """Store a document (its bytes hold their own salt) durably; returns its SHA-256."""

    def get(self, kind: str, digest: bytes) -> bytes | None:
        """The document, unless it was never here or was erased."""

    def erase(self, kind: str, digest: bytes) -> None:
        """Forget it for ever."""

    def close(self) -> None:
        """Give the file back."""


class WriteAheadFile(Protocol):
    """An append-only file of groups of 64-byte rows; a group is durable before :meth:`append` returns."""

    def append(self, first_index: int, rows: bytes, sessions: bytes) -> None:
        """Write one group (rows, and the sessions and watermarks first seen in it) and sync it.

        A failed sync ends the process: what the disk holds is then unknown, and retrying would lie.
        """

    def groups(self, from_index: int) -> list[tuple[int, bytes, bytes]]:
        """Every whole group that holds an index >= ``from_index``, in order; a torn tail is cut."""

    def forget(self, below_index: int) -> None:
        """Delete whole segments whose rows are all below the index."""

    def close(self) -> None:
        """Give the files back."""


class Tip(NamedTuple):
    """Where the database stands."""

    height: int
    """Its last block; 0 before the first."""

    app_hash: bytes
    """Application hash after it."""

    end: int
    """Where the block log goes on after it."""


class BlockWrites(NamedTuple):
    """What one block changes in the database."""

    tip: Tip
    """Where the database stands afterwards."""

    start: int
    """Where the block's record begins in the block log."""

    rows: tuple[tuple[bytes, bytes | None], ...]
    """State rows; None deletes."""

    buckets: tuple[tuple[int, bytes], ...]
    """Changed hash buckets, whole."""

    result: bytes
    """Encoded result of the block."""

    transactions: tuple[tuple[bytes, int], ...]
    """Ids of its transactions and their positions, as the index shall say from now on."""

    first_entry: int
    """Number of its first entry in the access log."""

    entries: tuple[bytes, ...]
    """Its entries in the access log."""

    tiles: tuple[tuple[int, int, bytes], ...]
    """Changed tiles of the access log's tree: level, number, hashes."""


class StoredBlock(NamedTuple):
    """A row of the blocks table."""

    start: int
    """Where the block's record begins in the block log."""

    result: bytes
    """Encoded result."""

    is_whole: bool
    """Whether the result still has the digest it was written with."""


class Database(StateStore, Protocol):
    """The committed state of a chain and its indexes; one thread commits, any thread reads."""

    def commit(self, writes: BlockWrites) -> None:
        """Take over a block, whole or not at all: durable, and visible to readers, when this returns."""

    def tip(self) -> Tip:
        """Where it stands."""

    def block(self, height: int) -> StoredBlock | None:
        """Where a block is in the block log, and what it did."""

    def transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Height and position of a transaction."""

    def log_entry(self, number: int) -> bytes | None:
        """An entry of the access log."""

    def tile(self, level: int, number: int) -> bytes:
        """The hashes of a tile of the access log's tree, as far as it is filled."""
