"""The node's side of the sandbox: a few workers, one file each at a time."""

import os
import queue
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from audiera.audio.analysis import Analysis, Limits, SandboxStatus
from audiera.audio.errors import SoundError
from audiera.audio.worker import Answer

_GRACE_S = 10.0
_START_S = 120.0


class _Worker:
    """One worker process and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "audiera.audio.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        theirs.close()
        self.channel = ours
        self.channel.settimeout(_START_S)
        if self.channel.recv(1) != b"r":
            self.close()
            raise SoundError("the analyzing process does not start on this machine", code="crashed")

    def ask(self, descriptor: int, limits: Limits) -> Answer:
        """The answer about one open file."""
        self.channel.settimeout(limits.wall_s + _GRACE_S)
        socket.send_fds(self.channel, [msgspec.msgpack.encode(limits)], [descriptor])
        (length,) = struct.unpack("<I", self._read(4))
        return msgspec.msgpack.decode(self._read(length), type=Answer)

    def _read(self, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            part = self.channel.recv(min(length, 2**20))
            if not part:
                raise ConnectionError("the analyzing process ended")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """End the process."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


class AnalyzerPool:
    """Analyzes files in sandboxed processes. Thread-safe; each call occupies one worker.

    Args:
        workers: how many files at a time.
        limits: what a file may ask for.
    """

    def __init__(self, workers: int = 2, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._free: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._is_closed = False
        self._all: list[_Worker] = []
        self._sandbox: SandboxStatus | None = None
        for _ in range(workers):
            self._free.put(None)

    def analyze(self, path: Path, limits: Limits | None = None) -> Analysis:
        """Everything found out about a file.

        Raises:
            SoundError: it cannot be taken in; the code says why.
        """
        bounds = limits or self._limits
        size = path.stat().st_size
        if size == 0:
            raise SoundError("the file is empty; nothing was taken in", code="empty")
        if size > bounds.max_bytes:
            raise SoundError(f"at most {bounds.max_bytes} bytes expected, got {size}", code="too_large", size=size)
        answer = self._ask(path, bounds)
        if answer.sandbox is not None:
            self._sandbox = answer.sandbox
        if answer.analysis is None:
            raise SoundError(answer.message, code=answer.code)
        return answer.analysis

    def _ask(self, path: Path, limits: Limits) -> Answer:
        worker = self._free.get()
        try:
            if worker is None:
                worker = self._start()
            with path.open("rb") as file:
                return worker.ask(file.fileno(), limits)
        except (OSError, TimeoutError, msgspec.DecodeError, struct.error) as cause:
            if worker is not None:
                self._drop(worker)
                worker = None
            code = "timeout" if isinstance(cause, TimeoutError) else "crashed"
            raise SoundError(f"the file could not be analyzed: {cause}", code=code) from cause
        finally:
            self._free.put(worker)

    def _start(self) -> _Worker:
        worker = _Worker()
        with self._lock:
            self._all.append(worker)
            if self._is_closed:
                worker.close()
        return worker

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            if worker in self._all:
                self._all.remove(worker)
        worker.close()

    @property
    def sandbox(self) -> SandboxStatus | None:
        """Which walls stood around the last file; None before the first."""
        return self._sandbox

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            self._is_closed = True
            for worker in self._all:
                worker.close()
            self._all.clear()
