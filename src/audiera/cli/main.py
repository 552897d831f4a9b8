"""The command ``audiera``: nouns, loaded when they are used."""

from importlib import import_module

import click

from audiera.cli.errors import report_errors

NOUNS = {
    "node": "audiera.cli.node:node",
    "demo": "audiera.cli.demo:demo",
    "account": "audiera.cli.account:account",
    "upload": "audiera.cli.upload:upload",
    "license": "audiera.cli.license:license_",
    "asset": "audiera.cli.asset:asset",
    "search": "audiera.cli.search:search",
    "show": "audiera.cli.show:show",
    "grant": "audiera.cli.grant:grant",
    "snapshot": "audiera.cli.snapshot:snapshot",
    "fetch": "audiera.cli.fetch:fetch",
    "run": "audiera.cli.run:run",
    "model": "audiera.cli.model:model",
    "history": "audiera.cli.history:history",
    "statement": "audiera.cli.statement:statement",
    "earnings": "audiera.cli.earnings:earnings",
    "usage": "audiera.cli.usage:usage",
    "access": "audiera.cli.access:access",
    "verify": "audiera.cli.verify:verify",
    "ledger": "audiera.cli.ledger:ledger",
    "conformance": "audiera.cli.conformance:conformance",
}
"""Where each noun's command is."""


class Nouns(click.Group):
    """Loads a noun's module only when it is asked for, so that every command starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns, in the order of a first use."""
        del ctx
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A noun's command."""
        del ctx
        place = NOUNS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="audiera")
def audiera() -> None:
    """Music and audio as training data, with rights, a trail of every access, and payouts that add up.

    Start with `audiera demo`. Then `audiera node` in one terminal, and the other commands in another.
    """


def main() -> None:
    """Run the command line; ends the process."""
    with report_errors():
        audiera(prog_name="audiera")
