#!/usr/bin/env python3
"""One command for everything a person does in this checkout; needs only Python and a package index.

python3 dev.py demo [...]    the whole trail on one machine: music, licenses, training, proof, payout
python3 dev.py node [...]    run a node
python3 dev.py test [...]    all checks and tests; with arguments, pytest on just those
python3 dev.py fix           repair what ruff can repair, and format
python3 dev.py bench [...]   run the benchmarks

The first run makes an environment of its own in .venv, from the pinned and hashed requirements; later runs
reuse it until the requirements, pyproject.toml or the Python version change. What follows the command is
handed on: `python3 dev.py demo --help`, `python3 dev.py test tests/protocol -x`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OLDEST_PYTHON = (3, 11)
RECIPE = 1
"""Raise it when what this script installs changes without the requirements changing."""

MARKER = "audiera-ready.json"
MUSIC_MARKER = "audiera-music.json"
PINNED = ("--require-hashes", "--only-binary", ":all:", "--no-deps")
"""The files name everything, so nothing is resolved: some versions of pip look past a pin for an extra of a package."""
OVERALL_FLOOR = 85.0
PROTOCOL_FLOOR = 95.0
PROTOCOL = "src/audiera/protocol/"


class SetupError(Exception):
    """The environment cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Checkout:
    """Where everything is. Nothing below reads the working directory."""

    root: Path

    @property
    def requirements(self) -> Path:
        """Everything needed to run and to test, with hashes."""
        return self.root / "requirements" / "dev.txt"

    @property
    def music(self) -> Path:
        """The demo's recordings: wanted, not needed."""
        return self.root / "requirements" / "demo.txt"

    @property
    def environment(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the environment; says in one word whether that is under way."""
        return self.root / ".venv.lock"

    @property
    def marker(self) -> Path:
        """Written last: an environment without it is unfinished."""
        return self.environment / MARKER

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        if sys.platform == "win32":
            return self.environment / "Scripts" / "python.exe"
        return self.environment / "bin" / "python"


def say(text: str) -> None:
    """Tell the person what is going on, apart from what the command itself prints."""
    print(f"dev.py: {text}", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- one at a time


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 1 << 20, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _wait_lock(handle: int) -> None:
    if sys.platform == "win32":
        import time

        while not _try_lock(handle):
            time.sleep(0.5)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


class Lock:
    """An exclusive lock on a file, let go by the system when its last holder ends, however it ends.

    Programs started with :meth:`run` hold it too: an installer that outlives a killed dev.py keeps the next
    one waiting, so that two never write into the same environment.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock, waiting for it if need be."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(self._handle):
            say("another dev.py is preparing the environment; waiting for it")
            _wait_lock(self._handle)

    @property
    def note(self) -> str:
        """What the last holder left written: ``building`` if it was stopped half-way."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        return os.read(self._handle, 64).decode("ascii", "replace")

    @note.setter
    def note(self, word: str) -> None:
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.ftruncate(self._handle, 0)
        os.write(self._handle, word.encode("ascii"))
        os.fsync(self._handle)

    def run(self, command: Sequence[str | Path], cwd: Path) -> int:
        """Run a program that writes into the environment, what it prints going to stderr; its exit code."""
        environment = dict(os.environ, PYTHONNOUSERSITE="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"):
            environment.pop(name, None)
        inherited = () if sys.platform == "win32" else (self._handle,)
        arguments = [str(part) for part in command]
        return subprocess.run(arguments, cwd=cwd, env=environment, stdout=2, pass_fds=inherited, check=False).returncode

    def release(self) -> None:
        """Let go."""
        os.close(self._handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """The lock for the length of a ``with`` block."""
    lock = Lock(path)
    try:
        yield lock
    finally:
        lock.release()


# ---------------------------------------------------------------- what the environment should be


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def wanted(checkout: Checkout) -> dict[str, str]:
    """What a finished environment is stamped with.

    ``packages`` covers all that decides which packages are inside and where they are found; ``project`` only
    how this project itself is installed.
    """
    interpreter = f"{platform.python_implementation()} {platform.python_version()} {platform.machine()}"
    place = str(checkout.root.resolve())
    return {
        "packages": _digest(
            checkout.requirements.read_bytes(), interpreter.encode(), place.encode(), str(RECIPE).encode()
        ),
        "project": _digest((checkout.root / "pyproject.toml").read_bytes()),
    }


def found(marker: Path) -> dict[str, str]:
    """The stamp an environment carries; empty when there is none or it cannot be read."""
    try:
        stamp = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_marker(marker: Path, stamp: dict[str, str]) -> None:
    """Write the stamp whole or not at all."""
    handle, name = tempfile.mkstemp(dir=marker.parent, prefix=marker.name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(stamp, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, marker)


# ---------------------------------------------------------------- making it


def clear_place(checkout: Checkout, *, ours: bool) -> None:
    """Clear the place for a new environment.

    One that this script made goes away (renamed first, so that it is never half there under its own name);
    anything else of that name is somebody's and is only moved aside.
    """
    place = checkout.environment
    if ours and place.is_dir() and not place.is_symlink():
        place.rename(checkout.root / f".venv.old-{os.getpid()}")
    elif os.path.lexists(place):
        aside = Path(tempfile.mkdtemp(prefix=".venv.before-", dir=checkout.root)) / "venv"
        place.rename(aside)
        say(f"the .venv here was not made by this script; it is now {aside.relative_to(checkout.root)}")
    for leftover in checkout.root.glob(".venv.old-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def create(checkout: Checkout, lock: Lock) -> None:
    """Create an empty environment, with uv where that is at hand and works, else with venv.

    Raises:
        SetupError: neither way worked.
    """
    # Not sys.executable: this script may itself run inside the environment that is about to go.
    base = getattr(sys, "_base_executable", None) or sys.executable
    uv = shutil.which("uv")
    if uv is not None:
        if lock.run([uv, "venv", "-q", "--python", base, checkout.environment], checkout.root) == 0:
            return
        say("uv could not make an environment; trying python -m venv")
        clear_place(checkout, ours=True)
    if lock.run([base, "-m", "venv", checkout.environment], checkout.root) != 0:
        raise SetupError(
            "python -m venv failed (its words are above). On Debian and Ubuntu it is a package of its own: "
            "install python3-venv, or install uv, and run this again"
        )


def install(checkout: Checkout, lock: Lock, *what: str | Path, patience: Sequence[str] = ()) -> bool:
    """Install into the environment, with uv where that works, else with pip; whether it worked.

    Args:
        checkout: whose environment.
        lock: held by the caller.
        what: options that uv and pip both know, and packages.
        patience: options for pip alone.
    """
    uv = shutil.which("uv")
    if uv is not None:
        if lock.run([uv, "pip", "install", "-q", "--python", checkout.python, *what], checkout.root) == 0:
            return True
        say("uv could not install that; trying pip")
        if lock.run([checkout.python, "-m", "ensurepip"], checkout.root) != 0:
            return False
    pip = ("-m", "pip", "install", "-q", "--no-input")
    return lock.run([checkout.python, *pip, *patience, *what], checkout.root) == 0


def install_packages(checkout: Checkout, lock: Lock) -> None:
    """Install everything pinned, each file checked against its hash, nothing built from source.

    Raises:
        SetupError: the package index or a package cannot be had.
    """
    if not install(checkout, lock, *PINNED, "-r", checkout.requirements):
        raise SetupError(
            "the pinned packages could not be installed (the reason is above). Check that a package index "
            "can be reached and that 2 GB of disk are free, and run this again; it starts afresh"
        )


def install_project(checkout: Checkout, lock: Lock) -> None:
    """Install this project itself, in place: the environment uses the files of the checkout.

    Raises:
        SetupError: pyproject.toml cannot be installed from.
    """
    if not install(checkout, lock, "--no-deps", "--no-build-isolation", "--no-index", "-e", checkout.root):
        raise SetupError("the project could not be installed from pyproject.toml (the reason is above)")


def build(checkout: Checkout, lock: Lock) -> None:
    """Make the environment from nothing.

    Raises:
        SetupError: it cannot be made.
    """
    clear_place(checkout, ours=checkout.marker.exists() or lock.note == "building")
    lock.note = "building"
    say("making the environment in .venv; once, a minute or a few")
    create(checkout, lock)
    install_packages(checkout, lock)
    install_project(checkout, lock)


def is_ready(checkout: Checkout, stamp: dict[str, str]) -> bool:
    """Whether the environment is finished and is the one asked for."""
    return found(checkout.marker) == stamp and checkout.python.exists()


def prepare(checkout: Checkout) -> None:
    """See that the environment is there, whole and current.

    Raises:
        SetupError: it cannot be made; what to do is in the message.
    """
    stamp = wanted(checkout)
    if is_ready(checkout, stamp):
        return
    with locked(checkout.lock) as lock:
        stamp = wanted(checkout)
        if is_ready(checkout, stamp):
            return
        have = found(checkout.marker)
        if have.get("packages") == stamp["packages"] and checkout.python.exists():
            say("pyproject.toml has changed; installing the project again")
            lock.note = "building"
            checkout.marker.unlink()
            install_project(checkout, lock)
        else:
            build(checkout, lock)
        write_marker(checkout.marker, stamp)
        lock.note = "ready"


def prepare_music(checkout: Checkout) -> bool:
    """Install the demo's recordings; False, and said so, when they cannot be had."""
    marker = checkout.environment / MUSIC_MARKER
    if not checkout.music.exists():
        return False
    stamp = {"music": _digest(checkout.music.read_bytes())}
    if found(marker) == stamp:
        return True
    with locked(checkout.lock) as lock:
        if found(marker) == stamp:
            return True
        patience = ("--retries", "1", "--timeout", "20")
        done = install(checkout, lock, *PINNED, "-r", checkout.music, patience=patience)
        if done:
            write_marker(marker, stamp)
        else:
            say("the demo's recordings (package immich-memories-music) cannot be had; going on without them")
        return done


# ---------------------------------------------------------------- the commands


def child_environment() -> dict[str, str]:
    """The environment of what is run: this one, without what would mix in other packages."""
    environment = dict(os.environ, PYTHONNOUSERSITE="1")
    environment.pop("PYTHONHOME", None)
    return environment


def call(checkout: Checkout, *arguments: str) -> int:
    """Run the environment's Python in the checkout; the exit code.

    An interrupt from the keyboard reaches the program too, so this only waits for it to end well; a request
    to terminate is handed on.
    """
    command = [str(checkout.python), *arguments]
    program = subprocess.Popen(command, cwd=checkout.root, env=child_environment())
    before = signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    try:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return program.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def become(checkout: Checkout, *arguments: str) -> int:
    """Turn into the environment's Python, in the person's own working directory, so that signals reach it."""
    command = [str(checkout.python), *arguments]
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(command[0], command, child_environment())
    return subprocess.run(command, env=child_environment(), check=False).returncode


def command_demo(checkout: Checkout, arguments: list[str]) -> int:
    """``audiera demo``, with recordings where they can be had."""
    if not any(argument.split("=")[0] in {"--music", "--help", "-h"} for argument in arguments):
        prepare_music(checkout)
    return become(checkout, "-m", "audiera", "demo", *arguments)


def command_node(checkout: Checkout, arguments: list[str]) -> int:
    """``audiera node``."""
    return become(checkout, "-m", "audiera", "node", *arguments)


def command_bench(checkout: Checkout, arguments: list[str]) -> int:
    """``benchmarks/run.py``."""
    return call(checkout, "-m", "benchmarks.run", *arguments)


def command_fix(checkout: Checkout, arguments: list[str]) -> int:
    """Let ruff repair and format."""
    repaired = call(checkout, "-m", "ruff", "check", "--fix", *arguments)
    return call(checkout, "-m", "ruff", "format", *arguments) or repaired


def coverage_shortfalls(report: dict[str, object]) -> tuple[str, list[str]]:
    """One line saying what is covered, and what is below its floor.

    Args:
        report: coverage's JSON report.
    """
    files = report.get("files")
    if not isinstance(files, dict):
        raise SetupError("coverage wrote a report without files; run `dev.py test` again")

    def percent(prefix: str) -> float:
        done = total = 0
        for name, entry in files.items():
            if name.replace("\\", "/").startswith(prefix):
                summary = entry["summary"]
                done += summary["covered_lines"] + summary.get("covered_branches", 0)
                total += summary["num_statements"] + summary.get("num_branches", 0)
        return 100.0 * done / total if total else 0.0

    overall, protocol = percent(""), percent(PROTOCOL)
    line = (
        f"coverage: {overall:.1f} % overall (floor {OVERALL_FLOOR:.0f} %), "
        f"{protocol:.1f} % of the protocol (floor {PROTOCOL_FLOOR:.0f} %)"
    )
    short = []
    if overall < OVERALL_FLOOR:
        short.append("coverage overall")
    if protocol < PROTOCOL_FLOOR:
        short.append("coverage of the protocol")
    return line, short


def _check_coverage(checkout: Checkout) -> list[str]:
    path = checkout.root / "coverage.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ["coverage report"]
    line, short = coverage_shortfalls(report)
    print(line, flush=True)
    return short


def command_test(checkout: Checkout, arguments: list[str]) -> int:
    """Every check and test; with arguments only pytest, on what they name."""
    prepare_music(checkout)
    if arguments:
        return call(checkout, "-m", "pytest", *(arguments[1:] if arguments[0] == "--" else arguments))
    checks = {
        "ruff check": ["-m", "ruff", "check"],
        "ruff format": ["-m", "ruff", "format", "--check"],
        "mypy": ["-m", "mypy", "--strict", "src", "dev.py"],
        "import contracts": ["-c", "from importlinter.cli import lint_imports_command as run; run()"],
    }
    failed = []
    for name, command in checks.items():
        print(f"---- {name}", flush=True)
        if call(checkout, *command) != 0:
            failed.append(name)
    print("---- pytest", flush=True)
    with contextlib.suppress(FileNotFoundError):
        (checkout.root / "coverage.json").unlink()
    measured = ["--cov", "--cov-report=term", "--cov-report=json:coverage.json"]
    workers = str(min(2, os.cpu_count() or 1))
    tests_failed = call(checkout, "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile", *measured) != 0
    if tests_failed:
        failed.append("pytest")
    failed += _check_coverage(checkout)
    if failed:
        print(f"FAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


COMMANDS: dict[str, Callable[[Checkout, list[str]], int]] = {
    "demo": command_demo,
    "node": command_node,
    "test": command_test,
    "fix": command_fix,
    "bench": command_bench,
}


def main(arguments: list[str], root: Path) -> int:
    """Prepare the environment and run one command; the exit code."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print((__doc__ or "").strip())
        return 0 if arguments else 2
    command = COMMANDS.get(arguments[0])
    if command is None:
        say(f"one of {', '.join(COMMANDS)} expected, got {arguments[0]!r}; see `dev.py --help`")
        return 2
    checkout = Checkout(root)
    try:
        prepare(checkout)
        return command(checkout, arguments[1:])
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"{error}. The checkout must be whole, writable, and on a disk with file locks")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"dev.py: Python 3.11 or newer expected, got {platform.python_version()} ({sys.executable}); "
            f"run it with a newer one, for example: python3.12 dev.py --help"
        )
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parent))
