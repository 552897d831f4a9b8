"""Running a node as a process: the address it listens on, the file that tells it, a graceful end."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator

import msgspec
import uvicorn

from audiera.node.app import Node, build
from audiera.node.config import Settings
from audiera.protocol.errors import ConfigurationError
from audiera.services.storage.files import write_durably

READY_FILE = "node.json"
"""Name of the file in the node's home that tells its address once it answers."""

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = (":80", ":443")
_GRACE_S = 10
_BACKLOG = 2_048

_log = logging.getLogger(__name__)


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What a running node tells of itself in its home."""

    address: str
    """Where it answers, such as http://127.0.0.1:7170."""

    process: int
    """Its process id."""

    chain_id: str
    """Its chain."""

    account: int
    """Ledger number of its account."""


class _Server(uvicorn.Server):
    """A server whose signals and readiness are the node's own business."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(settings: Settings, *, on_ready: Callable[[Ready], None] | None = None) -> None:
    """Run a node until SIGTERM or SIGINT, or until one of its own loops fails.

    Args:
        settings: what is set.
        on_ready: told once the node answers.

    Raises:
        AudieraError: it cannot start, or stopped by a fault of its own.
    """
    listener = listen(settings)
    with contextlib.closing(listener):
        node = build(settings)
        try:
            # A killed process left it; whoever waits for this one must not take it for an answer.
            (settings.home / READY_FILE).unlink(missing_ok=True)
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_run(node, settings, listener, on_ready))
        finally:
            (settings.home / READY_FILE).unlink(missing_ok=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def listen(settings: Settings) -> socket.socket:
    """The socket a node listens on. Connections wait in it until the node answers.

    It is told to be TCP's, so that event loops send small answers at once instead of waiting for acknowledgments.

    Raises:
        ConfigurationError: the address is another program's, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except (OSError, UnicodeError) as cause:
        listener.close()
        is_taken = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        why = getattr(cause, "strerror", None) or str(cause)
        raise ConfigurationError(
            f"cannot listen on {settings.host} port {settings.port}: {why}; "
            + ("choose another port, or 0" if is_taken else "choose another address or port"),
            code="port_taken" if is_taken else "address_unusable",
            host=settings.host,
            port=settings.port,
        ) from cause
    return listener


def hosts_of(settings: Settings, port: int) -> frozenset[str]:
    """The names under which a node may be called, as they stand in Host headers.

    There a name's port is left out where it is the default of http or https.
    """
    own = f"[{settings.host}]" if ":" in settings.host else settings.host
    named = [f"{name}:{port}" for name in (*_LOCAL_NAMES, own)] + list(settings.hosts)
    short = [name.rpartition(":")[0] for name in named if name.endswith(_DEFAULT_PORTS)]
    return frozenset(name.lower() for name in (*named, *short))


def address_of(listener: socket.socket) -> str:
    """The address of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _run(
    node: Node, settings: Settings, listener: socket.socket, on_ready: Callable[[Ready], None] | None
) -> None:
    port = listener.getsockname()[1]
    ready = Ready(
        address=address_of(listener),
        process=os.getpid(),
        chain_id=node.parts.ledger.genesis.chain_id,
        account=node.parts.account,
    )

    def tell() -> None:
        write_durably(settings.home / READY_FILE, msgspec.json.encode(ready))
        _log.info("node.ready address=%s chain=%s", ready.address, ready.chain_id)
        if on_ready is not None:
            on_ready(ready)

    config = uvicorn.Config(
        node.surface(hosts_of(settings, port)),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, tell)
    await _serve_until_told(node, server, listener)


async def _serve_until_told(node: Node, server: uvicorn.Server, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    watch = asyncio.create_task(_end_on_failure(node, end))
    try:
        await node.start()
        await server.serve(sockets=[listener])
    finally:
        watch.cancel()
        await node.stop()
        _log.info("node.stopped")
    if node.workers.failed.is_set():
        raise ConfigurationError("the node stopped because a part of it failed; see its log", code="node_failed")


async def _end_on_failure(node: Node, end: Callable[[], None]) -> None:
    await node.workers.failed.wait()
    end()
