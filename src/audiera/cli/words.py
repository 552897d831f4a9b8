"""Licenses, decisions and accesses in plain words."""

from audiera.cli.output import credits_text, moment_text
from audiera.protocol.api.usage import Access
from audiera.protocol.purposes import ASSET_PURPOSES, Purpose
from audiera.protocol.records import Price, Rule, Terms

PURPOSE_WORDS: dict[Purpose, str] = {
    "preview": "listen to decide",
    "evaluate": "evaluate",
    "index": "embed and search",
    "train-analytic": "train recognition and recommendation",
    "train-generative": "train generation",
    "imitate": "imitate the artist",
    "condition": "feed to a model at run time",
    "use-in-work": "use in a work",
    "perform": "play to an audience",
    "call-model": "call the model",
}

_UNITS = {"access": "each time", "minute": "per minute", "flat": "once"}
_OPERATIONS = {
    "whole": "streamed it whole",
    "range": "streamed a part",
    "shard": "streamed a shard",
    "call": "called the model",
    "preview": "listened to the preview",
    "refusal": "was refused",
}


def price_text(price: Price | None) -> str:
    """A price in words."""
    return "free" if price is None else f"{credits_text(price.amount)} credits {_UNITS[price.unit]}"


def rule_text(rule: Rule) -> str:
    """A rule in one line, without its purpose."""
    if rule.verdict == "deny":
        return "no"
    parts = ["yes", "commercial too" if rule.commercial else "not commercially"]
    if rule.verdict == "terms":
        parts.append(price_text(rule.price))
        if rule.revenue_share:
            parts.append(f"{rule.revenue_share / 100:g} % of a model's revenue")
    if rule.audience != "anyone":
        parts.append(
            {"verified": "verified accounts", "named": "named accounts", "request": "on request"}[rule.audience]
        )
    if rule.territories != ("*",):
        parts.append("in " + ", ".join(rule.territories))
    if rule.valid_from:
        parts.append(f"from {moment_text(rule.valid_from)}")
    if rule.valid_until:
        parts.append(f"until {moment_text(rule.valid_until)}")
    parts += [duty.replace("-", " ") for duty in rule.duties]
    return ", ".join(parts)


def terms_rows(terms: Terms) -> list[tuple[str, str]]:
    """What each purpose may be done under terms; what is not said is denied."""
    rows: list[tuple[str, str]] = []
    for purpose in ASSET_PURPOSES:
        rules = [rule for rule in terms.rules if rule.purpose == purpose]
        if purpose == "imitate" and terms.no_imitation:
            rules = []
        said = "; or ".join(rule_text(rule) for rule in rules) or "no"
        rows.append((PURPOSE_WORDS[purpose], said))
    return rows


def access_row(access: Access) -> tuple[object, ...]:
    """An access as a row: when, who, what for, what, how much."""
    what = _OPERATIONS[access.op] + (f" ({access.units} times)" if access.op == "refusal" and access.units > 1 else "")
    who = f"account {access.consumer}" if access.consumer else "a visitor"
    record = f"{access.node}/{access.node_index}"
    return (moment_text(access.time), who, access.purpose, what, f"{access.bytes:,}", access.grant or "-", record)


def key_text(key: str) -> str:
    """A musical key as musicians write it: ``D# major``."""
    return key.replace("s-", "# ", 1).replace("-", " ", 1)


def parse_key_text(text: str) -> str:
    """A musical key as the catalog writes it, from ``D# major``, ``d#-major`` or ``Eb major``; other text as it is."""
    tonic, _, mode = text.strip().replace("-", " ").partition(" ")
    tonic = _FLATS.get(tonic.capitalize(), tonic.capitalize())
    return f"{tonic.replace('#', 's')}-{mode.strip().lower()}" if mode else text


_FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#", "Cb": "B", "Fb": "E"}

ACCESS_COLUMNS = ("when (UTC)", "who", "purpose", "what", "#bytes", "#grant", "#record")
