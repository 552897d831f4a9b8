"""``audiera history``: who used what."""

import click

from audiera.cli.options import as_account, as_visitor
from audiera.cli.output import Output, moment_text
from audiera.cli.words import ACCESS_COLUMNS, access_row
from audiera.protocol.api.usage import AccessHistory
from audiera.sdk.client import Client

_LIMIT = click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Rows to list.")
_AFTER = click.option("--after", type=int, help="Go on from here (the last part says where).")


@click.group()
def history() -> None:
    """Who used what, for what, when: every access, refusals too, newest first."""


@history.command()
@click.argument("ref")
@_LIMIT
@_AFTER
@as_visitor
def asset(client: Client, output: Output, ref: str, limit: int, after: int | None) -> None:
    """Of an asset by number or id, of a snapshot or a model by number."""
    _show(output, client.asset_history(ref, limit=limit, after=after))


@history.command()
@_LIMIT
@_AFTER
@as_account
def account(client: Client, output: Output, limit: int, after: int | None) -> None:
    """What your account used."""
    _show(output, client.account_history(limit=limit, after=after))


@history.command()
@_LIMIT
@_AFTER
@as_account
def signed(client: Client, output: Output, limit: int, after: int | None) -> None:
    """What your account signed; what was refused too, and why."""
    part = client.transactions(limit=limit, after=after)
    rows = (
        (moment_text(each.time), each.kind, each.number or "-", each.code, each.message, each.height)
        for each in part.transactions
    )
    output.table(part, ("when (UTC)", "what", "#number", "outcome", "why", "#block"), rows, empty="nothing yet")
    _more(output, len(part.transactions), part.total, part.next)


def _show(output: Output, part: AccessHistory) -> None:
    output.table(part, ACCESS_COLUMNS, map(access_row, part.accesses), empty="no accesses yet")
    _more(output, len(part.accesses), part.total, part.next)


def _more(output: Output, shown: int, total: int, after: int | None) -> None:
    if after is not None:
        output.say(f"\n{shown:,} of {total:,}; go on with --after {after}", style="dim")
