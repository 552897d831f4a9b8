import os
import shutil
import threading
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import StorageError
from audiera.services.storage.files import sync_data
from audiera.services.storage.ports import WriteAheadFile
from audiera.services.storage.waf import EXIT_SYNC_FAILED, ROW_BYTES, open_write_ahead

SEGMENT = 4096


class ProcessEnded(BaseException):
    """Stands for the end of the process."""


def end(status: int) -> NoReturn:
    raise ProcessEnded(status)


def opened(folder: Path, segment_bytes: int = SEGMENT) -> WriteAheadFile:
    return open_write_ahead(folder, entropy=os.urandom, segment_bytes=segment_bytes)


def rows(first: int, count: int) -> bytes:
    return b"".join(index.to_bytes(8, "little") * 8 for index in range(first, first + count))


def fill(file: WriteAheadFile, sizes: list[int]) -> list[tuple[int, bytes, bytes]]:
    written, first = [], 0
    for number, count in enumerate(sizes):
        group = (first, rows(first, count), b"s" * (number % 5))
        file.append(*group)
        written.append(group)
        first += count
    return written


def test_groups_come_back_in_order_after_reopening_over_many_segments(tmp_path: Path) -> None:
    file = opened(tmp_path)
    written = fill(file, [1, 7, 16, 0, 30, 1, 40, 2, 50])
    assert file.groups(0) == written
    file.close()
    again = opened(tmp_path)
    assert len(list(tmp_path.glob("*.segment"))) > 2
    assert again.groups(0) == written
    assert again.groups(54) == [group for group in written if group[0] + len(group[1]) // 64 > 54]
    again.append(147, rows(147, 1), b"")
    assert again.groups(147) == [(147, rows(147, 1), b"")]
    again.close()


def test_group_without_rows_is_found_at_its_index(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.append(5, b"", b"watermark")
    assert file.groups(5) == [(5, b"", b"watermark")]
    assert file.groups(6) == []
    file.append(5, rows(5, 1), b"")
    file.close()


def test_file_cut_at_any_byte_holds_a_prefix_and_goes_on_from_there(tmp_path: Path) -> None:
    file = opened(tmp_path / "whole")
    written = fill(file, [1, 2, 1])
    file.close()
    segment = next((tmp_path / "whole").glob("*.segment"))
    content = segment.read_bytes()
    used = len(content.rstrip(b"\0")) + 1
    for cut in range(64, used + 1):
        for padding in (b"", bytes(SEGMENT - cut)):
            folder = tmp_path / "cut"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / segment.name).write_bytes(content[:cut] + padding)
            again = opened(folder)
            found = again.groups(0)
            assert found == written[: len(found)]
            assert len(found) >= 2 or cut < used - 80
            end = 64 + sum(24 + len(group[1]) + len(group[2]) for group in found)
            assert not (folder / segment.name).read_bytes()[end:].strip(b"\0")  # the torn rest is wiped
            end_index = sum(len(group[1]) // ROW_BYTES for group in found)
            again.append(end_index, rows(end_index, 1), b"new")
            again.close()
            once_more = opened(folder)
            assert once_more.groups(0) == [*found, (end_index, rows(end_index, 1), b"new")]
            once_more.close()


@given(place=st.floats(min_value=0, max_value=0.999), value=st.integers(1, 255))
def test_altered_byte_before_the_last_group_is_refused_never_skipped(
    tmp_path_factory: pytest.TempPathFactory, place: float, value: int
) -> None:
    folder = tmp_path_factory.mktemp("altered")
    file = opened(folder)
    fill(file, [1, 2, 3])
    file.close()
    segment = next(folder.glob("*.segment"))
    content = bytearray(segment.read_bytes())
    last_group = len(content.rstrip(b"\0")) - 230
    content[int(place * last_group)] ^= value
    segment.write_bytes(content)
    with pytest.raises(StorageError, match="damaged") as refused:
        opened(folder)
    assert refused.value.code == "write_ahead_damaged"


def test_rows_of_a_torn_group_do_not_pass_for_a_group(tmp_path: Path) -> None:
    """A whole group of another file, written inside a row, is no group here: its salt differs."""
    other = opened(tmp_path / "other")
    other.append(0, rows(0, 1), b"")
    other.close()
    foreign = next((tmp_path / "other").glob("*.segment")).read_bytes()[64 : 64 + 88]
    file = opened(tmp_path / "file")
    file.append(0, rows(0, 1), b"")
    file.append(1, rows(1, 1), foreign + b"tail")
    file.close()
    segment = next((tmp_path / "file").glob("*.segment"))
    content = bytearray(segment.read_bytes())
    content[len(content.rstrip(b"\0")) - 1] ^= 1
    segment.write_bytes(content)
    again = opened(tmp_path / "file")
    assert again.groups(0) == [(0, rows(0, 1), b"")]
    again.close()


def test_forgetting_deletes_whole_segments_below_the_index_only(tmp_path: Path) -> None:
    file = opened(tmp_path)
    written = fill(file, [30, 30, 30, 30])
    before = sorted(tmp_path.glob("*.segment"))
    file.forget(30)
    assert file.groups(0) == written[0:] if len(before) == 2 else written[1:]
    file.forget(10_000)
    kept = sorted(tmp_path.glob("*.segment"))
    assert kept == before[-1:]
    assert file.groups(90) == written[3:]
    file.close()


def test_repeated_index_is_refused(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.append(0, rows(0, 3), b"")
    with pytest.raises(StorageError) as refused:
        file.append(2, rows(2, 1), b"")
    assert refused.value.code == "group_repeated"
    assert len(file.groups(0)) == 1
    file.close()
    again = opened(tmp_path)
    with pytest.raises(StorageError):
        again.append(2, rows(2, 1), b"")
    again.close()


@pytest.mark.parametrize("group", [(0, b"x" * 63, b""), (0, rows(0, 100), b"")])
def test_malformed_or_too_large_group_is_refused(tmp_path: Path, group: tuple[int, bytes, bytes]) -> None:
    file = opened(tmp_path)
    with pytest.raises(StorageError) as refused:
        file.append(*group)
    assert refused.value.code == "group_invalid"
    file.close()
    with pytest.raises(StorageError) as closed:
        file.append(0, rows(0, 1), b"")
    assert closed.value.code == "write_ahead_closed"


def test_failed_sync_ends_the_process_and_is_not_tried_again(tmp_path: Path) -> None:
    calls = []

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(5, "Input/output error")

    file = open_write_ahead(tmp_path, entropy=os.urandom, segment_bytes=SEGMENT, sync=failing, end_process=end)
    with pytest.raises(ProcessEnded) as ended:
        file.append(0, rows(0, 1), b"")
    assert ended.value.args == (EXIT_SYNC_FAILED,)
    assert len(calls) == 1
    file.close()


def test_group_is_synced_before_append_returns(tmp_path: Path) -> None:
    synced: list[int] = []

    def recording(descriptor: int) -> None:
        synced.append(len(os.pread(descriptor, SEGMENT, 0).rstrip(b"\0")))
        sync_data(descriptor)

    file = open_write_ahead(tmp_path, entropy=os.urandom, segment_bytes=SEGMENT, sync=recording)
    file.append(0, rows(1, 1), b"x")
    assert synced == [64 + 12 + 12 + 64 + 1]
    file.close()


def test_two_openers_are_refused(tmp_path: Path) -> None:
    file = opened(tmp_path)
    with pytest.raises(StorageError) as refused:
        opened(tmp_path)
    assert refused.value.code == "folder_in_use"
    file.close()


def test_many_threads_append_without_losing_a_group(tmp_path: Path) -> None:
    file = opened(tmp_path, 64 * 1024)
    turn = threading.Lock()
    next_index = [0]

    def work() -> None:
        for _ in range(25):
            with turn:
                file.append(next_index[0], rows(next_index[0], 2), b"")
                next_index[0] += 2

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(group[1] for group in file.groups(0)) == rows(0, 200)
    file.close()


def test_leftover_draft_of_a_crash_is_swept(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "0000000000000002.draft").write_bytes(b"half")
    file = opened(tmp_path)
    assert not list(tmp_path.glob("*.draft"))
    file.close()
