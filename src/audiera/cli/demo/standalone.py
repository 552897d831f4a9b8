"""Asking the independent verifier: a program of its own process that shares no code with Audiera."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import audiera.cli.demo as here
from audiera.protocol.errors import NotFound

NAME = "verify_standalone.py"
_ROW_BYTES = 64
_BYTES_AT = 40


class Verdict(NamedTuple):
    """What the verifier says."""

    is_accepted: bool
    """Whether it accepts the proof."""

    words: str
    """Its own words."""


def find_verifier() -> Path:
    """The verifier: in the checkout's examples, or where an installed package keeps it.

    Raises:
        NotFound: it is in neither place.
    """
    package = Path(here.__file__).resolve().parents[2]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / NAME).is_file():
            return folder / NAME
    raise NotFound(f"{NAME} is not in this installation; get it from the project's folder examples")


def verify_apart(proof: Path, origin: str, key: str) -> Verdict:
    """Let the verifier check a proof file."""
    command = [sys.executable, "-I", str(find_verifier()), str(proof), "--origin", origin, "--key", key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return Verdict(done.returncode == 0, (done.stdout or done.stderr).strip())


def altered(proof: str) -> str:
    """The proof with one bit of its record turned, written as carefully as the true one."""
    document = json.loads(proof)
    page = bytearray(base64.b64decode(document["page"]))
    page[document["row"] * _ROW_BYTES % len(page) + _BYTES_AT] ^= 1
    document["page"] = base64.b64encode(page).decode("ascii")
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
