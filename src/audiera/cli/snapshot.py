"""``audiera snapshot``: immutable versions of datasets."""

import click

from audiera.cli.options import as_account, as_visitor
from audiera.cli.output import Output, counted, length_text, moment_text, numbers_text
from audiera.sdk.client import Client


@click.group()
def snapshot() -> None:
    """Immutable dataset versions, whose members may belong to many owners."""


@snapshot.command()
@click.argument("assets", type=int, nargs=-1, required=True)
@click.option("--title", required=True, help="What it is called.")
@as_account
def publish(client: Client, output: Output, assets: tuple[int, ...], title: str) -> None:
    """Freeze assets as a dataset version."""
    chosen = tuple(dict.fromkeys(assets))
    number = client.publish_snapshot(chosen, title=title)
    output.give({"snapshot": number}, f"snapshot {number} of {counted(len(chosen), 'asset')}")
    output.hint(f"ask for it with: audiera grant request --snapshot {number} --purpose PURPOSE")


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
            "clips": f"{record.clip_count:,} in {counted(len(record.shard_roots), 'shard')}, "
            + length_text(record.audio_ms),
            "assets": numbers_text(record.assets),
            "root": record.root.hex(),
            "published": moment_text(record.published_at),
        },
    )
