"""Uploads by tus, with an independent client; and files that are not what they say they are."""

import base64
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.uploader import Uploader

from audiera.protocol.api import routes
from audiera.protocol.api.routes import IDEMPOTENCY_KEY
from audiera.protocol.encoding import digest
from audiera.sdk.offers import Registration, sheet_of
from audiera.services.media.spool import Appender
from tests.node.house import ANYTHING, SECOND, Answer, House, Person, house_in, sound, until, wav_header

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}
DAY = 86_400 * SECOND


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("uploads") / "home", upload_bytes=2_000_000, analysis_time=20) as made:
        yield made


@pytest.fixture
def person(node: House) -> Person:
    return node.person()


def tus(person: Person) -> TusClient:
    headers = {"Authorization": f"Bearer {person.token()}"}
    return TusClient(person.house.url + routes.CREATE_UPLOAD.path, headers=headers)


def uploader(person: Person, data: bytes, **options: Any) -> Uploader:
    made: Uploader = tus(person).uploader(file_stream=io.BytesIO(data), metadata={"filename": "a.wav"}, **options)
    return made


def begin(person: Person, length: int, **headers: str) -> str:
    answer = person.ask(routes.CREATE_UPLOAD, headers={**TUS, "Upload-Length": str(length), **headers})
    assert answer.status == 201, answer.body
    assert answer.headers["tus-resumable"] == "1.0.0"
    return answer.headers["location"].rpartition("/")[2]


def append(person: Person, upload: str, offset: int, data: bytes, **headers: str) -> Answer:
    sent = {**CHUNK, "Upload-Offset": str(offset), **headers}
    return person.ask(routes.APPEND_UPLOAD, {"id": upload}, content=data, headers=sent)


def offset_of(person: Person, upload: str) -> int:
    answer = person.ask(routes.UPLOAD_STATE, {"id": upload}, headers=TUS)
    assert answer.status == 200
    return int(answer.headers["upload-offset"])


def analysis(person: Person, upload: str, **headers: str) -> Answer:
    return person.ask(routes.ANALYZE_UPLOAD, {"id": upload}, headers=headers)


def send(person: Person, data: bytes, name: str = "a.wav") -> Answer:
    """Upload and have it taken in."""
    named = base64.b64encode(name.encode()).decode()
    upload = begin(person, len(data), **{"Upload-Metadata": f"filename {named}"})
    assert append(person, upload, 0, data).status == 204
    return analysis(person, upload)


# ---------------------------------------------------------------------- another program's uploads


def test_another_client_uploads_in_pieces(person: Person) -> None:
    data = sound(300, 2.0)
    one = uploader(person, data, chunk_size=10_000)
    one.upload()
    upload = one.url.rpartition("/")[2]
    assert offset_of(person, upload) == len(data)
    report = analysis(person, upload)
    assert report.status == 200, report.body
    assert report.json["size"] == len(data)
    assert person.house.spooled() == []


def test_another_client_goes_on_after_a_cut(person: Person) -> None:
    data = sound(301, 2.0)
    first = uploader(person, data, chunk_size=7_000)
    first.upload(stop_at=21_000)
    assert 0 < first.offset < len(data)
    again = Uploader(file_stream=io.BytesIO(data), url=first.url, client=tus(person), chunk_size=9_000)
    assert again.offset == first.offset
    again.upload()
    report = analysis(person, first.url.rpartition("/")[2])
    assert report.status == 200
    blob = report.json["blob"]
    assert person.house.parts.blobs.info(hashlib.sha256(data).digest()) is not None, blob


def test_another_client_sends_checksums(person: Person) -> None:
    data = sound(302)
    one = uploader(person, data, chunk_size=8_000, upload_checksum=True)
    one.upload()
    assert one.offset == len(data)
    assert analysis(person, one.url.rpartition("/")[2]).status == 200


def test_another_accounts_upload_is_closed_to_another_client(node: House, person: Person) -> None:
    other = node.person()
    one = uploader(person, sound(303), chunk_size=1_000)
    one.upload(stop_at=1_000)
    with pytest.raises(TusCommunicationError, match="403"):
        Uploader(file_stream=io.BytesIO(b"x" * 9_000), url=one.url, client=tus(other), chunk_size=1_000)
    upload = one.url.rpartition("/")[2]
    assert append(other, upload, one.offset, b"x").code == "other_account"
    assert other.ask(routes.DELETE_UPLOAD, {"id": upload}, headers=TUS).code == "other_account"
    assert analysis(other, upload).code == "other_account"
    assert offset_of(person, upload) == one.offset


def test_another_client_is_told_what_is_wrong(node: House, person: Person) -> None:
    visitor = TusClient(node.url + routes.CREATE_UPLOAD.path)
    with pytest.raises(TusCommunicationError, match="401"):
        visitor.uploader(file_stream=io.BytesIO(b"abc"), chunk_size=2).upload()
    one = uploader(person, b"abcdef", chunk_size=3)
    one.upload(stop_at=3)
    one.offset = 1
    with pytest.raises(TusUploadFailed) as refused:
        one.upload()
    assert refused.value.status_code == 409


# ---------------------------------------------------------------------- the protocol


def test_what_the_node_speaks_is_said(node: House) -> None:
    answer = node.ask(routes.UPLOAD_OPTIONS)
    assert answer.status == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"].split(",") == ["creation", "termination", "checksum"]
    assert set(answer.headers["tus-checksum-algorithm"].split(",")) == {"sha1", "sha256"}
    assert answer.headers["tus-max-size"] == "2000000"


@pytest.mark.parametrize("version", ["", "0.2.2", "1.0", "2.0.0"])
def test_another_version_is_refused_with_the_ones_spoken(person: Person, version: str) -> None:
    headers = {"Tus-Resumable": version} if version else {}
    upload = begin(person, 3)
    for route, more in (
        (routes.CREATE_UPLOAD, {"Upload-Length": "3"}),
        (routes.UPLOAD_STATE, {}),
        (routes.APPEND_UPLOAD, {"Upload-Offset": "0", "Content-Type": CHUNK["Content-Type"]}),
        (routes.DELETE_UPLOAD, {}),
    ):
        answer = person.ask(route, {"id": upload}, headers={**headers, **more})
        assert answer.status == 412
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("length", "status", "code"),
    [
        ("", 400, "header_invalid"),
        ("x", 400, "header_invalid"),
        ("-1", 400, "header_invalid"),
        ("1.0", 400, "header_invalid"),
        ("\u0663", 400, "header_invalid"),
        ("9" * 19, 400, "header_invalid"),
        ("0", 422, "empty"),
        ("2000001", 413, "too_large"),
    ],
)
def test_a_length_that_cannot_be_is_refused(person: Person, length: str, status: int, code: str) -> None:
    headers: Any = {**TUS, "Upload-Length": length.encode()}
    answer = person.ask(routes.CREATE_UPLOAD, headers=headers)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["tus-resumable"] == "1.0.0"


def test_metadata_that_is_no_base64_is_refused(person: Person) -> None:
    for text in ("filename !", "filename YQ=", "filename =="):
        headers = {**TUS, "Upload-Length": "3", "Upload-Metadata": text}
        assert person.ask(routes.CREATE_UPLOAD, headers=headers).code == "header_invalid"
    for text in ("", "filename", "filename YQ==,other", "other YQ==", "filename /w=="):
        begin(person, 3, **{"Upload-Metadata": text})


def test_a_name_is_no_path(person: Person) -> None:
    name = base64.b64encode(b"../../keys/master.key").decode()
    upload = begin(person, 3, **{"Upload-Metadata": f"filename {name}"})
    assert sorted(path.name for path in (person.house.home / "keys").iterdir()) == [
        "authority.key",
        "control.key",
        "device.key",
        "master.key",
        "validator.key",
    ]
    assert f"{upload}.part" in person.house.spooled()


def test_bytes_go_where_the_upload_stands_only(person: Person) -> None:
    upload = begin(person, 10)
    assert append(person, upload, 0, b"01234").headers["upload-offset"] == "5"
    for wrong in (0, 4, 6, 10, 11):
        answer = append(person, upload, wrong, b"x")
        assert (answer.status, answer.code) == (409, "upload_offset")
        assert answer.problem.values["offset"] == 5
    assert append(person, upload, 5, b"567890").code == "upload_too_long"
    assert offset_of(person, upload) in (5, 10)


def test_other_media_types_and_numbers_are_refused(person: Person) -> None:
    upload = begin(person, 10)
    answer = append(person, upload, 0, b"x", **{"Content-Type": "application/octet-stream"})
    assert (answer.status, answer.code) == (415, "media_type_not_supported")
    for text in ("x", "-1", ""):
        assert append(person, upload, 0, b"x", **{"Upload-Offset": text}).code == "header_invalid"
    assert offset_of(person, upload) == 0


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_bytes_without_their_checksum_are_dropped(person: Person, algorithm: str) -> None:
    def stated(data: bytes) -> dict[str, str]:
        sum_ = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
        return {"Upload-Checksum": f"{algorithm} {sum_}"}

    upload = begin(person, 10)
    assert append(person, upload, 0, b"01234", **stated(b"01234")).status == 204
    answer = append(person, upload, 5, b"56789", **stated(b"5678x"))
    assert (answer.status, answer.code) == (460, "checksum_mismatch")
    assert offset_of(person, upload) == 5
    too_long = append(person, upload, 5, b"5678901", **stated(b"5678901"))
    assert too_long.code == "upload_too_long"
    assert offset_of(person, upload) == 5
    assert append(person, upload, 5, b"56789", **stated(b"56789")).status == 204


def test_more_than_was_said_is_dropped_where_a_checksum_was_sent(node: House, person: Person) -> None:
    """The first megabyte is written before the rest shows that there is too much of it."""
    data = os.urandom(1_500_000)
    upload = begin(person, 1_200_000)
    sum_ = base64.b64encode(digest(data)).decode()
    assert append(person, upload, 0, data, **{"Upload-Checksum": f"sha256 {sum_}"}).code == "upload_too_long"
    assert offset_of(person, upload) == 0


@pytest.mark.parametrize("text", ["md5 YQ==", "sha256 YQ==", "sha256", "", "sha256 !", "crc32 AAAAAA=="])
def test_a_checksum_that_is_none_is_refused(person: Person, text: str) -> None:
    upload = begin(person, 10)
    assert append(person, upload, 0, b"x", **{"Upload-Checksum": text}).code == "header_invalid"
    assert offset_of(person, upload) == 0


def test_a_deleted_upload_is_gone(person: Person) -> None:
    before = person.house.spooled()
    upload = begin(person, 10)
    append(person, upload, 0, b"x")
    assert person.ask(routes.DELETE_UPLOAD, {"id": upload}, headers=TUS).status == 204
    for route in (routes.UPLOAD_STATE, routes.APPEND_UPLOAD, routes.DELETE_UPLOAD, routes.ANALYZE_UPLOAD):
        assert person.ask(route, {"id": upload}, headers={**CHUNK, "Upload-Offset": "0"}).status == 404
    assert person.house.spooled() == before


@pytest.mark.parametrize("name", ["0" * 32, "x", "..", "%2e%2e", "0" * 31 + "g", "A" * 32])
def test_an_upload_that_was_never_begun_is_not_found(person: Person, name: str) -> None:
    assert person.ask(("HEAD", f"/v1/uploads/{name}"), headers=TUS).status == 404


def test_an_account_has_only_so_many_uploads(tmp_path: Path) -> None:
    with house_in(tmp_path / "home", uploads_per_account=2) as house:
        person, other = house.person(), house.person()
        first = begin(person, 3)
        begin(person, 3)
        answer = person.ask(routes.CREATE_UPLOAD, headers={**TUS, "Upload-Length": "3"})
        assert (answer.status, answer.code) == (429, "too_many")
        begin(other, 3)
        person.ask(routes.DELETE_UPLOAD, {"id": first}, headers=TUS)
        begin(person, 3)


def test_one_request_at_a_time_writes_to_an_upload(
    node: House, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(person, 10)
    at_work, go = threading.Event(), threading.Event()
    write = Appender.write

    def held(self: Appender, data: bytes) -> None:
        at_work.set()
        assert go.wait(20)
        write(self, data)

    monkeypatch.setattr(Appender, "write", held)
    token = person.token()
    found: list[Answer] = []
    sent = {**CHUNK, "Upload-Offset": "0"}
    places = {"id": upload}
    thread = threading.Thread(
        target=lambda: found.append(
            node.ask(routes.APPEND_UPLOAD, places, token=token, content=b"0123456789", headers=sent)
        )
    )
    thread.start()
    assert at_work.wait(20)
    for route in (routes.APPEND_UPLOAD, routes.DELETE_UPLOAD, routes.ANALYZE_UPLOAD):
        answer = node.ask(route, places, token=token, headers=sent)
        assert (answer.status, answer.code) == (423, "upload_locked")
    go.set()
    thread.join(20)
    assert found[0].status == 204


@pytest.mark.parametrize("with_checksum", [True, False])
def test_a_full_disk_is_said_and_what_is_here_stays(
    person: Person, monkeypatch: pytest.MonkeyPatch, with_checksum: bool
) -> None:
    upload = begin(person, 10)
    append(person, upload, 0, b"01234")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    sum_ = base64.b64encode(digest(b"56789")).decode()
    headers = {"Upload-Checksum": f"sha256 {sum_}"} if with_checksum else {}
    with monkeypatch.context() as patch:
        patch.setattr(Appender, "write", full)
        answer = append(person, upload, 5, b"56789", **headers)
        assert (answer.status, answer.code) == (507, "disk_full")
    assert offset_of(person, upload) == 5
    assert append(person, upload, 5, b"56789", **headers).status == 204


# ---------------------------------------------------------------------- taking in


def test_what_was_taken_in_is_reported_again(person: Person) -> None:
    data = sound(310)
    upload = begin(person, len(data))
    append(person, upload, 0, data)
    first = analysis(person, upload, **{IDEMPOTENCY_KEY: "a"})
    assert first.status == 200
    assert analysis(person, upload, **{IDEMPOTENCY_KEY: "a"}).body == first.body
    assert analysis(person, upload).json == first.json
    assert offset_of(person, upload) == len(data)
    assert append(person, upload, len(data), b"").status == 404


def test_an_upload_that_is_not_whole_is_not_taken_in(person: Person) -> None:
    data = sound(311)
    upload = begin(person, len(data))
    append(person, upload, 0, data[:100])
    answer = analysis(person, upload)
    assert (answer.status, answer.code) == (409, "upload_incomplete")
    append(person, upload, 100, data[100:])
    assert analysis(person, upload).status == 200


HOSTILE: dict[str, tuple[str, bytes]] = {
    "random bytes called mp3": ("song.mp3", bytes(range(256)) * 64),
    "zeros": ("song.wav", bytes(50_000)),
    "one byte": ("song.wav", b"R"),
    "a header and nothing": ("song.wav", wav_header(0)),
    "a header that claims 4 GB": ("song.wav", wav_header(0xFFFFFF00)),
    "a header cut short": ("song.wav", wav_header(1_000)[:20]),
    "a list of files for ffmpeg": ("song.wav", b"ffconcat version 1.0\nfile '/etc/passwd'\nfile 'http://127.0.0.1/'\n"),
    "a playlist": (
        "song.m3u8",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    ),
    "a web page": ("song.mp3", b"<!doctype html><html><script>alert(1)</script></html>" * 20),
    "a picture": ("song.flac", b"\x89PNG\r\n\x1a\n" + bytes(2_000)),
    "a program": ("song.ogg", b"\x7fELF" + bytes(3_000)),
    "a flac cut at its head": ("song.flac", sound(321, 1.0, "flac")[:60]),
    "an ogg of nothing": ("song.ogg", b"OggS" + bytes(4_000)),
    "tags without a sound": ("song.mp3", b"ID3\x04\x00\x00\x00\x00\x0f\x76" + bytes(2_038)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_sound_is_refused_and_leaves_nothing(node: House, person: Person, what: str) -> None:
    name, data = HOSTILE[what]
    before = (node.blobs(), node.spooled(), node.parts.ledger.head().app_hash)
    answer = send(person, data, name)
    assert answer.status in (413, 422), answer.body
    problem = answer.problem
    assert problem.title == "The sound cannot be taken in"
    assert problem.detail and "/" not in problem.detail.replace("and/or", ""), problem.detail
    assert (node.blobs(), node.spooled(), node.parts.ledger.head().app_hash) == before
    assert node.ask(routes.SEARCH, query={"text": "song"}).json["total"] == 0


def test_a_sound_cut_short_is_taken_for_what_is_there_or_refused(node: House, person: Person) -> None:
    before = (node.blobs(), node.spooled())
    answer = send(person, sound(320, 2.0, "flac")[:20_000], "cut.flac")
    if answer.status == 200:
        assert answer.json["technical"]["truncated"] or answer.json["warnings"]
        assert node.spooled() == before[1]
    else:
        assert answer.status == 422
        assert (node.blobs(), node.spooled()) == before


def test_after_hostile_files_the_node_takes_a_sound_in(person: Person) -> None:
    assert send(person, sound(330)).status == 200


def test_a_blob_nobody_uploaded_here_cannot_be_registered(node: House, person: Person) -> None:
    data = sound(331)
    report = send(person, data)
    assert report.status == 200
    other = node.person()
    path = node.home.parent / "copied.wav"
    path.write_bytes(data)
    uploaded = person.client.upload(path)
    license_ = other.client.publish_license(ANYTHING)
    entry = Registration(uploaded=uploaded, license=license_, sheet=sheet_of(uploaded))
    with pytest.raises(Exception, match="did not upload these bytes here"):
        other.client.register([entry])


def test_what_nobody_registers_is_deleted_in_time(tmp_path: Path) -> None:
    with house_in(tmp_path / "home", upload_days=1) as house:
        person = house.person()
        assert send(person, sound(332)).status == 200
        begin(person, 10)
        kept = person.offer(ANYTHING, sound(333))
        assert house.blobs() and house.spooled()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("audiera.node.app._COLLECT_S", 0.05)
            house.restart()
            house.clock.advance(2 * DAY)
            until(lambda: not house.spooled())
            blob = house.parts.ledger.state().asset(kept).content.blob  # type: ignore[union-attr]
            until(lambda: house.parts.blobs.info(digest(sound(332))) is None)
            assert house.parts.blobs.info(blob) is not None


def test_what_confines_decoding_is_said_after_a_first_upload(node: House, person: Person) -> None:
    send(person, sound(334))
    walls = node.ask(routes.NODE).json["sandbox"]
    assert "rlimits" in walls
    assert set(walls) <= {"rlimits", "landlock", "seccomp"}
