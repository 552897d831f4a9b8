"""``audiera asset``: manage what is offered."""

from pathlib import Path

import click

from audiera.cli.options import as_account
from audiera.cli.output import Output, credits_text
from audiera.sdk.client import Client


@click.group()
def asset() -> None:
    """Manage what you offer: other terms, withdrawal, transfer, disputes, payouts."""


@asset.command()
@click.argument("number", type=int)
@click.argument("license_", metavar="LICENSE", type=int)
@as_account
def relicense(client: Client, output: Output, number: int, license_: int) -> None:
    """Offer an asset under another license; grants already issued keep theirs."""
    client.change_asset(number, license_=license_)
    output.give({"asset": number, "license": license_}, f"asset {number} is offered under license {license_}")


@asset.command()
@click.argument("number", type=int)
@as_account
def withdraw(client: Client, output: Output, number: int) -> None:
    """Take an asset out of the catalog; running grants on it end."""
    client.withdraw(number)
    output.give({"asset": number, "status": "withdrawn"}, f"asset {number} is withdrawn")


@asset.command()
@click.argument("number", type=int)
@click.argument("to", type=int)
@as_account
def transfer(client: Client, output: Output, number: int, to: int) -> None:
    """Hand the management of an asset to another account; who is paid for it stays."""
    client.transfer(number, to)
    output.give({"asset": number, "holder": to}, f"asset {number} is managed by account {to}")


@asset.command()
@click.argument("number", type=int)
@click.option(
    "--evidence",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="A file; only its digest is recorded.",
)
@as_account
def dispute(client: Client, output: Output, number: int, evidence: Path) -> None:
    """Claim an asset; it is contested at once: it can be found and cannot earn."""
    opened = client.dispute(number, evidence.read_bytes())
    output.give({"dispute": opened, "asset": number}, f"dispute {opened} is open; asset {number} is contested")


@asset.command()
@click.argument("numbers", metavar="NUMBER...", type=int, nargs=-1, required=True)
@as_account
def claim(client: Client, output: Output, numbers: tuple[int, ...]) -> None:
    """Pay out what assets' accesses earned, to the accounts in their splits."""
    chosen = sorted(set(numbers))
    client.wait_for_histories()
    before = {number: client.earnings(number).paid_out for number in chosen}
    client.claim_assets(chosen)
    client.wait_for_histories()
    paid = {number: client.earnings(number).paid_out - before[number] for number in chosen}
    rows = ((number, credits_text(amount)) for number, amount in paid.items())
    output.table(
        {"assets": [{"asset": number, "paid": amount} for number, amount in paid.items()]},
        ("#asset", "#credits paid out"),
        rows,
        empty="",
    )
