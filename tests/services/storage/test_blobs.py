import hashlib
import os
import random
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import NotFound, StorageError
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.blobs.sealing import HEAD_BYTES, SEALED_BYTES
from audiera.services.storage.ports import BlobInfo, BlobStore

MASTER = bytes(range(32))
MIB = 1_048_576
SIZES = [0, 1, 65_535, 65_536, 65_537, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 65_536 + 7]


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[BlobStore]:
    store = open_blobs(tmp_path / "blobs", master_key=MASTER, entropy=os.urandom)
    yield store
    store.close()


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def store_bytes(blobs: BlobStore, data: bytes, step: int = 300_000) -> BlobInfo:
    writer = blobs.begin()
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
    return writer.finish()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "files").rglob("*") if path.is_file())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [70_001, 3 * MIB])
def test_blob_is_named_and_read_back_by_its_content(blobs: BlobStore, size: int, step: int) -> None:
    data = content(size)
    info = store_bytes(blobs, data, step)
    leaves = tuple(leaf_hash(data[start : start + MIB]) for start in range(0, size, MIB))
    assert info == BlobInfo(hashlib.sha256(data).digest(), size, tree_root(leaves))
    assert blobs.info(info.id) == info
    assert blobs.chunk_hashes(info.id) == leaves
    reader = blobs.open(info.id)
    assert reader.size == size
    assert reader.read(0, size) == data
    assert reader.read(0, size + 10) == data
    assert reader.read(size, 1) == b""
    reader.close()
    reader.close()


def test_any_range_is_what_was_written(tmp_path: Path) -> None:
    data = content(3 * MIB + 12_345)
    blobs = open_blobs(tmp_path, master_key=MASTER, entropy=os.urandom)
    reader = blobs.open(store_bytes(blobs, data).id)

    @given(
        offset=st.integers(0, len(data) + 10),
        length=st.one_of(st.integers(0, 70_000), st.integers(0, len(data))),
    )
    def check(offset: int, length: int) -> None:
        assert reader.read(offset, length) == data[offset : offset + length]

    check()
    with pytest.raises(StorageError) as refused:
        reader.read(-1, 5)
    assert refused.value.code == "range_invalid"
    reader.close()
    blobs.close()


def test_bytes_on_the_disk_are_not_the_bytes_of_the_blob(blobs: BlobStore, tmp_path: Path) -> None:
    data = b"something to be found in the clear " * 4_000
    store_bytes(blobs, data)
    for path in (tmp_path / "blobs").rglob("*"):
        if path.is_file():
            assert data[:35] not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_damaged_chunk_is_named_and_the_others_stay_readable(blobs: BlobStore, tmp_path: Path, chunk: int) -> None:
    data = content(2 * 65_536 + 100)
    info = store_bytes(blobs, data)
    path = files(tmp_path / "blobs")[0]
    raw = bytearray(path.read_bytes())
    raw[HEAD_BYTES + chunk * SEALED_BYTES + 50] ^= 1
    path.write_bytes(raw)
    reader = blobs.open(info.id)
    with pytest.raises(StorageError, match=f"chunk {chunk} ") as damaged:
        reader.read(0, len(data))
    assert damaged.value.values["chunk"] == chunk
    for other in {0, 1, 2} - {chunk}:
        start = other * 65_536
        assert reader.read(start, 100) == data[start : start + 100]
    reader.close()


def test_chunks_cannot_be_swapped_dropped_or_taken_from_another_blob(blobs: BlobStore, tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    data = content(3 * 65_536)
    info = store_bytes(blobs, data)
    (path,) = files(folder)
    whole = path.read_bytes()
    store_bytes(blobs, content(3 * 65_536, seed=2))
    (other,) = [each for each in files(folder) if each != path]
    foreign = other.read_bytes()
    first, second = (whole[HEAD_BYTES + n * SEALED_BYTES : HEAD_BYTES + (n + 1) * SEALED_BYTES] for n in (0, 1))
    altered = {
        "swapped": whole[:HEAD_BYTES] + second + first + whole[HEAD_BYTES + 2 * SEALED_BYTES :],
        "dropped": whole[:-SEALED_BYTES],
        "foreign": foreign,
    }
    for raw in altered.values():
        path.write_bytes(raw)
        reader = blobs.open(info.id)
        with pytest.raises(StorageError, match="damaged"):
            reader.read(0, len(data))
        reader.close()


def test_same_content_twice_is_kept_once(blobs: BlobStore, tmp_path: Path) -> None:
    first = store_bytes(blobs, b"same")
    second = store_bytes(blobs, b"same")
    assert first == second
    assert len(files(tmp_path / "blobs")) == 1
    assert not list((tmp_path / "blobs" / "incoming").iterdir())


def test_blob_whose_file_was_lost_is_healed_by_writing_it_again(blobs: BlobStore, tmp_path: Path) -> None:
    info = store_bytes(blobs, b"lost and found")
    files(tmp_path / "blobs")[0].unlink()
    with pytest.raises(StorageError, match="cannot be opened"):
        blobs.open(info.id)
    assert store_bytes(blobs, b"lost and found") == info
    reader = blobs.open(info.id)
    assert reader.read(0, 100) == b"lost and found"
    reader.close()


def test_nothing_is_visible_before_finish_and_nothing_stays_after_abort(blobs: BlobStore, tmp_path: Path) -> None:
    writer = blobs.begin()
    writer.write(b"half")
    assert blobs.info(hashlib.sha256(b"half").digest()) is None
    writer.abort()
    writer.abort()
    assert not list((tmp_path / "blobs" / "incoming").iterdir())
    with pytest.raises(StorageError) as closed:
        writer.write(b"more")
    assert closed.value.code == "writer_closed"


def test_deleted_blob_and_its_key_are_gone(blobs: BlobStore, tmp_path: Path) -> None:
    info = store_bytes(blobs, b"to be erased")
    row = files(tmp_path / "blobs")[0].name
    blobs.delete(info.id)
    blobs.delete(info.id)
    assert blobs.info(info.id) is None
    assert not files(tmp_path / "blobs")
    for path in (tmp_path / "blobs").glob("keys.sqlite*"):
        assert bytes.fromhex(row) not in path.read_bytes()
    with pytest.raises(NotFound):
        blobs.open(info.id)
    with pytest.raises(NotFound):
        blobs.chunk_hashes(info.id)


def test_blobs_survive_reopening_and_need_their_master_key(tmp_path: Path) -> None:
    blobs = open_blobs(tmp_path, master_key=MASTER, entropy=os.urandom)
    info = store_bytes(blobs, b"kept")
    blobs.close()
    with pytest.raises(StorageError) as refused:
        open_blobs(tmp_path, master_key=bytes(32), entropy=os.urandom)
    assert refused.value.code == "master_key_differs"
    again = open_blobs(tmp_path, master_key=MASTER, entropy=os.urandom)
    reader = again.open(info.id)
    assert reader.read(0, 10) == b"kept"
    reader.close()
    again.close()


def test_start_sweeps_a_writers_leftovers_and_completes_an_interrupted_move(tmp_path: Path) -> None:
    blobs = open_blobs(tmp_path, master_key=MASTER, entropy=os.urandom)
    info = store_bytes(blobs, b"moved in time")
    blobs.begin().write(b"never finished")
    blobs.close()
    (placed,) = files(tmp_path)
    placed.rename(tmp_path / "incoming" / placed.name)  # as if the move had not reached the disk
    again = open_blobs(tmp_path, master_key=MASTER, entropy=os.urandom)
    assert files(tmp_path) == [placed]
    assert not list((tmp_path / "incoming").iterdir())
    reader = again.open(info.id)
    assert reader.read(0, 100) == b"moved in time"
    reader.close()
    again.close()


def test_full_disk_is_a_clear_error_and_leaves_nothing(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    writer = blobs.begin()
    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(StorageError, match="No space left") as failed:
        writer.write(content(2 * MIB))
    assert failed.value.code == "blob_not_written"
    assert not list((tmp_path / "blobs" / "incoming").iterdir())


def test_writing_a_large_blob_takes_constant_memory(blobs: BlobStore) -> None:
    block = content(MIB // 2)
    tracemalloc.start()
    try:
        writer = blobs.begin()
        for _ in range(64):
            writer.write(block)
        writer.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def test_many_threads_write_and_read_at_once(blobs: BlobStore) -> None:
    def work(seed: int) -> None:
        for number in range(4):
            data = content(100_000, seed=seed % 2 * 10 + number)
            reader = blobs.open(store_bytes(blobs, data).id)
            assert reader.read(65_000, 2_000) == data[65_000:67_000]
            reader.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
