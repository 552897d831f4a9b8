"""``audiera ledger``: check, carry away and execute a chain again."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audiera.cli.errors import FAILED
from audiera.cli.options import JSON, as_visitor
from audiera.cli.output import Output, credits_text, moment_text
from audiera.node.config import load_settings
from audiera.node.entropy import system_entropy
from audiera.protocol.errors import ProofError
from audiera.sdk.client import Client

if TYPE_CHECKING:
    from audiera.services.ledger.replay import Replayed

HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="The node's folder (default as for `audiera node`) [AUDIERA_NODE_HOME].",
)


def _folder(home: Path | None) -> Path:
    """The ledger in a node's folder; a folder that is a ledger itself is taken as one."""
    from audiera.services.ledger.home import GENESIS

    folder = load_settings(environment=os.environ, given={"home": home}).home
    return folder if (folder / GENESIS).is_file() else folder / "ledger"


@click.group()
def ledger() -> None:
    """The chain itself: where it stands; checked, exported and executed again while the node is stopped."""


@ledger.command()
@as_visitor
def head(client: Client, output: Output) -> None:
    """Show the newest block of a running node."""
    answer = client.head()
    output.facts(
        answer,
        {
            "height": answer.height,
            "time": moment_text(answer.time),
            "app hash": answer.app_hash.hex(),
            "access log": f"{answer.log_size:,} entries, {answer.records:,} records",
        },
    )


@ledger.command()
@as_visitor
def credits(client: Client, output: Output) -> None:  # noqa: A001 - the person's word
    """Show where every credit stands; they add up to nothing made and nothing lost."""
    answer = client.credits()
    rows = ((each.kind, f"{each.purses:,}", credits_text(each.balance)) for each in answer.kinds)
    output.table(answer, ("purses", "#how many", "#credits"), rows, empty="no credits yet")
    output.say(f"\nsum at block {answer.height}: {credits_text(answer.total)} credits")


@ledger.command()
@HOME
@JSON
def fsck(home: Path | None, is_json: bool) -> None:
    """Check everything a stopped ledger keeps, by executing its blocks anew."""
    from audiera.services.ledger.fsck import check_ledger

    report = check_ledger(_folder(home))
    output = Output(is_json=is_json)
    columns = ("what", "where", "found")
    output.table(
        {"ok": report.ok, "height": report.height, "app_hash": report.app_hash.hex(), "findings": report.findings},
        columns,
        ((each.severity, each.where, each.what) for each in report.findings),
        empty="in order",
    )
    output.say(f"block {report.height}, app hash {report.app_hash.hex()}")
    if not report.ok:
        raise SystemExit(FAILED)


@ledger.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@HOME
@JSON
def export(file: Path, home: Path | None, is_json: bool) -> None:
    """Write a stopped ledger's genesis and blocks to a file."""
    from audiera.services.ledger.home import LedgerHome
    from audiera.services.ledger.replay import export_chain

    with LedgerHome(_folder(home), genesis=None, entropy=system_entropy) as opened:
        _tell(Output(is_json=is_json), export_chain(opened, file), f"written to {file}")


@ledger.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Make a ledger in this folder of it.")
@click.option("--expect", metavar="HEX", help="The app hash it must end with.")
@JSON
def replay_(file: Path, into: Path | None, expect: str | None, is_json: bool) -> None:
    """Check and execute every block of an export; the app hash must come out the same."""
    from audiera.services.ledger.replay import replay, replay_into

    found = replay(file) if into is None else replay_into(file, into, entropy=system_entropy)
    _tell(Output(is_json=is_json), found, "executed")
    if expect is not None and found.app_hash.hex() != expect.lower():
        raise ProofError(f"app hash {expect} was expected, got {found.app_hash.hex()}", code="app_hash_differs")


def _tell(output: Output, found: "Replayed", what: str) -> None:
    output.give(
        {"chain_id": found.chain_id, "height": found.height, "app_hash": found.app_hash.hex()},
        f"{what}: chain {found.chain_id}, block {found.height}, app hash {found.app_hash.hex()}",
    )
