"""The demo's node: a process of its own on loopback, its home in a temporary folder."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from audiera.node.config import PREFIX
from audiera.node.serve import READY_FILE, Ready
from audiera.protocol.errors import Unavailable

START_S = 30.0
_STOP_S = 20.0


@contextmanager
def running_node(home: Path) -> Iterator[Ready]:
    """A node process that runs as long as the block; it is asked to end, and waited for.

    Raises:
        Unavailable: it did not start; the end of its log says why.
    """
    home.mkdir(parents=True, exist_ok=True)
    log = home.parent / "node.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "audiera", "node", "--home", str(home), "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for the demo, which ends its node in order
        )
    try:
        yield _wait(process, home / READY_FILE, log)
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the node to end and wait for it; a second Ctrl-C ends it at once."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", ready_file: Path, log: Path) -> Ready:
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        if ready_file.exists():
            ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
            if ready.process == process.pid:
                return ready
        time.sleep(0.02)
    tail = log.read_text("utf-8", "replace")[-2_000:].strip()
    raise Unavailable(f"the demo's node did not start; the end of its log:\n{tail}", code="node_unreachable")
