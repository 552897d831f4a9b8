"""A node's process dies at any moment: every receipt it gave stands on the ledger once, no byte left without one."""

import base64
import hashlib
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.faults.node_process import ANSWER_S, NodeProcess, Reader, Told
from tests.node.house import ANYTHING, priced, sound

from audiera.node.app import build
from audiera.node.config import Settings
from audiera.protocol.accesses import ROW_BYTES, open_batch, unpack_row
from audiera.protocol.accesses.receipts import Receipt
from audiera.protocol.accesses.rows import OP_RANGE, OP_WHOLE, Row
from audiera.protocol.api import routes
from audiera.protocol.errors import AudieraError
from audiera.protocol.records import Grant
from audiera.protocol.transactions import IssueGrant, RecordAccesses, decode_transaction
from audiera.sdk.identity import Identity
from audiera.services.ledger.engines import open_solo
from audiera.services.ledger.home import LedgerHome
from audiera.services.ledger.replay import export_chain, replay
from audiera.services.storage.waf import EXIT_SYNC_FAILED

pytestmark = pytest.mark.slow

KILLS = 26
PRICE = 7
BUDGET = 10_000_000
QUICK = ("--batch-after", "20", "--analyzers", "1")


@pytest.fixture
def processes() -> Iterator[Callable[..., NodeProcess]]:
    """Starts node processes; those that still run at the end are ended."""
    begun: list[NodeProcess] = []

    def start(home: Path, *options: str, held: bool = False) -> NodeProcess:
        begun.append(NodeProcess(home, *(options or QUICK), held=held))
        return begun[-1]

    yield start
    for process in begun:
        if process.is_running:
            process.kill()


class Stage:
    """What the readers read."""

    def __init__(self, node: NodeProcess, folder: Path) -> None:
        creator, self.lab = node.person(), node.person()
        self.contents: dict[int, bytes] = {}
        with node.client(creator) as offering, node.client(self.lab) as lab:
            for number, terms in ((500, ANYTHING), (501, priced(PRICE))):
                data = sound(number, 10.0)
                path = folder / f"{number}.wav"
                path.write_bytes(data)
                self.contents[offering.offer([path], terms)[0]] = data
            lab.take_test_credits(2 * BUDGET)
            self.free, self.paid = sorted(self.contents)
            self.grants = tuple(
                lab.grant(IssueGrant(purpose="train-generative", assets=assets, budget=BUDGET))
                for assets in ((self.free,), (self.free, self.paid))
            )

    def readers(self, node: NodeProcess, told: Told, seed: int) -> list[Reader]:
        """Four readers at work."""
        made = []
        for number in range(4):
            grant = self.grants[number % 2]
            contents = {asset: self.contents[asset] for asset in grant.assets}
            made.append(Reader(node, self.lab, grant, contents, told, seed * 10 + number))
        for reader in made:
            reader.start()
        return made


def rows_on_ledger(home: Path) -> dict[int, Row]:
    """Every row of the node on the ledger of a stopped node, by its index; none twice."""
    found: dict[int, Row] = {}
    with pytest.MonkeyPatch.context():
        ledger = open_solo(
            home / "ledger",
            genesis=None,
            seed=(home / "keys" / "validator.key").read_bytes(),
            now=lambda: time.time_ns() // 1_000,
            entropy=os.urandom,
        )
    try:
        chain_id = ledger.genesis.chain_id
        for result in ledger.follow(1):
            for data in ledger.block(result.height).transactions:
                body = decode_transaction(data, len(data)).envelope.body
                if not isinstance(body, RecordAccesses):
                    continue
                batch = open_batch(body.batch, chain_id=chain_id)
                for place, position in enumerate(np.argsort(batch.rows["t"], kind="stable")):
                    index = batch.header.first_index + place
                    assert index not in found, f"row {index} stands on the ledger twice"
                    found[index] = unpack_row(batch.rows[int(position)].tobytes())
    finally:
        ledger.close()
    return found


def check_told(home: Path, told: Told) -> dict[int, Row]:
    """Every receipt stands on the ledger with what it said; the rows have no gap."""
    rows = rows_on_ledger(home)
    assert sorted(rows) == list(range(len(rows))) or sorted(rows) == list(range(1, len(rows) + 1))
    lost = {index: row for index, row in told.rows.items() if rows.get(index) != row}
    assert lost == {}
    assert told.twice == []
    assert told.without == 0
    return rows


def check_ledger(home: Path, stage: Stage, rows: dict[int, Row]) -> None:
    """Grants are used by their rows and nothing else; the chain is in order and executes to the same state."""
    done = subprocess.run(
        [sys.executable, "-m", "audiera", "ledger", "fsck", "--home", str(home)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in order" in done.stdout
    node = build(Settings(home=home))
    try:
        state, head = node.parts.ledger.state(), node.parts.ledger.head()
        for grant in stage.grants:
            mine = [row for row in rows.values() if row.grant == grant.number and row.op in (OP_WHOLE, OP_RANGE)]
            usage = state.grant_usage(grant.number)
            assert (usage.accesses, usage.bytes) == (len(mine), sum(row.bytes for row in mine))
            assert usage.spent == PRICE * sum(row.asset == stage.paid for row in mine)
        assert sum(balance for _, balance in state.balances()) == 0
        assert head.records == len(rows)
        assert state.node(node.parts.account).next_index in (len(rows), len(rows) + 1)
    finally:
        node.close()
    file = home.parent / "chain.export"
    with LedgerHome(home / "ledger", genesis=None, entropy=os.urandom) as opened:
        exported = export_chain(opened, file)
    replayed = replay(file)
    assert (replayed.height, replayed.app_hash) == (exported.height, exported.app_hash)


def check_proofs(node: NodeProcess, stage: Stage, told: dict[int, Row]) -> None:
    """The newest receipts of the life before are proved by this one."""
    with node.client(stage.lab) as client:
        with client.open_stream(stage.grants[0]) as stream:
            stream.fetch(stage.free, 0, 1)
        account = client.node().account
        for index in sorted(told)[-6:]:
            trail = client.trail(account, index) if client.wait_for_record(account, index) else None
            assert trail is not None
            row = told[index]
            seen = trail.access
            assert (seen.asset, seen.bytes, seen.session, seen.grant, seen.t) == (
                row.asset,
                row.bytes,
                row.session,
                row.grant,
                row.t,
            )


def die_while_reading(node: NodeProcess, readers: list[Reader], told: Told, moments: random.Random) -> None:
    """Kill a node anywhere between two of its answers."""
    wanted = len(told.rows) + moments.randrange(0, 160)
    end = time.monotonic() + ANSWER_S
    while len(told.rows) < wanted and any(reader.is_alive() for reader in readers):
        assert time.monotonic() < end
        time.sleep(0.001)
    for _ in range(moments.randrange(50_000)):
        pass
    node.kill()
    for reader in readers:
        reader.join(ANSWER_S)
        assert not reader.is_alive()
        assert reader.fault is None, reader.fault


def test_receipts_survive_kills_at_random_moments(tmp_path: Path, processes: Callable[..., NodeProcess]) -> None:
    home, told, moments = tmp_path / "home", Told(), random.Random(11)
    node = processes(home).wait_until_ready()
    stage = Stage(node, tmp_path)
    kills_while_reading = 0
    for life in range(KILLS):
        after = processes(home, held=True)  # reads its program while this life goes on
        before = dict(told.rows)
        if life % 5 == 4:  # a life that ends in its start, which takes up what waits
            time.sleep(moments.random() * 0.6)
            node.kill()
        else:
            if not node.url:
                node.wait_until_ready()
            die_while_reading(node, stage.readers(node, told, life), told, moments)
            kills_while_reading += len(told.rows) > len(before)
        node = after.let_go()
        if life % 4 == 0:
            node.wait_until_ready()
            check_proofs(node, stage, {index: row for index, row in told.rows.items() if index not in before})
    if not node.url:
        node.wait_until_ready()
    node.ask_to_end()
    assert node.wait() == 0, node.said
    assert kills_while_reading >= KILLS // 2
    assert len(told.rows) > 400
    check_ledger(home, stage, check_told(home, told))


def test_an_upload_goes_on_after_kills_at_its_chunks(tmp_path: Path, processes: Callable[..., NodeProcess]) -> None:
    home = tmp_path / "home"
    node = processes(home).wait_until_ready()
    identity = node.person()
    data = sound(510, 8.0)
    path = tmp_path / "long.wav"
    path.write_bytes(data)
    with node.client(identity) as client:
        transport = client._transport
        name = base64.b64encode(path.name.encode()).decode()
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Upload-Metadata": f"filename {name}"}
        upload = transport.send(routes.CREATE_UPLOAD, headers=headers).headers["Location"].rpartition("/")[2]
    size, offset = -(-len(data) // 5), 0
    for kill in range(4):
        with node.client(identity) as client:
            assert client.uploads.offset(upload) == offset
            sent = {
                "Tus-Resumable": "1.0.0",
                "Content-Type": "application/offset+octet-stream",
                "Upload-Offset": str(offset),
            }
            piece = data[offset : offset + size]
            if kill % 2:  # the connection is cut in the middle of the piece, and the node dies with it
                cut_in_the_middle(node, identity, upload, offset, piece)
            else:
                answer = client._transport.send(routes.APPEND_UPLOAD, {"id": upload}, content=piece, headers=sent)
                assert int(answer.headers["Upload-Offset"]) == offset + len(piece)
        node.kill()
        confirmed = offset + (0 if kill % 2 else len(piece))
        node = processes(home).wait_until_ready()
        with node.client(identity) as client:
            found = client.uploads.offset(upload)
        assert found is not None and confirmed <= found <= offset + len(piece)
        offset = found
    with node.client(identity) as client:
        uploaded = client.uploads.send(path, resume=upload)
        assert uploaded.report.size == len(data)
        node_blobs = home / "blobs"
        assert any(node_blobs.rglob("*"))
        assert list((home / "uploads").iterdir()) == []
        asset = client.register([registration(uploaded, client.publish_license(ANYTHING))])[0]
        grant = client.grant(IssueGrant(purpose="train-generative", assets=(asset,)))
        with client.open_stream(grant) as stream:
            assert hashlib.sha256(stream.fetch(asset).data).digest() == hashlib.sha256(data).digest()


def registration(uploaded: object, license_: int) -> object:
    """What is registered of an upload."""
    from audiera.sdk.offers import Registration, sheet_of

    return Registration(uploaded=uploaded, license=license_, sheet=sheet_of(uploaded))  # type: ignore[arg-type]


def cut_in_the_middle(node: NodeProcess, identity: Identity, upload: str, offset: int, piece: bytes) -> None:
    """Send half of what a request says it has."""
    from audiera.sdk.transport import mint_token

    host, port = node.url.removeprefix("http://").split(":")
    lines = [
        f"PATCH {routes.APPEND_UPLOAD.url(id=upload)} HTTP/1.1",
        f"Host: {host}:{port}",
        f"Authorization: Bearer {mint_token(identity, now_s=int(time.time()))}",
        "Tus-Resumable: 1.0.0",
        "Content-Type: application/offset+octet-stream",
        f"Upload-Offset: {offset}",
        f"Content-Length: {len(piece)}",
        "",
        "",
    ]
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall("\r\n".join(lines).encode() + piece[: len(piece) // 2])


def test_a_node_asked_to_end_under_load_posts_everything(tmp_path: Path, processes: Callable[..., NodeProcess]) -> None:
    home, told = tmp_path / "home", Told()
    node = processes(home, "--batch-after", "60000", "--analyzers", "1").wait_until_ready()
    stage = Stage(node, tmp_path)
    readers = stage.readers(node, told, 1)
    end = time.monotonic() + ANSWER_S
    while len(told.rows) < 100:
        assert time.monotonic() < end
        time.sleep(0.002)
    node.ask_to_end()
    assert node.wait() == 0, node.said
    for reader in readers:
        reader.join(ANSWER_S)
        assert reader.fault is None, reader.fault
    assert "Traceback" not in node.said, node.said
    rows = check_told(home, told)
    opened = build(Settings(home=home))
    try:
        assert not opened.parts.meter.unsealed
        assert opened.parts.meter.next_index in (len(rows), len(rows) + 1)
    finally:
        opened.close()


def test_a_second_node_and_a_taken_port_are_refused_in_words(
    tmp_path: Path, processes: Callable[..., NodeProcess]
) -> None:
    node = processes(tmp_path / "home").wait_until_ready()
    second = processes(tmp_path / "home")
    third = processes(tmp_path / "other", "--port", node.url.rpartition(":")[2])
    for process, code, words in (
        (second, "folder_in_use", f"already open in process {node.pid}"),
        (third, "port_taken", "choose another port"),
    ):
        assert process.wait() == 1
        assert code in process.said and words in process.said
        assert "Traceback" not in process.said
    with node.client() as client:
        assert client.node().account
    assert not (tmp_path / "other").exists()


def test_what_a_node_cannot_start_with_is_said_in_words(tmp_path: Path, processes: Callable[..., NodeProcess]) -> None:
    home = tmp_path / "home"
    build(Settings(home=home)).close()
    damaged, exposed = tmp_path / "damaged", tmp_path / "exposed"
    for other in (damaged, exposed):
        shutil.copytree(home, other)
    (damaged / "keys" / "device.key").write_bytes(b"short")
    (exposed / "keys" / "device.key").chmod(0o644)
    begun = {
        "secret_damaged": (processes(damaged), ["32 secret bytes", "device.key"]),
        "secret_exposed": (processes(exposed), ["chmod 600"]),
        "configuration_invalid": (
            processes(home, "--threads", "0", "--faucet", "perhaps", "--log-level", "loud"),
            ["threads is", "faucet is", "log_level is"],
        ),
        "home_unusable": (processes(home / "lock"), ["a folder of its own"]),
    }
    for code, (process, words) in begun.items():
        assert process.wait() == 1
        assert code in process.said
        assert all(each in process.said for each in words), process.said
        assert "Traceback" not in process.said


def test_a_full_disk_ends_releasing_and_loses_nothing(tmp_path: Path, processes: Callable[..., NodeProcess]) -> None:
    home, told = tmp_path / "home", Told()
    node = processes(home).wait_until_ready()
    stage = Stage(node, tmp_path)
    grant: Grant = stage.grants[0]
    with node.client(stage.lab) as client:
        account = client.node().account
        stream = client.open_stream(grant)
        for at in range(20):
            delivered = stream.fetch(stage.free, at, 10)
            told.rows[delivered.index] = row_of(delivered.receipt)
        client.wait_for_record(account, max(told.rows))
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        with pytest.raises(AudieraError) as refused:
            stream.fetch(stage.free, 0, 10)
        assert refused.value.code == "node_unreachable"  # it ends before it answers
    assert node.wait() == EXIT_SYNC_FAILED, node.said
    assert "waf.sync_failed" in node.said
    again = processes(home).wait_until_ready()
    check_proofs(again, stage, told.rows)
    again.ask_to_end()
    assert again.wait() == 0
    check_ledger(home, stage, check_told(home, told))


def row_of(receipt: Receipt) -> Row:
    """The row of a receipt that was verified before."""
    at = receipt.position % receipt.group.k * ROW_BYTES
    return unpack_row(receipt.page[at : at + ROW_BYTES])
