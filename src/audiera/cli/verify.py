"""``audiera verify``: check a proof without a node."""

from pathlib import Path

import click

from audiera.cli.options import JSON
from audiera.cli.output import Output, counted, moment_text
from audiera.protocol.purposes import PURPOSES
from audiera.sdk.verify import verify_proof


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--chain", required=True, help="The chain it must be of.")
@click.option(
    "--key", "keys", multiple=True, required=True, help="A validator's key you trust, did:key:...; repeatable."
)
@click.option(
    "--quorum", type=click.IntRange(1), help="How many must have cosigned; more than two thirds when not given."
)
@JSON
def verify(file: Path, chain: str, keys: tuple[str, ...], quorum: int | None, is_json: bool) -> None:
    """Check the proof of an access; nothing is asked of any node."""
    output = Output(is_json=is_json)
    proved = verify_proof(file, keys, chain_id=chain, quorum=quorum)
    row = proved.row
    who = f"account {row.consumer}" if row.consumer else "a visitor"
    output.give(
        proved._asdict(),
        f"proved: {who}, {PURPOSES[row.purpose]} of {row.asset}, {row.bytes:,} bytes, at {moment_text(row.t)} UTC\n"
        f"        record {proved.record} of the chain, in block {proved.height}, cosigned by "
        + counted(len(proved.cosigned_at_s), "validator"),
    )
