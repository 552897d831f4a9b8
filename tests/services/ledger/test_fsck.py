import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.services.ledger.actors import grown, opened

from audiera.protocol.errors import AudieraError, LedgerError, StorageError
from audiera.services.ledger.fsck import check_ledger
from audiera.services.storage.frames import FILE_HEAD_BYTES
from audiera.services.storage.state import StateDatabase

TABLES = ("meta", "rows", "buckets", "blocks", "transactions", "log_entries", "tiles")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fsck") / "home"
    grown(folder).close()
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home, tmp_path / "home")
    return tmp_path / "home"


def contents(folder: Path) -> list[object] | None:
    """Everything the database says; None when it cannot be read."""
    try:
        database = StateDatabase(folder / "state.sqlite", start=FILE_HEAD_BYTES)
        try:
            tip = database.tip()
            return [
                tip,
                list(database.rows()),
                list(database.buckets()),
                [database.block(height) for height in range(tip.height + 2)],
                list(database.transactions()),
                list(database.log_entries()),
                list(database.tiles()),
                database.counts(),
                database.faults(),
            ]
        finally:
            database.close()
    except (AudieraError, sqlite3.Error, UnicodeDecodeError, TypeError, ValueError):
        return None


def test_ledger_in_order_has_no_findings(copy: Path) -> None:
    ledger = opened(copy)
    head = ledger.head()
    with pytest.raises(StorageError):
        check_ledger(copy)
    ledger.close()
    report = check_ledger(copy)
    assert report.ok
    assert report.findings == ()
    assert (report.height, report.app_hash) == (head.height, head.app_hash)


def test_no_ledger_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerError):
        check_ledger(tmp_path)


def test_flipped_byte_of_the_block_log_is_found(copy: Path) -> None:
    path = copy / "blocks.log"
    whole = path.read_bytes()
    for at in random.Random(1).sample(range(len(whole)), 40):
        raw = bytearray(whole)
        raw[at] ^= 1 << at % 8
        path.write_bytes(raw)
        assert not check_ledger(copy).ok, f"byte {at}"


def test_flipped_byte_of_the_genesis_is_found_and_refused_at_start(copy: Path) -> None:
    path = copy / "genesis.cbor"
    whole = path.read_bytes()
    for at in range(0, len(whole), 5):
        raw = bytearray(whole)
        raw[at] ^= 1 << at % 8
        path.write_bytes(raw)
        assert not check_ledger(copy).ok, f"byte {at}"
        with pytest.raises(LedgerError):
            opened(copy, genesis=None)


def test_flipped_byte_in_the_database_is_found_wherever_it_changes_what_it_says(copy: Path) -> None:
    path = copy / "state.sqlite"
    whole, truth = path.read_bytes(), contents(copy)
    found = 0
    for at in random.Random(2).sample(range(len(whole)), 60):
        raw = bytearray(whole)
        raw[at] ^= 1 << at % 8
        path.write_bytes(raw)
        says = contents(copy)
        path.write_bytes(raw)
        report = check_ledger(copy)
        assert report.ok == (says == truth), f"byte {at}: {report.findings}"
        found += not report.ok
    assert found > 10


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("UPDATE rows SET value = x'00' WHERE key = (SELECT max(key) FROM rows)", "rows"),
        ("DELETE FROM rows WHERE key = (SELECT max(key) FROM rows)", "rows"),
        ("INSERT INTO rows VALUES (x'ffff', x'01')", "rows"),
        ("UPDATE buckets SET content = content || x'00' WHERE number = (SELECT max(number) FROM buckets)", "buckets"),
        ("DELETE FROM transactions WHERE height = 5", "transactions"),
        ("UPDATE transactions SET height = 3 WHERE height = 5", "transactions"),
        ("UPDATE log_entries SET entry = zeroblob(208) WHERE number = 2", "log_entries"),
        ("UPDATE tiles SET hashes = zeroblob(160)", "tiles"),
        ("UPDATE blocks SET result = x'a0' WHERE height = 4", "blocks"),
        ("UPDATE blocks SET start = start + 1 WHERE height = 4", "blocks"),
        ("INSERT INTO blocks VALUES (999, 0, x'', x'')", "blocks"),
        ("UPDATE meta SET value = zeroblob(32) WHERE name = 'app_hash'", ""),
        ("UPDATE meta SET value = value - 1 WHERE name = 'end'", ""),
        ("UPDATE meta SET value = value - 1 WHERE name = 'height'", ""),
        ("DELETE FROM meta WHERE name = 'height'", ""),
    ],
)
def test_altered_row_is_found_in_its_table(copy: Path, change: str, where: str) -> None:
    db = sqlite3.connect(copy / "state.sqlite")
    with db:
        db.execute(change)
    db.close()
    report = check_ledger(copy)
    assert not report.ok
    assert f"state.sqlite {where}".strip() in {finding.where for finding in report.findings}


def test_blocks_that_are_final_but_not_executed_are_a_note_and_are_executed_at_the_next_start(
    home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("genesis.cbor", "blocks.log"):
        shutil.copy(home / name, folder / name)
    report = check_ledger(folder)
    assert report.ok
    assert [finding.severity for finding in report.findings] == ["note"]
    opened(folder).close()
    assert check_ledger(folder).findings == ()
    assert contents(folder) == contents(home)


def test_torn_tail_is_a_note_and_lost_block_is_a_fault(copy: Path) -> None:
    path = copy / "blocks.log"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[64:90])
    report = check_ledger(copy)
    assert report.ok
    assert "torn" in report.findings[0].what
    path.write_bytes(whole[:-1])
    assert not check_ledger(copy).ok
    with pytest.raises(LedgerError):
        opened(copy)
