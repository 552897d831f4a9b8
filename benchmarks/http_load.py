"""A load generator that thinks as little as it can: requests made beforehand, connections kept, in its own process.

Each connection sends its requests one after another, the next when the answer is whole. What comes back is how long
it took, how long each answer took, and how much of a processor the generator itself used.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

Plan = Sequence[Sequence[bytes]]
"""For each connection, its requests."""


class Load(NamedTuple):
    """What a run of the generator found."""

    wall_s: float
    """From the first request to the last answer."""

    cpu_s: float
    """Processor seconds of the generator."""

    bytes: int
    """Bytes of all bodies."""

    p50_ms: float
    """Median wait for an answer."""

    p99_ms: float
    """99th percentile of the waits."""


class _Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, requests: Sequence[bytes], done: Callable[[str], None]) -> None:
        self._requests = iter(requests)
        self._done = done
        self._held = b""
        self.waits: list[float] = []
        self.bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self._done("")
            return
        self._started = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        end = held.find(b"\r\n\r\n")
        if end < 0:
            self._held = held
            return
        at = held.find(b"content-length: ", 0, end) + 16
        length = int(held[at : held.find(b"\r\n", at)])
        if len(held) < end + 4 + length:
            self._held = held
            return
        self._held = b""
        if not held.startswith(b"HTTP/1.1 200"):
            self._transport.close()
            self._done(held[:2_000].decode("latin-1"))
            return
        self.bytes += length
        self.waits.append(time.perf_counter() - self._started)
        self._send()


async def _run(host: str, port: int, plan: Plan) -> Load:
    loop = asyncio.get_running_loop()
    finished: list[asyncio.Future[str]] = [loop.create_future() for _ in plan]

    def done_of(future: asyncio.Future[str]) -> Callable[[str], None]:
        return lambda problem: None if future.done() else future.set_result(problem)

    connections = [_Connection(requests, done_of(future)) for requests, future in zip(plan, finished, strict=True)]
    wall, cpu = time.perf_counter(), time.process_time()
    for connection in connections:
        await loop.create_connection(lambda made=connection: made, host, port)  # type: ignore[misc]
    problems = [problem for problem in await asyncio.gather(*finished) if problem]
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    if problems:
        raise RuntimeError(f"{len(problems)} connections were refused something, the first this: {problems[0]}")
    waits = sorted(wait for connection in connections for wait in connection.waits)
    return Load(
        wall_s=wall_s,
        cpu_s=cpu_s,
        bytes=sum(connection.bytes for connection in connections),
        p50_ms=1_000.0 * waits[len(waits) // 2],
        p99_ms=1_000.0 * waits[int(len(waits) * 0.99)],
    )


def main() -> None:
    """Read a plan from standard input, follow it, write what was found."""
    import uvloop

    given = json.load(sys.stdin)
    plan = [[request.encode("latin-1") for request in requests] for requests in given["plan"]]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_run(given["host"], given["port"], plan))._asdict()))


def follow(address: str, plan: Plan) -> Load:
    """Have a generator in another process follow a plan against a node."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    requests = [[request.decode("latin-1") for request in connection] for connection in plan]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.http_load"],
        input=json.dumps({"host": host, "port": int(port), "plan": requests}),
        cwd=Path(__file__).resolve().parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Load(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
