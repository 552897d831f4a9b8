"""The command ``audiera``: nouns, loaded when they are used."""

import contextlib
import io
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final, NamedTuple, NoReturn

import click

from audiera import __version__
from audiera.cli.errors import report_errors


class Noun(NamedTuple):
    """A command of its own module."""

    place: str
    """Module and name of the command."""

    about: str
    """What it is for, said without loading it."""


SECTIONS: Final[dict[str, dict[str, Noun]]] = {
    "Start": {
        "demo": Noun("audiera.cli.demo:demo", "See the whole trail on this machine, in half a minute."),
        "node": Noun("audiera.cli.node:node", "Run a node until Ctrl-C."),
        "account": Noun("audiera.cli.account:account", "Who you are, test credits, keys of applications."),
    },
    "Offer": {
        "upload": Noun("audiera.cli.upload:upload", "Upload a file or a folder and offer it under a license."),
        "license": Noun("audiera.cli.license:license_", "Publish terms; read them in plain words."),
        "asset": Noun("audiera.cli.asset:asset", "Change terms, withdraw, transfer, dispute, pay out."),
        "snapshot": Noun("audiera.cli.snapshot:snapshot", "Freeze assets as a dataset version."),
    },
    "Find and use": {
        "search": Noun("audiera.cli.search:search", "Find music by words, facts, and what you may do with it."),
        "show": Noun("audiera.cli.show:show", "Show an asset: facts, terms, who used it."),
        "grant": Noun("audiera.cli.grant:grant", "Ask for the right to use assets, a snapshot or a model."),
        "fetch": Noun("audiera.cli.fetch:fetch", "Stream what a grant covers into a folder."),
        "run": Noun("audiera.cli.run:run", "Training runs, and the certificate of what they streamed."),
        "model": Noun("audiera.cli.model:model", "Register, publish and call models."),
    },
    "Look back": {
        "history": Noun("audiera.cli.history:history", "Who used what, for what, when; refusals too."),
        "usage": Noun("audiera.cli.usage:usage", "How much was used: by purpose, by day, by asset."),
        "access": Noun("audiera.cli.access:access", "One access: its proof and its trail."),
        "statement": Noun("audiera.cli.statement:statement", "Your credits, to the microcredit."),
        "earnings": Noun("audiera.cli.earnings:earnings", "What an asset earned."),
    },
    "Check": {
        "verify": Noun("audiera.cli.verify:verify", "Check the proof of an access; no node is asked."),
        "ledger": Noun("audiera.cli.ledger:ledger", "Check, export and execute a chain again."),
        "conformance": Noun("audiera.cli.conformance:conformance", "Run public test vectors through this code."),
    },
}
"""Every noun, in the order in which a newcomer meets them."""

NOUNS: Final = {name: noun for nouns in SECTIONS.values() for name, noun in nouns.items()}


class Nouns(click.Group):
    """Loads a noun's module only when it is asked for, so that every command starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns, in the order of a first use."""
        del ctx
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A noun's command."""
        del ctx
        noun = NOUNS.get(cmd_name)
        if noun is None:
            return None
        module, _, name = noun.place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The noun that was typed, or the one that was perhaps meant."""
        if args[0] not in NOUNS and not args[0].startswith("-"):
            near = get_close_matches(args[0], NOUNS, 1)
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the nouns in their sections; none of them is loaded for it."""
        del ctx
        width = max(map(len, NOUNS))
        for section, nouns in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), noun.about) for name, noun in nouns.items()])

    def main(self, args: Sequence[str] | None = None, *given: Any, **extra: Any) -> NoReturn:
        """Run what was typed; ends with 0, 1 for what was refused or went wrong, 2 for what was typed wrongly."""
        extra["standalone_mode"] = False
        typed = sys.argv[1:] if args is None else list(args)
        with report_errors(is_json="--json" in typed):
            code = super().main(typed, *given, **extra)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="audiera %(version)s")
def audiera() -> None:
    """Music and audio as training data, with rights, a trail of every access, and payouts that add up.

    Start with `audiera demo`. Then `audiera node` in one terminal, and the other commands in another.
    """


def main() -> None:
    """Run the command line; ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors="replace")  # a title that the terminal cannot show is no reason to fail
    audiera(prog_name="audiera")
