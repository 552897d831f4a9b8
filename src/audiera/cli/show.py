"""``audiera show``: an asset as a terminal can show it."""

import click

from audiera.cli.options import as_visitor
from audiera.cli.output import Output, length_text, moment_text, size_text, spark
from audiera.cli.words import ACCESS_COLUMNS, access_row, terms_rows
from audiera.protocol.api.assets import AssetAnswer
from audiera.protocol.errors import NotFound
from audiera.sdk import Client


@click.command()
@click.argument("ref")
@as_visitor
def show(client: Client, output: Output, ref: str) -> None:
    """Show an asset: its outline, facts, terms in plain words, and who used it.

    REF is its number, its id, or the id of its bytes.
    """
    answer = client.asset(ref)
    if output.is_json:
        output.give(answer)
        return
    try:
        outline = client.waveform(ref)
        output.console.print(spark(outline.low, outline.high), style="cyan")
    except NotFound:
        output.console.print("(no outline is kept at this node)", style="dim")
    output.facts(answer, _facts(answer))
    output.console.print()
    output.table(answer, ("may I", "the license says"), terms_rows(answer.license.terms), empty="nothing is allowed")
    history = client.asset_history(ref, limit=8)
    output.console.print()
    rows = (access_row(access) for access in history.accesses)
    output.table(history, ACCESS_COLUMNS, rows, empty="nobody has used it yet")
    if history.total > len(history.accesses):
        output.console.print(f"... and {history.total - len(history.accesses):,} earlier ones", style="dim")


def _facts(answer: AssetAnswer) -> dict[str, object]:
    record, sheet = answer.asset, answer.sheet
    content, technical = record.content, record.content.technical
    loudness = technical.loudness_mlufs
    facts: dict[str, object] = {
        "title": sheet.title if sheet is not None else "(its description was erased)",
        "artist": sheet.artist if sheet is not None else "",
        "what": f"{content.data_type}, {length_text(technical.duration_ms)}, {size_text(content.size)}",
        "sound": f"{technical.codec} in {technical.container}, {technical.sample_rate} Hz, "
        f"{technical.channels} channel{'s' if technical.channels > 1 else ''}",
        "loudness": ""
        if loudness is None
        else f"{loudness / 1_000:.1f} LUFS, peak {technical.peak_mdb / 1_000:.1f} dB",
        "made by AI": content.contains_ai,
    }
    for estimate in content.estimates:
        name, value = estimate.name, estimate.value
        if name == "tempo_mbpm" and value.isdecimal():
            name, value = "tempo", f"{int(value) / 1_000:.1f} BPM"
        facts[name.replace("_", " ")] = f"{value} (estimated, {estimate.confidence / 100:.0f} % sure)"
    facts |= {
        "status": record.status,
        "number": record.number,
        "holder": f"account {record.holder}",
        "paid to": ", ".join(f"account {split.account} {split.share / 100:g} %" for split in record.splits),
        "registered": moment_text(record.registered_at),
        "license": f"{record.license}, revision {answer.license.revision}",
        "bytes": answer.blob,
    }
    return facts
