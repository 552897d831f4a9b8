"""A tiny project around the real dev.py, so that making an environment takes seconds and no network."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

BACKEND = '''
"""A build backend of a few lines, in place of the real one."""
import os, pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    root = pathlib.Path.cwd()
    if (root / "hold").exists():
        (root / "hold").open().read()
    with (root / "builds.log").open("a") as log:
        log.write("built\\n")
    if (root / "broken").exists():
        raise SystemExit(1)
    name = "audiera-0.1.0-py3-none-any.whl"
    info = "audiera-0.1.0.dist-info"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("audiera.pth", str(root / "src"))
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: audiera\\nVersion: 0.1.0\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name

def get_requires_for_build_editable(config_settings=None):
    return []

def build_wheel(*arguments, **options):
    raise SystemExit("only editable here")
'''

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "audiera"
version = "0.1.0"
"""

COMMAND = """
import os, sys
import pinned
print("ran", sys.argv[1:], pinned.VERSION, sys.prefix, os.getcwd(), sep="|")
"""


MAKING = "making the environment"


def ran(done, *, arguments, version="1"):
    """The command ran inside the environment with these arguments and this version of the pinned package."""
    assert done.returncode == 0, done.stdout + done.stderr
    word, given, pinned, prefix, _ = done.stdout.strip().split("|")
    return (word, given, pinned, prefix.endswith(".venv")) == ("ran", str(arguments), version, True)


@dataclass(frozen=True)
class Project:
    """A checkout of the tiny project and how to use it."""

    root: Path

    def pin(self, version: str, *, named: str = "dev.txt", package: str = "pinned", honest: bool = True) -> None:
        """Make a package's wheel and pin it, by the right hash or by a wrong one."""
        wheel = self.root / "wheels" / f"{package}-{version}-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        info = f"{package}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{package}.py", f"VERSION = {version!r}\n")
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes() if honest else b"other bytes").hexdigest()
        folder = self.root / "requirements"
        folder.mkdir(exist_ok=True)
        (folder / named).write_text(f"--find-links wheels\n{package}=={version} --hash=sha256:{digest}\n")

    def command(self, *arguments: str) -> list[str]:
        """The command line of dev.py."""
        return [sys.executable, str(self.root / "dev.py"), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """No network, no uv, nothing of the person's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
        return {**kept, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PATH": "/usr/bin:/bin", **more}

    def run(self, *arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """Run dev.py to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.root,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start dev.py; the caller ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def builds(self) -> int:
        """How often the project was installed."""
        log = self.root / "builds.log"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Project:
    """The tiny project, with no environment yet."""
    place = tmp_path / "a checkout"
    (place / "src" / "audiera").mkdir(parents=True)
    shutil.copy(root / "dev.py", place / "dev.py")
    (place / "backend.py").write_text(BACKEND)
    (place / "pyproject.toml").write_text(PYPROJECT)
    (place / "src" / "audiera" / "__init__.py").touch()
    (place / "src" / "audiera" / "__main__.py").write_text(COMMAND)
    made = Project(place)
    made.pin("1")
    return made
