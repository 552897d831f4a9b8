"""Uploads: pieces, resumed after every cut, from where they stand."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from audiera.protocol.errors import RequestError, Unavailable
from audiera.protocol.ids import format_blob_id
from audiera.sdk import Client, connect, make_identity, offers
from audiera.sdk.offers import sheet_of
from tests.sdk.house import Act, House, NodeProcess, lose_answers, sound


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "PIECE_BYTES", 32_768)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A sound of several pieces."""
    path = tmp_path / "Ein Stück.wav"
    path.write_bytes(sound(seconds=4.0, rate=16_000))
    assert path.stat().st_size > 3 * 32_768
    return path


@pytest.fixture
def through(house: House) -> Iterator[Client]:
    """An account whose requests go through the proxy."""
    client = house.join(url=house.proxy.url)
    house.proxy.acts.clear()
    yield client
    house.proxy.judge = lambda _: "pass"
    client.close()


def blob_of(file: Path) -> str:
    return format_blob_id(hashlib.sha256(file.read_bytes()).digest())


class Judge:
    """Acts on some of the pieces' stretches, counted from 0."""

    def __init__(self, act: Act, which: tuple[int, ...]) -> None:
        self._act, self._which = act, which
        self.count = 0
        self._is_piece = False

    def __call__(self, data: bytes) -> Act:
        if data.startswith((b"GET ", b"POST ", b"HEAD ", b"PATCH ")):
            self._is_piece = data.startswith(b"PATCH ")
            if not data.endswith(b"\r\n\r\n"):
                return self._judge() if self._is_piece else "pass"
            return "pass"
        return self._judge() if self._is_piece else "pass"

    def _judge(self) -> Act:
        self.count += 1
        return self._act if self.count - 1 in self._which else "pass"


def test_a_file_is_sent_in_pieces_and_taken_in(house: House, file: Path) -> None:
    told: list[tuple[int, int]] = []
    uploaded = house.person("creator").upload(file, progress=lambda sent, size: told.append((sent, size)))
    size = file.stat().st_size
    assert uploaded.report.blob == blob_of(file)
    assert [sent for sent, _ in told] == [*range(32_768, size, 32_768), size]
    assert {of for _, of in told} == {size}
    sheet = sheet_of(uploaded, artist="Ann")
    assert (sheet.title, sheet.artist) == ("Ein Stück", "Ann")


@pytest.mark.parametrize("act", ["cut", "lose", "damage"])
def test_a_piece_that_is_cut_lost_or_damaged_is_sent_again(house: House, through: Client, file: Path, act: Act) -> None:
    house.proxy.judge = Judge(act, (1, 2, 4))
    uploaded = through.upload(file)
    assert house.proxy.acts == [act] * 3
    assert uploaded.report.blob == blob_of(file)


def test_an_upload_that_was_given_up_goes_on_where_it_stands(house: House, file: Path) -> None:
    client = house.join()
    begun: list[str] = []

    class Enough(Exception):
        pass

    def stop(sent: int, size: int) -> None:
        if sent > size // 2:
            raise Enough

    with pytest.raises(Enough):
        client.uploads.send(file, progress=stop, begun=begun.append)
    stood = client.uploads.offset(begun[0])
    assert stood and stood >= file.stat().st_size // 2
    told: list[int] = []
    uploaded = client.uploads.send(
        file, resume=begun[0], progress=lambda sent, _: told.append(sent), begun=begun.append
    )
    assert told[0] == min(stood + 32_768, file.stat().st_size)
    assert begun == [begun[0]] * 2
    assert uploaded.report.blob == blob_of(file)


def test_an_upload_that_is_not_there_any_more_begins_anew(house: House, file: Path) -> None:
    begun: list[str] = []
    uploaded = house.join().uploads.send(file, resume="0" * 32, begun=begun.append)
    assert begun[0] != "0" * 32
    assert uploaded.report.blob == blob_of(file)


def test_a_node_that_is_killed_in_the_middle_goes_on_when_it_is_back(tmp_path: Path, file: Path) -> None:
    node = NodeProcess(tmp_path / "node")
    node.start()
    try:
        with connect(node.url, identity=make_identity()) as client:
            kills = [2]

            def kill(sent: int, _: int) -> None:
                if kills and sent >= kills[0] * 32_768:
                    kills.pop(0)
                    node.kill()
                    node.start()

            uploaded = client.upload(file, progress=kill)
            assert not kills
            assert uploaded.report.blob == blob_of(file)
            assert client.register(
                [offers.Registration(uploaded, client.publish_license(offers.preset("open")), sheet_of(uploaded))]
            )
    finally:
        node.stop()


def test_an_empty_file_is_refused_before_anything_is_sent(house: House, tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    with pytest.raises(RequestError) as refused:
        house.person("creator").upload(empty)
    assert refused.value.code == "empty"


def test_what_is_no_sound_is_refused_with_the_nodes_code(house: House, tmp_path: Path) -> None:
    text = tmp_path / "words.wav"
    text.write_text("these are words")
    with pytest.raises(RequestError) as refused:
        house.person("creator").upload(text)
    assert refused.value.code == "unsupported_type"


def test_a_node_that_stays_away_is_given_up(house: House, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(offers, "time", SimpleNamespace(sleep=pauses.append))
    away = house.again(house.join(), lose_answers("PATCH /v1/uploads", 1_000, is_served=False))
    with pytest.raises(Unavailable) as given_up:
        away.upload(file)
    assert given_up.value.code == "node_unreachable"
    assert len(pauses) == offers._TRIES - 1
    assert pauses == sorted(pauses)


def test_offering_uploads_and_registers_in_one_step(house: House, tmp_path: Path) -> None:
    client = house.join()
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.wav")
        files[-1].write_bytes(sound())
    numbers = client.offer(files, offers.preset("research"), words={"tags": ("one",)}, contains_ai="none")
    assert len(numbers) == 3
    for number, file in zip(numbers, files, strict=True):
        answer = client.asset(number)
        assert answer.blob == blob_of(file)
        assert answer.asset.content.contains_ai == "none"
        assert answer.sheet is not None and answer.sheet.tags == ("one",)
        assert answer.license.terms == offers.preset("research")
