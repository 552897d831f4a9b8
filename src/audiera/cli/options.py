"""What every command that talks to a node has in common: where the node is, who one is, words or JSON."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from audiera.cli.output import Output
from audiera.protocol.errors import RequestError
from audiera.sdk.client import DEFAULT_URL, Client, connect, visit
from audiera.sdk.money import parse_credits
from audiera.sdk.transport import Transport

P = ParamSpec("P")
R = TypeVar("R")

URL = click.option(
    "--url", envvar="AUDIERA_URL", default=DEFAULT_URL, show_default=True, help="Address of the node [AUDIERA_URL]."
)
WHO = click.option(
    "--as",
    "who",
    envvar="AUDIERA_AS",
    default="default",
    show_default=True,
    metavar="NAME",
    help="Which of your identities to be; made when first used [AUDIERA_AS].",
)
JSON = click.option("--json", "is_json", is_flag=True, help="Print JSON instead of words.")


def as_visitor(function: Callable[..., R]) -> Callable[..., R]:
    """A command that reads what anyone may read; it gets a client without an account and an output."""

    @URL
    @JSON
    @wraps(function)
    def command(*args: Any, url: str, is_json: bool, **kwargs: Any) -> R:
        with Client(Transport(url)) as client:
            return function(client, Output(is_json=is_json), *args, **kwargs)

    return command


def as_anyone(function: Callable[..., R]) -> Callable[..., R]:
    """A command that records nothing: it gets a client that is the kept identity, or a visitor where there is none."""

    @URL
    @WHO
    @JSON
    @wraps(function)
    def command(*args: Any, url: str, who: str, is_json: bool, **kwargs: Any) -> R:
        with visit(url, name=who) as client:
            return function(client, Output(is_json=is_json), *args, **kwargs)

    return command


def as_account(function: Callable[..., R]) -> Callable[..., R]:
    """A command of an account; it gets a client that is this account and an output."""

    @URL
    @WHO
    @JSON
    @wraps(function)
    def command(*args: Any, url: str, who: str, is_json: bool, **kwargs: Any) -> R:
        with connect(url, name=who) as client:
            return function(client, Output(is_json=is_json), *args, **kwargs)

    return command


class Credits(click.ParamType[int]):
    """An amount such as ``1.5`` credits, kept as whole microcredits."""

    name = "credits"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Microcredits from text; refuses what is finer than a microcredit."""
        if isinstance(value, int):
            return value
        try:
            return parse_credits(str(value))
        except RequestError as error:
            self.fail(error.message, param, ctx)


CREDITS = Credits()


class Record(click.ParamType[tuple[int, int]]):
    """An access as every listing names it: the node that served it, and the record's index there."""

    name = "node/index"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The two numbers."""
        node, _, index = str(value).partition("/")
        if not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in (node, index)):
            self.fail(f"NODE/INDEX such as 1/0 expected, as listings print it, got {value!r}", param, ctx)
        return int(node), int(index)


def record_argument(function: Callable[..., R]) -> Callable[..., R]:
    """The argument that names an access; its two numbers may also stand apart."""

    @click.argument("record", metavar="NODE/INDEX", nargs=-1, required=True)
    @wraps(function)
    def command(*args: Any, record: tuple[str, ...], **kwargs: Any) -> R:
        if len(record) > 2:
            raise click.UsageError(f"one record NODE/INDEX expected, got {len(record)}")
        return function(*args, record=Record().convert("/".join(record), None, None), **kwargs)

    return command


def check_place(file: Path | None) -> None:
    """Refuse a file that cannot be written, before anything is done for it.

    Raises:
        UsageError: its folder is not there, or may not be written to.
    """
    folder = None if file is None else file.absolute().parent
    if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise click.UsageError(f"{file} cannot be written: {folder} is no folder one may write to")
