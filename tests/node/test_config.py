"""Settings: one table; the command line wins over the environment, that over the file, that over defaults."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from audiera.cli.node import node
from audiera.node.config import FILE, PREFIX, Settings, load_settings, table
from audiera.protocol.errors import ConfigurationError


class Example(NamedTuple):
    """A setting's value as each source writes it."""

    toml: str
    text: str
    value: Any


EXAMPLES = {
    "host": Example('"::1"', "::1", "::1"),
    "port": Example("7171", "7171", 7171),
    "hosts": Example('["a.example", "b.example:443"]', "a.example, b.example:443", ("a.example", "b.example:443")),
    "chain": Example('"music"', "music", "music"),
    "batch_after": Example("50", "50", 50),
    "analyzers": Example("3", "3", 3),
    "analysis_time": Example("7", "7", 7),
    "upload_bytes": Example("1000", "1000", 1_000),
    "upload_days": Example("9", "9", 9),
    "uploads_per_account": Example("5", "5", 5),
    "previews_per_minute": Example("6", "6", 6),
    "body_bytes": Example("5000", "5000", 5_000),
    "threads": Example("4", "4", 4),
    "faucet": Example("false", "no", False),
    "faucet_limit": Example("77", "77", 77),
    "model_addresses": Example('["127.0.0.1:9"]', "127.0.0.1:9", ("127.0.0.1:9",)),
    "log_level": Example('"debug"', "debug", "debug"),
}


def write(home: Path, text: str) -> None:
    home.mkdir(exist_ok=True)
    (home / FILE).write_text(text, encoding="utf-8")


def variables(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": "/bin", PREFIX + "HOME": str(home), **{PREFIX + name.upper(): text for name, text in more.items()}}


def errors_of(**sources: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**sources)
    found = caught.value.values["errors"]
    assert isinstance(found, tuple)
    assert all(error in caught.value.message for error in found)
    return found


def test_every_setting_has_an_example_and_a_row() -> None:
    names = set(Settings.__struct_fields__)
    assert names == set(EXAMPLES) | {"home"}
    assert {row.name for row in table()} == names
    for row in table():
        assert row.variable == PREFIX + row.name.upper()
        assert row.kind in ("text", "number", "yes or no", "folder", "list")
        assert row.help and row.help[0].islower()
        if row.kind == "number":
            assert row.unit


def test_the_defaults_of_the_table_are_the_defaults(tmp_path: Path) -> None:
    given = {row.name: row.default for row in table() if row.name != "home"}
    assert load_settings(environment=variables(tmp_path, **given)) == Settings(home=tmp_path)
    assert load_settings(environment=variables(tmp_path)) == Settings(home=tmp_path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_setting_comes_from_each_source(tmp_path: Path, name: str) -> None:
    example = EXAMPLES[name]
    from_environment = load_settings(environment=variables(tmp_path, **{name: example.text}))
    from_line = load_settings(environment=variables(tmp_path), given={name: example.text})
    write(tmp_path, f"{name} = {example.toml}\n")
    from_file = load_settings(environment=variables(tmp_path))
    for found in (from_environment, from_line, from_file):
        assert getattr(found, name) == example.value
        assert type(getattr(found, name)) is type(example.value)
    assert example.value != getattr(Settings(), name)


def test_the_command_line_wins_over_the_environment_that_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "port = 1\nthreads = 1\nanalyzers = 1\n")
    environment = variables(tmp_path, port="2", threads="2")
    found = load_settings(environment=environment, given={"port": "3", "threads": None})
    assert (found.port, found.threads, found.analyzers, found.body_bytes) == (3, 2, 1, Settings().body_bytes)


def test_the_home_comes_from_the_command_line_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings(environment={}).home == tmp_path / ".audiera"
    assert load_settings(environment={PREFIX + "HOME": "~/a"}).home == tmp_path / "a"
    assert load_settings(environment={PREFIX + "HOME": "~/a"}, given={"home": tmp_path / "b"}).home == tmp_path / "b"
    write(tmp_path / "b", "port = 9\n")
    assert load_settings(environment={}, given={"home": str(tmp_path / "b")}).port == 9


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("home", ""),
        ("home", "~nobody-of-this-name/a"),
        ("home", "a\0b"),
        ("host", ""),
        ("port", ""),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "7e3"),
        ("port", "--5"),
        ("port", "9" * 5_000),
        ("port", "\u0663"),
        ("port", "http"),
        ("batch_after", "9"),
        ("body_bytes", "1"),
        ("faucet", "perhaps"),
        ("faucet", ""),
        ("log_level", "loud"),
        ("nothing", "1"),
        ("", "1"),
    ],
)
def test_a_setting_that_cannot_work_is_named_with_its_source(tmp_path: Path, name: str, text: str) -> None:
    variable = PREFIX + name.upper()
    (error,) = errors_of(environment={PREFIX + "HOME": str(tmp_path), variable: text})
    assert error.startswith(variable + ": ")


@pytest.mark.parametrize(
    "line",
    [
        'port = "x"',
        "port = 1.5",
        "port = true",
        "host = 1",
        "hosts = [1]",
        "hosts = 1",
        "faucet = 2",
        "more = 1",
        'home = "/"',
    ],
)
def test_a_line_of_the_file_that_cannot_work_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, line + "\n")
    (error,) = errors_of(environment=variables(tmp_path))
    assert error.startswith(str(tmp_path / FILE))


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"[a", b"port = 1\nport = 2"])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    (error,) = errors_of(environment=variables(tmp_path))
    assert error.startswith(f"{tmp_path / FILE}: cannot be read")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    (error,) = errors_of(environment=variables(tmp_path))
    assert "cannot be read" in error
    (tmp_path / "file").touch()
    assert load_settings(environment=variables(tmp_path / "file")).home == tmp_path / "file"


def test_all_errors_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, "threads = 0\nmore = 1\n")
    found = errors_of(environment=variables(tmp_path, port="x", faucet="perhaps"), given={"analyzers": "0"})
    assert len(found) == 5
    assert {error.partition(": ")[0] for error in found} == {
        "given",
        PREFIX + "PORT",
        PREFIX + "FAUCET",
        str(tmp_path / FILE),
    }


def test_the_command_tells_all_errors_and_has_an_option_for_every_setting(tmp_path: Path) -> None:
    result = CliRunner().invoke(node, ["--port", "x", "--faucet", "perhaps", "--home", str(tmp_path)], env={})
    assert isinstance(result.exception, ConfigurationError)
    assert len(result.exception.values["errors"]) == 2  # type: ignore[arg-type]
    text = CliRunner().invoke(node, ["--help"]).output
    for row in table():
        assert "--" + row.name.replace("_", "-") in text
        assert row.variable in text.replace("\n", "").replace(" ", "")
