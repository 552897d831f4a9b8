"""Model calls: charged by the published price list, shared down the lineage."""

from msgspec.structs import replace

from audiera.protocol.accesses.rows import Array
from audiera.protocol.accesses.totals import use_list
from audiera.protocol.machine.step import NETWORK, Step, account_purse, grant_purse, model_purse
from audiera.protocol.records import AppKey, CallPrice, Grant, Model, Split
from audiera.protocol.records.money import MovementReason
from audiera.protocol.revenue import divide_by_splits, take_fees
from audiera.protocol.state import SessionState, number_key
from audiera.protocol.units import WHOLE

_DEEPEST = 8
"""How far down base models a payment is shared; what is left there stays with the developer."""


def call_charge(price: CallPrice, calls: int, audio_seconds: int) -> int:
    """What calls cost under a price list, microcredits; the gateway quotes and the machine charges by this."""
    return price.per_call * calls + price.per_audio_second * audio_seconds


def pay_calls(step: Step, grant: Grant, state: SessionState, payable: Array, uses: Array) -> int:
    """Charge a session's successful calls and share the revenue; returns how many calls were covered.

    The row's ``asset`` is the model and its ``units`` are started seconds of audio, in and out.
    """
    covered = [use for use in use_list(uses) if use[0] == grant.model]
    model = step.stage.model(grant.model)
    endpoint = step.stage.endpoint(grant.model)
    if not covered or model is None or endpoint is None or endpoint.node != step.signer:
        return 0
    key = step.stage.app_key(state.app_key) if state.app_key else None
    if key is not None and key.models and model.number not in key.models:
        return 0
    _, calls, seconds, size = covered[0]
    amount = min(call_charge(endpoint.price, calls, seconds), step.stage.balance(grant_purse(grant.number)))
    amount = _within_app_key(step, key, amount)
    if amount:
        _share_revenue(step, grant, model, amount)
    usage = step.stage.grant_usage(grant.number)
    used = replace(usage, accesses=usage.accesses + calls, bytes=usage.bytes + size, spent=usage.spent + amount)
    step.put(number_key(b"u", grant.number), used)
    return calls


def _within_app_key(step: Step, key: AppKey | None, amount: int) -> int:
    """Limit a charge to what the application key may still spend, and count it."""
    if key is None:
        return amount
    charged = min(amount, key.budget - key.spent)
    step.save(b"K", key.number, replace(key, spent=key.spent + charged))
    return charged


def _share_revenue(step: Step, grant: Grant, model: Model, amount: int) -> None:
    """Payer to network fee, node fee, base models, training pool, developer; what is rounded stays downstream."""
    purse = grant_purse(grant.number)
    params = step.params()
    fees = take_fees(amount, params.network_fee, params.node_fee)
    step.move(purse, NETWORK, fees.network, "network-fee", model.number, grant.grantee)
    step.move(purse, account_purse(step.signer), fees.node, "node-fee", model.number, grant.grantee)
    _pay_model(step, purse, model, fees.rest, grant.grantee, 0)


def _pay_model(step: Step, purse: str, model: Model, amount: int, payer: int, depth: int) -> None:
    rest = amount
    for base in model.base_models if depth < _DEEPEST else ():
        found = step.stage.model(base.model)
        share = amount * base.share // WHOLE
        if found is not None and share:
            _pay_model(step, purse, found, share, payer, depth + 1)
            rest -= share
    training = amount * model.training_share // WHOLE
    step.move(purse, model_purse(model.number), training, "training-share", model.number, payer)
    rest -= training
    splits = model.splits or (Split(account=model.developer, share=WHOLE),)
    for part in divide_by_splits(rest, splits, model.id):
        reason: MovementReason = "developer-share" if depth == 0 else "base-model-share"
        step.move(purse, account_purse(part.payee), part.amount, reason, model.number, payer)
