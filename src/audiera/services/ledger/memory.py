"""A chain's database in memory: what a replay or an audit executes blocks into."""

from audiera.protocol.state import MemoryStore
from audiera.services.storage.ports import BlockWrites, StoredBlock, Tip


class MemoryDatabase(MemoryStore):
    """The committed state and its indexes, kept in dictionaries. For one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[int, StoredBlock] = {}
        self.transactions: dict[bytes, tuple[int, int]] = {}
        self.log_entries: dict[int, bytes] = {}
        self.tiles: dict[tuple[int, int], bytes] = {}
        self._tip = Tip(0, b"", 0)

    def commit(self, writes: BlockWrites) -> None:
        """Take over a block."""
        self.apply(writes.rows, writes.buckets)
        height = writes.tip.height
        self.blocks[height] = StoredBlock(writes.start, writes.result, is_whole=True)
        self.transactions.update((name, (height, position)) for name, position in writes.transactions)
        self.log_entries.update(enumerate(writes.entries, writes.first_entry))
        self.tiles.update(((level, number), hashes) for level, number, hashes in writes.tiles)
        self._tip = writes.tip

    def tip(self) -> Tip:
        """Where it stands."""
        return self._tip

    def block(self, height: int) -> StoredBlock | None:
        """Where a block is in the block log, and what it did."""
        return self.blocks.get(height)

    def transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Height and position of a transaction."""
        return self.transactions.get(transaction_id)

    def log_entry(self, number: int) -> bytes | None:
        """An entry of the access log."""
        return self.log_entries.get(number)

    def tile(self, level: int, number: int) -> bytes:
        """The hashes of a tile of the access log's tree."""
        return self.tiles.get((level, number), b"")
