"""Grants: decided by the licenses, paid for, answered, revoked, ended."""

from typing import NamedTuple

from msgspec.structs import replace

from audiera.protocol.accesses.totals import covered_assets, pack_coverage
from audiera.protocol.errors import TransactionError
from audiera.protocol.machine.step import (
    NETWORK,
    Step,
    account_purse,
    asset_purse,
    expect,
    found,
    grant_purse,
    permit,
)
from audiera.protocol.purposes import PURPOSES
from audiera.protocol.records import AgreedTerms, Asset, Caps, Grant, License, Rule
from audiera.protocol.records.base import require, require_number, require_range
from audiera.protocol.records.license import WORLD, is_country
from audiera.protocol.revenue import allocate, take_fees
from audiera.protocol.rights import REASONS, Use, decide
from audiera.protocol.state import number_key
from audiera.protocol.transactions import AnswerGrant, IssueGrant, ReturnBudget, RevokeGrant
from audiera.protocol.units import I64_MAX


def check_issue_grant(body: IssueGrant) -> None:
    """What can be said of a request without the state."""
    named = (len(body.assets) > 0) + (body.snapshot > 0) + (body.model > 0)
    require(named == 1, "exactly one of assets, snapshot and model is named")
    require(len(body.assets) <= 4_096, f"at most 4096 assets, got {len(body.assets)}; publish a snapshot instead")
    require(list(body.assets) == sorted(dict.fromkeys(body.assets)), "assets are ascending, each once")
    for asset in body.assets:
        require_number(asset, "an asset")
    require(body.purpose in PURPOSES, "an unknown purpose")
    calls = body.purpose == "call-model"
    require(calls == (body.model > 0), "a model is granted for call-model, everything else for its own purposes")
    require(body.territory == WORLD or is_country(body.territory), "territory is * or two capital letters")
    for name, value in (
        ("valid_until", body.valid_until),
        ("budget", body.budget),
        ("max_price", body.max_price),
    ):
        require_range(value, 0, I64_MAX, name)


class _Agreement(NamedTuple):
    """What the licenses of all covered assets come to."""

    terms: tuple[AgreedTerms, ...]
    caps: Caps
    valid_until: int
    flat: tuple[tuple[int, int], ...]
    awaiting: tuple[int, ...]


def issue_grant(step: Step, body: IssueGrant) -> None:
    """Decide about a request and issue the grant, or refuse it with every reason.

    1. Every covered asset is active and its license allows the use.
    2. Flat prices are paid, budgets set aside; both from the grantee's purse.
    3. Licenses that ask the holder leave the grant requested until all holders answered.
    """
    grantee = step.account(step.signer)
    expect(body.valid_until == 0 or body.valid_until > step.time, "a grant ends in the future", "already_expired")
    if body.model:
        _issue_model_grant(step, body)
        return
    assets = _covered_assets(step, body)
    agreement = _agree(step, body, assets)
    price = sum(amount for _, amount in agreement.flat)
    if price > body.max_price:
        raise TransactionError(
            f"the flat prices come to {price} microcredits and at most {body.max_price} were offered; raise max_price",
            code="price_too_high",
            reasons=("price-too-high",),
            price=price,
        )
    grant = Grant(
        number=step.assign_number(),
        id=step.transaction,
        grantee=grantee.number,
        purpose=body.purpose,
        commercial=body.commercial,
        territory=body.territory,
        assets=body.assets,
        snapshot=body.snapshot,
        terms=agreement.terms,
        caps=agreement.caps,
        status="requested" if agreement.awaiting else "active",
        valid_from=step.time,
        valid_until=agreement.valid_until,
        paid=price,
        budget=body.budget,
        awaiting=agreement.awaiting,
    )
    purse = account_purse(grantee.number)
    step.move(purse, grant_purse(grant.number), body.budget, "grant-budget", grant.number, grantee.number)
    step.move(purse, grant_purse(grant.number), price, "grant-price", grant.number, grantee.number)
    step.save(b"g", grant.number, grant)
    _fix_coverage(step, grant, assets)
    if not agreement.awaiting:
        _pay_flat(step, grant, agreement.flat)


def _fix_coverage(step: Step, grant: Grant, assets: list[Asset]) -> None:
    """Fix which assets the grant covers and under which of its terms, whatever their licenses become."""
    places = {terms.license: place for place, terms in enumerate(grant.terms)}
    covered = [(asset.number, asset.content.technical.duration_ms, places[asset.license]) for asset in assets]
    step.stage.put(number_key(b"G", grant.number), pack_coverage(covered))


def _issue_model_grant(step: Step, body: IssueGrant) -> None:
    found(step.stage.model(body.model), "model", body.model)
    endpoint = found(step.stage.endpoint(body.model), "endpoint of model", body.model)
    expect(endpoint.active, REASONS["model-inactive"], "access_refused")
    grant = Grant(
        number=step.assign_number(),
        id=step.transaction,
        grantee=step.signer,
        purpose=body.purpose,
        commercial=body.commercial,
        territory=body.territory,
        model=body.model,
        valid_from=step.time,
        valid_until=body.valid_until,
        budget=body.budget,
    )
    purse = account_purse(step.signer)
    step.move(purse, grant_purse(grant.number), body.budget, "grant-budget", grant.number, step.signer)
    step.save(b"g", grant.number, grant)


def _covered_assets(step: Step, body: IssueGrant) -> list[Asset]:
    numbers = body.assets
    if body.snapshot:
        numbers = found(step.stage.snapshot(body.snapshot), "snapshot", body.snapshot).assets
    return [step.asset(number) for number in numbers]


def _agree(step: Step, body: IssueGrant, assets: list[Asset]) -> _Agreement:
    """Ask every license once; refuse with the reasons of all assets that object."""
    use = Use(purpose=body.purpose, commercial=body.commercial, territory=body.territory, account=step.signer)
    rules: dict[int, tuple[License, Rule | None, tuple[str, ...]]] = {}
    objections: list[tuple[int, tuple[str, ...]]] = []
    awaiting: list[int] = []
    flat: list[tuple[int, int]] = []
    for asset in assets:
        if asset.license not in rules:
            license_ = step.license(asset.license)
            decision = decide(license_, None, use, step.time)
            rules[asset.license] = (license_, decision.rule, decision.reasons)
        license_, rule, reasons = rules[asset.license]
        against = _objections(asset, rule, reasons, body)
        if against or rule is None:
            objections.append((asset.number, against))
            continue
        if rule.audience == "request":
            awaiting.append(license_.holder)
        if rule.price is not None and rule.price.unit == "flat":
            flat.append((asset.number, rule.price.amount))
    if objections:
        raise _refusal(objections)
    return _Agreement(
        terms=tuple(_agreed_terms(*rules[number][:2]) for number in sorted(rules)),
        caps=_strictest_caps([rule for _, rule, _ in rules.values() if rule is not None]),
        valid_until=_earliest_end(body.valid_until, [rule for _, rule, _ in rules.values() if rule is not None]),
        flat=tuple(flat),
        awaiting=tuple(sorted(dict.fromkeys(awaiting))),
    )


def _objections(asset: Asset, rule: Rule | None, reasons: tuple[str, ...], body: IssueGrant) -> tuple[str, ...]:
    against = tuple(reason for reason in reasons if reason not in ("allowed", "asks-holder"))
    if asset.status != "active":
        against = (*against, f"asset-{asset.status}")
    if rule is not None and rule.price is not None and rule.price.unit != "flat" and body.budget == 0:
        against = (*against, "needs-budget")
    return against


def _refusal(objections: list[tuple[int, tuple[str, ...]]]) -> TransactionError:
    reasons = tuple(dict.fromkeys(reason for _, found_ in objections for reason in found_))
    first, why = objections[0]
    words = "; ".join(REASONS[reason] for reason in why)
    more = f" (and {len(objections) - 1} more assets)" if len(objections) > 1 else ""
    return TransactionError(
        f"asset {first}: {words}{more}",
        code="access_refused",
        reasons=reasons,
        assets=tuple(number for number, _ in objections),
    )


def _agreed_terms(license_: License, rule: Rule | None) -> AgreedTerms:
    if rule is None:
        raise TransactionError(f"license {license_.number} has no rule for this", code="access_refused")
    return AgreedTerms(
        license=license_.number,
        revision=license_.revision,
        price=rule.price,
        revenue_share=rule.revenue_share,
        duties=rule.duties,
    )


def _least(values: list[int]) -> int:
    """The smallest limit, where 0 means none."""
    limits = [value for value in values if value]
    return min(limits) if limits else 0


def _strictest_caps(rules: list[Rule]) -> Caps:
    return Caps(
        accesses=_least([rule.caps.accesses for rule in rules]),
        bytes=_least([rule.caps.bytes for rule in rules]),
        epochs=_least([rule.caps.epochs for rule in rules]),
        models=_least([rule.caps.models for rule in rules]),
    )


def _earliest_end(wanted: int, rules: list[Rule]) -> int:
    return _least([wanted, *(rule.valid_until for rule in rules)])


def _pay_flat(step: Step, grant: Grant, flat: tuple[tuple[int, int], ...]) -> None:
    """Give the flat prices to the assets, after the network's fee; no node has served anything yet."""
    if not grant.paid:
        return
    purse = grant_purse(grant.number)
    fees = take_fees(grant.paid, step.params().network_fee, 0)
    step.move(purse, NETWORK, fees.network, "network-fee", grant.number, grant.grantee)
    for part in allocate(fees.rest, flat, grant.id):
        step.move(purse, asset_purse(part.payee), part.amount, "grant-price", part.payee, grant.grantee)


def answer_grant(step: Step, body: AnswerGrant) -> None:
    """A holder's yes or no; the last yes begins the grant, one no declines it and returns what was set aside."""
    grant = found(step.stage.grant(body.grant), "grant", body.grant)
    expect(grant.status == "requested", f"grant {grant.number} is {grant.status}")
    permit(step.signer in grant.awaiting, f"grant {grant.number} does not wait for account {step.signer}")
    if not body.agree:
        _give_back(step, grant)
        step.save(b"g", grant.number, replace(grant, status="declined", awaiting=()))
        return
    ended = grant.valid_until > 0 and grant.valid_until <= step.time
    expect(not ended, f"grant {grant.number} would have ended; it can only be declined or revoked", "already_expired")
    awaiting = tuple(holder for holder in grant.awaiting if holder != step.signer)
    if awaiting:
        step.save(b"g", grant.number, replace(grant, awaiting=awaiting))
        return
    _expect_active(step, grant)
    grant = replace(grant, awaiting=(), status="active", valid_from=step.time)
    step.save(b"g", grant.number, grant)
    _pay_flat(step, grant, _flat_prices(step, grant))


def _expect_active(step: Step, grant: Grant) -> None:
    """Nobody is paid for a grant on what was contested or taken out since it was asked for."""
    for number, _, _ in covered_assets(step.stage.coverage(grant.number)):
        status = step.asset(number).status
        expect(status == "active", f"asset {number} is {status} by now; the grant can only be declined or revoked")


def _flat_prices(step: Step, grant: Grant) -> tuple[tuple[int, int], ...]:
    """The flat price of each covered asset, as it was agreed."""
    prices = [terms.price.amount if terms.price and terms.price.unit == "flat" else 0 for terms in grant.terms]
    covered = covered_assets(step.stage.coverage(grant.number))
    return tuple((asset, prices[term]) for asset, _, term in covered if prices[term])


def revoke_grant(step: Step, body: RevokeGrant) -> None:
    """End a grant: its grantee any time; a holder once an asset of theirs in it is contested or withdrawn."""
    grant = found(step.stage.grant(body.grant), "grant", body.grant)
    expect(grant.status in ("active", "requested"), f"grant {grant.number} is {grant.status}")
    if grant.grantee != step.signer:
        _permit_holder(step, grant)
    if grant.status == "requested":
        _give_back(step, grant)
    step.save(b"g", grant.number, replace(grant, status="revoked", revoked_at=step.time, awaiting=()))


def _give_back(step: Step, grant: Grant) -> None:
    """A request that never became a grant costs nothing and covers nothing."""
    purse, held = account_purse(grant.grantee), grant.paid + grant.budget
    step.move(grant_purse(grant.number), purse, held, "budget-return", grant.number, grant.grantee)
    step.stage.put(number_key(b"G", grant.number), None)


def _permit_holder(step: Step, grant: Grant) -> None:
    for number, _, _ in covered_assets(step.stage.coverage(grant.number)):
        asset = step.asset(number)
        if asset.holder == step.signer and asset.status != "active":
            return
    permit(
        condition=False,
        why_not=f"grant {grant.number} belongs to account {grant.grantee}; withdraw the asset first",
    )


def return_budget(step: Step, body: ReturnBudget) -> None:
    """Give back what an ended grant did not spend, once no late access can draw on it."""
    grant = found(step.stage.grant(body.grant), "grant", body.grant)
    ended = grant.revoked_at or grant.valid_until
    expect(ended > 0 and grant.status != "requested", f"grant {grant.number} has not ended; revoke it first")
    expect(
        ended + step.params().row_late_us <= step.time,
        "late accesses may still draw on the budget; ask again a day after the grant's end",
        "too_early",
    )
    purse = grant_purse(grant.number)
    step.move(
        purse,
        account_purse(grant.grantee),
        step.stage.balance(purse),
        "budget-return",
        grant.number,
        grant.grantee,
    )
