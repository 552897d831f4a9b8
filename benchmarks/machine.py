"""The machine a result was measured on, as far as it bears on the result; no names, no places."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "audiera",
    "av",
    "cryptography",
    "httptools",
    "libipld",
    "msgspec",
    "numpy",
    "pynacl",
    "scipy",
    "soxr",
    "uvicorn",
    "uvloop",
    "zstandard",
)
"""Packages whose versions bear on some figure."""


def describe() -> dict[str, object]:
    """Processor, cores, memory, system, Python, packages."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _processor() -> str:
    """Model and family: the model alone says nothing on many virtual machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    named = {key.strip(): value.strip() for key, value in found.items()}
    model = named.get("model name", platform.machine())
    return f"{model}, family {named.get('cpu family', '?')}, model {named.get('model', '?')}"


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (OSError, ValueError, AttributeError):
        return None


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def commit(root: Path) -> str:
    """The commit that was measured, marked where product or benchmarks differ from it; empty outside git."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "src", "benchmarks/*.py"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
