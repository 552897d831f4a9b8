"""Money in, money out, and money divided."""

from msgspec.structs import replace

from audiera.protocol.errors import ProofError, TransactionError
from audiera.protocol.machine.lineage import ordered_weights
from audiera.protocol.machine.step import (
    ISSUED,
    Step,
    account_purse,
    asset_purse,
    expect,
    found,
    model_purse,
    permit,
    settlement_purse,
)
from audiera.protocol.merkle import sum_root, verify_sum
from audiera.protocol.records import Asset, Genesis, Settlement
from audiera.protocol.records.base import require, require_digest, require_number, require_range, require_slug
from audiera.protocol.revenue import divide_by_splits, part_of
from audiera.protocol.state import number_key
from audiera.protocol.transactions import (
    ClaimPayouts,
    DepositCredits,
    SettlementClaim,
    SettlePool,
    WithdrawCredits,
)
from audiera.protocol.units import I64_MAX


def check_deposit_credits(body: DepositCredits) -> None:
    """What can be said of a deposit without the state."""
    require_range(body.amount, 1, 10**18, "amount")
    require_slug(body.rail, "rail")
    require_digest(body.reference, "reference")


def deposit_credits(step: Step, body: DepositCredits, genesis: Genesis) -> None:
    """Bring credits in; each reference of a rail counts once, and no purse ever holds more than 63 bits."""
    rails = [authority.rail for authority in genesis.authorities if authority.key == step.key]
    permit(body.rail in rails, f"this key is no settlement authority for {body.rail}")
    step.account(body.account)
    seen = b"f" + body.rail.encode("ascii") + b"/" + body.reference
    expect(step.stage.get(seen) is None, "this deposit was recorded before", "deposit_repeated")
    step.stage.put(seen, b"\x01")
    issued = body.amount - step.stage.balance(ISSUED)
    expect(issued <= I64_MAX, f"{issued} microcredits would exist, more than {I64_MAX}", "too_many_credits")
    step.move(ISSUED, account_purse(body.account), body.amount, "deposit", body.account, body.account)


def check_withdraw_credits(body: WithdrawCredits) -> None:
    """What can be said of a withdrawal without the state."""
    require_range(body.amount, 1, I64_MAX, "amount")
    require_slug(body.rail, "rail")


def withdraw_credits(step: Step, body: WithdrawCredits) -> None:
    """Take credits out; the rail's adapter pays what the ledger shows as withdrawn."""
    account = step.account(step.signer)
    expect(
        account.payout is not None and account.payout.rail == body.rail,
        f"account {account.number} has no payout address on {body.rail}; set one and wait 72 hours",
        "no_payout_address",
    )
    expect(
        account.payout is not None and account.payout.active_from <= step.time,
        "a new payout address waits out 72 hours",
        "too_early",
    )
    step.move(account_purse(account.number), ISSUED, body.amount, "withdrawal", account.number, account.number)


def settle_pool(step: Step, body: SettlePool) -> None:
    """Close a model's training pool for what it holds: amount, weights and order are fixed from here on."""
    model = found(step.stage.model(body.model), "model", body.model)
    amount = step.stage.balance(model_purse(model.number))
    expect(amount > 0, f"the training pool of model {model.number} is empty", "nothing_to_settle")
    leaves = ordered_weights(step.stage, model, step.seed)
    root, total = sum_root([(asset.to_bytes(8, "big"), weight) for asset, weight in leaves])
    number = step.assign_number()
    step.move(model_purse(model.number), settlement_purse(number), amount, "settlement", model.number)
    settlement = Settlement(
        number=number,
        model=model.number,
        amount=amount,
        total_weight=total,
        root=root,
        seed=step.seed,
        assets=len(leaves),
        settled_at=step.time,
    )
    step.save(b"t", number, settlement)


def check_claim_payouts(body: ClaimPayouts) -> None:
    """What can be said of claims without the state."""
    require(0 < len(body.assets) + len(body.settlements) <= 1_024, "1 to 1024 claims")
    require(list(body.assets) == sorted(dict.fromkeys(body.assets)), "assets are ascending, each once")
    for asset in body.assets:
        require_number(asset, "an asset")
    for claim in body.settlements:
        require_number(claim.settlement, "a settlement")
        require_number(claim.asset, "an asset")
        require(len(claim.path) <= 32, "a path has at most 32 siblings")


def claim_payouts(step: Step, body: ClaimPayouts) -> None:
    """Pay earnings out to the splits; anyone may ask, only the splits' accounts receive."""
    for number in body.assets:
        asset = step.asset(number)
        _pay_splits(step, asset, asset_purse(number), step.stage.balance(asset_purse(number)), number)
    for claim in body.settlements:
        _pay_claim(step, claim)


def _pay_claim(step: Step, claim: SettlementClaim) -> None:
    settlement = found(step.stage.settlement(claim.settlement), "settlement", claim.settlement)
    mark = number_key(b"T", claim.settlement, claim.asset)
    expect(
        step.stage.get(mark) is None,
        f"asset {claim.asset} was paid from settlement {claim.settlement}",
        "claimed_before",
    )
    leaf = claim.asset.to_bytes(8, "big")
    try:
        verify_sum(
            leaf,
            claim.weight,
            index=claim.index,
            count=settlement.assets,
            before=claim.before,
            path=claim.path,
            root=settlement.root,
            total=settlement.total_weight,
        )
    except ProofError as cause:
        raise TransactionError(f"the claim does not prove its part: {cause.message}", code="claim_unproved") from cause
    amount = part_of(settlement.amount, claim.before, claim.weight, settlement.total_weight)
    _pay_splits(step, step.asset(claim.asset), settlement_purse(settlement.number), amount, settlement.number)
    step.stage.put(mark, b"\x01")
    paid = replace(settlement, paid=settlement.paid + amount, claimed=settlement.claimed + 1)
    step.save(b"t", settlement.number, paid)


def _pay_splits(step: Step, asset: Asset, purse: str, amount: int, reference: int) -> None:
    """Divide an amount by an asset's splits; while it is disputed, withdrawn or not, its money waits where it is."""
    waits = asset.status == "contested" or step.stage.open_dispute(asset.number) is not None
    expect(not waits, f"asset {asset.number} is contested; its earnings wait for the decision")
    if amount == 0:
        return
    for part in divide_by_splits(amount, asset.splits, asset.id):
        step.move(purse, account_purse(part.payee), part.amount, "payout", reference)
