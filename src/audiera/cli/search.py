"""``audiera search``: find music by words, facts and rights."""

from typing import Any, get_args

import click

from audiera.cli.options import CREDITS, as_account
from audiera.cli.output import Output, credits_text, length_text
from audiera.protocol.api.catalog import Hit, Kind, Range, SortOrder
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.sdk import Client


@click.command()
@click.argument("text", nargs=-1)
@click.option("--purpose", type=click.Choice(ASSET_PURPOSES), help="Only what may be used so.")
@click.option("--commercial", is_flag=True, help="... commercially.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(get_args(Kind)), help="What it is; repeatable.")
@click.option("--free", "free_only", is_flag=True, help="Only what has no price (needs --purpose).")
@click.option("--max-price", type=CREDITS, help="Highest price in credits (needs --purpose).")
@click.option("--shortest", type=float, help="Shortest length, seconds.")
@click.option("--longest", type=float, help="Longest length, seconds.")
@click.option("--slowest", type=float, help="Slowest tempo, beats per minute.")
@click.option("--fastest", type=float, help="Fastest tempo, beats per minute.")
@click.option("--key", "keys", multiple=True, help="Musical key such as 'A minor'; repeatable.")
@click.option("--sort", type=click.Choice(get_args(SortOrder)), default="relevance", show_default=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0, 100_000), default=0)
@as_account
def search(client: Client, output: Output, text: tuple[str, ...], **given: Any) -> None:
    r"""Find what is offered, by words, facts, and what you may do with it.

    \b
    audiera search piano --purpose train-generative --free
    audiera search --kind sample --longest 2 --sort newest
    """
    lengths = _range(given.pop("shortest"), given.pop("longest"), 1_000)
    tempos = _range(given.pop("slowest"), given.pop("fastest"), 1_000)
    fields = {name: value for name, value in given.items() if value is not None}
    page = client.search_page(text=" ".join(text), duration_ms=lengths, tempo_mbpm=tempos, **fields)
    rows = (_row(hit) for hit in page.hits)
    columns = ("#number", "title", "artist", "kind", "#length", "#bpm", "key", "AI", "price")
    output.table(page, columns, rows, empty="nothing found; use fewer words, or another purpose")
    if not output.is_json and page.hits:
        corrected = "; similar words too" if page.corrected else ""
        output.console.print(
            f"\n{given['offset'] + 1} to {given['offset'] + len(page.hits)} of {page.total}{corrected}", style="dim"
        )


def _range(low: float | None, high: float | None, scale: int) -> Range:
    """Bounds in whole thousandths."""
    return Range(low=None if low is None else round(low * scale), high=None if high is None else round(high * scale))


def _row(hit: Hit) -> tuple[object, ...]:
    price = f"{credits_text(hit.price)}/{hit.price_unit or 'call'}" if hit.price else "free" if hit.reasons else "-"
    tempo = "-" if hit.tempo_mbpm is None else round(hit.tempo_mbpm / 1_000)
    title = hit.title or "(untitled)"
    return (
        hit.number,
        title if hit.status == "active" else f"{title} [{hit.status}]",
        hit.artist,
        hit.kind,
        length_text(hit.duration_ms),
        tempo,
        hit.key,
        hit.contains_ai,
        price,
    )
