"""A node killed at any moment loses no access it acknowledged, records none twice, and releases nothing unrecorded."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import pytest

from audiera.audio.compose import render_sample, write_audio
from audiera.node.config import PREFIX
from audiera.node.serve import READY_FILE, Ready
from audiera.protocol.accesses import unpack_row
from audiera.protocol.accesses.receipts import Receipt
from audiera.protocol.api.usage import Access
from audiera.protocol.errors import AudieraError
from audiera.protocol.records import Grant
from audiera.protocol.transactions import IssueGrant
from audiera.sdk import Client, Identity, connect, make_identity, preset
from audiera.services.ledger.fsck import check_ledger
from audiera.services.ledger.home import LedgerHome
from audiera.services.ledger.replay import export_chain, replay

KILLS = 25
READERS = 4
PRICE = 1_000
START_S = 60.0


class NodeProcess:
    """A node in a process of its own, over a folder that outlives it."""

    def __init__(self, home: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self.log = home.parent / "node.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "audiera", "node", "--home", str(home), "--port", "0", "--batch-after", "50"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self.address = self._address(home / READY_FILE)

    def _address(self, file: Path) -> str:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
                ready = msgspec.json.decode(file.read_bytes(), type=Ready)
                if ready.process == self.process.pid:
                    return ready.address
            time.sleep(0.01)
        self.end(signal.SIGKILL)
        raise AssertionError(f"the node did not start; its log ends:\n{self.log.read_text()[-3_000:]}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(START_S)


@contextlib.contextmanager
def node_at(home: Path) -> Iterator[NodeProcess]:
    """A node that is gone when the block ends, whatever happened in it."""
    node = NodeProcess(home)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.end(signal.SIGKILL)


class Readers:
    """Threads that read as fast as they can until the node is gone, and keep every receipt that came with bytes."""

    def __init__(self, address: str, identity: Identity, grant: Grant, sizes: dict[int, int], seed: int) -> None:
        self.receipts: list[Receipt] = []
        self.faults: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._read, args=(address, identity, grant, sizes, random.Random(seed + place)))
            for place in range(READERS)
        ]

    def _read(
        self, address: str, identity: Identity, grant: Grant, sizes: dict[int, int], chance: random.Random
    ) -> None:
        assets = sorted(sizes)
        try:
            with connect(address, identity=identity) as client:
                stream = client.open_stream(grant)
                while True:
                    asset = chance.choice(assets)
                    delivered = stream.fetch(asset)  # verifies the receipt that came before the bytes
                    assert len(delivered.data) == sizes[asset]
                    self.receipts.append(delivered.receipt)
        except AudieraError as gone:
            if gone.code not in ("node_unreachable", "answer_invalid"):
                self.faults.append(gone)
        except Exception as fault:  # noqa: BLE001 - a thread tells the test what it met
            self.faults.append(fault)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(START_S)
        assert not any(thread.is_alive() for thread in self._threads)


class Market:
    """What there is to read, and who reads it."""

    def __init__(self, address: str, folder: Path) -> None:
        folder.mkdir()
        files = []
        for seed in range(6):
            file = folder / f"{seed}.wav"
            file.write_bytes(write_audio(render_sample(seed, "tone"), 44_100, "wav"))
            files.append(file)
        with connect(address, identity=make_identity(), roles=("creator",)) as creator:
            assets = creator.offer(files, preset("commercial", price=PRICE))
            self.sizes = {number: creator.asset(number).asset.content.size for number in assets}
        with connect(address, identity=make_identity()) as lab:
            lab.take_test_credits(1_000_000_000)
            body = IssueGrant(purpose="train-generative", assets=tuple(sorted(assets)), budget=900_000_000)
            self.grant = lab.grant(body)
            self.lab = lab.identity


def all_accesses(client: Client) -> list[Access]:
    """Everything the account used."""
    found: list[Access] = []
    after: int | None = None
    while True:
        part = client.account_history(limit=1_000, after=after)
        found += part.accesses
        after = part.next
        if after is None:
            return found


def settled(client: Client, grant: Grant) -> list[Access]:
    """Everything the account used, once nothing waits for the ledger any more."""
    with client.open_stream(grant) as stream:
        stream.flush()
    height = client.head().height
    end = time.monotonic() + START_S
    while client.account_history(limit=1).height < height and time.monotonic() < end:
        time.sleep(0.02)
    return all_accesses(client)


@pytest.mark.slow
def test_no_kill_loses_doubles_or_releases_an_unrecorded_access(tmp_path: Path) -> None:
    home = tmp_path / "home"
    chance = random.Random(20)
    with node_at(home) as node:
        market = Market(node.address, tmp_path / "sounds")
        assert node.end(signal.SIGTERM) == 0
    receipts: list[Receipt] = []
    for number in range(KILLS):
        with (
            node_at(home) as node,
            Readers(node.address, market.lab, market.grant, market.sizes, 1_000 * number) as readers,
        ):
            time.sleep(chance.uniform(0.02, 0.5))  # the random moment
            assert node.end(signal.SIGKILL) == -signal.SIGKILL
        assert not readers.faults
        receipts += readers.receipts
    with node_at(home) as node:
        with connect(node.address, identity=market.lab) as client:
            accesses = settled(client, market.grant)
            check_receipts(receipts, accesses)
            check_sums(client, market, accesses)
        assert node.end(signal.SIGTERM) == 0
    check_chain(home, tmp_path / "chain.export")


def check_receipts(receipts: list[Receipt], accesses: list[Access]) -> None:
    """Every acknowledged access is on the ledger as its receipt says; each index is there exactly once."""
    assert len(receipts) > KILLS  # the readers did read
    by_index = {access.node_index: access for access in accesses}
    assert len(by_index) == len(accesses)
    assert sorted(by_index) == list(range(len(accesses)))
    acknowledged = {receipt.index for receipt in receipts}
    assert len(acknowledged) == len(receipts)  # no two answers stood for one record
    for receipt in receipts:
        row = unpack_row(receipt.page[:64])
        found = by_index[receipt.index]
        assert (found.t, found.asset, found.consumer, found.grant, found.session, found.bytes) == (
            row.t,
            row.asset,
            row.consumer,
            row.grant,
            row.session,
            row.bytes,
        )


def check_sums(client: Client, market: Market, accesses: list[Access]) -> None:
    """Usage, money and records are one."""
    answer = client.grant_info(market.grant.number)
    assert answer.usage.accesses == len(accesses)
    assert answer.usage.bytes == sum(access.bytes for access in accesses)
    assert answer.usage.spent == PRICE * len(accesses)
    assert answer.budget_left == market.grant.budget - answer.usage.spent
    assert client.credits().total == 0
    (total,) = client.usage_totals(consumer=client.account).totals
    assert (total.accesses, total.bytes) == (answer.usage.accesses, answer.usage.bytes)


def check_chain(home: Path, export: Path) -> None:
    """The ledger is in order, and its blocks executed again give the same state."""
    report = check_ledger(home / "ledger")
    assert report.findings == ()
    with LedgerHome(home / "ledger", genesis=None, entropy=os.urandom) as ledger:
        stands = export_chain(ledger, export)
    assert replay(export, expected=stands).app_hash == report.app_hash
