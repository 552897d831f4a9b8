"""What the ledger's state says about one access, and what it can cost; nothing here remembers anything."""

from collections.abc import Mapping
from typing import NamedTuple

from audiera.protocol.accesses import SessionOpen
from audiera.protocol.accesses.totals import covered_assets
from audiera.protocol.machine import call_charge
from audiera.protocol.records import AppKey, Grant, License, Price
from audiera.protocol.rights import Decision, Use, decide
from audiera.protocol.state import StateView
from audiera.protocol.units import I64_MAX

_MINUTE_MS = 60_000


class Decided(NamedTuple):
    """A decision about an asset, and how long it holds while the ledger stands still."""

    decision: Decision
    """Yes or no, with every reason."""

    revision: int
    """License revision it was taken under."""

    until: int
    """From this moment on it is to be taken anew."""


def use_of(opening: SessionOpen, grant: Grant) -> Use:
    """What every access of a session asks to do."""
    return Use(
        purpose=opening.purpose, commercial=grant.commercial, territory=grant.territory, account=opening.consumer
    )


def key_reasons(key: AppKey, asset: int, now: int) -> list[str]:
    """What speaks against an application key's use, whatever its grant says."""
    found = []
    if key.revoked or key.expires_at <= now:
        found.append("app-key-ended")
    if key.models and asset not in key.models:
        found.append("app-key-scope")
    return found


def decide_covered(
    opening: SessionOpen, coverage: Mapping[int, tuple[int, int]], view: StateView, grant: Grant, number: int, now: int
) -> Decided:
    """Decide about an asset by the terms that were agreed for it.

    Args:
        opening: the session's.
        coverage: asset -> (duration in milliseconds, index of the grant's terms).
        view: the committed state.
        grant: the session's.
        number: the asset.
        now: microseconds since 1970 UTC.
    """
    covered = coverage.get(number)
    asset = view.asset(number)
    if asset is None:
        return Decided(Decision(allowed=False, reasons=("asset-unknown",)), 0, I64_MAX)
    if covered is None:
        return Decided(Decision(allowed=False, reasons=("not-covered",)), 0, I64_MAX)
    terms = grant.terms[covered[1]]
    license_ = view.license(terms.license, terms.revision)
    if license_ is None:
        return Decided(Decision(allowed=False, reasons=("grant-other-license",)), terms.revision, I64_MAX)
    decision = decide(license_, grant, use_of(opening, grant), now)
    if asset.status != "active":
        against = tuple(reason for reason in decision.reasons if reason != "allowed")
        decision = Decision(allowed=False, reasons=(*against, f"asset-{asset.status}"), rule=decision.rule)
    return Decided(decision, terms.revision, _next_change(license_, grant, now))


def _next_change(license_: License, grant: Grant, now: int) -> int:
    """The first moment after now at which time alone may turn a decision."""
    moments = [grant.valid_from, grant.valid_until]
    for rule in license_.terms.rules:
        moments += [rule.valid_from, rule.valid_until]
    return min((moment for moment in moments if moment > now), default=I64_MAX)


def decide_model(view: StateView, grant: Grant, model: int, node: int) -> Decision:
    """Decide about a call of a model, which no license speaks of: the grant is for it, and it is offered here."""
    endpoint = view.endpoint(model)
    if grant.model != model:
        return Decision(allowed=False, reasons=("not-covered",))
    if endpoint is None or not endpoint.active or endpoint.node != node:
        return Decision(allowed=False, reasons=("model-inactive",))
    return Decision(allowed=True, reasons=("allowed",))


def access_price(price: Price | None, units: int) -> int:
    """What one access costs at the most; minutes are rounded up here and down on the ledger."""
    if price is None or price.unit == "flat":
        return 0
    return price.amount if price.unit == "access" else -(-price.amount * units // _MINUTE_MS)


def call_price(view: StateView, model: int, version: int, seconds: int) -> int:
    """What a call costs by a version of the model's price list."""
    known = view.price_list(model, version)
    return call_charge(known.price, 1, seconds) if known is not None else 0


def price_version(view: StateView, model: int) -> int:
    """The version of the price list in force; it is what a call's row has as its policy."""
    endpoint = view.endpoint(model)
    return endpoint.price.version if endpoint is not None else 0


def agreed_prices(view: StateView, number: int) -> dict[int, Price | None]:
    """Asset -> price per use, as a grant has agreed it."""
    grant = view.grant(number)
    if grant is None:
        return {}
    return {asset: grant.terms[term].price for asset, _, term in covered_assets(view.coverage(number))}
