"""What every command that talks to a node has in common: where the node is, who one is, words or JSON."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

from audiera.cli.output import Output
from audiera.sdk import Client, connect
from audiera.sdk.client import DEFAULT_URL
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
        whole, dot, part = str(value).partition(".")
        if not (whole.isdecimal() and whole.isascii()) or (dot and not (part.isdecimal() and part.isascii())):
            self.fail(f"an amount of credits such as 2 or 0.5 expected, got {value!r}", param, ctx)
        if len(part) > 6:
            self.fail(f"at most six digits after the point, got {value!r}", param, ctx)
        return int(whole) * 1_000_000 + int(part.ljust(6, "0") or "0")


CREDITS = Credits()
