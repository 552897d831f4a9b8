"""Checking a stopped ledger: every block, row and index against a fresh execution of its own block log."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from audiera.protocol.errors import AudieraError, LedgerError
from audiera.services.ledger import blocks
from audiera.services.ledger.execution import Executor
from audiera.services.ledger.home import BLOCKS, GENESIS, STATE, load_genesis
from audiera.services.ledger.memory import MemoryDatabase
from audiera.services.ledger.recovery import apply_record
from audiera.services.storage.blocklog import BlockLog
from audiera.services.storage.frames import FILE_HEAD_BYTES
from audiera.services.storage.lock import FolderLock
from audiera.services.storage.ports import Tip
from audiera.services.storage.state import StateDatabase

_MOST_FINDINGS = 20
"""Findings reported for each table; the first ones say enough."""


class Finding(NamedTuple):
    """Something that is not as it should be."""

    severity: Literal["fault", "note"]
    """``fault``: data is damaged. ``note``: a crash may leave it so, and the next start puts it right."""

    where: str
    """File and table, such as ``state.sqlite rows``."""

    what: str
    """What is wrong there."""


class Report(NamedTuple):
    """What a check found."""

    height: int
    """The last block that was checked and executed."""

    app_hash: bytes
    """Application hash after it, as executed here."""

    findings: tuple[Finding, ...]
    """What is wrong; empty for a ledger in order."""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not any(finding.severity == "fault" for finding in self.findings)


def check_ledger(folder: Path) -> Report:
    """Check everything a stopped ledger keeps.

    The block log is read from its beginning: hash chain, commits, data hashes, every field of every header.
    Each block is executed into memory, and every table of the state database is compared with what that
    gives: rows, buckets, results, transactions, access log, tiles.

    Args:
        folder: the ledger's folder.

    Raises:
        StorageError: it is open in another process.
        LedgerError: there is no ledger.
    """
    if not (folder / GENESIS).exists():
        raise LedgerError(f"there is no ledger in {folder}", code="no_ledger")
    with FolderLock(folder):
        audit = _Audit(folder)
        audit.run()
    tip = audit.executed.tip()
    return Report(tip.height, tip.app_hash, tuple(audit.findings))


class _Audit:
    """One check at work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.executed = MemoryDatabase()
        self.findings: list[Finding] = []

    def run(self) -> None:
        """Open the database, execute the log, and compare where the database stands."""
        stored: StateDatabase | None = None
        tip: Tip | None = None
        path = self._folder / STATE
        if path.exists():
            with self._told(STATE):
                stored = StateDatabase(path, start=FILE_HEAD_BYTES)
                for fault in stored.faults()[:_MOST_FINDINGS]:
                    self._fault(STATE, fault)
                tip = stored.tip()
        else:
            self._note(STATE, "is missing; it is made anew from the block log at the next start")
        try:
            self._execute(stored, tip)
        finally:
            if stored is not None:
                stored.close()

    @contextmanager
    def _told(self, where: str) -> Iterator[None]:
        try:
            yield
        except (AudieraError, OSError) as cause:
            self._fault(where, str(cause))

    def _fault(self, where: str, what: str) -> None:
        self.findings.append(Finding("fault", where, what))

    def _note(self, where: str, what: str) -> None:
        self.findings.append(Finding("note", where, what))

    def _execute(self, stored: StateDatabase | None, tip: Tip | None) -> None:
        compared = stored is None or tip is None
        end = FILE_HEAD_BYTES
        with self._told(BLOCKS):
            for end in self._block_ends(tip):
                if not compared and stored is not None and tip is not None and end == tip.end:
                    self._compare(stored, tip)
                    compared = True
        if not compared and tip is not None:
            self._fault(
                STATE, f"stands at block {tip.height}, byte {tip.end} of the block log, where no whole block ends"
            )
        if tip is not None and compared and end > tip.end:
            self._note(STATE, f"stands at block {tip.height}; the blocks behind it are executed at the next start")

    def _block_ends(self, tip: Tip | None) -> Iterator[int]:
        """Execute the blocks; yields where each ends in the log, first where the first begins."""
        genesis = load_genesis(self._folder / GENESIS)
        executor = Executor(genesis, self.executed)
        parent = blocks.first_parent(genesis)
        log = BlockLog(self._folder / BLOCKS)
        try:
            end = FILE_HEAD_BYTES
            yield end
            while end < log.end:
                try:
                    record = log.read(end)
                except LedgerError:
                    if (tip is not None and end < tip.end) or not log.is_torn_at(end):
                        raise
                    self._note(BLOCKS, f"ends with a torn record at byte {end}; it is cut at the next start")
                    return
                parent = apply_record(genesis, executor, parent, record)
                end = record.end
                yield end
        finally:
            log.close()

    def _compare(self, stored: StateDatabase, tip: Tip) -> None:
        ours = self.executed
        expected = ours.tip()
        if tip.height != expected.height or (tip.height and tip.app_hash != expected.app_hash):
            self._fault(STATE, f"stands at block {tip.height} with application hash {tip.app_hash.hex()}")
        self._table("rows", stored.rows(), ours.scan(b""))
        self._table("buckets", stored.buckets(), ours.buckets())
        self._table("transactions", _pairs(stored.transactions()), ours.transactions.items())
        self._table("log_entries", stored.log_entries(), ours.log_entries.items())
        self._table(
            "tiles",
            (((level, number), hashes) for level, number, hashes in stored.tiles()),
            ours.tiles.items(),
        )
        self._blocks(stored, tip)

    def _blocks(self, stored: StateDatabase, tip: Tip) -> None:
        with self._told(f"{STATE} blocks"):
            found = {height: stored.block(height) for height in range(1, tip.height + 1)}
            self._table("blocks", found.items(), self.executed.blocks.items())
            count = stored.counts()["blocks"]
            if count != tip.height:
                self._fault(f"{STATE} blocks", f"{tip.height} rows expected, found {count}")

    def _table(
        self, name: str, found: Iterable[tuple[object, object]], expected: Iterable[tuple[object, object]]
    ) -> None:
        """Compare a table with what executing the log gives."""
        where = f"{STATE} {name}"
        with self._told(where):
            wanted = dict(expected)
            faults = []
            for key, value in found:
                if key not in wanted:
                    faults.append(f"{_shown(key)} should not be there")
                elif wanted.pop(key) != value:
                    faults.append(f"{_shown(key)} holds something else than executing the blocks gives")
            faults += [f"{_shown(key)} is missing" for key in wanted]
            for fault in faults[:_MOST_FINDINGS]:
                self._fault(where, fault)


def _pairs(rows: Iterable[tuple[bytes, int, int]]) -> Iterator[tuple[object, object]]:
    return ((name, (height, position)) for name, height, position in rows)


def _shown(key: object) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)
