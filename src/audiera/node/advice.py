"""May I: what the licenses in force say about a use, before anybody asks for a grant."""

from audiera.protocol.api.access import AssetDecision, DecisionAnswer, DecisionRequest, PriceEstimate
from audiera.protocol.errors import NotFound, RequestError
from audiera.protocol.records import Asset, Price
from audiera.protocol.rights import REASONS, Decision, Use, decide
from audiera.protocol.state import StateView
from audiera.protocol.units import U64_MAX

MOST_ASSETS = 1_000
"""How many assets may be asked about at once; a snapshot may have more."""

_MINUTE_MS = 60_000


def advise(state: StateView, request: DecisionRequest, *, account: int, now: int, height: int) -> DecisionAnswer:
    """The answer to a question about a use.

    Args:
        state: the committed state.
        request: the question.
        account: who asks; 0 for a visitor.
        now: the moment, microseconds.
        height: the state's block.

    Raises:
        RequestError: not exactly one of assets and snapshot is named, or too many assets.
        NotFound: there is no such snapshot.
    """
    use = Use(
        purpose=request.purpose,
        commercial=request.commercial,
        territory=request.territory,
        account=account,
    )
    decisions: list[AssetDecision] = []
    flat = once = 0
    for number in _asked(state, request):
        asset = state.asset(number) if is_number(number) else None
        decision = _decide(state, asset, use, now)
        decisions.append(_described(state, number, asset, decision))
        if decision.allowed and asset is not None and decision.rule is not None:
            price = decision.rule.price
            flat += price.amount if price is not None and price.unit == "flat" else 0
            once += _once(price, asset.content.technical.duration_ms)
    return DecisionAnswer(
        allowed=all(decision.allowed for decision in decisions),
        decisions=tuple(decisions),
        price=PriceEstimate(flat=flat, once=once),
        height=height,
    )


def is_number(value: int) -> bool:
    """Whether it can be a ledger number: what is asked in a body has no bounds of its own."""
    return 1 <= value <= U64_MAX


def _asked(state: StateView, request: DecisionRequest) -> tuple[int, ...]:
    if bool(request.assets) == bool(request.snapshot):
        raise RequestError("name either assets or a snapshot", code="body_invalid")
    if request.snapshot:
        snapshot = state.snapshot(request.snapshot) if is_number(request.snapshot) else None
        if snapshot is None:
            raise NotFound(f"there is no snapshot {request.snapshot}", code="snapshot_not_found")
        return snapshot.assets
    if len(request.assets) > MOST_ASSETS:
        raise RequestError(f"at most {MOST_ASSETS} assets at once, got {len(request.assets)}", code="body_invalid")
    return request.assets


def _decide(state: StateView, asset: Asset | None, use: Use, now: int) -> Decision:
    license_ = state.license(asset.license) if asset is not None else None
    if asset is None or license_ is None:
        return Decision(allowed=False, reasons=("asset-unknown",))
    decision = decide(license_, None, use, now)
    if asset.status == "active":
        return decision
    against = tuple(reason for reason in decision.reasons if reason != "allowed")
    return Decision(allowed=False, reasons=(*against, f"asset-{asset.status}"), rule=decision.rule)


def _described(state: StateView, number: int, asset: Asset | None, decision: Decision) -> AssetDecision:
    license_ = state.license(asset.license) if asset is not None else None
    rule = decision.rule
    return AssetDecision(
        asset=number,
        allowed=decision.allowed,
        reasons=decision.reasons,
        explanation="; ".join(REASONS.get(reason, reason) for reason in decision.reasons),
        license=license_.number if license_ is not None else 0,
        revision=license_.revision if license_ is not None else 0,
        price=rule.price if rule is not None else None,
        revenue_share=rule.revenue_share if rule is not None else 0,
        duties=rule.duties if rule is not None else (),
    )


def _once(price: Price | None, duration_ms: int) -> int:
    """What opening the whole once draws from a budget, rounded up as the gate reserves it."""
    if price is None or price.unit == "flat":
        return 0
    return price.amount if price.unit == "access" else -(-price.amount * duration_ms // _MINUTE_MS)
