"""Small reads over HTTP, each decided, recorded durably and answered with a signed receipt, against the bare bytes.

One node in its own process, 64 kept connections, a session for each, one-shots of 4 KiB opened whole, a signed
watermark after each 512 reads. The baseline sends the same bytes from the same process and server, with the same
reader and headers, but no gate, no record and no receipt.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from audiera.protocol.accesses import Watermark, sign_watermark
from audiera.protocol.accesses.session import watermark_domain
from audiera.protocol.api import routes
from audiera.protocol.api.access import WatermarkRequest
from audiera.protocol.encoding import encode
from audiera.protocol.records import Grant
from audiera.protocol.transactions import IssueGrant
from audiera.sdk import Client, connect, make_identity, preset
from audiera.sdk.transport import mint_token
from benchmarks.http_load import Plan, follow
from benchmarks.measuring import Benchmark, Detail, Round, Spent, Target, Trial, rate
from benchmarks.node_process import PLAIN, NodeProcess

ASSETS = 64
CONNECTIONS = 64
WATERMARK_EVERY = 512
_SIZE = 4_096
_RATE = 22_050


def one_shot(seed: int) -> bytes:
    """A mono WAV file of exactly 4 KiB: 92 ms of fading noise."""
    from audiera.audio.compose import write_audio

    count = (_SIZE - 44) // 2
    noise = np.random.default_rng(seed).standard_normal(count) * np.exp(-np.arange(count) / 400.0)
    data = write_audio((0.8 * noise / np.abs(noise).max())[None].astype(np.float32), _RATE, "wav")
    assert len(data) == _SIZE
    return data


def set_up(client: Client, folder: Path) -> tuple[list[int], Grant]:
    """Upload one-shots, offer them, and get a grant for all of them."""
    folder.mkdir()
    paths = [folder / f"{number}.wav" for number in range(ASSETS)]
    for number, path in enumerate(paths):
        path.write_bytes(one_shot(number))
    assets = client.offer(paths, preset("open"))
    return assets, client.grant(IssueGrant(purpose="train-generative", assets=tuple(sorted(assets))))


class Reader:
    """Makes the requests of a consumer.

    Args:
        client: the consumer.
        host: what the requests name as host.
    """

    def __init__(self, client: Client, host: str) -> None:
        self._client = client
        self._host = host

    def _request(self, line: str, token: str, body: bytes = b"") -> bytes:
        lines = [f"{line} HTTP/1.1", f"Host: {self._host}", "Accept: */*", f"Authorization: Bearer {token}"]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body

    def session(self, grant: Grant, assets: list[int], reads: int) -> list[bytes]:
        """A session's reads, and a watermark whenever one is due."""
        identity = self._client.identity
        stream = self._client.open_stream(grant)
        account_token = mint_token(identity, now_s=int(time.time()))
        node = self._client.node().account
        requests: list[bytes] = []
        for read in range(1, reads + 1):
            path = routes.SESSION_BYTES.url(session=stream.number, asset=assets[read % len(assets)])
            requests.append(self._request(f"GET {path}", stream.token))
            if read % WATERMARK_EVERY == 0:
                mark = Watermark(
                    domain=watermark_domain(identity.chain_id),
                    node=node,
                    session=stream.number,
                    rows=read,
                    bytes=read * _SIZE,
                    t=time.time_ns() // 1_000,
                )
                request = WatermarkRequest(watermark=encode(sign_watermark(identity.seed, mark)))
                path = routes.SIGN_WATERMARK.url(session=stream.number)
                requests.append(self._request(f"POST {path}", account_token, msgspec.json.encode(request)))
        return requests

    def plain(self, assets: list[int], reads: int) -> list[bytes]:
        """The same reads with nothing around them."""
        return [self._request(f"GET {PLAIN}{assets[read % len(assets)]}", "0" * 64) for read in range(1, reads + 1)]


def settle(client: Client, *, timeout_s: float = 30.0) -> None:
    """Wait until the node has put everything it recorded on the ledger and is idle."""
    end = time.monotonic() + timeout_s
    height, since = -1, time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < 1.0:
        now = client.head().height
        if now != height:
            height, since = now, time.monotonic()
        time.sleep(0.1)


def _measured(node: NodeProcess, client: Client, plan: Plan) -> tuple[Spent, dict[str, float]]:
    before = node.spent()
    load = follow(node.address, plan)
    settle(client)
    spent = Spent(cpu_s=node.spent() - before, wall_s=load.wall_s)
    details = {"p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "generator_share": load.cpu_s / load.wall_s}
    return spent, details


def measure(trial: Trial) -> Iterator[Round]:
    """Rounds against one node."""
    each = 20 if trial.quick else 400
    with NodeProcess(trial.scratch / "home") as node:
        client = connect(node.address, identity=make_identity())
        assets, grant = set_up(client, trial.scratch / "sounds")
        with client.open_stream(grant) as stream:
            assert stream.fetch(assets[0]).data == one_shot(0)  # its receipt is verified by the SDK
        reader = Reader(client, node.address.removeprefix("http://"))
        for number in range(trial.rounds + 1):
            gated: Plan = [reader.session(grant, assets, each) for _ in range(CONNECTIONS)]
            plain: Plan = [reader.plain(assets, each) for _ in range(CONNECTIONS)]
            settle(client)
            candidate, details = _measured(node, client, gated)
            baseline, _ = _measured(node, client, plain)
            if number:  # the first round warms everything up
                yield rate(each * CONNECTIONS, candidate, baseline, **details)


BENCHMARK = Benchmark(
    figure="reads of 4 KiB over HTTP, each decided, recorded durably and receipted",
    unit="reads/CPU-s of the node",
    wall_unit="reads/s",
    target=Target("at least", 0.6, of="ratio"),
    baseline="the same bytes from the same server, reader and headers, with no gate, no record and no receipt",
    measure=measure,
    details={
        "p50_ms": Detail("wait for an answer at 64 connections, median", "ms"),
        "p99_ms": Detail("wait for an answer at 64 connections, 99th percentile", "ms"),
        "generator_share": Detail("of one processor taken by the load generator", "share"),
    },
)
