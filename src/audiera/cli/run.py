"""``audiera run``: training runs and their certificates."""

import click

from audiera.cli.options import as_account, as_visitor
from audiera.cli.output import Output, counted, length_text
from audiera.protocol.records import Run
from audiera.sdk.client import Client


@click.group()
def run() -> None:
    """Training runs: opened under grants, closed into what the ledger certifies was streamed."""


@run.command("open")
@click.argument("grants", type=int, nargs=-1, required=True)
@as_account
def open_(client: Client, output: Output, grants: tuple[int, ...]) -> None:
    """Begin a run."""
    number = client.open_run(grants)
    output.give({"run": number}, f"run {number}")
    output.hint(f"stream within it: audiera fetch {grants[0]} --run {number}; then: audiera run close {number}")


@run.command()
@click.argument("number", type=int)
@as_account
def close(client: Client, output: Output, number: int) -> None:
    """End a run; what comes back is its certificate."""
    client.close_run(number)
    _show(output, client.run(number))
    output.hint(f"register what was trained: audiera model register --run {number} ...")


@run.command()
@click.argument("number", type=int)
@as_visitor
def show(client: Client, output: Output, number: int) -> None:
    """Show a run and its certificate."""
    _show(output, client.run(number))


def _show(output: Output, record: Run) -> None:
    certificate = record.certificate
    if certificate is None:
        output.give(record, f"run {record.number} of account {record.account} is open")
        return
    output.facts(
        record,
        {
            "run": record.number,
            "purpose": certificate.purpose + (" (commercial)" if certificate.commercial else ""),
            "streamed": f"{counted(certificate.accesses, 'access')} of {counted(certificate.assets, 'asset')}",
            "audio": length_text(certificate.audio_ms),
            "blocks": f"{certificate.first_height} to {certificate.last_height}",
            "owes": f"at least {certificate.revenue_share / 100:g} % of a model's revenue to its training data",
            "root": certificate.weights_root.hex(),
        },
    )
