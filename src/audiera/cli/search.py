"""``audiera search``: find music by words, facts and rights."""

from typing import Any, get_args

import click

from audiera.cli.options import CREDITS, as_anyone
from audiera.cli.output import Output, credits_text, length_text
from audiera.cli.words import key_text, parse_key_text
from audiera.protocol.api.catalog import Hit, Kind, Range, SortOrder
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.sdk.client import Client


@click.command()
@click.argument("text", nargs=-1)
@click.option("--purpose", type=click.Choice(ASSET_PURPOSES), help="Only what may be used so.")
@click.option("--commercial", is_flag=True, help="... commercially.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(get_args(Kind)), help="What it is; repeatable.")
@click.option("--free", "free_only", is_flag=True, help="Only what has no price (needs --purpose).")
@click.option("--max-price", type=CREDITS, help="Highest price in credits (needs --purpose).")
@click.option("--shortest", type=click.FloatRange(0, 1e9), help="Shortest length, seconds.")
@click.option("--longest", type=click.FloatRange(0, 1e9), help="Longest length, seconds.")
@click.option("--slowest", type=click.FloatRange(0, 1e9), help="Slowest tempo, beats per minute.")
@click.option("--fastest", type=click.FloatRange(0, 1e9), help="Fastest tempo, beats per minute.")
@click.option("--key", "keys", multiple=True, help="Musical key such as 'A minor' or 'D# major'; repeatable.")
@click.option("--sort", type=click.Choice(get_args(SortOrder)), default="relevance", show_default=True, help="Order.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Hits to list.")
@click.option("--offset", type=click.IntRange(0, 100_000), default=0, help="Hits to leave out.")
@as_anyone
def search(client: Client, output: Output, text: tuple[str, ...], **given: Any) -> None:
    r"""Find what is offered, by words, facts, and what you may do with it.

    \b
    audiera search piano --purpose train-generative --free
    audiera search --kind sample --longest 2 --sort newest
    """
    if not given["purpose"] and (given["free_only"] or given["max_price"] is not None or given["sort"] == "price"):
        raise click.UsageError("a price belongs to a purpose: give --purpose too")
    if not given["purpose"] and given["commercial"]:
        raise click.UsageError("--commercial says how a purpose is meant: give --purpose too")
    lengths = _range(given, "shortest", "longest")
    tempos = _range(given, "slowest", "fastest")
    given["keys"] = tuple(map(parse_key_text, given["keys"]))
    fields = {name: value for name, value in given.items() if value is not None}
    page = client.search_page(text=" ".join(text), duration_ms=lengths, tempo_mbpm=tempos, **fields)
    columns = ["#number", "title", "artist", "kind", "#length", "#bpm", "key", "AI", "price"]
    rows = [_row(hit) for hit in page.hits]
    if not given["purpose"]:  # a price is the price of a use
        columns.pop()
        rows = [row[:-1] for row in rows]
    is_wide = text or given["purpose"] or given["kinds"] or given["keys"] or given["offset"]
    nothing = "nothing found; use fewer words or conditions" if is_wide else "nothing is offered here yet"
    output.table(page, columns, rows, empty=nothing)
    if page.hits:
        corrected = "; similar words too" if page.corrected else ""
        first = given["offset"] + 1
        output.say(f"\n{first} to {first + len(page.hits) - 1} of {page.total:,}{corrected}", style="dim")


def _range(given: dict[str, Any], least: str, most: str) -> Range:
    """Bounds in whole thousandths."""
    low, high = given.pop(least), given.pop(most)
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"--{least} {low:g} is more than --{most} {high:g}")
    return Range(low=None if low is None else round(low * 1_000), high=None if high is None else round(high * 1_000))


def _row(hit: Hit) -> tuple[object, ...]:
    price = f"{credits_text(hit.price)}/{hit.price_unit or 'call'}" if hit.price else "free"
    tempo = "-" if hit.tempo_mbpm is None else round(hit.tempo_mbpm / 1_000)
    title = hit.title or "(untitled)"
    return (
        hit.number,
        title if hit.status == "active" else f"{title} [{hit.status}]",
        hit.artist or "-",
        hit.kind,
        length_text(hit.duration_ms),
        tempo,
        key_text(hit.key) or "-",
        hit.contains_ai,
        price,
    )
