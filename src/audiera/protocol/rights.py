"""The one decision about what may be done with an asset; chain, gate and catalog all call it.

Deny by default, unknown means deny, the most specific rule wins, among equals the stricter. The decision carries
every reason, so that a person can be told why.
"""

from typing import Final

from audiera.protocol.purposes import ASSET_PURPOSES, PURPOSES
from audiera.protocol.records.base import Record
from audiera.protocol.records.grant import Grant, GrantUsage
from audiera.protocol.records.license import WORLD, License, Rule

REASONS: Final[dict[str, str]] = {
    "allowed": "the license allows it",
    "unknown-purpose": "this purpose is not one a license can allow",
    "no-imitation": "the license excludes imitation of the artist",
    "no-rule": "the license says nothing about this purpose, so it is denied",
    "denied": "the license denies this purpose",
    "not-commercial": "the license allows this purpose only for non-commercial use",
    "territory": "the license does not cover this territory",
    "audience-verified": "the license is for verified accounts only",
    "audience-named": "the license is for named accounts only, and this is not one of them",
    "not-yet": "the license's rule for this purpose is not in force yet",
    "no-longer": "the license's rule for this purpose has ended",
    "asks-holder": "the license asks the holder first; request the grant and wait for an answer",
    "needs-grant": "this purpose needs a grant; ask for one first",
    "grant-requested": "the grant is requested, and the holder has not answered yet",
    "grant-offered": "the grant is offered and not yet agreed",
    "grant-declined": "the holder declined the grant",
    "grant-exhausted": "the grant is used up",
    "grant-expired": "the grant has expired",
    "grant-revoked": "the grant was revoked",
    "grant-not-yet": "the grant has not begun yet",
    "grant-other-account": "the grant belongs to another account",
    "grant-other-purpose": "the grant is for another purpose",
    "grant-not-commercial": "the grant is for non-commercial use only",
    "grant-territory": "the grant does not cover this territory",
    "grant-other-license": "the grant was not issued under this license and revision",
    "cap-accesses": "the grant's number of accesses is used up",
    "cap-bytes": "the grant's number of bytes is used up",
    "not-covered": "the grant does not cover this asset",
    "asset-contested": "the asset is contested, so it cannot be used until the dispute is decided",
    "asset-withdrawn": "the asset was withdrawn by its holder",
    "asset-unknown": "no such asset is registered",
    "needs-budget": "the license has a price per use; set a budget aside with the grant",
    "budget-used-up": "the grant's budget is used up",
    "price-too-high": "the flat price is higher than the stated maximum",
    "credit-window": "too many accesses without a signed watermark; sign one to go on",
    "app-key-ended": "the application key was revoked or has expired",
    "app-key-scope": "the application key is not for this model",
    "app-key-budget": "the application key's budget is used up",
    "key-removed": "the key that signed the session is no longer the account's; open a new one",
    "session-expired": "the session has expired; open a new one",
    "model-inactive": "the model is not offered at the moment",
}
"""Every reason code, and what it means to a person."""


class Use(Record, frozen=True, kw_only=True):
    """What someone asks to do."""

    purpose: str
    """One of the nine purposes; anything else is denied."""

    commercial: bool = False
    """Whether for commercial use."""

    territory: str = WORLD
    """Two-letter country, or ``*`` for everywhere at once."""

    account: int = 0
    """Who asks; 0 for a visitor without an account."""

    verified: bool = False
    """Whether somebody vouched for the account's identity."""

    accesses: int = 1
    """How many accesses are asked for."""

    bytes: int = 0
    """How many bytes are asked for."""


class Decision(Record, frozen=True, kw_only=True):
    """Yes or no, with every reason."""

    allowed: bool
    """Whether the use may happen."""

    reasons: tuple[str, ...]
    """Reason codes: ``("allowed",)`` or all that speak against it."""

    rule: Rule | None = None
    """The rule that decided, if one did."""

    def explain(self) -> str:
        """The reasons as one sentence for a person."""
        return "; ".join(REASONS.get(reason, reason) for reason in self.reasons)


def decide(license_: License, grant: Grant | None, use: Use, at: int, usage: GrantUsage | None = None) -> Decision:
    """Decide about one use of one asset under one license.

    Args:
        license_: the license in the revision the grant was issued under, or the current one.
        grant: the grant relied on; ``None`` asks whether a grant could be had without asking the holder.
        use: what is asked for, by whom, where.
        at: the moment, microseconds.
        usage: how much of the grant is used already; ``None`` when nothing is.

    Returns:
        Allowed, or refused with every reason that speaks against it.
    """
    if use.purpose not in ASSET_PURPOSES:
        return Decision(allowed=False, reasons=("unknown-purpose",))
    if use.purpose == "imitate" and license_.terms.no_imitation:
        return Decision(allowed=False, reasons=("no-imitation",))
    rule, against = _winning_rule(license_, use, at)
    if rule is None:
        return Decision(allowed=False, reasons=against)
    if rule.verdict == "deny":
        return Decision(allowed=False, reasons=("denied",), rule=rule)
    if grant is None:
        reasons: tuple[str, ...] = ("asks-holder",) if rule.audience == "request" else ()
    else:
        reasons = grant_reasons(license_, grant, use, at) + cap_reasons(grant, usage or GrantUsage(), use)
    return Decision(allowed=not reasons, reasons=reasons or ("allowed",), rule=rule)


def _winning_rule(license_: License, use: Use, at: int) -> tuple[Rule | None, tuple[str, ...]]:
    """The rule that speaks, or the reasons why none does."""
    winner: Rule | None = None
    against: list[str] = []
    for rule in license_.terms.rules:
        if rule.purpose != use.purpose:
            continue
        missing = _mismatches(rule, use, at)
        if missing:
            against.extend(reason for reason in missing if reason not in against)
        elif winner is None or _rank(rule) > _rank(winner):
            winner = rule
    return winner, tuple(against) or ("no-rule",)


def _mismatches(rule: Rule, use: Use, at: int) -> list[str]:
    """Why a rule does not speak about a use; a denial speaks wherever it touches the use at all."""
    missing: list[str] = []
    denies = rule.verdict == "deny"
    if use.commercial and not rule.commercial and not denies:
        missing.append("not-commercial")
    if not _covers_territory(rule, use.territory, denies):
        missing.append("territory")
    if rule.audience == "verified" and not use.verified:
        missing.append("audience-verified")
    if rule.audience == "named" and use.account not in rule.named:
        missing.append("audience-named")
    if at < rule.valid_from:
        missing.append("not-yet")
    if rule.valid_until and at >= rule.valid_until:
        missing.append("no-longer")
    return missing


def _covers_territory(rule: Rule, territory: str, denies: bool) -> bool:
    if WORLD in rule.territories:
        return True
    if territory == WORLD:
        return denies
    return territory in rule.territories


_AUDIENCE_RANK: Final = {"anyone": 0, "request": 0, "verified": 1, "named": 2}
_VERDICT_RANK: Final = {"allow": 0, "terms": 1, "deny": 2}


def _rank(rule: Rule) -> tuple[int, ...]:
    """Order of precedence: more specific first, then stricter."""
    return (
        _AUDIENCE_RANK[rule.audience],
        0 if WORLD in rule.territories else 1,
        _VERDICT_RANK[rule.verdict],
        1 if rule.audience == "request" else 0,
        rule.price.amount if rule.price is not None else 0,
        rule.revenue_share,
        len(rule.duties),
    )


def grant_reasons(license_: License, grant: Grant, use: Use, at: int) -> tuple[str, ...]:
    """Everything about the grant that speaks against the use; empty when nothing does."""
    found: list[str] = []
    agreed = any(terms.license == license_.number and terms.revision == license_.revision for terms in grant.terms)
    if not agreed:
        found.append("grant-other-license")
    return tuple(found) + standing_reasons(grant, use, at)


def standing_reasons(grant: Grant, use: Use, at: int) -> tuple[str, ...]:
    """What speaks against the use in the grant itself, whatever it covers; empty when nothing does."""
    found: list[str] = []
    if grant.status != "active":
        found.append(f"grant-{grant.status}")
    if grant.grantee != use.account:
        found.append("grant-other-account")
    if grant.purpose != use.purpose or use.purpose not in PURPOSES:
        found.append("grant-other-purpose")
    if use.commercial and not grant.commercial:
        found.append("grant-not-commercial")
    if WORLD not in (grant.territory,) and grant.territory != use.territory:
        found.append("grant-territory")
    if at < grant.valid_from:
        found.append("grant-not-yet")
    if grant.valid_until and at >= grant.valid_until and grant.status != "expired":
        found.append("grant-expired")
    return tuple(found)


def cap_reasons(grant: Grant, usage: GrantUsage, use: Use) -> tuple[str, ...]:
    """Which caps the use would exceed; empty when none."""
    found: list[str] = []
    if grant.caps.accesses and usage.accesses + use.accesses > grant.caps.accesses:
        found.append("cap-accesses")
    if grant.caps.bytes and usage.bytes + use.bytes > grant.caps.bytes:
        found.append("cap-bytes")
    return tuple(found)
