"""``audiera access``: one record, its proof and its trail."""

from pathlib import Path

import click

from audiera.cli.options import as_visitor, check_place, record_argument
from audiera.cli.output import Output, credits_text, length_text
from audiera.cli.words import ACCESS_COLUMNS, access_row
from audiera.sdk.client import Client


@click.group()
def access() -> None:
    """One access, named as every listing names it: the node that served it / the record's index there."""


@access.command()
@record_argument
@click.option("--output", "-o", "file", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it.")
@as_visitor
def proof(client: Client, output: Output, record: tuple[int, int], file: Path | None) -> None:
    """Write the proof of an access; anyone can verify it without a node."""
    check_place(file)
    text = client.proof(*record)
    if file is None:
        click.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    info = client.node()
    output.give(
        {"file": str(file), "chain": info.chain_id, "key": info.log_key},
        f"{file} ({len(text.encode()):,} bytes); verify it anywhere:\n"
        f"  audiera verify {file} --chain {info.chain_id} --key {info.log_key}",
    )


@access.command()
@record_argument
@as_visitor
def trail(client: Client, output: Output, record: tuple[int, int]) -> None:
    """From one access back to everything and everyone behind it."""
    found = client.trail(*record)
    output.table(found, ACCESS_COLUMNS, [access_row(found.access)], empty="")
    if output.is_json:
        return
    if found.grant is not None:
        output.console.print(f"\nunder grant {found.grant.number} of account {found.grant.grantee}")
    if found.model is not None:
        output.console.print(
            f"called model {found.model.number}, {found.model.name} {found.model.version}, trained on:"
        )
        sources = (
            (each.asset, f"account {each.holder}", each.accesses, length_text(each.audio_ms), each.model)
            for each in found.sources
        )
        columns = ("#asset", "holder", "#accesses", "#audio", "#model")
        output.table(found, columns, sources, empty="nothing that is recorded here")
    if found.payments:
        output.console.print("\npaid for it, with what its batch held under the same grant:")
        lines = ((line.reason, line.credit, credits_text(line.amount)) for line in found.payments)
        output.table(found, ("why", "to", "#credits"), lines, empty="")
