"""The settings of a node: one table, read from defaults, a file, the environment and the command line."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

import msgspec

from audiera.protocol.errors import ConfigurationError

PREFIX = "AUDIERA_NODE_"
"""What the name of an environment variable begins with, before the setting's name in capitals."""

FILE = "audiera.toml"
"""Name of the settings file in the node's home."""


class About(NamedTuple):
    """What a person is told about a setting."""

    help: str
    """What it does."""

    unit: str = ""
    """Its unit; empty when it has none."""

    least: int | None = None
    """Smallest value, for a number."""

    most: int | None = None
    """Largest value, for a number."""

    may_be_empty: bool = False
    """Whether an empty text says something; an empty host would be every address of the machine."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings; each says in its annotation what it is. Adding a field here is all a setting needs."""

    home: Annotated[Path, About("folder of everything the node keeps")] = Path("~/.audiera")
    host: Annotated[str, About("address to listen on; anything but loopback needs TLS in front")] = "127.0.0.1"
    port: Annotated[int, About("port to listen on; 0 takes a free one", "port", 0, 65_535)] = 7170
    hosts: Annotated[
        tuple[str, ...],
        About("further host names under which the node may be called, such as node.example.org:443"),
    ] = ()
    chain: Annotated[str, About("name of the chain made at the first start; empty makes one up", may_be_empty=True)] = (
        ""
    )
    batch_after: Annotated[int, About("time after which an open batch is sealed", "milliseconds", 10, 60_000)] = 1_000
    analyzers: Annotated[int, About("processes that decode uploads", "processes", 1, 64)] = 2
    analysis_time: Annotated[int, About("longest time the decoding of one upload may take", "seconds", 1, 3_600)] = 120
    upload_bytes: Annotated[int, About("largest upload", "bytes", 1, 2**40)] = 2**30
    upload_days: Annotated[
        int, About("time after which what was uploaded and not registered is deleted", "days", 1, 365)
    ] = 2
    uploads_per_account: Annotated[
        int, About("unfinished uploads an account may have at once", "uploads", 1, 10_000)
    ] = 64
    previews_per_minute: Annotated[int, About("previews one address may listen to", "per minute", 1, 100_000)] = 240
    body_bytes: Annotated[int, About("largest request body outside uploads and model calls", "bytes", 4_096, 2**28)] = (
        8 * 2**20
    )
    threads: Annotated[int, About("threads for requests that wait for a disk", "threads", 1, 256)] = 16
    faucet: Annotated[bool, About("whether the node gives test credits, which are worth nothing")] = True
    faucet_limit: Annotated[int, About("most test credits given at once", "microcredits", 1, 2**53)] = 1_000_000_000
    model_addresses: Annotated[
        tuple[str, ...],
        About("host:port of model endpoints that may be called although their address is not public"),
    ] = ()
    log_level: Annotated[str, About("least severe events logged: debug, info, warning or error")] = "info"


class SettingInfo(NamedTuple):
    """A row of the table of settings."""

    name: str
    """Name in the file; on the command line with hyphens."""

    variable: str
    """Name in the environment."""

    kind: str
    """text, number, yes or no, folder, list."""

    default: str
    """Default as it would be written."""

    unit: str
    """Unit; empty when it has none."""

    help: str
    """What it does."""


_NUMBER = re.compile(r"-?[0-9]{1,20}")
_KINDS = {str: "text", int: "number", bool: "yes or no", Path: "folder"}


def table() -> tuple[SettingInfo, ...]:
    """Every setting, in order: for the documentation and the command line."""
    rows: list[SettingInfo] = []
    defaults = Settings()
    for name, (kind, about) in _fields().items():
        default = getattr(defaults, name)
        shown = ",".join(default) if isinstance(default, tuple) else str(default).lower()
        label = _KINDS.get(kind, "list")
        rows.append(SettingInfo(name, PREFIX + name.upper(), label, shown, about.unit, about.help))
    return tuple(rows)


def load_settings(*, environment: Mapping[str, str], given: Mapping[str, object] | None = None) -> Settings:
    """Read the settings. What is given wins over the environment, that over the file, that over defaults.

    Args:
        environment: environment variables; those with the prefix must be settings.
        given: settings by name from the command line; None values count as not given.

    Raises:
        ConfigurationError: all wrong settings together, each with its source and what is expected.
    """
    errors: list[str] = []
    named = {name: value for name, value in (given or {}).items() if value is not None}
    found = {name: (value, "given") for name, value in named.items()}
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            found.setdefault(variable.removeprefix(PREFIX).lower(), (text, variable))
    home = _folder(Settings().home)
    with suppress(ValueError):  # a home that is none is among the errors below, and nothing is read from it
        home = _folder(found["home"][0] if "home" in found else home)
    for name, value in _read_file(home / FILE, errors).items():
        found.setdefault(name, (value, str(home / FILE)))
    values = _checked(found, errors)
    if errors:
        raise ConfigurationError(
            "these settings cannot work:\n" + "\n".join(f"  {error}" for error in errors), errors=tuple(errors)
        )
    return Settings(**{**values, "home": home})


def _fields() -> dict[str, tuple[Any, About]]:
    hints = get_type_hints(Settings, include_extras=True)
    return {name: (get_args(hints[name])[0], get_args(hints[name])[1]) for name in Settings.__struct_fields__}


def _read_file(path: Path, errors: list[str]) -> dict[str, object]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a home that is no folder is told at the start
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as cause:
        errors.append(f"{path}: cannot be read: {cause}")
        return {}
    if "home" in found:
        errors.append(f"{path}: home cannot be set in the file that lies in it; use {PREFIX}HOME")
        del found["home"]
    return found


def _checked(found: Mapping[str, tuple[object, str]], errors: list[str]) -> dict[str, Any]:
    fields = _fields()
    values: dict[str, Any] = {}
    for name, (value, source) in found.items():
        if name not in fields:
            errors.append(f"{source}: there is no setting {name!r}; see the table of settings in the docs")
            continue
        kind, about = fields[name]
        try:
            values[name] = _convert(value, kind, about)
        except ValueError as cause:
            errors.append(f"{source}: {name} is {cause}, got {str(value)[:80]!r}")
    level = values.get("log_level", "info")
    if level not in ("debug", "info", "warning", "error"):
        errors.append(f"{found['log_level'][1]}: log_level is debug, info, warning or error, got {level!r}")
    return values


def _convert(value: object, kind: object, about: About) -> object:
    """A setting's value from what a file, the environment or the command line holds.

    Raises:
        ValueError: with what was expected.
    """
    if kind is int:
        return _number(value, about)
    if kind is bool:
        return _yes_or_no(value)
    if kind is Path:
        return _folder(value)
    if kind is str:
        if not isinstance(value, str) or not (value or about.may_be_empty):
            raise ValueError("text" if about.may_be_empty else "text, and not empty")
        return value
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of texts, with commas between them")
    return tuple(item.strip() for item in items if item.strip())


def _folder(value: object) -> Path:
    """A folder's path, with ``~`` filled in.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("a folder")
    try:
        return Path(value).expanduser()
    except RuntimeError as cause:
        raise ValueError("a folder whose ~ is somebody's home here") from cause


def _number(value: object, about: About) -> int:
    expected = f"a whole number from {about.least} to {about.most}" + (f" ({about.unit})" if about.unit else "")
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(expected)
    if value < (about.least or 0) or (about.most is not None and value > about.most):
        raise ValueError(expected)
    return value


def _yes_or_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("yes", "true", "1", "on"):
        return True
    if text in ("no", "false", "0", "off"):
        return False
    raise ValueError("yes or no")
