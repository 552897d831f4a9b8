"""Many files: each with its own outcome, none twice, none forgotten, however often it is cut off."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest
from msgspec.structs import replace

from audiera.protocol.errors import RequestError, Unavailable
from audiera.protocol.records import Split
from audiera.sdk import Client, bulk, connect, offers, preset
from audiera.sdk.bulk import BulkUpload, Outcome, Plan, Told, counts, find_sounds
from audiera.sdk.identity import identity_path
from audiera.sdk.journals import Journal
from audiera.sdk.sheets import SheetRow
from tests.sdk.house import Between, House, audiera, environment, sound, sounds, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the music is."""
    return tmp_path / "music"


@contextlib.contextmanager
def journal_of(folder: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal(folder / ".journal.jsonl")) as journal:
        yield journal


def upload(
    client: Client, folder: Path, license_: int, told: list[Told] | None = None, **given: object
) -> list[Outcome]:
    """Upload what is in a folder, with what was done before."""
    files = find_sounds(folder)
    tell = None if told is None else told.append
    with journal_of(folder) as journal:
        return BulkUpload(client, files, Plan(license=license_), journal=journal, tell=tell, **given).run()  # type: ignore[arg-type]


def registered_of(client: Client) -> list[int]:
    """Every asset the account ever registered, by the ledger."""
    client.wait_for_histories()
    found = client.transactions(limit=1_000).transactions
    return [each.number for each in found if each.kind == "register-asset" and each.code == "ok"]


def test_every_file_is_registered_once_and_again_not_at_all(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    sounds(folder, 3)
    (folder / "deep").mkdir()
    (folder / "deep" / "x.FLAC").write_bytes(sound(container="flac"))
    (folder / "notes.txt").write_text("no sound")
    (folder / "._hidden.wav").write_bytes(b"resource fork")
    told: list[Told] = []
    outcomes = upload(client, folder, license_, told)
    assert [outcome.file for outcome in outcomes] == ["deep/x.FLAC", "sound-00.wav", "sound-01.wav", "sound-02.wav"]
    assert dict(counts(outcomes)) == {"registered": 4, "already": 0, "failed": 0}
    assert sorted(registered_of(client)) == sorted(outcome.asset for outcome in outcomes)
    for outcome in outcomes:
        ends = [each for each in told if each.file == outcome.file and each.outcome is not None]
        assert [each.outcome for each in ends] == [outcome]
        assert ends[0].sent == ends[0].size == (folder / outcome.file).stat().st_size
        assert client.asset(outcome.asset).asset.license == license_
    way = Between(lambda _, headers, body: (headers, body))
    again = upload(house.again(client, way), folder, license_)
    assert [(each.status, each.asset) for each in again] == [("already", each.asset) for each in outcomes]
    assert {request.url.path for request in way.requests} <= {"/v1/node"}


def test_a_lost_journal_costs_time_and_registers_nothing_twice(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    sounds(folder, 2)
    first = upload(client, folder, license_)
    (folder / ".journal.jsonl").unlink()
    again = upload(client, folder, license_)
    assert [(each.status, each.asset) for each in again] == [("already", each.asset) for each in first]
    assert len(registered_of(client)) == 2


def test_a_journal_that_a_crash_tore_is_read_as_far_as_it_goes(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    sounds(folder, 2)
    first = upload(client, folder, license_)
    file = folder / ".journal.jsonl"
    file.write_bytes(b"{\xff\n" + file.read_bytes()[:-40])
    again = upload(client, folder, license_)
    assert [each.asset for each in again] == [each.asset for each in first]
    way = Between(lambda _, headers, body: (headers, body))
    assert [each.status for each in upload(house.again(client, way), folder, license_)] == ["already"] * 2
    assert {request.url.path for request in way.requests} <= {"/v1/node"}
    with journal_of(folder) as journal:
        journal.write_license(preset("open"), license_)
        assert journal.license_of(preset("research")) == 0
    with journal_of(folder) as journal:
        assert journal.license_of(preset("open")) == license_
        assert journal.find("sound-00.wav", folder / "sound-00.wav").asset == first[0].asset


def test_a_file_that_was_changed_since_is_another_file(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    files = sounds(folder, 2)
    first = upload(client, folder, license_)
    files[0].write_bytes(sound())
    again = upload(client, folder, license_)
    assert [each.status for each in again] == ["registered", "already"]
    assert again[0].asset != first[0].asset


def test_files_that_cannot_be_taken_in_leave_the_others_alone(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    sounds(folder, 3)
    (folder / "empty.wav").touch()
    (folder / "words.mp3").write_text("these are words")
    (folder / "cut.flac").write_bytes(sound(container="flac")[:60])
    gone = folder / "sound-01.wav"
    files = find_sounds(folder)
    gone.unlink()
    with journal_of(folder) as journal:
        outcomes = BulkUpload(client, files, Plan(license=license_), journal=journal).run()
    codes = {outcome.file: outcome.code for outcome in outcomes}
    assert codes["empty.wav"] == "empty"
    assert codes["words.mp3"] == "unsupported_type"
    assert codes["sound-01.wav"] == "unreadable"
    assert codes["cut.flac"] not in ("", "unreadable")
    assert [codes["sound-00.wav"], codes["sound-02.wav"]] == ["", ""]
    assert all(outcome.message for outcome in outcomes if outcome.status == "failed")
    assert len(registered_of(client)) == 2


def test_equal_bytes_are_one_asset(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    folder.mkdir()
    data = sound()
    for name in ("a.wav", "b.wav", "c.wav"):
        (folder / name).write_bytes(data)
    outcomes = upload(client, folder, license_)
    assert sorted(each.status for each in outcomes) == ["already", "already", "registered"]
    assert len({each.asset for each in outcomes}) == 1
    assert all("exactly the bytes" in each.message for each in outcomes if each.status == "already")
    assert len(registered_of(client)) == 1
    (folder / "d.wav").write_bytes(data)
    assert [each.asset for each in upload(client, folder, license_)] == [outcomes[0].asset] * 4


def test_equal_bytes_fail_together(house: House, folder: Path) -> None:
    client = house.join()
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / name).write_bytes(sound(seed=77_001))
    outcomes = upload(client, folder, 999_999_999)
    assert [each.code for each in outcomes] == ["unknown_object"] * 2
    assert registered_of(client) == []


def test_bytes_of_another_account_are_told_with_what_to_do(house: House, folder: Path) -> None:
    owner, other = house.join(), house.join()
    sounds(folder, 1)
    asset = upload(owner, folder, owner.publish_license(preset("open")))[0].asset
    (folder / ".journal.jsonl").unlink()
    outcome = upload(other, folder, other.publish_license(preset("open")))[0]
    assert (outcome.status, outcome.code) == ("failed", "duplicate")
    assert f"audiera asset dispute {asset}" in outcome.message


def test_one_registration_that_is_refused_leaves_the_others_alone(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    sounds(folder, 4)
    sheet = {
        "sound-00.wav": SheetRow({"title": "One", "tags": ("a",)}, license=license_, data_type="effect"),
        "sound-01.wav": SheetRow({"title": "x" * 400}),
        "sound-02.wav": SheetRow({}, license=999_999_999),
        "sound-03.wav": SheetRow({}, splits=(Split(account=client.account, share=10_000),), contains_ai="all"),
    }
    with journal_of(folder) as journal:
        outcomes = BulkUpload(
            client, find_sounds(folder, sheet), Plan(license=license_), sheet=sheet, journal=journal
        ).run()
    assert [each.status for each in outcomes] == ["registered", "failed", "failed", "registered"]
    assert outcomes[1].code == "record_invalid"
    assert outcomes[2].code == "unknown_object"
    first, last = client.asset(outcomes[0].asset), client.asset(outcomes[3].asset)
    assert first.sheet is not None and (first.sheet.title, first.sheet.tags) == ("One", ("a",))
    assert first.asset.content.data_type == "effect"
    assert last.asset.content.contains_ai == "all"
    sheet["sound-01.wav"] = SheetRow({"title": "Short"})
    with journal_of(folder) as journal:
        again = BulkUpload(
            client, find_sounds(folder, sheet), Plan(license=license_), sheet=sheet, journal=journal
        ).run()
    assert [each.status for each in again] == ["already", "registered", "failed", "already"]


def test_many_files_are_registered_in_groups(house: House, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_GROUP", 2)
    client = house.join()
    sounds(folder, 5)
    outcomes = upload(client, folder, client.publish_license(preset("open")))
    assert {each.status for each in outcomes} == {"registered"}
    client.wait_for_histories()
    kinds = [each.kind for each in client.transactions(limit=100).transactions]
    assert kinds.count("commit-registrations") == 3


def test_bytes_that_waited_too_long_are_sent_again_by_the_next_run(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    files = sounds(folder, 1)
    report = house.join().upload(files[0]).report  # to the node, bytes that this account did not bring
    with journal_of(folder) as journal:
        journal.write(replace(journal.find("sound-00.wav", files[0]), report=report))
    assert upload(client, folder, license_)[0].code == "blob_not_found"
    assert upload(client, folder, license_)[0].status == "registered"


def test_a_node_that_is_gone_ends_the_upload_and_keeps_what_was_done(house: House, folder: Path) -> None:
    client = house.join()
    license_ = client.publish_license(preset("open"))
    sounds(folder, 4)
    count = [0]

    def alter(request: httpx2.Request, headers: httpx2.Headers, body: bytes) -> tuple[Mapping[str, str], bytes]:
        count[0] += request.url.path.endswith("/analysis")
        if count[0] > 2:
            raise httpx2.ConnectError("[Errno 111] Connection refused")
        return headers, body

    with pytest.raises(Unavailable) as gone:
        upload(house.again(client, Between(alter)), folder, license_, workers=1)
    assert gone.value.code == "node_unreachable"
    outcomes = upload(client, folder, license_)
    assert {each.status for each in outcomes} == {"registered"}
    assert len(registered_of(client)) == 4


def test_who_stops_an_upload_does_not_wait_for_long_files(
    house: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "PIECE_BYTES", 1_024)
    client = house.join()
    license_ = client.publish_license(preset("open"))
    folder.mkdir()
    (folder / "long.wav").write_bytes(sound(seconds=30.0))
    pieces: list[str] = []

    def tell(told: Told) -> None:
        pieces.append(told.file)
        if told.outcome is not None:
            raise KeyboardInterrupt

    files = find_sounds(folder) | {"none.wav": folder / "none.wav"}
    with journal_of(folder) as journal:
        plan = Plan(license=license_)
        with pytest.raises(KeyboardInterrupt):
            BulkUpload(client, files, plan, journal=journal, workers=2, tell=tell).run()
        entry = journal.find("long.wav", folder / "long.wav")
        assert entry.report is None
    assert pieces.count("long.wav") < (folder / "long.wav").stat().st_size // 1_024
    monkeypatch.undo()
    assert upload(client, folder, license_)[0].status == "registered"


@pytest.mark.parametrize("after", [1, 6])
def test_an_upload_that_is_killed_goes_on_where_it_stood(house: House, folder: Path, config: Path, after: int) -> None:
    sounds(folder, 12)
    words = audiera("upload", folder, "--preset", "open", "--workers", "2", "--json")
    values = environment(AUDIERA_URL=house.url, AUDIERA_CONFIG=str(config))
    process = subprocess.Popen(words, env=values, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def taken_in() -> int:
        return sum(file.read_bytes().count(b'"report"') for file in folder.glob(".audiera-upload-*"))

    until(lambda: taken_in() >= after, but=lambda: process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = subprocess.run(words, env=values, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with connect(house.url) as client:
        assert identity_path("default", client.identity.genesis).exists()
        outcomes = upload(client, folder, 1)
        licenses = {client.asset(each.asset).asset.license for each in outcomes}
        assert len({each.asset for each in outcomes}) == 12
        assert sorted(registered_of(client)) == sorted(each.asset for each in outcomes)
        assert len(licenses) == 1
        found = client.transactions(limit=1_000).transactions
        assert sum(each.kind == "publish-license" for each in found) == 1


def test_a_folder_without_sounds_and_a_sheet_with_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"\.flac") as empty:
        find_sounds(tmp_path)
    assert empty.value.code == "empty"
    (tmp_path / "there.wav").touch()
    sheet = {name: SheetRow({}) for name in ("there.wav", *(f"gone-{number}.wav" for number in range(7)))}
    with pytest.raises(RequestError, match=r"gone-0\.wav.* and 2 more") as missing:
        find_sounds(tmp_path, sheet)
    assert missing.value.values["missing"] == tuple(f"gone-{number}.wav" for number in range(7))
    assert find_sounds(tmp_path, {"there.wav": SheetRow({})}) == {"there.wav": tmp_path / "there.wav"}


def test_a_file_that_may_not_be_read_is_told(house: House, folder: Path) -> None:
    files = sounds(folder, 1)
    files[0].chmod(0)
    if os.access(files[0], os.R_OK):
        files[0].unlink()
        files[0].mkdir()  # whoever may read everything cannot read a folder as a file
    client = house.person("creator")
    with journal_of(folder) as journal:
        outcome = BulkUpload(client, {"sound-00.wav": files[0]}, Plan(license=1), journal=journal).run()[0]
    assert outcome.code == "unreadable"
