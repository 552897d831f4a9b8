"""``audiera grant``: ask for the right to use things."""

import click

from audiera.cli.options import CREDITS, as_account, as_anyone, as_visitor
from audiera.cli.output import Output, counted, credits_text, moment_text, numbers_text, size_text
from audiera.cli.words import price_text
from audiera.protocol.purposes import ASSET_PURPOSES, PURPOSES, Purpose
from audiera.protocol.transactions import IssueGrant
from audiera.sdk.client import Client


@click.group()
def grant() -> None:
    """The right to use assets, a snapshot or a model: asked for, decided by the licenses, recorded."""


@grant.command()
@click.argument("assets", type=int, nargs=-1)
@click.option("--purpose", type=click.Choice(ASSET_PURPOSES), required=True, help="What for.")
@click.option("--snapshot", type=int, default=0, help="A snapshot instead of assets.")
@click.option("--commercial", is_flag=True, help="For commercial use.")
@click.option("--territory", default="*", show_default=True, help="Where: a two-letter country, or * for everywhere.")
@as_anyone
def check(
    client: Client,
    output: Output,
    assets: tuple[int, ...],
    purpose: Purpose,
    snapshot: int,
    commercial: bool,
    territory: str,
) -> None:
    """Say whether a grant would be issued, why not, and what it costs; nothing is recorded."""
    if bool(assets) == bool(snapshot):
        raise click.UsageError("name either assets or --snapshot")
    answer = client.may_i(assets, purpose=purpose, snapshot=snapshot, commercial=commercial, territory=territory)
    rows = (
        (each.asset, "yes" if each.allowed else "no", each.explanation, price_text(each.price) if each.allowed else "-")
        for each in answer.decisions
    )
    output.table(answer, ("#asset", "may I", "why", "price"), rows, empty="the snapshot is empty")
    if answer.price.flat or answer.price.once:
        flat, once = credits_text(answer.price.flat), credits_text(answer.price.once)
        output.say(f"\nall of it: {flat} credits at once, {once} to open each once in full")


@grant.command()
@click.argument("assets", type=int, nargs=-1)
@click.option("--purpose", type=click.Choice(PURPOSES), required=True, help="What for; call-model for a model.")
@click.option("--snapshot", type=int, default=0, help="A snapshot instead of assets.")
@click.option("--model", type=int, default=0, help="A model instead of assets.")
@click.option("--commercial", is_flag=True, help="For commercial use.")
@click.option("--territory", default="*", show_default=True, help="Where: a two-letter country, or * for everywhere.")
@click.option("--budget", type=CREDITS, default="0", help="Credits to set aside for priced uses.")
@click.option("--max-price", type=CREDITS, default="0", help="Most credits to pay at once for flat prices.")
@as_account
def request(
    client: Client,
    output: Output,
    assets: tuple[int, ...],
    purpose: Purpose,
    snapshot: int,
    model: int,
    commercial: bool,
    territory: str,
    budget: int,
    max_price: int,
) -> None:
    """Ask for a grant; it is issued, or refused with every reason."""
    if [bool(assets), bool(snapshot), bool(model)].count(True) != 1:
        raise click.UsageError("name either assets, --snapshot or --model")
    body = IssueGrant(
        purpose=purpose,
        assets=tuple(sorted(set(assets))),
        snapshot=snapshot,
        model=model,
        commercial=commercial,
        territory=territory,
        budget=budget,
        max_price=max_price,
    )
    issued = client.grant(body)
    _show(client, output, issued.number)
    if issued.status == "active":
        command = f"model call {issued.model}" if issued.model else f"fetch {issued.number}"
        output.hint(f"use it with: audiera {command}")


@grant.command()
@click.argument("number", type=int)
@as_visitor
def show(client: Client, output: Output, number: int) -> None:
    """Show a grant and how much of it is used."""
    _show(client, output, number)


def _show(client: Client, output: Output, number: int) -> None:
    answer = client.grant_info(number)
    record, usage = answer.grant, answer.usage
    covered = (
        f"snapshot {record.snapshot}"
        if record.snapshot
        else f"model {record.model}"
        if record.model
        else numbers_text(record.assets)
    )
    output.facts(
        answer,
        {
            "grant": number,
            "status": record.status,
            "of account": record.grantee,
            "purpose": record.purpose + (" (commercial)" if record.commercial else ""),
            "covers": covered,
            "until": moment_text(record.valid_until) if record.valid_until else "no end",
            "used": f"{counted(usage.accesses, 'access')}, {size_text(usage.bytes)}",
            "paid": f"{credits_text(record.paid)} credits at once, {credits_text(usage.spent)} for uses",
            "budget left": f"{credits_text(answer.budget_left)} credits",
            "waits for": ", ".join(f"account {number}" for number in record.awaiting),
        },
    )


@grant.command()
@click.argument("number", type=int)
@click.option("--agree/--decline", default=True, show_default=True, help="The answer.")
@as_account
def answer(client: Client, output: Output, number: int, agree: bool) -> None:
    """As a holder, answer a request."""
    client.answer_grant(number, agree=agree)
    output.give({"grant": number, "agreed": agree}, f"grant {number}: {'agreed' if agree else 'declined'}")


@grant.command()
@click.argument("number", type=int)
@as_account
def revoke(client: Client, output: Output, number: int) -> None:
    """End a grant: as its grantee any time, as a holder when its license was broken."""
    client.revoke_grant(number)
    output.give({"grant": number, "status": "revoked"}, f"grant {number} is revoked")


@grant.command("return")
@click.argument("number", type=int)
@as_account
def return_(client: Client, output: Output, number: int) -> None:
    """Take back what is left of an ended grant's budget, once no late access can draw on it any more."""
    client.return_budget(number)
    left = client.balance()
    output.give({"grant": number, "balance": left}, f"the rest of grant {number} is back; balance {credits_text(left)}")
