"""Running a node from the command line."""

import contextlib
import json
import logging
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiera.node import serve
from audiera.node.config import Settings, table
from audiera.node.serve import Ready
from tests.cli.terminal import Terminal
from tests.sdk.house import DEADLINE_S, audiera, environment


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command sets logging up for a process of its own."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_settings_are_options_and_the_address_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Settings] = []

    def serve_nothing(settings: Settings, *, on_ready: object) -> None:
        given.append(settings)
        on_ready(Ready(address="http://127.0.0.1:1", process=7, chain_id="chain-a", account=1))  # type: ignore[operator]

    monkeypatch.setattr(serve, "serve", serve_nothing)
    terminal = Terminal("", tmp_path)
    words = terminal.words("node", "--home", tmp_path / "n", "--port", 0, "--faucet", "no", "--log-level", "error")
    assert words.startswith("node of chain chain-a at http://127.0.0.1:1 ")
    assert (given[0].home, given[0].port, given[0].faucet) == (tmp_path / "n", 0, False)
    assert terminal.document("node", "--home", tmp_path / "n")["chain_id"] == "chain-a"


def test_wrong_settings_are_told_together(tmp_path: Path) -> None:
    error = Terminal("", tmp_path).refusal("node", "--home", tmp_path, "--port", "x", "--analyzers", "0")
    assert error["code"] == "configuration_invalid"
    assert len(error["values"]["errors"]) == 2


def test_help_names_every_setting_and_its_variable(tmp_path: Path) -> None:
    said = " ".join(Terminal("", tmp_path).words("node", "--help").split())
    for row in table():
        assert f"--{row.name.replace('_', '-')}" in said
        assert row.variable in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_tells_its_address_and_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        audiera("node", "--home", tmp_path / "node", "--port", "0", "--json"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with contextlib.closing(process.stdout) as told, contextlib.closing(process.stderr):  # type: ignore[type-var]
        ready = json.loads(told.readline())  # type: ignore[union-attr]
        assert ready["process"] == process.pid
        terminal = Terminal(ready["address"], tmp_path / "config")
        assert terminal.document("account", "node")["chain_id"] == ready["chain_id"]
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == 0
        assert told.read() == ""  # type: ignore[union-attr]
