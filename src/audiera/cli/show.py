"""``audiera show``: an asset as a terminal can show it."""

import click

from audiera.cli.options import as_visitor
from audiera.cli.output import Output, counted, length_text, moment_text, size_text, spark
from audiera.cli.words import ACCESS_COLUMNS, access_row, key_text, terms_rows
from audiera.protocol.api.assets import AssetAnswer
from audiera.protocol.errors import NotFound
from audiera.protocol.records.asset import Estimate
from audiera.sdk.client import Client


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
        output.say(spark(outline.low, outline.high), style="cyan")
    except NotFound:
        output.say("(no outline is kept at this node)", style="dim")
    output.facts(answer, _facts(answer))
    output.say("")
    status = _STATUS.get(answer.asset.status)
    if status:
        output.say(f"{status}\n", style="bold red")
    output.table(answer, ("may I", "the license says"), terms_rows(answer.license.terms), empty="nothing is allowed")
    history = client.asset_history(ref, limit=8)
    output.say("")
    rows = (access_row(access) for access in history.accesses)
    output.table(history, ACCESS_COLUMNS, rows, empty="nobody has used it yet")
    if history.total > len(history.accesses):
        earlier = history.total - len(history.accesses)
        output.say(f"... and {earlier:,} before: audiera history asset {answer.asset.number}", style="dim")


_STATUS = {
    "withdrawn": "It was withdrawn: nothing new may be done with it, whatever its license says.",
    "contested": "It is contested: it cannot be used until the dispute is decided, whatever its license says.",
}


def _estimate(estimate: Estimate) -> tuple[str, str]:
    """Name and value of an estimate, as people write them."""
    if estimate.name == "tempo_mbpm" and estimate.value.isdecimal():
        return "tempo", f"{int(estimate.value) / 1_000:.1f} BPM"
    if estimate.name == "key":
        return "key", key_text(estimate.value)
    if estimate.name.endswith("_hz"):
        return estimate.name.removesuffix("_hz").replace("_", " "), f"{estimate.value} Hz"
    return estimate.name.replace("_", " "), estimate.value


def _facts(answer: AssetAnswer) -> dict[str, object]:
    record, sheet = answer.asset, answer.sheet
    content, technical = record.content, record.content.technical
    loudness = technical.loudness_mlufs
    facts: dict[str, object] = {
        "title": sheet.title if sheet is not None else "(its description was erased)",
        "artist": sheet.artist if sheet is not None else "",
        "what": f"{content.data_type}, {length_text(technical.duration_ms)}, {size_text(content.size)}",
        "sound": f"{technical.codec} in {technical.container}, {technical.sample_rate:,} Hz, "
        + counted(technical.channels, "channel"),
        "loudness": ""
        if loudness is None
        else f"{loudness / 1_000:.1f} LUFS, peak {technical.peak_mdb / 1_000:.1f} dB",
        "made by AI": content.contains_ai,
    }
    for estimate in content.estimates:
        name, value = _estimate(estimate)
        facts[name] = f"{value} (estimated, {estimate.confidence / 100:.0f} % sure)"
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
