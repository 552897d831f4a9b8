"""``audiera license``: terms, ready-made or from a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import click
import msgspec

from audiera.cli.options import CREDITS, as_account, as_visitor
from audiera.cli.output import Output, moment_text
from audiera.cli.words import terms_rows
from audiera.protocol.errors import RequestError
from audiera.protocol.records import Terms
from audiera.protocol.records.license import check_terms
from audiera.sdk.client import Client
from audiera.sdk.offers import PRESET_WORDS, Preset, preset

PRESETS: tuple[Preset, ...] = get_args(Preset)
PRESET_HELP = "\n\n".join(f"{name}: {words}." for name, words in PRESET_WORDS.items())
"""What each preset allows, a paragraph each."""

R = TypeVar("R")


def preset_options(help_: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """The options that name ready-made terms."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        for option in (
            click.option(
                "--revenue-share",
                type=click.IntRange(0, 10_000),
                default=0,
                help="Basis points of a model's revenue (2000 is 20 %), with the preset commercial.",
            ),
            click.option("--price", type=CREDITS, default="0", help="Credits for each access, with the same preset."),
            click.option("--preset", "preset_name", type=click.Choice(PRESETS), help=help_),
        ):
            function = option(function)
        return function

    return decorate


def preset_terms(name: Preset, price: int, revenue_share: int) -> Terms:
    """Ready-made terms.

    Raises:
        UsageError: a price is missing, or given for terms that have none.
    """
    if name == "commercial" and not price and not revenue_share:
        raise click.UsageError("--preset commercial needs a --price, a --revenue-share, or both")
    if name != "commercial" and (price or revenue_share):
        raise click.UsageError(f"--price and --revenue-share belong to --preset commercial, not to {name}")
    return preset(name, price=price, revenue_share=revenue_share)


@click.group("license")
def license_() -> None:
    """Terms under which music is offered: what is not said is denied."""


@license_.command(epilog=PRESET_HELP)
@preset_options("Ready-made terms; see below.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Terms as JSON.")
@click.option("--revise", type=int, help="Publish it as the new text of this license.")
@as_account
def publish(
    client: Client,
    output: Output,
    preset_name: Preset | None,
    price: int,
    revenue_share: int,
    file: Path | None,
    revise: int | None,
) -> None:
    """Publish terms; what comes back is their number."""
    if file is not None and preset_name is None and not price and not revenue_share:
        terms = read_terms(file)
    elif preset_name is not None and file is None:
        terms = preset_terms(preset_name, price, revenue_share)
    else:
        raise click.UsageError("give either --preset, with its options, or --file")
    if revise is not None:
        client.revise_license(revise, terms)
        output.give({"license": revise}, f"license {revise} has a new text; grants already issued keep theirs")
        return
    number = client.publish_license(terms)
    output.give({"license": number}, f"license {number}")
    output.hint(f"offer something under it with: audiera upload FOLDER --license {number}")


def read_terms(file: Path) -> Terms:
    """Terms from a JSON file.

    Raises:
        RequestError: it holds no terms; the message says where.
        RecordError: the terms break a rule.
    """
    try:
        terms = msgspec.json.decode(file.read_bytes(), type=Terms)
    except msgspec.DecodeError as cause:
        raise RequestError(f"{file.name} holds no terms: {cause}", code="terms_invalid") from cause
    check_terms(terms)
    return terms


@license_.command()
@click.argument("number", type=int)
@as_visitor
def show(client: Client, output: Output, number: int) -> None:
    """Say what a license allows, in plain words."""
    answer = client.license(number)
    record = answer.license
    output.say(
        f"license {number}, revision {record.revision}, of account {record.holder}, "
        f"{moment_text(record.published_at)} UTC\n"
    )
    output.table(answer, ("may I", "the license says"), terms_rows(record.terms), empty="it allows nothing")
