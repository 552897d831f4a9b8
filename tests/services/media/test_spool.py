"""The spool: what it confirmed is there after a crash, what it refused is not."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import Conflict, MediaError, NotFound, RequestError, TooLarge, TooMany
from audiera.services.media.spool import Spool, Ticket


def _spool(folder: Path, *, limit: int = 1_000, per_account: int = 4) -> Spool:
    return Spool(folder, entropy=os.urandom, limit=limit, per_account=per_account)


def _begin(spool: Spool, length: int = 10, owner: int = 7) -> Ticket:
    return spool.create(owner, length, name="a.wav", now=1_000)


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8))
def test_bytes_sent_in_any_pieces_add_up_over_restarts(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    whole = b"".join(pieces)
    upload = _begin(_spool(folder), len(whole)).id
    at = 0
    for piece in pieces:
        spool = _spool(folder)
        with spool.append(upload, at) as appender:
            appender.write(piece)
            at = appender.finish(hashlib.sha256(piece).digest())
    spool = _spool(folder)
    assert spool.offset(upload) == len(whole)
    with spool.hold(upload) as path:
        assert path.read_bytes() == whole


def test_what_was_written_without_a_goodbye_counts(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    upload = _begin(spool).id

    def cut_off() -> None:
        with spool.append(upload, 0) as appender:
            appender.write(b"1234")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert _spool(tmp_path).offset(upload) == 4


def test_files_are_private_and_their_names_are_not_the_uploaders(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    ticket = spool.create(7, 10, name="../../etc/passwd", now=0)
    assert spool.ticket(ticket.id).name == "../../etc/passwd"
    files = sorted(tmp_path.iterdir())
    assert [file.stem for file in files] == [ticket.id] * 2
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


def test_a_wrong_checksum_drops_only_that_request(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    upload = _begin(spool).id
    with spool.append(upload, 0) as appender:
        appender.write(b"abc")
        appender.finish()
    with spool.append(upload, 3) as appender:
        appender.write(b"def")
        with pytest.raises(RequestError) as refused:
            appender.finish(hashlib.sha256(b"other").digest())
    assert refused.value.code == "checksum_mismatch"
    assert spool.offset(upload) == 3


def test_an_upload_takes_no_more_than_it_was_said_to_have(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    upload = _begin(spool, 3).id
    with spool.append(upload, 0) as appender, pytest.raises(TooLarge):
        appender.write(b"abcd")
    assert spool.offset(upload) == 0


def test_bytes_from_another_offset_or_at_the_same_time_are_refused(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    upload = _begin(spool).id
    with pytest.raises(Conflict) as gap, spool.append(upload, 4):
        pass
    assert gap.value.code == "upload_offset"
    with spool.append(upload, 0), pytest.raises(Conflict) as busy, spool.append(upload, 0):
        pass
    assert busy.value.code == "upload_locked"


def test_limits_are_kept(tmp_path: Path) -> None:
    spool = _spool(tmp_path, limit=100, per_account=2)
    with pytest.raises(MediaError):
        _begin(spool, 0)
    with pytest.raises(TooLarge):
        _begin(spool, 101)
    _begin(spool)
    _begin(spool)
    with pytest.raises(TooMany):
        _begin(spool)
    _begin(spool, owner=8)


@pytest.mark.parametrize("name", ["", "..", "../x", "0" * 31, "0" * 32, "G" * 32])
def test_an_unknown_upload_is_not_found(tmp_path: Path, name: str) -> None:
    spool = _spool(tmp_path)
    for ask in (spool.ticket, spool.offset):
        with pytest.raises(NotFound):
            ask(name)


def test_deleted_and_swept_uploads_leave_nothing(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    spool.delete(_begin(spool).id)
    old, held = _begin(spool).id, _begin(spool).id
    young = spool.create(7, 10, name="", now=5_000).id
    with spool.hold(held):
        assert spool.sweep(before=2_000) == 1
    with pytest.raises(NotFound):
        spool.ticket(old)
    assert {file.stem for file in tmp_path.iterdir()} == {held, young}


def test_halves_of_an_upload_whose_beginning_was_cut_are_swept_at_start(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    upload = _begin(spool).id
    (tmp_path / f"{'a' * 32}.part").write_bytes(b"no ticket")
    (tmp_path / f"{upload}.json.draft").write_bytes(b"torn")
    (tmp_path / f"{upload}.part").unlink()
    _spool(tmp_path)
    assert list(tmp_path.iterdir()) == []
