"""Carrying a chain away and executing it again: the same blocks give the same state everywhere.

An export is a line of text, the genesis, then each block and its commit, every one of them in its canonical
encoding behind its length (u32, big-endian). It holds no state: whoever has it executes it and compares the
application hash.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from audiera.protocol.encoding import decode, encode
from audiera.protocol.errors import AudieraError, LedgerError
from audiera.protocol.records import Genesis
from audiera.protocol.records.params import check_genesis
from audiera.services.ledger import blocks
from audiera.services.ledger.execution import Executor
from audiera.services.ledger.home import LedgerHome
from audiera.services.ledger.memory import MemoryDatabase
from audiera.services.ledger.recovery import apply_record, execute, recover
from audiera.services.storage.blocklog import LoggedBlock
from audiera.services.storage.files import PRIVATE_FILE, Entropy, sync_folder

MAGIC = b"audiera-chain-export/1\n"
MAX_PIECE_BYTES = 64 * 1024 * 1024


class Replayed(NamedTuple):
    """Where a chain stands."""

    chain_id: str
    """Its name."""

    height: int
    """Its last block."""

    app_hash: bytes
    """Application hash after it."""


def export_chain(home: LedgerHome, file: Path) -> Replayed:
    """Write a stopped ledger's genesis and blocks to a new file, durably.

    Args:
        home: the ledger's folder, open.
        file: where to; must not exist.

    Returns:
        Where the chain stands, by the ledger's own database.

    Raises:
        LedgerError: the file exists, or the block log is damaged.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    except FileExistsError as cause:
        raise LedgerError(f"{file} exists; name a file that does not", code="file_exists") from cause
    tip = home.database.tip()
    with os.fdopen(descriptor, "wb") as out:
        out.write(MAGIC)
        _write(out, encode(home.genesis))
        for record in home.log.records():
            if record.end <= tip.end:
                _write(out, record.block)
                _write(out, record.commit)
        out.flush()
        os.fsync(out.fileno())
    sync_folder(file.absolute().parent)
    return Replayed(home.genesis.chain_id, tip.height, tip.app_hash)


def _write(out: BinaryIO, piece: bytes) -> None:
    out.write(len(piece).to_bytes(4, "big") + piece)


def _read(source: BinaryIO, file: Path) -> bytes | None:
    """The next piece; None at the end."""
    head = source.read(4)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    piece = source.read(length) if length <= MAX_PIECE_BYTES else b""
    if len(head) < 4 or len(piece) < length:
        raise LedgerError(
            f"{file} ends inside a piece or is damaged at byte {source.tell()}; export the chain again",
            code="export_damaged",
        )
    return piece


def _records(source: BinaryIO, file: Path) -> Iterator[LoggedBlock]:
    """The blocks of an export, each as a record that begins where the one before ended."""
    start = 0
    while (block := _read(source, file)) is not None:
        commit = _read(source, file)
        if commit is None:
            raise LedgerError(f"{file} ends before the last block's commit", code="export_damaged")
        end = start + len(block) + len(commit)
        yield LoggedBlock(start, end, block, commit)
        start = end


def _read_genesis(source: BinaryIO, file: Path) -> Genesis:
    if source.read(len(MAGIC)) != MAGIC:
        raise LedgerError(f"{file} is no export of a chain", code="export_damaged")
    try:
        genesis = decode(_read(source, file) or b"", Genesis)
        check_genesis(genesis)
    except AudieraError as cause:
        raise LedgerError(f"the genesis in {file} cannot be read: {cause.message}", code="export_damaged") from cause
    return genesis


def replay(file: Path, *, expected: Replayed | None = None) -> Replayed:
    """Check and execute every block of an export in memory.

    Args:
        file: the export.
        expected: where the chain must stand in the end.

    Raises:
        LedgerError: the file is damaged, a block is not valid, or the chain stands elsewhere in the end.
    """
    with file.open("rb") as source:
        genesis = _read_genesis(source, file)
        executor = Executor(genesis, MemoryDatabase())
        parent = blocks.first_parent(genesis)
        for record in _records(source, file):
            parent = apply_record(genesis, executor, parent, record)
    found = Replayed(genesis.chain_id, parent.height, executor.machine.app_hash)
    if expected is not None and found != expected:
        raise LedgerError(
            f"replay of {file} ends at block {found.height} with application hash {found.app_hash.hex()}, "
            f"but block {expected.height} with {expected.app_hash.hex()} was expected",
            code="replay_differs",
        )
    return found


def replay_into(file: Path, folder: Path, *, entropy: Entropy) -> Replayed:
    """Check and execute every block of an export into a new ledger.

    Args:
        file: the export.
        folder: the new ledger's folder; may hold the beginning of the same chain, and is then continued.
        entropy: source of the new block log's salt.

    Raises:
        LedgerError: the file is damaged, a block is not valid, or the folder holds another chain.
    """
    with file.open("rb") as source:
        genesis = _read_genesis(source, file)
        with LedgerHome(folder, genesis=genesis, entropy=entropy) as home:
            executor = Executor(genesis, home.database)
            parent = recover(home, executor)
            for record in _records(source, file):
                found = blocks.decode_record(record)
                if found.block.header.height <= parent.height:
                    _check_same(home, found.block.header.height, record)
                    continue
                blocks.check_next(genesis, parent, executor.machine.app_hash, found)
                parent = execute(executor, found, home.log.append(record.block, record.commit))
            return Replayed(genesis.chain_id, parent.height, executor.machine.app_hash)


def _check_same(home: LedgerHome, height: int, record: LoggedBlock) -> None:
    stored = home.database.block(height)
    if stored is None or home.log.read(stored.start).block != record.block:
        raise LedgerError(
            f"{home.folder} holds another block {height} than the export; use another folder",
            code="chain_differs",
            height=height,
        )
