"""Words that should not be in a file of the checkout."""

import re
import subprocess
from pathlib import Path

# Written in pieces, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
MACHINE_PATH = re.compile(r"(?<![\w.~}$-])/(?:work|farm|root|home|Users)" + r"/[A-Za-z.]")
PACKAGE_HOSTS = re.compile(
    r"(?:py" + r"pi\.org|python" + r"hosted\.org|registry\.npm" + r"js\.org|crates" + r"\.io|"
    r"proxy\.gol" + r"ang\.org|repo1\.ma" + r"ven\.org|deb\.deb" + r"ian\.org|--(?:extra-)?index" + r"-url\b)"
)
RULES = {"unfinished": UNFINISHED, "machine path": MACHINE_PATH, "package host": PACKAGE_HOSTS}


def leftovers(text: str) -> list[tuple[int, str]]:
    """Line numbers, from 1, and what was found there."""
    return [
        (number, rule)
        for number, line in enumerate(text.splitlines(), start=1)
        for rule, pattern in RULES.items()
        if pattern.search(line)
    ]


def tracked_texts(root: Path) -> list[Path]:
    """The text files that git tracks; outside a git checkout, everything that is not hidden or a cache."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        paths = [root / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path for path in root.rglob("*") if not _is_made(path.relative_to(root))]
    return [
        path for path in paths if path.is_file() and not path.is_symlink() and b"\0" not in path.read_bytes()[:4096]
    ]


def _is_made(path: Path) -> bool:
    return any(part.startswith(".") or part in {"__pycache__", "build", "dist"} for part in path.parts)
