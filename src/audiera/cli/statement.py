"""``audiera statement``: an account's credits, to the microcredit."""

import click

from audiera.cli.options import as_account
from audiera.cli.output import Output, credits_text, moment_text
from audiera.sdk.client import Client


@click.command()
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Lines to list.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Lines to leave out.")
@as_account
def statement(client: Client, output: Output, limit: int, offset: int) -> None:
    """Your credits: what came, what went, what is there, each with its place on the ledger."""
    answer = client.statement(limit=limit, offset=offset)
    purse = f"account/{answer.account}"
    rows = (
        (
            moment_text(line.time),
            line.reason,
            line.reference or "-",
            credits_text(line.amount if line.credit == purse else -line.amount),
            line.height,
            "-" if line.log_index is None else line.log_index,
        )
        for line in answer.lines
    )
    columns = ("when (UTC)", "why", "#for", "#credits", "#block", "#log entry")
    output.table(answer, columns, rows, empty="no movements yet")
    output.say(
        f"\nopening {credits_text(answer.opening)} + came {credits_text(answer.credited)} - went "
        f"{credits_text(answer.debited)} = closing {credits_text(answer.closing)} credits"
    )
    if offset + len(answer.lines) < answer.count:
        go_on = offset + len(answer.lines)
        output.say(f"{len(answer.lines):,} of {answer.count:,} lines; go on with --offset {go_on}", style="dim")
