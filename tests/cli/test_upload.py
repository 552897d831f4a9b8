"""Uploading from the command line: one file or many, with a sheet, told file by file, and gone on with."""

import csv
import os
from pathlib import Path

import pytest

from audiera.cli import upload as command
from audiera.protocol.errors import Unavailable
from audiera.sdk import preset
from audiera.sdk.bulk import BulkUpload, Outcome
from audiera.sdk.offers import PRESET_WORDS
from tests.cli.terminal import Terminal
from tests.sdk.house import House, sound, sounds


@pytest.fixture
def terminal(house: House, config: Path) -> Terminal:
    return Terminal(house.url, config)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return tmp_path / "music"


def test_a_folder_is_uploaded_and_going_on_changes_nothing(terminal: Terminal, house: House, music: Path) -> None:
    sounds(music, 3)
    said = terminal.run("upload", music, "--preset", "research", "--contains-ai", "none", "--type", "effect")
    assert said.exit_code == 0
    assert "sound-02.wav" in said.stdout and "audiera show" in said.stderr
    found = terminal.document("upload", music, "--preset", "research")
    assert (found["registered"], found["already"], found["failed"]) == (0, 3, 0)
    assert f"3 registered under license {found['license']}" in said.stdout
    assert "0 registered, 3 registered before" in terminal.words("upload", music, "--preset", "research")
    asset = house.person("onlooker").asset(found["files"][0]["asset"])
    assert asset.license.terms == preset("research")
    assert (asset.asset.content.data_type, asset.asset.content.contains_ai) == ("effect", "none")
    assert terminal.document("upload", music, "--license", found["license"])["license"] == found["license"]


def test_the_license_is_published_anew_when_it_was_revised_since(terminal: Terminal, music: Path) -> None:
    sounds(music, 1)
    first = terminal.document("upload", music, "--preset", "open")["license"]
    terminal.document("license", "publish", "--preset", "no-training", "--revise", first)
    second = terminal.document("upload", music, "--preset", "open")["license"]
    assert second != first
    assert terminal.document("upload", music, "--preset", "open")["license"] == second


def test_what_fails_is_told_reported_and_ends_with_1(terminal: Terminal, music: Path, tmp_path: Path) -> None:
    files = sounds(music, 2)
    (music / "words.wav").write_text("these are words")
    (music / "twin.wav").write_bytes(files[0].read_bytes())
    report = tmp_path / "report.csv"
    result = terminal.run("upload", music, "--preset", "open", "--report", report)
    assert result.exit_code == 1
    assert "words.wav: " in result.stderr and "(unsupported_type)" in result.stderr
    assert "2 registered under license" in result.stdout and "1 failed (1 unsupported_type)" in result.stdout
    assert "exactly the bytes of" in result.stdout
    with report.open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert rows["words.wav"]["status"] == "failed" and rows["words.wav"]["code"] == "unsupported_type"
    assert {rows[name]["status"] for name in ("sound-01.wav",)} == {"registered"}
    assert rows["twin.wav"]["asset"] == rows["sound-00.wav"]["asset"]
    found = terminal.document("upload", music, "--preset", "open", code=1)
    assert (found["already"], found["failed"]) == (3, 1)


def test_many_failures_are_counted_rather_than_told_one_by_one(terminal: Terminal, music: Path) -> None:
    music.mkdir()
    for number in range(24):
        (music / f"{number:02d}.wav").write_text("these are words")
    result = terminal.run("upload", music, "--preset", "open")
    assert result.exit_code == 1
    assert result.stderr.count("(unsupported_type)") == 20
    assert "--report FILE" in result.stderr
    assert "24 failed (24 unsupported_type)" in result.stdout and "nothing was taken in" in result.stdout


def test_many_files_are_counted_rather_than_listed(terminal: Terminal, music: Path) -> None:
    sounds(music, 22)
    assert "... and 2 more" in terminal.words("upload", music, "--preset", "open")


def test_a_sheet_describes_the_files(terminal: Terminal, house: House, music: Path, tmp_path: Path) -> None:
    sounds(music, 3)
    license_ = terminal.document("license", "publish", "--preset", "open")["license"]
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        f"file,title,tags,license\nsound-00.wav,First,a;b,{license_}\nsound-02.wav,Third,,{license_}\n", "utf-8"
    )
    found = terminal.document("upload", music, "--metadata", sheet)
    assert [file["file"] for file in found["files"]] == ["sound-00.wav", "sound-02.wav"]
    answer = house.person("onlooker").asset(found["files"][0]["asset"])
    assert answer.sheet is not None and (answer.sheet.title, answer.sheet.tags) == ("First", ("a", "b"))
    assert answer.asset.license == license_
    one = terminal.document("upload", music / "sound-02.wav", "--metadata", sheet)
    assert [file["status"] for file in one["files"]] == ["already"]
    error = terminal.refusal("upload", music / "sound-01.wav", "--metadata", sheet, "--preset", "open", code=2)
    assert "says nothing of sound-01.wav" in error["message"]
    sheet.write_text("file,license\nsound-00.wav,999999\n")
    assert terminal.refusal("upload", music, "--metadata", sheet)["code"] == "license_not_found"


def test_a_wrong_sheet_is_told_whole_and_nothing_is_uploaded(terminal: Terminal, music: Path, tmp_path: Path) -> None:
    sounds(music, 1)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("file,year,colour\nsound-00.wav,19x9,red\n,1,\n")
    error = terminal.refusal("upload", music, "--metadata", sheet, "--preset", "open")
    assert error["code"] == "sheet_invalid" and len(error["values"]["errors"]) == 3
    sheet.write_text("file\ngone.wav\n")
    assert "gone.wav" in terminal.refusal("upload", music, "--metadata", sheet, "--preset", "open")["message"]
    assert not list(music.glob(".audiera*"))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ((), "say under which terms"),
        (("--license", 1, "--preset", "open"), "either --license or --preset"),
        (("--license", 1, "--price", 1), "--preset commercial"),
        (("--preset", "commercial"), "needs a --price"),
        (("--preset", "research", "--revenue-share", 100), "not to research"),
        (("--preset", "open", "--report", "/nowhere/at/all.csv"), "/nowhere/at"),
    ],
)
def test_terms_that_are_unclear_are_asked_for(
    terminal: Terminal, music: Path, how: tuple[object, ...], said: str
) -> None:
    sounds(music, 1)
    assert said in terminal.refusal("upload", music, *how, code=2)["message"]


def test_what_is_not_there_is_refused(terminal: Terminal, music: Path) -> None:
    assert terminal.refusal("upload", music, "--preset", "open", code=2)["code"] == "usage"
    music.mkdir()
    assert terminal.refusal("upload", music, "--preset", "open")["code"] == "empty"
    sounds(music, 1)
    assert terminal.refusal("upload", music, "--license", 999_999)["code"] == "license_not_found"


def test_where_nothing_may_be_written_the_journal_is_kept_with_the_identities(
    terminal: Terminal, music: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds(music, 1)
    monkeypatch.setattr(command.os, "access", lambda _, how: how != os.W_OK)
    first = terminal.document("upload", music, "--preset", "open")
    assert terminal.document("upload", music, "--preset", "open")["license"] == first["license"]
    assert not list(music.glob(".audiera*"))
    assert len(list((config / "uploads").iterdir())) == 1
    assert os.listdir(music) == ["sound-00.wav"]


def test_a_name_that_steers_a_terminal_is_shown_harmless(terminal: Terminal, music: Path) -> None:
    music.mkdir()
    (music / "a\x1b[2Jb.wav").write_bytes(sound())
    (music / "c\x1b[2Jd.wav").write_text("words")
    result = terminal.run("upload", music, "--preset", "open")
    assert "\x1b[2J" not in result.stdout + result.stderr


def test_help_says_what_each_preset_allows(terminal: Terminal) -> None:
    said = " ".join(terminal.words("upload", "--help").split())
    for name, words in PRESET_WORDS.items():
        assert f"{name}: {words}." in said


def test_a_node_that_goes_away_is_told_with_how_to_go_on(
    terminal: Terminal, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds(music, 2)

    def gone(self: BulkUpload) -> list[Outcome]:
        raise Unavailable("no node answers", code="node_unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(BulkUpload, "run", gone)
        result = terminal.run("upload", music, "--preset", "open")
        assert result.exit_code == 1
        assert "the same command goes on with it" in result.stderr and "no node answers" in result.stderr
        assert terminal.refusal("upload", music, "--preset", "open")["code"] == "node_unreachable"
    found = terminal.document("upload", music, "--preset", "open")
    assert found["registered"] == 2
