"""``audiera grant``: ask for the right to use things."""

import click

from audiera.cli.options import CREDITS, as_account, as_visitor
from audiera.cli.output import Output, credits_text, moment_text
from audiera.cli.words import price_text
from audiera.protocol.purposes import ASSET_PURPOSES, PURPOSES, Purpose
from audiera.protocol.transactions import IssueGrant
from audiera.sdk import Client


@click.group()
def grant() -> None:
    """The right to use assets, a snapshot or a model: asked for, decided by the licenses, recorded."""


@grant.command()
@click.argument("assets", type=int, nargs=-1)
@click.option("--purpose", type=click.Choice(ASSET_PURPOSES), required=True)
@click.option("--snapshot", type=int, default=0)
@click.option("--commercial", is_flag=True)
@click.option("--territory", default="*")
@as_account
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
    answer = client.may_i(assets, purpose=purpose, snapshot=snapshot, commercial=commercial, territory=territory)
    rows = (
        (each.asset, "yes" if each.allowed else "no", each.explanation, price_text(each.price) if each.allowed else "-")
        for each in answer.decisions
    )
    output.table(answer, ("#asset", "may I", "why", "price"), rows, empty="nothing was asked about")


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
    body = IssueGrant(
        purpose=purpose,
        assets=tuple(sorted(assets)),
        snapshot=snapshot,
        model=model,
        commercial=commercial,
        territory=territory,
        budget=budget,
        max_price=max_price,
    )
    _show(client, output, client.grant(body).number)


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
        else ", ".join(map(str, record.assets))
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
            "used": f"{usage.accesses:,} accesses, {usage.bytes:,} bytes",
            "paid": f"{credits_text(record.paid)} at once, {credits_text(usage.spent)} for uses",
            "budget left": credits_text(answer.budget_left),
            "waits for": ", ".join(f"account {number}" for number in record.awaiting),
        },
    )


@grant.command()
@click.argument("number", type=int)
@click.option("--agree/--decline", default=True, help="The answer.")
@as_account
def answer(client: Client, output: Output, number: int, agree: bool) -> None:
    """As a holder, answer a request."""
    client.answer_grant(number, agree=agree)
    output.give({"grant": number, "agreed": agree}, f"grant {number}: {'agreed' if agree else 'declined'}")


@grant.command()
@click.argument("number", type=int)
@as_account
def revoke(client: Client, output: Output, number: int) -> None:
    """End a grant."""
    client.revoke_grant(number)
    output.give({"grant": number, "status": "revoked"}, f"grant {number} is revoked")
