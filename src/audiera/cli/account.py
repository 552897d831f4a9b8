"""``audiera account``: who one is, test credits, keys of applications."""

import click

from audiera.cli.options import CREDITS, JSON, URL, WHO, as_account, as_visitor
from audiera.cli.output import Output, counted, credits_text, moment_text
from audiera.protocol.records.account import ROLES, Role
from audiera.sdk.client import Client, connect, visit

_TAKEN = tuple(role for role in ROLES if role != "moderator")
"""The roles one takes oneself; moderators are named by the network."""


@click.group()
def account() -> None:
    """Who you are at a node: made at first use, nothing is asked."""


@account.command()
@click.option("--name", default="", help="How others see you; kept off the ledger.")
@click.option("--role", "roles", multiple=True, type=click.Choice(_TAKEN), help="What you take part as; repeatable.")
@URL
@WHO
@JSON
def create(name: str, roles: tuple[Role, ...], url: str, who: str, is_json: bool) -> None:
    """Make an account, or show the one that is there."""
    output = Output(is_json=is_json)
    with visit(url, name=who) as visitor:
        is_known = visitor.is_account
    with connect(url, name=who, roles=roles or ("model-developer",), display_name=name) as client:
        _show(client, output, client.account)
    if is_known and (name or roles):
        output.hint("it was there already and is as it was; change it with: audiera account change --name NAME")


@account.command()
@click.option("--name", default="", help="How others see you from now on; kept off the ledger.")
@click.option("--role", "roles", multiple=True, type=click.Choice(_TAKEN), help="What you take part as; repeatable.")
@as_account
def change(client: Client, output: Output, name: str, roles: tuple[Role, ...]) -> None:
    """Change your name or your roles; what is not given stays."""
    if not name and not roles:
        raise click.UsageError("say what to change: --name NAME, --role ROLE")
    client.change_profile(display_name=name, roles=roles)
    _show(client, output, client.account)


@account.command()
@click.argument("ref", required=False)
@as_account
def show(client: Client, output: Output, ref: str | None) -> None:
    """Show an account: yours, or one by number, id or key."""
    _show(client, output, ref or client.account)


def _show(client: Client, output: Output, ref: int | str) -> None:
    info = client.account_info(ref)
    record = info.account
    output.facts(
        info,
        {
            "account": record.number,
            "name": info.profile.display_name if info.profile is not None else "",
            "kind": record.kind,
            "roles": ", ".join(record.roles),
            "balance": f"{credits_text(info.balance)} credits",
            "keys": "\n".join(info.keys),
            "since": moment_text(record.created_at),
            "id": info.id,
        },
    )


@account.command()
@click.argument("amount", type=CREDITS)
@as_account
def credits(client: Client, output: Output, amount: int) -> None:  # noqa: A001 - the person's word
    """Take test credits, which are worth nothing, from the node's faucet."""
    answer = client.take_test_credits(amount)
    output.give(answer, f"balance {credits_text(answer.balance)} credits; {answer.note}")


@account.command()
@click.option("--budget", type=CREDITS, required=True, help="Most it may spend in all.")
@click.option("--days", type=click.IntRange(1, 3_650), default=30, show_default=True, help="How long it is good for.")
@click.option("--model", "models", type=int, multiple=True, help="A model it may call; any when not given.")
@as_account
def key(client: Client, output: Output, budget: int, days: int, models: tuple[int, ...]) -> None:
    """Make an application's key; it is shown once."""
    made = client.make_api_key(budget=budget, days=days, models=models)
    output.give(
        {"number": made.number, "secret": made.secret},
        f"key {made.number}, good for {counted(days, 'day')} and {credits_text(budget)} credits; keep it, it is shown "
        f"once:\n{made.secret}",
    )
    output.hint("use it with: AUDIERA_API_KEY=... audiera model call MODEL")


@account.command()
@click.argument("number", type=int)
@as_account
def revoke(client: Client, output: Output, number: int) -> None:
    """Take an application's key back at once."""
    client.revoke_api_key(number)
    output.give({"number": number, "revoked": True}, f"key {number} is revoked")


@account.command()
@as_visitor
def node(client: Client, output: Output) -> None:
    """Show which node answers and which chain it serves."""
    info = client.node()
    output.facts(
        info,
        {
            "chain": info.chain_id,
            "genesis": info.genesis.hex(),
            "node account": info.account,
            "node key": info.key,
            "log key": info.log_key,
            "height": info.head.height,
            "app hash": info.head.app_hash.hex(),
            "access records": f"{info.head.records:,}",
            "decoder walls": ", ".join(info.sandbox) or "known after the first upload",
            "version": info.version,
        },
    )
