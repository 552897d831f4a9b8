"""What a reader types, typed for them: the blocks of a page run one after another against a real node.

- ``console``: lines that begin with ``$ `` are commands (a backslash at the end goes on in the next line), the lines
  below are what they print. ``...`` stands for anything within a line, a line of ``...`` for any lines, and
  ``(exit code N)`` as the last line for an exit code other than 0.
- ``python``: a script; what a block of kind ``output`` right below it holds is what it prints.
- any other kind, when the line before ends with a name in backquotes and a colon: a file of that name.
"""

import contextlib
import io
import os
import re
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from click.testing import CliRunner

from audiera.cli.main import audiera
from audiera.node.serve import READY_FILE, Ready
from tests.docs.pages import ROOT, Block, blocks

DEADLINE_S = 60.0
"""Longest time anything may take to come; machines are slow in bursts."""

LOOKING_S = 15.0
"""Longest time until what follows the ledger has followed it."""

WRITTEN = {7170: "the node", 7171: "a second node"}
"""The ports the pages speak of; each stands for a free one of this machine."""

_LOOKS = frozenset(
    ["access", "account", "asset", "earnings", "history", "ledger", "search", "show", "statement", "usage"]
)
"""Commands that look at what follows the ledger, which takes a moment; a reader would look again."""


class Done(NamedTuple):
    """What a command did."""

    code: int
    output: str


def free_port() -> int:
    """A port nobody listens on now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def node(home: Path, *options: str) -> Iterator[Ready]:
    """A node process, as the program runs it, on a free port."""
    process = start_node(["--home", str(home), "--port", "0", "--batch-after", "50", *options], home.parent)
    try:
        yield wait_for_node(process, home)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def start_node(
    options: Iterable[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a node process; what it prints goes to ``node.log``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUDIERA_")}
    with (folder / "node.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "audiera", "node", *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**kept, **(environment or {})},
            start_new_session=True,
        )


def wait_for_node(process: subprocess.Popen[bytes], home: Path) -> Ready:
    """Wait until the node answers."""
    end = time.monotonic() + DEADLINE_S
    while process.poll() is None and time.monotonic() < end:
        if (home / READY_FILE).exists():
            ready = msgspec.json.decode((home / READY_FILE).read_bytes(), type=Ready)
            if ready.process == process.pid:
                return ready
        time.sleep(0.02)
    raise AssertionError(f"the node did not start:\n{(home.parent / 'node.log').read_text(errors='replace')[-2_000:]}")


def pattern(expected: str) -> re.Pattern[str]:
    """What an output must be; white space counts as one blank, ``...`` as anything."""
    parts: list[str] = []
    for line in expected.splitlines():
        words = " ".join(line.split())
        if words == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        elif words:
            parts.append(".*?".join(map(re.escape, words.split("..."))) + r"\n")
    return re.compile("".join(parts))


def normal(output: str) -> str:
    """An output with single blanks and without empty lines."""
    lines = (" ".join(line.split()) for line in output.splitlines())
    return "".join(line + "\n" for line in lines if line)


class Session:
    """A terminal in a folder of its own, which runs pages.

    Args:
        folder: where everything is put.
        url: address of the node; empty when the page starts its own.
    """

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.ports = {port: free_port() for port in WRITTEN}
        if url:
            self.ports[7170] = int(url.rpartition(":")[2])
        self._url = url
        self._nodes: list[subprocess.Popen[bytes]] = []
        with contextlib.suppress(FileExistsError):
            (folder / "examples").symlink_to(ROOT / "examples")

    @property
    def environment(self) -> dict[str, str]:
        """What the terminal's programs are told."""
        return {
            "AUDIERA_URL": f"http://127.0.0.1:{self.ports[7170]}",
            "AUDIERA_CONFIG": str(self.folder / "config"),
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "COLUMNS": "110",
        }

    def _here(self, text: str) -> str:
        for written, port in self.ports.items():
            text = text.replace(str(written), str(port))
        return text

    def run(self, page: Path) -> None:
        """Run a page from its first block to its last."""
        listed = blocks(page)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            try:
                for block, after in zip_longest(listed, listed[1:]):
                    self._run(block, after)
            finally:
                self._end_nodes()

    def _run(self, block: Block, after: Block | None) -> None:
        if block.kind == "console":
            for command, expected in commands(block.text):
                self._type(block, self._here(command), self._here(expected))
        elif block.name and block.kind not in ("output", "text"):
            file = self.folder / block.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._here(block.text), encoding="utf-8")
        elif block.kind == "python":
            done = self._script(self._here(block.text), str(block))
            assert done.code == 0, f"{block} failed:\n{done.output}"
            if after is not None and after.kind == "output":
                check(block, "the script", done, self._here(after.text))
        elif block.kind == "bash":
            raise AssertionError(f"{block}: commands stand in blocks of kind console, with what they print")

    def _type(self, block: Block, command: str, expected: str) -> None:
        """Run a command and compare; one that only looks is run again while the ledger's followers catch up."""
        words = shlex.split(command)
        if words[:2] == ["audiera", "node"] and "--help" not in words:
            self._start_node(block, words[2:], expected)
            return
        if shutil.which(words[0]) is None and words[0] not in ("audiera", "python"):
            pytest.skip(f"{block} needs {words[0]}, which is not on this machine")
        may_look_again = words[0] == "audiera" and words[1] in _LOOKS
        end = time.monotonic() + LOOKING_S
        while True:
            done = self._command(command, words)
            try:
                check(block, command, done, expected)
                return
            except AssertionError:
                if not may_look_again or time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def _command(self, command: str, words: list[str]) -> Done:
        is_plain = not re.search(r"[|<>&;$(]", command)
        if words[0] == "audiera" and is_plain:
            result = CliRunner().invoke(audiera, words[1:], prog_name="audiera")
            fault = result.exception
            if fault is not None and not isinstance(fault, SystemExit):
                raise fault
            return Done(result.exit_code, result.output)
        if words[0] == "python" and words[1].endswith(".py") and is_plain:
            with _arguments(words[1:]):
                return self._script(None, words[1])
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL
        )
        if words[0] == "kill":
            self._end_nodes()
        return Done(done.returncode, done.stdout + done.stderr)

    def _script(self, source: str | None, name: str) -> Done:
        """Run Python in this process, which is faster than another one."""
        out = io.StringIO()
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                if source is None:
                    runpy.run_path(name, run_name="__main__")
                else:
                    exec(compile(source, name, "exec"), {"__name__": "__main__"})
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Done(code, out.getvalue())

    # ------------------------------------------------------------------ nodes the page starts itself

    def _start_node(self, block: Block, options: list[str], expected: str) -> None:
        process = start_node(options, self.folder, self.environment)
        self._nodes.append(process)
        log = self.folder / "node.log"
        end = time.monotonic() + DEADLINE_S
        while process.poll() is None and "Ctrl-C" not in log.read_text(errors="replace"):
            assert time.monotonic() < end, f"{block}: the node did not start"
            time.sleep(0.02)
        code = process.poll() or 0
        check(block, f"audiera node {shlex.join(options)}", Done(code, log.read_text(errors="replace")), expected)

    def _end_nodes(self) -> None:
        while self._nodes:
            process = self._nodes.pop()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


@contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    kept = sys.argv
    sys.argv = words
    try:
        yield
    finally:
        sys.argv = kept


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        assert lines[at].startswith("$ "), f"a command begins with '$ ', got {lines[at]!r}"
        command = lines[at][2:]
        at += 1
        while command.endswith("\\"):
            command = command[:-1] + lines[at].strip()
            at += 1
        start = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        yield command, "\n".join(lines[start:at])


def check(block: Block, command: str, done: Done, expected: str) -> None:
    """Compare what a command did with what the page says; without a word of output, only the exit code counts."""
    lines = expected.rstrip().splitlines()
    code = 0
    if lines and (said := re.fullmatch(r"\(exit code (\d+)\)", lines[-1].strip())):
        code = int(said[1])
        lines.pop()
    assert done.code == code, f"{block}: {command}: exit code {done.code}, not {code}:\n{done.output}"
    text = "\n".join(lines)
    if text.strip():
        assert pattern(text).fullmatch(normal(done.output)), f"{block}: {command} printed:\n{done.output}\nnot:\n{text}"
