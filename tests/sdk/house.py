"""A running node for the client's tests, and ways to stand between it and a client."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx2
import msgspec
import uvicorn

from audiera.audio.compose import render_piece, render_sample, write_audio
from audiera.node.app import Node, build
from audiera.node.config import Settings
from audiera.node.serve import READY_FILE, Ready, address_of, hosts_of
from audiera.protocol.records import Terms
from audiera.sdk import Client, connect, make_identity, preset

DEADLINE_S = 60.0
"""Longest wait for what must come; machines are slow in bursts."""

ROOT = Path(__file__).resolve().parents[2]
SEEDS = itertools.count(1)


def until(what: Callable[[], bool], *, within_s: float = DEADLINE_S, but: Callable[[], bool] = lambda: False) -> None:
    """Wait until something is so; ``but`` says that it will never be."""
    end = time.monotonic() + within_s
    while not what():
        assert not but(), "what was waited for cannot come any more"
        assert time.monotonic() < end, f"what was waited for did not come within {within_s} s"
        time.sleep(0.01)


def sound(seed: int = 0, *, seconds: float = 0.0, container: str = "wav", rate: int = 8_000) -> bytes:
    """A small sound, no two alike: a one-shot, or a piece of some seconds."""
    number = seed or next(SEEDS) + 10_000
    samples = render_piece(number, seconds, rate) if seconds else render_sample(number, "snare", rate)
    return write_audio(samples, rate, container)


def sounds(folder: Path, count: int, **how: Any) -> list[Path]:
    """A folder of small sounds."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"sound-{number:02d}.wav" for number in range(count)]
    for file in files:
        file.write_bytes(sound(**how))
    return files


# ---------------------------------------------------------------------- between a client and a node

Act = Literal["pass", "cut", "lose", "damage"]
"""What becomes of bytes on their way up: passed on, cut in the middle, passed on and the answer lost, or damaged."""


class Proxy:
    """A loopback address in front of a node; ``judge`` decides what becomes of each stretch of bytes that goes up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.name}"
        self.target = ("127.0.0.1", 0)
        self.judge: Callable[[bytes], Act] = lambda _: "pass"
        self.acts: list[Act] = []
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._spawn(self._accept)

    def _spawn(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    node = socket.create_connection(self.target)
                except OSError:
                    client.close()
                    continue
                self._open |= {client, node}
                for each in (client, node):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                lost = threading.Event()
                self._spawn(self._up, client, node, lost)
                self._spawn(self._down, node, client, lost)

    def _up(self, client: socket.socket, node: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                act = self.judge(data)
                if act != "pass":
                    self.acts.append(act)
                if act == "cut":
                    node.sendall(data[: len(data) // 2])
                    break
                if act == "damage":
                    data = data[:-1] + bytes([data[-1] ^ 1])
                if act == "lose":
                    lost.set()
                node.sendall(data)
        self._end(client, node)

    def _down(self, node: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (data := node.recv(65_536)) and not lost.is_set():
                client.sendall(data)
        self._end(client, node)

    def _end(self, *ends: socket.socket) -> None:
        for each in ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end(*self._open)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        for each in self._open:
            each.close()


Alter = Callable[[httpx2.Request, httpx2.Headers, bytes], tuple[Mapping[str, str], bytes]]
"""Gets a request and its answer's headers and body; returns what the client is to see, or raises."""


class Between(httpx2.BaseTransport):
    """Stands between a client and a node: sees each request, may alter its answer or lose it.

    Args:
        alter: what becomes of an answer.
        before: sees a request before the node does; may raise.
    """

    def __init__(self, alter: Alter, before: Callable[[httpx2.Request], None] = lambda _: None) -> None:
        self._inner = httpx2.HTTPTransport()
        self._alter = alter
        self._before = before
        self.requests: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask the node, then alter its answer."""
        self.requests.append(request)
        self._before(request)
        response = self._inner.handle_request(request)
        body = response.read()
        headers, content = self._alter(request, httpx2.Headers(response.headers), body)
        kept = {name: value for name, value in dict(headers).items() if name.lower() != "content-length"}
        return httpx2.Response(response.status_code, headers=kept, content=content)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


def lose_answers(to: str, times: int, *, is_served: bool = True) -> Between:
    """Loses that many answers of requests whose method and path begin so, after the node served them or before."""
    left = [times]

    def lose(request: httpx2.Request) -> None:
        if f"{request.method} {request.url.path}".startswith(to) and left[0]:
            left[0] -= 1
            raise httpx2.ReadError("the connection was cut")

    def alter(request: httpx2.Request, headers: httpx2.Headers, body: bytes) -> tuple[Mapping[str, str], bytes]:
        if is_served:
            lose(request)
        return headers, body

    return Between(alter) if is_served else Between(alter, lose)


# ---------------------------------------------------------------------- nodes


class House:
    """A node in this process, behind a proxy.

    Args:
        home: its folder.
        settings: settings other than the home.
    """

    def __init__(self, home: Path, **settings: Any) -> None:
        self.proxy = Proxy()
        given = {"batch_after": 20, "analyzers": 1, "previews_per_minute": 10_000} | settings
        self.settings = Settings(home=home, hosts=(self.proxy.name,), **given)
        self._clients: list[Client] = []
        self._people: dict[str, Client] = {}
        self._fault: BaseException | None = None

    def start(self) -> None:
        """Plug it together and serve on a free port."""
        self.node: Node = build(self.settings)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio: no delay for TCP
        listener.bind(("127.0.0.1", 0))
        self.url = address_of(listener)
        self.proxy.target = listener.getsockname()[:2]
        config = uvicorn.Config(
            self.node.surface(hosts_of(self.settings, listener.getsockname()[1])),
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()
        until(lambda: self._server.started, but=lambda: not self._thread.is_alive())

    def _run(self, listener: socket.socket) -> None:
        async def serve() -> None:
            await self.node.start()
            try:
                await self._server.serve(sockets=[listener])
            finally:
                await self.node.stop()

        try:
            asyncio.run(serve())
        except BaseException as fault:  # noqa: BLE001 - told to whoever stops it
            self._fault = fault
        finally:
            listener.close()

    def stop(self) -> None:
        """End it as SIGTERM does."""
        self._people.clear()
        while self._clients:
            self._clients.pop().close()
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self.proxy.close()
        if self._fault is not None:
            raise self._fault

    def join(self, *, http: httpx2.BaseTransport | None = None, url: str = "", test_credits: int = 0) -> Client:
        """A new account."""
        client = connect(
            url or self.url,
            identity=make_identity(),
            http=None if http is None else httpx2.Client(base_url=url or self.url, transport=http),
        )
        self._clients.append(client)
        if test_credits:
            client.take_test_credits(test_credits)
        return client

    def person(self, name: str) -> Client:
        """An account that tests share, for what leaves no trace that matters."""
        if name not in self._people:
            self._people[name] = self.join(test_credits=100_000_000)
        return self._people[name]

    def again(self, client: Client, http: httpx2.BaseTransport) -> Client:
        """The same account over another way."""
        other = connect(self.url, identity=client.identity, http=httpx2.Client(base_url=self.url, transport=http))
        self._clients.append(other)
        return other

    def offer(self, client: Client, folder: Path, count: int = 1, terms: Terms | None = None, **how: Any) -> list[int]:
        """Small sounds, registered."""
        files = sounds(folder, count, **how)
        numbers = client.offer(files, terms or preset("open"))
        client.wait_for_catalog()
        return numbers


@contextlib.contextmanager
def running_house(home: Path, **settings: Any) -> Iterator[House]:
    """A house as long as the block."""
    house = House(home, **settings)
    house.start()
    try:
        yield house
    finally:
        house.stop()


def environment(**values: str) -> dict[str, str]:
    """The environment of a subprocess: this checkout's code, and nothing of a person's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AUDIERA_", "COVERAGE", "COV_"))}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **values}


def audiera(*words: str | Path, **values: str) -> list[str]:
    """The command line of the program."""
    del values
    return [sys.executable, "-m", "audiera", *map(str, words)]


class NodeProcess:
    """A node in a process of its own, which can be killed, behind a proxy that outlives it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.proxy = Proxy()
        self.url = self.proxy.url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._home.mkdir(parents=True, exist_ok=True)
        ready_file = self._home / READY_FILE
        words = ("node", "--home", self._home, "--port", "0", "--hosts", self.proxy.name, "--batch-after", "20")
        process = subprocess.Popen(
            audiera(*words, "--analyzers", "1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        self._process = process

        def answers() -> bool:
            try:
                ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
            except (OSError, msgspec.DecodeError):
                return False
            self.proxy.target = ("127.0.0.1", int(ready.address.rpartition(":")[2]))
            return ready.process == process.pid

        until(answers, but=lambda: process.poll() is not None)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(DEADLINE_S)
            self._process = None

    def stop(self) -> None:
        """End it for good."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(DEADLINE_S)
        self.proxy.close()


def run_audiera(
    words: Sequence[str | Path], *, cwd: Path, timeout_s: float = 180.0, **values: str
) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    return subprocess.run(
        audiera(*words), cwd=cwd, env=environment(**values), capture_output=True, text=True, timeout=timeout_s
    )
