"""The folder of a ledger: genesis, block log and state database, open in one process at a time."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from audiera.protocol.encoding import decode, encode
from audiera.protocol.errors import AudieraError, LedgerError
from audiera.protocol.records import Genesis
from audiera.protocol.records.params import check_genesis
from audiera.services.storage.blocklog import BlockLog, nothing_after
from audiera.services.storage.files import Entropy, write_durably
from audiera.services.storage.frames import FILE_HEAD_BYTES
from audiera.services.storage.lock import FolderLock
from audiera.services.storage.state import StateDatabase

GENESIS = "genesis.cbor"
BLOCKS = "blocks.log"
STATE = "state.sqlite"


class LedgerHome:
    """What a ledger keeps on disk.

    Args:
        folder: the folder; made for a new chain when a genesis is given.
        genesis: what a new chain begins with; for a chain that is there, None or exactly its genesis.
        entropy: source of the block log's salt.
        after: called with the name of each durable step once it is done.

    Raises:
        StorageError: the folder is open elsewhere.
        LedgerError: there is no chain and no genesis, or another chain, or what is there is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        genesis: Genesis | None,
        entropy: Entropy,
        after: Callable[[str], None] = nothing_after,
    ) -> None:
        if genesis is None and not (folder / GENESIS).exists():
            raise LedgerError(f"there is no ledger in {folder}; a new one needs a genesis", code="no_ledger")
        self.folder = folder
        self._lock = FolderLock(folder)
        try:
            self.genesis = _found_genesis(folder / GENESIS, genesis)
            self.log = BlockLog(folder / BLOCKS, entropy=entropy, after=after)
            self.database = StateDatabase(folder / STATE, start=FILE_HEAD_BYTES)
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Give the folder back."""
        self.database.close()
        self.log.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_genesis(path: Path) -> Genesis:
    """The genesis in a file.

    Raises:
        LedgerError: the file is missing or damaged.
    """
    try:
        genesis = decode(path.read_bytes(), Genesis)
        check_genesis(genesis)
    except (AudieraError, OSError) as cause:
        raise LedgerError(
            f"the genesis in {path} cannot be read: {cause}; restore the file from a copy",
            code="genesis_damaged",
            file=str(path),
        ) from cause
    return genesis


def _found_genesis(path: Path, given: Genesis | None) -> Genesis:
    if not path.exists() and given is not None:
        check_genesis(given)
        write_durably(path, encode(given))
    found = load_genesis(path)
    if given is not None and found != given:
        raise LedgerError(
            f"the ledger in {path.parent} belongs to chain {found.chain_id!r} with another genesis than the one "
            f"given for {given.chain_id!r}; use another folder",
            code="genesis_differs",
        )
    return found
