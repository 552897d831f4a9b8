"""``audiera earnings``: what an asset earned."""

import click

from audiera.cli.options import as_visitor
from audiera.cli.output import Output, credits_text
from audiera.sdk.client import Client


@click.command()
@click.argument("ref")
@as_visitor
def earnings(client: Client, output: Output, ref: str) -> None:
    """What an asset earned from accesses and from models trained on it."""
    answer = client.earnings(ref)
    output.facts(
        answer,
        {
            "asset": answer.asset,
            "from accesses": f"{credits_text(answer.accesses)} credits",
            "from models": f"{credits_text(answer.models)} credits",
            "paid out": f"{credits_text(answer.paid_out)} credits",
            "waiting": f"{credits_text(answer.waiting)} credits"
            + (f" (audiera asset claim {answer.asset})" if answer.waiting else ""),
        },
    )
