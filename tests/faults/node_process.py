"""A real node process, and clients that keep whatever it told them before somebody killed it."""

import base64
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import msgspec

from audiera.node.config import PREFIX
from audiera.node.serve import READY_FILE, Ready
from audiera.protocol.accesses.receipts import decode_receipt, verify_receipt
from audiera.protocol.accesses.rows import Row
from audiera.protocol.api import routes
from audiera.protocol.errors import AudieraError
from audiera.protocol.keys import parse_key
from audiera.protocol.records import Grant
from audiera.sdk import Client, make_identity
from audiera.sdk.identity import Identity
from audiera.sdk.sessions import Stream
from audiera.sdk.transport import Transport

START_S = 60.0
"""Longest a start may take on a slow machine."""

ANSWER_S = 60.0


_HELD = """
import sys
import audiera.cli.node, audiera.node.serve
from audiera.cli.main import main
sys.stdin.read(1)
main()
"""
"""The command, which has read its program already when it is let go."""


class NodeProcess:
    """``audiera node`` as its operator starts it.

    Args:
        home: the node's folder.
        options: further options of the command.
        held: whether it only gets ready to start, until :meth:`let_go`.
    """

    def __init__(self, home: Path, *options: str, held: bool = False) -> None:
        self.home = home
        self.url = ""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        program = ["-c", _HELD] if held else ["-m", "audiera"]
        command = [sys.executable, *program, "node", "--home", str(home), "--port", "0", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )
        self._said: list[bytes] = []
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            self._said.extend(iter(stdout.readline, b""))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_until_ready(self) -> "NodeProcess":
        """Return once it answers."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.is_running:
            try:
                ready = msgspec.json.decode((self.home / READY_FILE).read_bytes(), type=Ready)
            except (FileNotFoundError, msgspec.DecodeError):
                ready = None
            if ready is not None and ready.process == self.pid:
                self.url = ready.address
                return self
            time.sleep(0.005)
        self.kill()
        raise AssertionError(f"the node did not start:\n{self.said}")

    def let_go(self) -> "NodeProcess":
        """Start, if it was held."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"x")
        self._process.stdin.close()
        return self

    def kill(self) -> None:
        """End it as the kernel does, and wait for its end."""
        self._process.send_signal(signal.SIGKILL)
        self.wait()

    def ask_to_end(self) -> None:
        """What a system does first."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait(ANSWER_S)
        self._reader.join(ANSWER_S)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code

    @property
    def said(self) -> str:
        """What it wrote."""
        return b"".join(self._said).decode("utf-8", "replace")

    def client(self, identity: Identity | None = None) -> Client:
        """The SDK, talking to it."""
        return Client(Transport(self.url, identity, timeout_s=ANSWER_S))

    def person(self) -> Identity:
        """A new account."""
        with self.client() as client:
            return client.create_account(make_identity(), roles=("creator",), display_name="somebody")


@dataclass
class Told:
    """What clients were told in all lives of a node."""

    rows: dict[int, Row] = field(default_factory=dict)
    """Row by its index, from receipts that verified."""

    twice: list[int] = field(default_factory=list)
    """Indices given to two accesses."""

    without: int = 0
    """Answers that brought bytes and no receipt."""

    partial: int = 0
    """Answers that were cut after their receipt."""

    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, index: int, row: Row) -> None:
        """A receipt came."""
        with self.lock:
            if index in self.rows:
                self.twice.append(index)
            self.rows[index] = row


class Reader(threading.Thread):
    """Reads ranges of assets under a grant until the node is gone.

    Args:
        node: where.
        identity: who.
        grant: under what.
        contents: bytes of each asset it may read.
        told: where receipts are noted.
        seed: what it reads.
    """

    def __init__(
        self, node: NodeProcess, identity: Identity, grant: Grant, contents: dict[int, bytes], told: Told, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._identity = identity
        self._grant = grant
        self._contents = contents
        self._told = told
        self._random = random.Random(seed)
        self.fault: BaseException | None = None
        self.count = 0

    def run(self) -> None:
        """Read until the connection ends."""
        try:
            with self._node.client(self._identity) as client, httpx2.Client(timeout=ANSWER_S) as http:
                key = parse_key(client.node().key)
                stream = client.open_stream(self._grant)
                while True:
                    self._read(http, stream, key)
        except (httpx2.HTTPError, AudieraError) as cause:
            if self._node.is_running and not isinstance(cause, httpx2.HTTPError):
                self.fault = cause
        except BaseException as cause:  # noqa: BLE001 - looked at by the test
            self.fault = cause

    def _read(self, http: httpx2.Client, stream: Stream, key: bytes) -> None:
        asset = self._random.choice(sorted(self._contents))
        whole = self._contents[asset]
        start = self._random.randrange(len(whole))
        length = self._random.choice((1, 100, 5_000, 400_000))
        expected = whole[start : start + length]
        path = routes.SESSION_BYTES.url(session=stream.number, asset=asset)
        headers = {"Authorization": f"Bearer {stream.token}", "Range": f"bytes={start}-{start + length - 1}"}
        with http.stream("GET", self._node.url + path, headers=headers) as answer:
            if answer.status_code not in (200, 206):
                answer.read()
                raise AssertionError(answer.text)
            told = answer.headers.get(routes.RECEIPT)
            if told is None:
                self._told.without += 1
                raise AssertionError("bytes came without a receipt")
            receipt = decode_receipt(base64.b64decode(told))
            row = verify_receipt(receipt, key, chain_id=self._identity.chain_id)
            self._told.note(receipt.index, row)
            got = b""
            try:
                for piece in answer.iter_bytes():
                    got += piece
            finally:
                if got != expected:
                    self._told.partial += 1
                assert expected.startswith(got)
        assert got == expected
        assert (row.asset, row.bytes, row.session, row.grant) == (asset, len(got), stream.number, self._grant.number)
        self.count += 1
        stream.count(row.bytes, row.t)
