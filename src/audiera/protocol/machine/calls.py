"""Model calls: charged by the published price list, shared down the lineage."""

from typing import NamedTuple

from msgspec.structs import replace

from audiera.protocol.accesses.rows import Array
from audiera.protocol.accesses.totals import unique_values, use_list, uses_of
from audiera.protocol.machine.step import NETWORK, Step, account_purse, found, grant_purse, model_purse
from audiera.protocol.records import AppKey, CallPrice, Grant, Model, Split
from audiera.protocol.records.money import MovementReason
from audiera.protocol.revenue import divide_by_splits, take_fees
from audiera.protocol.state import SessionState
from audiera.protocol.units import WHOLE

_DEEPEST = 8
"""How far down base models a payment is shared; what is left there stays with the models it reached."""


def call_charge(price: CallPrice, calls: int, audio_seconds: int) -> int:
    """What calls cost under a price list, microcredits; the gateway quotes and the machine charges by this."""
    return price.per_call * calls + price.per_audio_second * audio_seconds


class _Called(NamedTuple):
    """What a session's calls come to."""

    calls: int
    """How many."""

    bytes: int
    """Bytes of their answers."""

    amount: int
    """Microcredits they cost."""


def pay_calls(step: Step, grant: Grant, state: SessionState, payable: Array, until: int, since: int) -> int:
    """Charge a session's successful calls and share the revenue; returns how many calls were covered.

    The row's ``asset`` is the model, its ``units`` are started seconds of audio, in and out, and its ``policy`` is the
    version of the price list the call was quoted by: a list that ended charges the calls made before it did.

    Args:
        step: the transaction at work.
        grant: what the session runs under.
        state: the session.
        payable: its rows that released something.
        until: rows at this moment or later are left out; 0 for no end.
        since: rows earlier than this moment are left out.
    """
    model = step.stage.model(grant.model)
    endpoint = step.stage.endpoint(grant.model)
    if model is None or endpoint is None or endpoint.node != step.signer:
        return 0
    key = step.stage.app_key(state.app_key) if state.app_key else None
    if key is not None and key.models and model.number not in key.models:
        return 0
    called = _called(step, grant.model, payable, _earlier(until, _end_of(key)), since)
    if not called.calls:
        return 0
    amount = min(called.amount, step.stage.balance(grant_purse(grant.number)))
    amount = _within_app_key(step, key, amount)
    if amount:
        _share_revenue(step, grant, model, amount)
    step.count_use(grant.number, accesses=called.calls, size=called.bytes, spent=amount)
    return called.calls


def _end_of(key: AppKey | None) -> int:
    """The moment from which an application key pays for no call; 0 without a key, as without an end."""
    return 0 if key is None else _earlier(key.expires_at, key.revoked_at)


def _earlier(one: int, other: int) -> int:
    """The earlier of two ends, where 0 means none."""
    return min(one or other, other or one)


def _called(step: Step, model: int, payable: Array, until: int, since: int) -> _Called:
    """Sum up the calls by the price list each was quoted by; calls quoted by no list are not covered."""
    calls = size = amount = 0
    for version in unique_values(payable["policy"]):
        known = step.stage.price_list(model, version)
        if known is None:
            continue
        ends = known.ended_at + step.params().row_lag_us if known.ended_at else 0
        uses = uses_of(payable.compress(payable["policy"] == version), _earlier(until, ends), since)
        for asset, count, seconds, bytes_ in use_list(uses):
            if asset == model:
                calls += count
                size += bytes_
                amount += call_charge(known.price, count, seconds)
    return _Called(calls, size, amount)


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
    _pay_lineage(step, purse, model.number, fees.rest, grant.grantee)


def _pay_lineage(step: Step, purse: str, model: int, amount: int, payer: int) -> None:
    """Share an amount level by level; a model that several others stand on is paid once a level, not once a path."""
    level = {model: amount}
    for depth in range(_DEEPEST + 1):
        below: dict[int, int] = {}
        for number in sorted(level):
            reached, rest = found(step.stage.model(number), "model", number), level[number]
            for base in reached.base_models if depth < _DEEPEST else ():
                share = level[number] * base.share // WHOLE
                below[base.model] = below.get(base.model, 0) + share
                rest -= share
            training = level[number] * reached.training_share // WHOLE
            step.move(purse, model_purse(number), training, "training-share", number, payer)
            _pay_developer(step, purse, reached, rest - training, payer, depth)
        level = {number: part for number, part in below.items() if part}


def _pay_developer(step: Step, purse: str, model: Model, amount: int, payer: int, depth: int) -> None:
    reason: MovementReason = "developer-share" if depth == 0 else "base-model-share"
    splits = model.splits or (Split(account=model.developer, share=WHOLE),)
    for part in divide_by_splits(amount, splits, model.id):
        step.move(purse, account_purse(part.payee), part.amount, reason, model.number, payer)
