"""The package as it is installed: built from the source archive, with nothing of the checkout."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import audiera
from tests.sdk.house import environment


def run(*words: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    values = environment(PIP_DISABLE_PIP_VERSION_CHECK="1")
    del values["PYTHONPATH"]
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=values, capture_output=True, text=True, timeout=300
    )


def built(target: str, source: Path, into: Path) -> Path:
    """An archive of the package, built with the tools that are here."""
    done = run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into, cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = into.iterdir()
    return archive


@pytest.fixture(scope="module")
def source(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    archive = built("sdist", root, folder / "built")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked" / f"audiera-{audiera.__version__}"


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive."""
    return built("wheel", source, tmp_path_factory.mktemp("wheel") / "built")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of a fresh environment: the wheel, and the packages it needs from this environment."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    words = ("--no-deps", "--no-index", "--no-cache-dir", "--quiet", wheel)
    done = run(sys.executable, "-m", "pip", "--python", python, "install", *words, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    # A path added so brings the packages, and not this checkout: .pth files in it are not read.
    place = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip()
    (Path(place) / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_source_archive_holds_what_is_built_tested_and_shown(source: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", "src/audiera/cli/main.py", "examples/verify_standalone.py"):
        assert (source / name).is_file(), name
    assert (source / "tests" / "conftest.py").is_file()


def test_the_wheel_holds_the_package_and_the_independent_verifier(root: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        verifier = packed.read("audiera/examples/verify_standalone.py")
    assert verifier == (root / "examples" / "verify_standalone.py").read_bytes()
    assert "audiera/cli/main.py" in names
    assert all(name.startswith(("audiera/", "audiera-")) for name in names)
    assert not any("tests" in name or name.endswith((".wav", ".opus")) for name in names)


def test_the_installed_command_runs_from_anywhere(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "audiera", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"audiera {audiera.__version__}\n", "")
    done = run(installed / "audiera", "demo", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "--music" in done.stdout, done.stderr
    done = run(installed / "audiera", "node", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "--port" in done.stdout, done.stderr


def test_the_installed_demo_finds_the_verifier_and_music(root: Path, installed: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "import audiera.cli.demo.stage\n"
        "from audiera.cli.demo.standalone import find_verifier, verify_apart\n"
        "Path('proof.json').write_text('{}')\n"
        "print(audiera.__file__)\n"
        "print(find_verifier())\n"
        "print(verify_apart(Path('proof.json'), 'audiera/c/accesses', '00' * 32).words)\n"
    )
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    package, verifier, words = done.stdout.splitlines()
    assert Path(verifier) == Path(package).parent / "examples" / "verify_standalone.py"
    assert not Path(package).is_relative_to(root)
    assert words.startswith("REFUSED")
