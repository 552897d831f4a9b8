"""Help, version, and what is typed wrongly; nothing heavy is loaded for it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import audiera as package
from audiera.cli.main import NOUNS, SECTIONS, audiera
from tests.cli.terminal import Terminal
from tests.sdk.house import environment, run_audiera

HEAVY = {"numpy", "av", "scipy", "soundfile", "soxr", "duckdb", "pyarrow", "uvicorn", "starlette", "aiohttp"}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command by the words that name it."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


EVERY = tuple(commands(audiera))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(audiera, [*path, flag])
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: ")
        assert result.stderr == ""


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    command: click.Command = audiera
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    assert command.help
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, f"{' '.join(path)} {option.name}"


def test_every_command_that_gives_results_gives_json() -> None:
    without = []
    for path in EVERY:
        command: click.Command = audiera
        for name in path:
            command = command.get_command(click.Context(command), name)  # type: ignore[attr-defined, assignment]
        if not isinstance(command, click.Group) and not any("--json" in option.opts for option in command.params):
            without.append(path)
    assert without == [("demo",)]


def test_the_list_of_nouns_says_what_each_is_for_and_loads_none() -> None:
    result = CliRunner().invoke(audiera, ["--help"])
    assert result.exit_code == 0
    for section, nouns in SECTIONS.items():
        assert f"{section}:" in result.stdout
        for name, noun in nouns.items():
            assert f"  {name} " in result.stdout
            assert noun.about.endswith(".") and noun.about in result.stdout
    assert set(NOUNS) == {path[0] for path in EVERY if path}


def test_version_is_the_packages() -> None:
    assert CliRunner().invoke(audiera, ["--version"]).stdout == f"audiera {package.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "light"),
    [
        (["--help"], HEAVY | {"rich", "httpx2", "audiera.sdk", "audiera.node.app"}),
        (["--version"], HEAVY | {"rich", "httpx2", "audiera.sdk", "audiera.node.app"}),
        (["node", "--help"], HEAVY | {"audiera.node.app"}),
        (["search", "piano", "--url", "http://127.0.0.1:1"], HEAVY | {"audiera.node.app"}),
        (["account", "--help"], HEAVY | {"audiera.node.app"}),
        (["ledger", "--help"], HEAVY | {"audiera.node.app"}),
        (["verify", "--help"], HEAVY | {"audiera.node.app"}),
    ],
    ids=lambda typed: typed[0] if isinstance(typed, list) else "",
)
def test_what_is_heavy_is_loaded_when_it_is_used(typed: list[str], light: set[str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from audiera.cli.main import main\n"
        f"sys.argv = ['audiera', *{typed!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write('LOADED ' + ' '.join(sorted({light!r} & set(sys.modules))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(AUDIERA_CONFIG=str(tmp_path)), capture_output=True, text=True
    )
    assert done.stderr.rpartition("LOADED ")[2] == ""


def test_nothing_typed_is_help_and_a_wrong_usage() -> None:
    result = CliRunner().invoke(audiera, [])
    assert result.exit_code == 2
    assert "audiera demo" in result.output


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["serch"], "did you mean 'search'?"),
        (["xyzzy"], "there is no command 'xyzzy'"),
        (["grant", "reqest"], "reqest"),
        (["search", "--limt", "3"], "--limt"),
        (["show"], "REF"),
        (["account", "credits", "-1.5"], "1"),
        (["account", "credits", "0.0000001"], "six digits"),
        (["account", "credits", "much"], "such as 2 or 0.5"),
        (["account", "change"], "--name"),
        (["access", "trail", "1"], "NODE/INDEX"),
        (["access", "trail", "1/0", "2/0", "3"], "one record"),
        (["access", "proof", "a/b"], "NODE/INDEX"),
        (["search", "--free"], "--purpose"),
        (["search", "--commercial"], "--purpose"),
        (["search", "--shortest", "9", "--longest", "1"], "--longest"),
        (["grant", "check", "--purpose", "index"], "--snapshot"),
        (["grant", "request", "1", "--model", "2", "--purpose", "index"], "--model"),
        (["license", "publish"], "--preset"),
        (["license", "publish", "--preset", "commercial"], "--price"),
        (["license", "publish", "--preset", "open", "--price", "1"], "commercial"),
        (["model", "call", "1", "--set", "seconds"], "NAME=VALUE"),
        (["model", "call", "1", "-o", "/nowhere/at/all"], "/nowhere/at"),
        (["verify", "/nowhere", "--chain", "c", "--key", "k"], "/nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_typed_wrongly_ends_with_2_and_says_what_to_type(
    typed: list[str], said: str, tmp_path: Path, house: object
) -> None:
    url = house.url  # type: ignore[attr-defined]
    error = Terminal(url, tmp_path).refusal(*typed, code=2)
    assert error["code"] == "usage"
    assert said in error["message"]


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = run_audiera(["--version"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"audiera {package.__version__}\n", "")
    done = run_audiera(["search", "--json"], cwd=tmp_path, AUDIERA_URL="http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr)["error"]["code"] == "node_unreachable"
