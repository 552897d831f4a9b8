"""``audiera snapshot``: immutable versions of datasets."""

import click

from audiera.cli.options import as_account, as_visitor
from audiera.cli.output import Output, length_text, moment_text
from audiera.sdk import Client


@click.group()
def snapshot() -> None:
    """Immutable dataset versions, whose members may belong to many owners."""


@snapshot.command()
@click.argument("assets", type=int, nargs=-1, required=True)
@click.option("--title", required=True, help="What it is called.")
@as_account
def publish(client: Client, output: Output, assets: tuple[int, ...], title: str) -> None:
    """Freeze assets as a dataset version."""
    number = client.publish_snapshot(assets, title=title)
    output.give({"snapshot": number}, f"snapshot {number} of {len(assets)} assets")


@snapshot.command()
@click.argument("number", type=int)
@as_visitor
def show(client: Client, output: Output, number: int) -> None:
    """Show a snapshot."""
    answer = client.snapshot(number)
    record = answer.snapshot
    output.facts(
        answer,
        {
            "snapshot": number,
            "title": answer.sheet.title if answer.sheet is not None else "",
            "publisher": f"account {record.publisher}",
            "clips": f"{record.clip_count:,} in {len(record.shard_roots)} shards, {length_text(record.audio_ms)}",
            "assets": f"{len(record.assets):,}",
            "root": record.root.hex(),
            "published": moment_text(record.published_at),
        },
    )
