"""The demo: it ends by itself, shows what it promises with whatever music there is, and leaves nothing behind."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from audiera.audio.compose import render_piece, write_audio
from audiera.cli.demo import music as demo_music
from audiera.cli.demo import process, stage, standalone
from audiera.cli.demo.music import PACKAGE, find_music
from audiera.cli.demo.process import running_node
from audiera.cli.demo.show import Show
from audiera.cli.demo.standalone import altered, find_verifier, verify_apart
from audiera.cli.demo.training import train
from audiera.cli.main import audiera
from audiera.node.serve import READY_FILE, Ready
from audiera.protocol.errors import NotFound, RequestError, Unavailable
from tests.cli.terminal import Terminal
from tests.sdk.house import DEADLINE_S, environment, until

FORMATS = ("wav", "aiff", "flac", "mp3", "ogg", "opus", "m4a")
PROMISED = (
    "Five accounts arrive",
    "terms of its owners",
    "terms of",  # the catalog
    "may I ...",
    "imitate an artist",
    "Decisions, with their reasons",
    "the license denies this purpose",
    "the license allows this purpose only for non-commercial use",
    "the license allows it, 0.05 credits each time",
    "the ledger refuses and records it",
    "the ledger certifies",
    "refused at the gate, on the record",
    "5 s of sound",
    "divides",
    "Who used ",
    "From the last call back",
    "The money adds up",
    "One record, proved offline",
    "yes Proved: account",
    "REFUSED: ",
    "That was the whole trail",
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made; nothing is left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def check(text: str) -> None:
    """Everything that is promised is shown, and the sums are right."""
    for part in PROMISED:
        assert part in text, part
    sums = re.search(r"yes ([\d,]+) microcredits were issued, and ([\d,]+) are accounted for", text)
    assert sums is not None and sums[1] == sums[2]


def play(*typed: object) -> Result:
    """Play the demo in this process; its node is a process of its own."""
    result = CliRunner().invoke(audiera, ["demo", *map(str, typed)], env={"COLUMNS": "300"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def start(temporary: Path, cwd: Path, *typed: object, hidden: bool = False) -> "subprocess.Popen[str]":
    """Start the demo in a process, perhaps where the package of music is not installed."""
    hide = f"sys.modules[{PACKAGE!r}] = None; " if hidden else ""
    code = f"import sys; {hide}sys.argv[0] = 'audiera'; from audiera.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "demo", *map(str, typed)],
        cwd=cwd,
        env=environment(TMPDIR=str(temporary), COLUMNS="300"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Reader:
    """Reads what a process prints as it comes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.text = ""
        self.process = process
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.text += line

    def wait_for(self, text: str) -> None:
        """Wait until it printed this."""
        until(lambda: text in self.text, within_s=3 * DEADLINE_S, but=lambda: not self._thread.is_alive())

    def end(self) -> int:
        """Wait for its end."""
        code = self.process.wait(3 * DEADLINE_S)
        self._thread.join(DEADLINE_S)
        return code


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def node_of(temporary: Path) -> int:
    """The process of the demo's node."""
    files = list(temporary.glob(f"audiera-demo-*/node/{READY_FILE}"))
    return msgspec.json.decode(files[0].read_bytes(), type=Ready).process


# ---------------------------------------------------------------------- whole plays


def test_the_demo_ends_by_itself_wherever_it_is_started(tmp_path: Path, temporary: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    demo = start(temporary, elsewhere)
    reader = Reader(demo)
    assert reader.end() == 0, reader.text
    check(reader.text)
    source = find_music(None, 6, tmp_path / "music").source
    assert f"The music: {source}." in reader.text
    assert list(elsewhere.iterdir()) == []


def test_without_the_package_pieces_are_rendered_and_keep_stays_until_ctrl_c(tmp_path: Path, temporary: Path) -> None:
    demo = start(temporary, tmp_path, "--keep", "--pieces", 4, hidden=True)
    reader = Reader(demo)
    reader.wait_for("Look around in another terminal")
    try:
        check(reader.text)
        assert "composed and rendered just now" in reader.text
        found = re.search(r"The node stays up at (\S+) ", reader.text)
        assert found is not None
        terminal = Terminal(found[1], tmp_path / "config")
        assert terminal.document("search", "--limit", 100)["total"] >= 12
        node = node_of(temporary)
        assert is_running(node)
    finally:
        demo.send_signal(signal.SIGINT)
        code = reader.end()
    assert code == 0, reader.text
    assert "nothing of it is left" in reader.text
    assert not is_running(node)


def test_music_of_every_kind_is_played_and_what_is_none_is_left_out(tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "album").mkdir(parents=True)
    for seed, container in enumerate(FORMATS, start=1):
        (folder / "album" / f"piece-{seed}.{container}").write_bytes(
            write_audio(render_piece(seed, 3.0), 44_100, container)
        )
    (folder / "a-letter.mp3").write_text("these are words")
    (folder / "z-copy.flac").write_bytes((folder / "album" / "piece-3.flac").read_bytes())
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff")
    result = play("--music", folder, "--pieces", 9)
    assert result.exit_code == 0, result.output
    check(result.stdout)
    assert f"your own music from {folder}" in result.stdout
    assert "a-letter.mp3 is left out: " in result.stdout and "(unsupported_type)" in result.stdout
    assert re.search(
        r"(z-copy|piece-3).flac is left out: it has exactly the bytes of (piece-3|z-copy).flac", result.stdout
    )
    for seed in range(1, 8):
        assert f"piece-{seed}" in result.stdout
    assert "cover.jpg" not in result.stdout


# ---------------------------------------------------------------------- ends before the end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_in_the_middle_finds_nothing_left(tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    demo = start(temporary, tmp_path)
    reader = Reader(demo)
    reader.wait_for("1. Five accounts arrive")
    node = node_of(temporary)
    demo.send_signal(number)
    code = reader.end()
    is_left = is_running(node)
    if is_left:
        os.kill(node, signal.SIGKILL)
    assert (code, is_left) == (1, False)
    assert "stopped before it was done" in reader.text
    assert "Traceback" not in reader.text


def test_too_little_music_is_said_before_anything_is_started(tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    assert "no sound in" in play("--music", folder).stderr
    (folder / "one.wav").write_bytes(write_audio(render_piece(1, 1.0), 8_000, "wav"))
    result = play("--music", folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "at least 4 pieces of music" in result.stderr and "holds 1" in result.stderr
    assert play("--music", tmp_path / "none").exit_code == 2
    assert play("--pieces", 3).exit_code == 2


def test_too_little_music_among_many_files_is_said_clearly(tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "one.wav").write_bytes(write_audio(render_piece(1, 1.0), 8_000, "wav"))
    for number in range(4):
        (folder / f"letter-{number}.mp3").write_text("these are words")
    result = play("--music", folder)
    assert result.exit_code == 1
    assert "at least 4 different pieces of music, and 1 could be used" in result.stderr
    assert result.stdout.count("is left out") == 4


# ---------------------------------------------------------------------- parts


def test_music_comes_from_the_package_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip(PACKAGE, reason="needs the package of music: pip install 'audiera[demo]'")
    found = find_music(None, 6, tmp_path)
    assert (found.wanted, found.contains_ai) == (6, "all")
    assert {file.suffix for file in found.files} == {".opus"}
    assert len(found.files) == len(set(found.files)) > 6
    assert len({file.parent.name for file in found.files[:6]}) > 3
    assert not list(tmp_path.iterdir())


def test_where_the_package_holds_too_little_pieces_are_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_music, "render_piece", lambda seed, seconds: render_piece(seed, 0.2))
    found = find_music(None, 60, tmp_path / "music")
    assert (found.wanted, found.contains_ai, len(found.files)) == (60, "none", 60)
    assert all(file.is_file() for file in found.files)


def test_own_music_is_spread_over_the_folder_and_the_rest_stands_by(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.wav").touch()
    found = find_music(tmp_path, 4, tmp_path)
    assert [file.name for file in found.files[:4]] == ["0.wav", "2.wav", "4.wav", "6.wav"]
    assert len(found.files) == 9 and found.wanted == 4
    assert find_music(tmp_path, 30, tmp_path).wanted == 9
    for number in range(6):
        (tmp_path / f"{number}.wav").unlink()
    with pytest.raises(RequestError, match="at least 4"):
        find_music(tmp_path, 4, tmp_path)


def test_a_node_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    home = tmp_path / "node"
    home.mkdir()
    (home / "audiera.toml").write_text("analyzers = 0\n")
    with pytest.raises(Unavailable, match="analyzers") as failed, running_node(home):
        pass
    assert failed.value.code == "node_unreachable"


class Stubborn:
    """A node's process that does not end when it is asked to."""

    def __init__(self, why: BaseException) -> None:
        self._why: BaseException | None = why
        self.asked: list[str] = []

    def terminate(self) -> None:
        self.asked.append("terminate")

    def kill(self) -> None:
        self.asked.append("kill")

    def wait(self, timeout_s: float = 0.0) -> int:
        self.asked.append("wait")
        why, self._why = self._why, None
        if why is not None:
            raise why
        return 0


@pytest.mark.parametrize("why", [subprocess.TimeoutExpired("node", 20.0), KeyboardInterrupt()])
def test_a_node_that_does_not_end_or_a_second_ctrl_c_ends_it_at_once(why: BaseException) -> None:
    node = Stubborn(why)
    process._end(node)  # type: ignore[arg-type]
    assert node.asked == ["terminate", "wait", "kill", "wait"]


def test_staying_up_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    monkeypatch.setattr(stage.threading, "Event", Interrupted)
    stage._wait(Show(), "http://127.0.0.1:1")
    assert "audiera search --url http://127.0.0.1:1" in capsys.readouterr().out


def test_pieces_too_short_to_learn_from_are_said_to_be() -> None:
    class Short:
        def samples(self, *, rate: int, mono: bool) -> tuple[np.ndarray, int]:
            return np.zeros((1, 600), np.float32), rate

    with pytest.raises(RequestError, match="too short") as refused:
        train([Short()], epochs=2, progress=lambda *_: None)  # type: ignore[arg-type]
    assert refused.value.code == "too_short"


def test_the_independent_verifier_is_found_and_says_what_it_thinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_verifier().is_file()
    file = tmp_path / "proof.json"
    file.write_text("{}")
    verdict = verify_apart(file, "audiera/c/accesses", "00" * 32)
    assert not verdict.is_accepted and verdict.words.startswith("REFUSED")
    monkeypatch.setattr(standalone, "NAME", "nothing.py")
    with pytest.raises(NotFound, match=r"nothing\.py"):
        find_verifier()


def test_an_altered_proof_differs_in_one_bit_of_its_row() -> None:
    page = bytes(128)
    proof = json.dumps({"row": 17, "page": base64.b64encode(page).decode()}, indent=2) + "\n"
    other = base64.b64decode(json.loads(altered(proof))["page"])
    assert len(other) == len(page) and sum(bin(each).count("1") for each in other) == 1
    assert other.index(1) // 64 == 1
