"""The way of a sound into the node: what is good is stored and described, what is not leaves nothing behind."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from audiera.audio import AnalyzerPool, Limits
from audiera.protocol.encoding import encode
from audiera.protocol.errors import Conflict, MediaError, NotFound, RecordError
from audiera.protocol.ids import parse_blob_id
from audiera.protocol.records import Content, Estimate
from audiera.protocol.records.asset import check_content
from audiera.protocol.state import MemoryStore, StateView
from audiera.services.media.drafts import Drafts
from audiera.services.media.intake import Intake
from audiera.services.media.spool import Spool
from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.ports import BlobStore
from tests.services.media.sounds import tone

OWNER = 7
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def analyzer() -> Iterator[AnalyzerPool]:
    pool = AnalyzerPool(1)
    yield pool
    pool.close()


class Room:
    """The media room over a folder."""

    def __init__(self, folder: Path, analyzer: AnalyzerPool) -> None:
        self.folder = folder
        self.now = 10 * HOUR
        self.store = MemoryStore()
        self.blobs: BlobStore = open_blobs(folder / "blobs", master_key=bytes(32), entropy=os.urandom)
        self.spool = Spool(folder / "spool", entropy=os.urandom, limit=2**24, per_account=100)
        self.drafts = Drafts(folder / "drafts.sqlite")
        self.intake = Intake(
            blobs=self.blobs,
            spool=self.spool,
            drafts=self.drafts,
            analyzer=analyzer,
            limits=Limits(wall_s=60),
            state=lambda: StateView(self.store),
            now=lambda: self.now,
        )

    def send(self, data: bytes, *, length: int | None = None) -> str:
        """Upload bytes; returns the upload's id."""
        ticket = self.spool.create(OWNER, length or len(data), name="x", now=self.now)
        with self.spool.append(ticket.id, 0) as appender:
            appender.write(data)
            appender.finish()
        return ticket.id

    def content_of(self, upload: str) -> Content:
        """An asset's content as an honest uploader takes it from the report."""
        report = self.intake.take_in(upload)
        return Content(
            data_type=report.data_type,
            blob=parse_blob_id(report.blob),
            size=report.size,
            manifest_root=report.manifest_root,
            technical=report.technical,
            sheet=bytes(32),
            estimates=report.estimates,
        )

    def register(self, blob: bytes) -> None:
        """What the machine does when the blob is registered."""
        key = b"B" + blob
        self.store.apply(((key, (99).to_bytes(8, "big")),), ())

    def files(self) -> list[Path]:
        """Every file that holds bytes of an upload."""
        kept = [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]
        names = {"lock", "keys.sqlite", "keys.sqlite-wal", "keys.sqlite-shm"}
        return [path for path in kept if path.name not in names] + list((self.folder / "spool").iterdir())

    def close(self) -> None:
        self.drafts.close()
        self.blobs.close()


@pytest.fixture
def room(tmp_path: Path, analyzer: AnalyzerPool) -> Iterator[Room]:
    made = Room(tmp_path, analyzer)
    yield made
    made.close()


def test_a_sound_is_measured_stored_and_described(room: Room) -> None:
    data = tone(1.0)
    report = room.intake.take_in(room.send(data))
    blob = parse_blob_id(report.blob)
    assert blob == hashlib.sha256(data).digest()
    assert (report.technical.container, report.technical.sample_rate, report.technical.duration_ms) == (
        "wav",
        22_050,
        1_000,
    )
    assert report.waveform is not None
    assert max(report.waveform.high) > 50 > -50 > min(report.waveform.low)
    assert room.blobs.open(blob).read(0, len(data)) == data
    assert room.intake.waveform(blob) == report.waveform
    assert room.intake.preview(blob)[:4] == b"OggS"
    assert list((room.folder / "spool").iterdir()) == []


def test_what_is_stored_is_not_readable_on_the_disk(room: Room) -> None:
    data = tone(0.2)
    room.intake.take_in(room.send(data))
    assert room.files()
    assert all(data[100:200] not in path.read_bytes() for path in room.files())


def test_asking_again_gives_the_same_report(room: Room) -> None:
    upload = room.send(tone(0.3))
    assert room.intake.take_in(upload) == room.intake.take_in(upload)
    assert room.intake.owner(upload) == OWNER


def test_a_registered_duplicate_is_named(room: Room) -> None:
    data = tone(0.3)
    first = room.intake.take_in(room.send(data))
    room.register(parse_blob_id(first.blob))
    assert (first.duplicate_of, room.intake.take_in(room.send(data)).duplicate_of) == (0, 99)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text", b"this is no sound at all, only words " * 20),
        ("ffconcat", b"ffconcat version 1.0\nfile /etc/hostname\n" * 4),
        ("playlist", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n"),
        ("zeros", bytes(4_096)),
        ("head only", tone(0.5)[:44]),
        ("cut flac", b"fLaC\x00\x00\x00\x22" + bytes(34)),
        ("html", b"<html><script>alert(1)</script></html>" * 10),
        ("too short", tone(0.01)),
    ],
)
def test_what_is_no_good_sound_leaves_nothing_behind(room: Room, name: str, data: bytes) -> None:
    upload = room.send(data)
    with pytest.raises(MediaError) as refused:
        room.intake.take_in(upload)
    assert refused.value.code != "media_invalid", name
    assert room.files() == []
    with pytest.raises(NotFound):
        room.intake.take_in(upload)


def test_an_upload_that_is_not_whole_is_kept_for_the_rest(room: Room) -> None:
    upload = room.send(b"RIFF", length=100)
    with pytest.raises(Conflict) as refused:
        room.intake.take_in(upload)
    assert refused.value.code == "upload_incomplete"
    assert room.spool.offset(upload) == 4


def test_an_honest_registration_is_confirmed(room: Room) -> None:
    content = room.content_of(room.send(tone(0.6)))
    check_content(content)
    assert len(encode(content)) < 4_096
    room.intake.confirm(content, OWNER)
    own = Estimate(name="tempo_mbpm", value="120000", confidence=10_000, method="declared")
    room.intake.confirm(replace(content, estimates=(own,)), OWNER)


def test_a_registration_that_says_something_else_is_refused(room: Room) -> None:
    content = room.content_of(room.send(tone(0.6)))
    invented = Estimate(name="tempo_mbpm", value="1", confidence=1, method="tempo-1")
    lies = [
        replace(content, size=content.size + 1),
        replace(content, manifest_root=bytes(32)),
        replace(content, technical=replace(content.technical, sample_rate=96_000)),
        replace(content, technical=replace(content.technical, loudness_mlufs=-1)),
        replace(content, estimates=(invented,)),
    ]
    for lie in lies:
        with pytest.raises(RecordError) as refused:
            room.intake.confirm(lie, OWNER)
        assert refused.value.code == "content_differs"


def test_nobody_registers_bytes_they_did_not_bring(room: Room) -> None:
    content = room.content_of(room.send(tone(0.6)))
    with pytest.raises(NotFound):
        room.intake.confirm(content, OWNER + 1)
    with pytest.raises(NotFound):
        room.intake.confirm(replace(content, blob=bytes(32)), OWNER)


def test_what_nobody_registers_in_time_is_deleted(room: Room) -> None:
    kept, lost = room.content_of(room.send(tone(0.3))), room.content_of(room.send(tone(0.4)))
    room.register(kept.blob)
    unfinished = room.send(b"RIFF", length=100)
    assert room.intake.collect(HOUR) == 0
    room.now += 2 * HOUR
    assert room.intake.collect(HOUR) == 2
    assert room.blobs.info(kept.blob) is not None
    assert room.intake.preview(kept.blob)
    assert room.blobs.info(lost.blob) is None
    with pytest.raises(NotFound):
        room.spool.ticket(unfinished)
    assert len(room.files()) == 2


def test_confirming_starts_the_time_anew(room: Room) -> None:
    content = room.content_of(room.send(tone(0.3)))
    room.now += 2 * HOUR
    room.intake.confirm(content, OWNER)
    assert room.intake.collect(HOUR) == 0
