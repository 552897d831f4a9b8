"""``audiera demo``: the whole trail on one machine, from music to a verified proof and a payout."""

from pathlib import Path

import click

__all__ = ["demo"]


@click.command()
@click.option(
    "--music",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of your own music: WAV, AIFF, FLAC, MP3, Ogg Vorbis, Opus, M4A.",
)
@click.option("--keep", is_flag=True, help="Stay up at the end, to look around; Ctrl-C ends it.")
@click.option("--pieces", type=click.IntRange(4, 64), default=6, show_default=True, help="How many pieces are used.")
def demo(music: Path | None, keep: bool, pieces: int) -> None:
    """Show the whole trail: music, licenses, a refusal, training, a model, calls, payouts, a proof.

    A real node runs on loopback with its ledger in a temporary folder. Five accounts act on it over HTTP; their
    credits are test credits. Nothing of yours leaves this machine, and nothing of the demo stays on it.
    """
    from audiera.cli.demo.stage import play

    play(music, keep=keep, pieces=pieces)
