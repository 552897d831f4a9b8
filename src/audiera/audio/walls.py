"""The walls around a process that decodes what strangers uploaded: limits, Landlock, seccomp.

Each wall is raised where the kernel has it; what stands is reported, never assumed.

Source: landlock(7), seccomp(2), prctl(2) of the Linux manual pages.
"""

import ctypes
import platform
import resource
import struct

from audiera.audio.analysis import Limits, SandboxStatus

_NO_NEW_PRIVILEGES = 38
_SET_SECCOMP = 22
_FILTER_MODE = 2
_LANDLOCK_CREATE = 444
_LANDLOCK_RESTRICT = 446
_ALL_FILE_ACCESS = (1 << 13) - 1

_ALLOW = 0x7FFF0000
_REFUSE = 0x00050001
_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_RETURN = 0x06

_MACHINES = {
    "x86_64": (0xC000003E, (41, 42, 43, 49, 50, 53, 56, 57, 58, 59, 62, 101, 155, 165, 246, 272, 310, 322, 425, 435)),
    "aarch64": (0xC00000B7, (198, 199, 200, 201, 203, 220, 221, 117, 129, 97, 270, 281, 425, 435)),
}
"""Audit architecture and the system calls refused: sockets, new processes and programs, signals to others, tracing,
mounting, loading kernels, io_uring."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def raise_limits(limits: Limits) -> None:
    """Limit memory, processor time, file size, core files and open files of this process."""
    begun = _address_space()
    resource.setrlimit(resource.RLIMIT_AS, (begun + limits.memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def _address_space() -> int:
    """Bytes of address space this process begins with."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**30


def raise_walls() -> tuple[bool, bool]:
    """Forbid this process every file, the network and new programs, for ever.

    Returns:
        Whether Landlock and whether seccomp stand.
    """
    if platform.system() != "Linux":
        return False, False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False, False
    return _landlock(libc), _seccomp(libc)


def _landlock(libc: ctypes.CDLL) -> bool:
    attributes = ctypes.c_uint64(_ALL_FILE_ACCESS)
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(attributes), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    return int(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)) == 0


def _seccomp(libc: ctypes.CDLL) -> bool:
    if platform.machine() not in _MACHINES:
        return False
    architecture, refused = _MACHINES[platform.machine()]
    steps = [
        (_LOAD_WORD, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD_WORD, 0, 0, 0),
    ]
    for call in refused:
        steps += [(_JUMP_EQUAL, 0, 1, call), (_RETURN, 0, 0, _REFUSE)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(steps), ctypes.cast(buffer, ctypes.c_void_p))
    return int(libc.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0)) == 0


def status(landlock: bool, seccomp: bool) -> SandboxStatus:
    """Which walls stand."""
    return SandboxStatus(rlimits=True, landlock=landlock, seccomp=seccomp)
