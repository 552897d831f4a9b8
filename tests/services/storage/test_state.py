from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiera.protocol.state import MemoryStore
from audiera.services.storage.ports import BlockWrites, Tip
from audiera.services.storage.state import StateDatabase

KEYS = st.binary(min_size=1, max_size=3)
ROWS = st.dictionaries(KEYS, st.one_of(st.none(), st.binary(max_size=5)), max_size=8)
BUCKETS = st.dictionaries(st.integers(0, 20), st.binary(max_size=4), max_size=4)


def block(
    height: int,
    rows: dict[bytes, bytes | None] | None = None,
    buckets: dict[int, bytes] | None = None,
    entries: tuple[bytes, ...] = (),
    first_entry: int = 0,
) -> BlockWrites:
    return BlockWrites(
        tip=Tip(height, bytes([height]) * 32, height * 100),
        start=height * 100 - 100,
        rows=tuple(sorted((rows or {}).items())),
        buckets=tuple(sorted((buckets or {}).items())),
        result=b"result %d" % height,
        transactions=((b"tx %d a" % height, 0), (b"tx %d b" % height, 1)),
        first_entry=first_entry,
        entries=entries,
        tiles=((0, 0, bytes([height]) * 32),) if entries else (),
    )


@settings(max_examples=40)
@given(blocks=st.lists(st.tuples(ROWS, BUCKETS), max_size=5), asked=st.lists(KEYS, max_size=5))
def test_database_reads_as_a_memory_store_does(
    tmp_path_factory: pytest.TempPathFactory,
    blocks: list[tuple[dict[bytes, bytes | None], dict[int, bytes]]],
    asked: list[bytes],
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.sqlite"
    database, memory = StateDatabase(path, start=64), MemoryStore()
    for height, (rows, buckets) in enumerate(blocks, start=1):
        for key in asked:
            assert database.get(key) == memory.get(key)  # fills the cache before the commit
        writes = block(height, rows, buckets)
        database.commit(writes)
        memory.apply(writes.rows, writes.buckets)
    for opened in (database, StateDatabase(path, start=64)):
        for key in [*asked, *(key for rows, _ in blocks for key in rows)]:
            assert opened.get(key) == memory.get(key)
            assert list(opened.scan(key[:1])) == list(memory.scan(key[:1]))
        assert list(opened.buckets()) == list(memory.buckets())
        assert [opened.bucket(index) for index in range(21)] == [memory.bucket(index) for index in range(21)]
        opened.close()


def test_scan_goes_over_many_pages_in_order(tmp_path: Path) -> None:
    database = StateDatabase(tmp_path / "state.sqlite", start=64)
    rows: dict[bytes, bytes | None] = {b"k" + index.to_bytes(2, "big"): b"v" for index in range(2_500)}
    database.commit(block(1, {**rows, b"j": b"1", b"l": b"2"}))
    assert [key for key, _ in database.scan(b"k")] == sorted(rows)
    database.close()


def test_tip_blocks_transactions_and_entries_are_found_after_reopening(tmp_path: Path) -> None:
    database = StateDatabase(tmp_path / "state.sqlite", start=64)
    assert database.tip() == Tip(0, b"", 64)
    database.commit(block(1, entries=(b"e0", b"e1")))
    database.commit(block(2, entries=(b"e2",), first_entry=2))
    database.close()
    again = StateDatabase(tmp_path / "state.sqlite", start=64)
    assert again.tip() == Tip(2, b"\x02" * 32, 200)
    stored = again.block(2)
    assert stored is not None
    assert (stored.start, stored.result, stored.is_whole) == (100, b"result 2", True)
    assert again.block(3) is None
    assert again.transaction(b"tx 2 b") == (2, 1)
    assert again.transaction(b"tx 9") is None
    assert [again.log_entry(number) for number in range(4)] == [b"e0", b"e1", b"e2", None]
    assert again.tile(0, 0) == b"\x02" * 32
    assert again.tile(1, 0) == b""
    assert again.counts()["transactions"] == 4
    assert list(again.transactions()) == [
        (b"tx 1 a", 1, 0),
        (b"tx 1 b", 1, 1),
        (b"tx 2 a", 2, 0),
        (b"tx 2 b", 2, 1),
    ]
    assert again.faults() == []
    again.close()


def test_block_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    database = StateDatabase(tmp_path / "state.sqlite", start=64)
    database.commit(block(1, {b"k": b"old"}, entries=(b"e0",)))
    with pytest.raises(Exception, match="UNIQUE"):
        database.commit(block(2, {b"k": b"new"}, entries=(b"again",), first_entry=0))
    assert database.tip().height == 1
    assert database.get(b"k") == b"old"
    database.close()
