"""``audiera usage``: analytics of accesses."""

from datetime import UTC, datetime
from typing import Any

import click

from audiera.cli.options import as_visitor
from audiera.cli.output import Output
from audiera.protocol.purposes import PURPOSES
from audiera.sdk.client import Client


@click.command()
@click.option(
    "--by",
    type=click.Choice(("purpose", "day", "asset")),
    default="purpose",
    show_default=True,
    help="How it is summed up.",
)
@click.option("--asset", type=int, default=0, help="Of this asset, snapshot or model.")
@click.option("--consumer", type=int, default=0, help="By this account.")
@click.option("--holder", type=int, default=0, help="Of assets this account manages.")
@click.option("--purpose", type=click.Choice(PURPOSES), default=None, help="For this purpose.")
@as_visitor
def usage(client: Client, output: Output, by: str, purpose: str | None, **conditions: Any) -> None:
    """How much was used: by purpose, by day, or what was used most."""
    conditions["purpose"] = purpose or ""
    if by == "day":
        days = client.usage_days(**conditions)
        rows: Any = ((_day(each.day), each.purpose, f"{each.accesses:,}", f"{each.bytes:,}") for each in days.days)
        output.table(days, ("day (UTC)", "purpose", "#accesses", "#bytes"), rows, empty="no uses")
    elif by == "asset":
        most = client.most_used(limit=20, **conditions)
        rows = ((each.asset, f"{each.accesses:,}", each.consumers, f"{each.bytes:,}") for each in most.assets)
        output.table(most, ("#asset", "#accesses", "#accounts", "#bytes"), rows, empty="no uses")
    else:
        totals = client.usage_totals(**conditions)
        rows = ((each.purpose, each.op, f"{each.accesses:,}", f"{each.bytes:,}") for each in totals.totals)
        output.table(totals, ("purpose", "what", "#accesses", "#bytes"), rows, empty="no accesses")


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")
