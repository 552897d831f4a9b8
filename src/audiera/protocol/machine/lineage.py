"""The weights by which a model's training data is paid: computed from the access log, never declared."""

from audiera.protocol.accesses.totals import shares_of
from audiera.protocol.machine.step import found
from audiera.protocol.merkle import sum_path
from audiera.protocol.records import Model, Run, Settlement
from audiera.protocol.revenue import payee_order
from audiera.protocol.state import StateView
from audiera.protocol.transactions import SettlementClaim


def run_weights(view: StateView, run: Run) -> list[tuple[int, int]]:
    """Each opened asset's weight in a run: milliseconds opened times its license's weight.

    Returns:
        (asset, weight) ascending by asset; weights may be 0 for an asset opened for no time.
    """
    opened = [(asset, use.audio_ms) for asset, use in view.run_uses(run.number)]
    if not opened:
        return []
    shares = shares_of([asset for asset, _ in opened], [_covered_weights(view, number) for number in run.grants])
    return [(asset, audio_ms * share) for (asset, audio_ms), share in zip(opened, shares, strict=True)]


def _covered_weights(view: StateView, number: int) -> tuple[bytes, list[int]]:
    """A grant's packed coverage, and the license weight of each of its terms."""
    terms = found(view.grant(number), "grant", number).terms
    licenses = [found(view.license(agreed.license, agreed.revision), "license", agreed.license) for agreed in terms]
    return view.coverage(number), [license_.terms.share_weight for license_ in licenses]


def model_weights(view: StateView, model: Model) -> list[tuple[int, int]]:
    """Each asset's weight in a model's lineage, summed over its runs, ascending by asset, none of them 0."""
    weights: dict[int, int] = {}
    for number in model.runs:
        for asset, weight in run_weights(view, found(view.run(number), "run", number)):
            weights[asset] = weights.get(asset, 0) + weight
    return [(asset, weights[asset]) for asset in sorted(weights) if weights[asset]]


def ordered_weights(view: StateView, model: Model, seed: bytes) -> list[tuple[int, int]]:
    """A model's weights in the order a settlement's seed gives."""
    weights = dict(model_weights(view, model))
    return [(asset, weights[asset]) for asset in payee_order(seed, weights)]


def settlement_claims(view: StateView, settlement: Settlement) -> list[SettlementClaim]:
    """Every payee's claim on a settlement, with its proof."""
    model = found(view.model(settlement.model), "model", settlement.model)
    leaves = ordered_weights(view, model, settlement.seed)
    named = [(asset.to_bytes(8, "big"), weight) for asset, weight in leaves]
    claims: list[SettlementClaim] = []
    before = 0
    for index, (asset, weight) in enumerate(leaves):
        claims.append(
            SettlementClaim(
                settlement=settlement.number,
                asset=asset,
                weight=weight,
                before=before,
                index=index,
                path=tuple(sum_path(named, index)),
            )
        )
        before += weight
    return claims
