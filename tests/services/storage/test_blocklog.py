import os
from pathlib import Path

import pytest

from audiera.protocol.errors import LedgerError
from audiera.services.storage.blocklog import BlockLog
from audiera.services.storage.frames import FILE_HEAD_BYTES

RECORDS = [(b"block one" * 30, b"commit one"), (b"", b"c"), (b"block three" * 7, b"commit three")]


def filled(path: Path) -> list[tuple[int, int]]:
    log = BlockLog(path, entropy=os.urandom)
    places = []
    for block, commit in RECORDS:
        record = log.append(block, commit)
        places.append((record.start, record.end))
    log.close()
    log.close()
    return places


def test_records_come_back_in_order_and_by_position(tmp_path: Path) -> None:
    places = filled(tmp_path / "blocks.log")
    log = BlockLog(tmp_path / "blocks.log")
    assert [(record.block, record.commit) for record in log.records()] == RECORDS
    assert [log.read(start).commit for start, _ in places] == [commit for _, commit in RECORDS]
    log.close()


def test_block_larger_than_one_read_comes_back_whole(tmp_path: Path) -> None:
    log = BlockLog(tmp_path / "blocks.log", entropy=os.urandom)
    block = os.urandom(3_000_000)
    start = log.append(block, b"commit").start
    log.append(b"next", b"")
    assert log.read(start).block == block
    log.close()


def test_log_cut_at_any_byte_keeps_the_whole_records_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    places = filled(path)
    whole = path.read_bytes()
    for cut in range(FILE_HEAD_BYTES, len(whole)):
        path.write_bytes(whole[:cut])
        log = BlockLog(path, entropy=os.urandom)
        kept = sum(end <= cut for _, end in places)
        begin = places[kept][0]
        assert log.cut_torn_tail(FILE_HEAD_BYTES) == cut - begin
        assert [(record.block, record.commit) for record in log.records()] == RECORDS[:kept]
        log.append(b"new", b"n")
        assert [record.block for record in log.records()][-1] == b"new"
        log.close()


def test_altered_byte_with_whole_records_behind_it_is_refused_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    places = filled(path)
    whole = path.read_bytes()
    for at in range(0, places[2][0], 7):
        raw = bytearray(whole)
        raw[at] ^= 0x40
        path.write_bytes(raw)
        with pytest.raises(LedgerError) as refused:
            BlockLog(path, entropy=os.urandom).cut_torn_tail(FILE_HEAD_BYTES)
        assert refused.value.code == "block_log_damaged"
        assert path.read_bytes() == raw


def test_log_shorter_than_what_was_executed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blocks.log"
    places = filled(path)
    os.truncate(path, places[2][0] + 3)
    with pytest.raises(LedgerError):
        BlockLog(path, entropy=os.urandom).cut_torn_tail(places[2][1])


def test_failed_sync_is_a_ledger_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BlockLog(tmp_path / "blocks.log", entropy=os.urandom)

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(LedgerError) as failed:
        log.append(b"block", b"commit")
    assert failed.value.code == "block_log_not_written"
    log.close()
