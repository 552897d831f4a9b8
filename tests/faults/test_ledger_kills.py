"""The ledger's process dies at any moment: what was answered is there afterwards, once, and the state is the same."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.ledger_process import READY
from tests.services.ledger.actors import ANSWER_S, Actor, opened

from audiera.protocol.transactions import ChangeProfile
from audiera.services.ledger.fsck import check_ledger
from audiera.services.ledger.home import LedgerHome
from audiera.services.ledger.replay import export_chain, replay

pytestmark = pytest.mark.slow

STEPS = ("block-built", "block-written", "block-synced", "executed", "state-committed", "committed", "answered")


def start(root: Path, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A process under load on a ledger, past its start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.ledger_process", str(folder), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == READY
    return process


def answers(process: "subprocess.Popen[str]", count: int | None = None) -> list[str]:
    """Ids the process wrote: the next ``count``, or all until its end. A line cut short is no answer."""
    assert process.stdout is not None
    lines = []
    while count is None or len(lines) < count:
        line = process.stdout.readline()
        if not line:
            break
        assert not line.startswith("refused"), line
        if line.endswith("\n"):
            lines.append(line.strip())
    return lines


def check(folder: Path, acknowledged: list[str], scratch: Path) -> None:
    """Everything acknowledged is on the ledger exactly once, and the ledger is what its blocks say."""
    ledger = opened(folder)
    counts: dict[str, int] = {}
    for result in ledger.follow(1):
        for each in result.transactions:
            assert each.ok, each
            counts[each.id.hex()] = counts.get(each.id.hex(), 0) + 1
    assert [name for name in acknowledged if counts.get(name) != 1] == []
    assert set(counts.values()) == {1}
    head = ledger.head()
    ledger.close()
    assert check_ledger(folder).findings == ()
    file = scratch / f"{head.height}.export"
    with LedgerHome(folder, genesis=None, entropy=os.urandom) as home:
        export_chain(home, file)
    replayed = replay(file)
    assert (replayed.height, replayed.app_hash) == (head.height, head.app_hash)
    file.unlink()


def test_answers_survive_kills_at_random_moments(root: Path, tmp_path: Path) -> None:
    folder, acknowledged = tmp_path / "home", []
    moments = random.Random(7)
    for _ in range(12):
        process = start(root, folder)
        try:
            acknowledged += answers(process, moments.randrange(1, 120))
            for _ in range(moments.randrange(20_000)):  # die anywhere between two answers
                pass
        finally:
            process.send_signal(signal.SIGKILL)
        acknowledged += answers(process)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert len(acknowledged) > 300
    check(folder, acknowledged, tmp_path)


@pytest.mark.parametrize("step", STEPS)
def test_answers_survive_a_kill_right_after_each_durable_step(root: Path, tmp_path: Path, step: str) -> None:
    folder = tmp_path / "home"
    acknowledged = []
    for count in (1, 4):
        process = start(root, folder, step, str(count))
        acknowledged += answers(process)
        assert process.wait() == -signal.SIGKILL
        assert process.stdout is not None
        process.stdout.close()
    check(folder, acknowledged, tmp_path)


class PowerCut(BaseException):
    """Ends the engine between two steps."""


def test_log_torn_at_any_byte_of_the_last_block_starts_again_without_it(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    cut = [False]

    def after(step: str) -> None:
        if cut[0] and step == "block-synced":
            raise PowerCut

    ledger = opened(folder, after=after)
    person = Actor("person").join(ledger)
    head = ledger.head()
    end = (folder / "blocks.log").stat().st_size
    cut[0] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("threading.excepthook", lambda _: None)
        ledger.submit(person.change())
        ledger.close()
    whole = (folder / "blocks.log").read_bytes()
    assert len(whole) > end
    for length in range(end, len(whole) + 1):
        home = tmp_path / "torn"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(folder, home)
        os.truncate(home / "blocks.log", length)
        again = opened(home)
        if length < len(whole):
            assert again.head() == head
            assert (home / "blocks.log").stat().st_size == end
        else:
            assert again.head().height == head.height + 1
        # The lost change was never answered, so its sequence number is free again.
        sequence = again.state().sequence(person.number) + 1
        change = ChangeProfile(roles=(), profile=person.seed)
        assert again.submit(person.signed(change, person.number, sequence)).result(ANSWER_S).ok
        again.close()
