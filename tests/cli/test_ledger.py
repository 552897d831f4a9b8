"""The chain itself: checked, carried away, executed again."""

import shutil
from pathlib import Path

import pytest

from audiera.sdk import preset
from tests.cli.terminal import Terminal
from tests.sdk.house import running_house


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Terminal]:
    """The home of a node that ran and was ended."""
    home = tmp_path_factory.mktemp("stopped") / "node"
    with running_house(home) as house:
        client = house.join(test_credits=1_000_000)
        client.publish_license(preset("open"))
        client.publish_license(preset("research"))
    return home, Terminal("http://127.0.0.1:1", home.parent / "config")


@pytest.fixture
def home(stopped: tuple[Path, Terminal], tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped[0], tmp_path / "node"))


@pytest.fixture
def terminal(stopped: tuple[Path, Terminal]) -> Terminal:
    return stopped[1]


def test_a_ledger_in_order_is_said_to_be_so(terminal: Terminal, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = terminal.words("ledger", "fsck", "--home", home)
    found = terminal.document("ledger", "fsck", "--home", home)
    assert words.startswith("in order\n")
    assert found["ok"] and not found["findings"] and found["height"] >= 5
    assert found["app_hash"] in words
    assert terminal.document("ledger", "fsck", "--home", home / "ledger") == found
    monkeypatch.setenv("AUDIERA_NODE_HOME", str(home))
    assert terminal.document("ledger", "fsck") == found


def test_a_damaged_ledger_is_told_and_ends_with_1(terminal: Terminal, home: Path) -> None:
    log = home / "ledger" / "blocks.log"
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 1
    log.write_bytes(raw)
    result = terminal.run("ledger", "fsck", "--home", home)
    assert result.exit_code == 1
    assert "in order" not in result.stdout
    assert terminal.document("ledger", "fsck", "--home", home, code=1)["findings"]


def test_an_export_is_executed_anywhere_to_the_same_hash(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    words = terminal.words("ledger", "export", tmp_path / "a.chain", "--home", home)
    exported = terminal.document("ledger", "export", tmp_path / "b.chain", "--home", home)
    assert (tmp_path / "a.chain").read_bytes() == (tmp_path / "b.chain").read_bytes()
    assert exported["app_hash"] in words
    assert terminal.document("ledger", "replay", tmp_path / "a.chain") == exported
    assert exported["app_hash"] in terminal.words(
        "ledger", "replay", tmp_path / "a.chain", "--into", tmp_path / "again"
    )
    assert terminal.document("ledger", "fsck", "--home", tmp_path / "again")["app_hash"] == exported["app_hash"]
    expected = ("--expect", exported["app_hash"].upper())
    assert terminal.document("ledger", "replay", tmp_path / "a.chain", *expected) == exported
    other = terminal.run("ledger", "replay", tmp_path / "a.chain", "--expect", "00", "--json")
    assert other.exit_code == 1
    assert '"app_hash_differs"' in other.stderr


def test_what_cannot_be_exported_or_executed_is_refused(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    terminal.words("ledger", "export", tmp_path / "a.chain", "--home", home)
    assert terminal.refusal("ledger", "export", tmp_path / "a.chain", "--home", home)["code"] == "file_exists"
    place = tmp_path / "nowhere" / "a.chain"
    assert terminal.refusal("ledger", "export", place, "--home", home)["code"] == "file_failed"
    assert terminal.refusal("ledger", "fsck", "--home", tmp_path / "none")["code"] == "no_ledger"
    (tmp_path / "words").write_text("these are words")
    assert terminal.refusal("ledger", "replay", tmp_path / "words")["code"] == "export_damaged"
    raw = (tmp_path / "a.chain").read_bytes()
    (tmp_path / "cut.chain").write_bytes(raw[:-7])
    assert terminal.refusal("ledger", "replay", tmp_path / "cut.chain")["code"] == "export_damaged"


def test_a_ledger_in_use_is_left_alone(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    with running_house(home):
        for words in (("fsck",), ("export", tmp_path / "x.chain")):
            assert terminal.refusal("ledger", *words, "--home", home)["code"] == "folder_in_use"
    assert not (tmp_path / "x.chain").exists()
