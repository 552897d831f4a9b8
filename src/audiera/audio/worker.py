"""The process that forks for every file: it has everything imported, so that a child needs no file at all.

Over its socket come a request (limits, as msgpack) and an open descriptor; back goes one answer, as msgpack. It ends
when its socket closes, so it cannot outlive the node.
"""

import os
import select
import signal
import socket
import struct
import sys
import time
from typing import NoReturn

import msgspec

from audiera.audio import compose
from audiera.audio.analysis import Analysis, Limits, SandboxStatus
from audiera.audio.errors import SoundError
from audiera.audio.examine import examine
from audiera.audio.walls import raise_limits, raise_walls, status

_MAX_ANSWER = 64 * 2**20


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What comes back for a file: an analysis, or what is wrong with it."""

    analysis: Analysis | None = None
    """What was found out."""

    code: str = ""
    """Code of what is wrong."""

    message: str = ""
    """The same for a person."""

    sandbox: SandboxStatus | None = None
    """Which walls stood."""


def main(descriptor: int) -> None:
    """Serve requests until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _warm_up()
    channel = socket.socket(fileno=descriptor)
    channel.sendall(b"r")
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, 65_536, 1)
        if not data or not descriptors:
            return
        limits = msgspec.msgpack.decode(data, type=Limits)
        answer = _in_child(channel, descriptors[0], limits)
        os.close(descriptors[0])
        channel.sendall(struct.pack("<I", len(answer)) + answer)


def _warm_up() -> None:
    """Run every codec once, so that nothing is imported or opened behind the walls."""
    import io

    sound = compose.render_sample(1, "kick")
    for container in ("wav", "flac", "mp3", "ogg", "opus", "m4a", "aiff"):
        examine(io.BytesIO(compose.write_audio(sound, 44_100, container)), Limits(min_ms=1))
    long = compose.render_piece(1, 9, 22_050)
    examine(io.BytesIO(compose.write_audio(long, 22_050, "wav")), Limits())


def _in_child(channel: socket.socket, descriptor: int, limits: Limits) -> bytes:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        channel.close()
        _examine_and_exit(descriptor, writer, limits)
    os.close(writer)
    answer = _collect(reader, limits.wall_s)
    os.close(reader)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    _, ended = os.waitpid(child, 0)
    if answer is None:
        return _problem("timeout", f"the file was not done within {limits.wall_s} s")
    if not answer or ended != 0:
        if os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGXCPU:
            return _problem("timeout", f"the file needs more than {limits.cpu_s} s of processor time")
        return _problem("crashed", "the file made the decoder crash; export it again with another program")
    return answer


def _collect(reader: int, wall_s: int) -> bytes | None:
    """All a child writes; None when it takes too long or writes too much."""
    end = time.monotonic() + wall_s
    parts: list[bytes] = []
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None
        part = os.read(reader, 2**20)
        if not part:
            return b"".join(parts)
        parts.append(part)
        if sum(map(len, parts)) > _MAX_ANSWER:
            return None


def _examine_and_exit(descriptor: int, writer: int, limits: Limits) -> NoReturn:
    """In the child: behind the walls, examine one file and write the answer."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        raise_limits(limits)
        sandbox = status(*raise_walls())
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            answer = _answer(file, limits, sandbox)
        at = 0
        while at < len(answer):
            at += os.write(writer, answer[at:])
        code = 0
    finally:
        os._exit(code)


def _answer(file: object, limits: Limits, sandbox: SandboxStatus) -> bytes:
    try:
        analysis = examine(file, limits)  # type: ignore[arg-type]  # a buffered reader is a binary file
    except SoundError as error:
        return _problem(error.code, error.message)
    except MemoryError:
        return _problem("too_large", "the file asks for more memory than a file may have")
    return msgspec.msgpack.encode(Answer(analysis=analysis, sandbox=sandbox))


def _problem(code: str, message: str) -> bytes:
    return msgspec.msgpack.encode(Answer(code=code, message=message))


if __name__ == "__main__":
    main(int(sys.argv[1]))
