"""A real node in a process of its own, for benchmarks that go over HTTP.

Two paths beside the node's own are answered here and nowhere in the product: ``/bench/plain/{asset}`` sends an asset's
bytes with no gate and no receipt, through the same server, reader and headers; ``/bench/spent`` tells the processor
seconds this process and its analyzing processes have used.
"""

import json
import logging
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp, Receive, Scope, Send

from audiera.protocol.ids import format_blob_id

PLAIN = "/bench/plain/"
SPENT = "/bench/spent"
_START_S = 60.0


class _Beside:
    """The node's surface, and the benchmark's own paths beside it."""

    def __init__(self, surface: ASGIApp, parts: Any) -> None:
        self._surface = surface
        self._blobs = parts.blobs
        self._ledger = parts.ledger
        self._entropy = parts.entropy
        self._found: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(PLAIN):
            await self._send_plain(path.removeprefix(PLAIN), send)
        elif path == SPENT:
            spent = time.process_time() + _spent_by_children()
            await _send(send, [(b"content-type", b"application/json")], str(spent).encode())
        else:
            await self._surface(scope, receive, send)

    async def _send_plain(self, name: str, send: Send) -> None:
        """The bytes of an asset with the headers a node sends with them, made anew as there, but for the receipt."""
        blob = self._found.get(name)
        if blob is None:
            blob = self._found[name] = self._ledger.state().asset(int(name)).content.blob
        reader = self._blobs.open(blob)
        body = reader.read(0, reader.size)
        reader.close()
        headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"x-request-id", self._entropy(8).hex().encode("ascii")),
            (b"content-type", b"audio/wav"),
            (b"etag", f'"{format_blob_id(blob)}"'.encode("ascii")),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", b"private, no-store"),
        ]
        await _send(send, headers, body)


def _spent_by_children() -> float:
    """Processor seconds of the analyzing processes and all they have waited for; 0 where the system does not tell."""
    ticks = 0
    for path in Path("/proc/self/task").glob("*/children"):
        for child in path.read_text(encoding="ascii").split():
            fields = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0


async def _send(send: Send, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode("ascii"))
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def main(home: Path) -> None:
    """Run the node until it is told to end; its address goes to standard output."""
    from audiera.node.app import Node
    from audiera.node.config import Settings
    from audiera.node.serve import Ready, serve

    logging.basicConfig(level=logging.WARNING)
    inner = Node.surface

    def surface(node: Node, hosts: frozenset[str]) -> Any:
        return _Beside(inner(node, hosts), node.parts)

    Node.surface = surface  # type: ignore[method-assign,assignment]  # in this process only

    def tell(ready: Ready) -> None:
        print(json.dumps({"address": ready.address}), flush=True)

    serve(Settings(home=home, port=0), on_ready=tell)


class NodeProcess:
    """Starts the node, and ends it again.

    Args:
        home: its folder.
    """

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.node_process", str(home)],
            cwd=Path(__file__).resolve().parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the node did not start; its words are above")
        self.address: str = json.loads(line)["address"]

    def spent(self) -> float:
        """Processor seconds the node and its analyzing processes have used so far."""
        with urllib.request.urlopen(self.address + SPENT) as answer:
            return float(answer.read())

    def close(self) -> None:
        """Ask the node to end, and wait for it."""
        self._process.terminate()
        self._process.wait(_START_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
