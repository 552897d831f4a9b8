"""``audiera fetch``: stream what a grant covers into a folder."""

from pathlib import Path

import click

from audiera.cli.options import as_account
from audiera.cli.output import Output, size_text
from audiera.sdk.client import Client


@click.command()
@click.argument("grant", type=int)
@click.argument("assets", type=int, nargs=-1)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    help="Folder, made when missing; the current one when not given.",
)
@click.option("--run", type=int, default=0, help="The training run it belongs to.")
@as_account
def fetch(client: Client, output: Output, grant: int, assets: tuple[int, ...], into: Path, run: int) -> None:
    """Stream assets under a grant into files; every access is recorded before a byte leaves the node."""
    record = client.grant_info(grant).grant
    covered = record.assets or (client.snapshot(record.snapshot).snapshot.assets if record.snapshot else ())
    wanted = assets or covered
    if not wanted:
        raise click.UsageError(f"grant {grant} is for model {record.model}: use audiera model call {record.model}")
    into.mkdir(parents=True, exist_ok=True)
    files: list[dict[str, object]] = []
    with client.open_stream(record, run=run) as stream:
        for number in wanted:
            content = client.asset(number).asset.content
            delivered = stream.fetch(number, blob=content.blob)
            file = into / f"{number}.{content.technical.container}"
            file.write_bytes(delivered.data)
            files.append(
                {
                    "asset": number,
                    "file": str(file),
                    "bytes": len(delivered.data),
                    "node": delivered.node,
                    "index": delivered.index,
                }
            )
            output.say(f"{file}  {size_text(len(delivered.data))}  record {delivered.node}/{delivered.index}")
    if output.is_json:
        output.give({"files": files})
