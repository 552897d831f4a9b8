"""``audiera license``: terms, ready-made or from a file."""

from pathlib import Path
from typing import get_args

import click
import msgspec

from audiera.cli.options import CREDITS, as_account, as_visitor
from audiera.cli.output import Output, moment_text
from audiera.cli.words import terms_rows
from audiera.protocol.errors import RequestError
from audiera.protocol.records import Terms
from audiera.protocol.records.license import check_terms
from audiera.sdk import Client, preset
from audiera.sdk.offers import Preset

PRESETS: tuple[Preset, ...] = get_args(Preset)


@click.group("license")
def license_() -> None:
    """Terms under which music is offered: what is not said is denied."""


@license_.command()
@click.option("--preset", "name", type=click.Choice(PRESETS), help="Ready-made terms.")
@click.option("--price", type=CREDITS, default="0", help="Credits for each access, with the preset commercial.")
@click.option("--revenue-share", type=click.IntRange(0, 10_000), default=0, help="Basis points of a model's revenue.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Terms as JSON.")
@click.option("--revise", type=int, help="Publish it as the new text of this license.")
@as_account
def publish(
    client: Client,
    output: Output,
    name: Preset | None,
    price: int,
    revenue_share: int,
    file: Path | None,
    revise: int | None,
) -> None:
    """Publish terms; what comes back is their number."""
    if (name is None) == (file is None):
        raise click.UsageError("give either --preset or --file")
    terms = read_terms(file) if file is not None else preset(name or "open", price=price, revenue_share=revenue_share)
    if revise is not None:
        client.revise_license(revise, terms)
        output.give({"license": revise}, f"license {revise} has a new text; grants already issued keep theirs")
        return
    number = client.publish_license(terms)
    output.give({"license": number}, f"license {number}")


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
    if not output.is_json:
        output.console.print(
            f"license {number}, revision {record.revision}, of account {record.holder}, "
            f"{moment_text(record.published_at)}\n"
        )
    output.table(answer, ("may I", "the license says"), terms_rows(record.terms), empty="it allows nothing")
