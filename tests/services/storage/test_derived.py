"""A file that follows the ledger: whole blocks in order, begun anew when it is old, readable while it is written."""

from pathlib import Path

import pytest

from audiera.protocol.errors import StorageError
from audiera.protocol.results import BlockResult
from audiera.services.storage.derived import DerivedFile, position


def opened(path: Path, *, version: int = 1) -> DerivedFile:
    return DerivedFile(
        path,
        name="test",
        version=version,
        schema="CREATE TABLE IF NOT EXISTS seen (height INTEGER PRIMARY KEY);",
        tables=("seen",),
    )


def take(file: DerivedFile, height: int, app_hash: bytes = bytes(32)) -> bool:
    with file.taking(BlockResult(height=height, time=height * 10, app_hash=app_hash)) as db:
        if db is not None:
            db.execute("INSERT INTO seen VALUES (?)", (height,))
        return db is not None


def seen(file: DerivedFile) -> list[int]:
    with file.reading() as db:
        return [height for (height,) in db.execute("SELECT height FROM seen ORDER BY height")]


def test_blocks_are_taken_once_and_in_order(tmp_path: Path) -> None:
    file = opened(tmp_path / "f.sqlite")
    assert [take(file, height) for height in (1, 2, 2, 1, 3)] == [True, True, False, False, True]
    with pytest.raises(StorageError) as gap:
        take(file, 5)
    assert (gap.value.code, gap.value.values["height"]) == ("follower_gap", 3)
    with pytest.raises(StorageError) as other:
        take(file, 3, app_hash=b"\x01" * 32)
    assert other.value.code == "follower_of_another_chain"
    assert (seen(file), file.height) == ([1, 2, 3], 3)
    file.close()


def test_a_block_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    file = opened(tmp_path / "f.sqlite")
    take(file, 1)

    def fail() -> None:
        with file.taking(BlockResult(height=2, time=20, app_hash=bytes(32))) as db:
            assert db is not None
            db.execute("INSERT INTO seen VALUES (2)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (seen(file), file.height) == ([1], 1)
    assert take(file, 2)
    file.close()


def test_it_stands_where_it_stood_when_opened_again(tmp_path: Path) -> None:
    file = opened(tmp_path / "f.sqlite")
    take(file, 1)
    file.close()
    again = opened(tmp_path / "f.sqlite")
    with again.reading() as db:
        assert position(db) == (1, 10, bytes(32))
    again.clear()
    assert (seen(again), again.height) == ([], 0)
    again.close()


def test_another_version_is_begun_anew(tmp_path: Path) -> None:
    file = opened(tmp_path / "f.sqlite")
    take(file, 1)
    file.close()
    newer = opened(tmp_path / "f.sqlite", version=2)
    assert (seen(newer), newer.height) == ([], 0)
    newer.close()


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    file = opened(tmp_path / "f.sqlite")
    take(file, 1)
    with file.reading() as db:
        assert position(db).height == 1
        take(file, 2)
        assert position(db).height == 1
    assert file.height == 2
    file.close()


def test_closing_while_it_is_read_harms_nothing(tmp_path: Path) -> None:
    file = opened(tmp_path / "f.sqlite")
    take(file, 1)
    with file.reading() as db:
        file.close()
        assert position(db).height == 1
