import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.ledger.actors import ANSWER_S, GENESIS, Actor, grown, opened

from audiera.protocol.errors import AudieraError, LedgerError
from audiera.services.ledger.fsck import check_ledger
from audiera.services.ledger.home import LedgerHome
from audiera.services.ledger.replay import Replayed, export_chain, replay, replay_into


def exported(folder: Path, file: Path) -> Replayed:
    with LedgerHome(folder, genesis=None, entropy=os.urandom) as home:
        return export_chain(home, file)


def test_replay_of_an_export_gives_the_same_height_and_application_hash(tmp_path: Path) -> None:
    ledger = grown(tmp_path / "home")
    head = ledger.head()
    ledger.close()
    stands = exported(tmp_path / "home", tmp_path / "chain.export")
    assert stands == Replayed("test", head.height, head.app_hash)
    assert replay(tmp_path / "chain.export", expected=stands) == stands
    with pytest.raises(LedgerError) as differs:
        replay(tmp_path / "chain.export", expected=stands._replace(app_hash=bytes(32)))
    assert differs.value.code == "replay_differs"


def test_export_into_a_new_home_is_a_ledger_that_goes_on(tmp_path: Path) -> None:
    ledger = grown(tmp_path / "home")
    head, results = ledger.head(), list(ledger.follow(1))
    ledger.close()
    stands = exported(tmp_path / "home", tmp_path / "chain.export")
    assert replay_into(tmp_path / "chain.export", tmp_path / "copy", entropy=os.urandom) == stands
    assert replay_into(tmp_path / "chain.export", tmp_path / "copy", entropy=os.urandom) == stands
    assert check_ledger(tmp_path / "copy").findings == ()
    copy = opened(tmp_path / "copy", genesis=None)
    assert copy.head() == head
    assert list(copy.follow(1)) == results
    assert copy.submit(Actor("newcomer").creation()).result(ANSWER_S).ok
    copy.close()


def test_home_with_another_history_of_the_same_chain_is_refused(tmp_path: Path) -> None:
    grown(tmp_path / "home").close()
    exported(tmp_path / "home", tmp_path / "chain.export")
    other = opened(tmp_path / "other")
    Actor("somebody").join(other)
    other.close()
    with pytest.raises(LedgerError) as refused:
        replay_into(tmp_path / "chain.export", tmp_path / "other", entropy=os.urandom)
    assert refused.value.code == "chain_differs"


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    opened(tmp_path / "home").close()
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(LedgerError) as refused:
        exported(tmp_path / "home", tmp_path / "file")
    assert refused.value.code == "file_exists"
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_altered_or_cut_export_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "chain.export"
    grown(tmp_path / "home", changes=3, batches=2).close()
    stands = exported(tmp_path / "home", file)
    whole = file.read_bytes()

    @settings(max_examples=60)
    @given(at=st.integers(0, len(whole) - 1), flip=st.integers(1, 255))
    def altered(at: int, flip: int) -> None:
        raw = bytearray(whole)
        raw[at] ^= flip
        file.write_bytes(raw)
        with pytest.raises(AudieraError):
            replay(file, expected=stands)

    @settings(max_examples=30)
    @given(length=st.integers(0, len(whole) - 1))
    def cut(length: int) -> None:
        file.write_bytes(whole[:length])
        with pytest.raises(AudieraError):
            replay(file, expected=stands)

    altered()
    cut()
    assert GENESIS.chain_id == stands.chain_id
