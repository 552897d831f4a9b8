"""Who used what, and what was paid: read by anyone, since it follows from the ledger that anyone may replay."""

from typing import Annotated

from msgspec import Meta

from audiera.node.http.lookup import account_at, asset_at, number_in
from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.usage import (
    AccessHistory,
    AssetUses,
    Days,
    Earnings,
    Payments,
    Refusals,
    Selection,
    Statement,
    Totals,
    Trail,
    TransactionHistory,
)
from audiera.protocol.units import I64_MAX

Numbered = Annotated[int, Meta(ge=1, le=I64_MAX)]
Moment = Annotated[int, Meta(ge=0, le=I64_MAX)]
After = Annotated[int, Meta(ge=0, le=I64_MAX)] | None
Limit = Annotated[int, Meta(ge=1, le=1_000)]
Offset = Annotated[int, Meta(ge=0, le=I64_MAX)]


def asset_history(call: Call, ref: str, after: After = None, limit: Limit = 100) -> AccessHistory:
    """Who used an asset, for what, when and under which grant, newest first; refusals too.

    A snapshot's or model's history is found by its number.
    """
    state = call.parts.ledger.state()
    number = number_in(ref)
    is_other = number and (state.snapshot(number) is not None or state.model(number) is not None)
    asset = number if is_other else asset_at(call, ref).number
    return call.parts.usage.asset_history(asset, after=after, limit=limit)


def account_history(call: Call, number: Numbered, after: After = None, limit: Limit = 100) -> AccessHistory:
    """What an account used, newest first; what was refused to it too."""
    account_at(call, str(number))
    return call.parts.usage.account_history(number, after=after, limit=limit)


def account_transactions(call: Call, number: Numbered, after: After = None, limit: Limit = 100) -> TransactionHistory:
    """What an account signed, newest first; what was refused too, with the reasons."""
    account_at(call, str(number))
    return call.parts.usage.transactions_of(number, after=after, limit=limit)


def account_statement(
    call: Call, number: Numbered, start: Moment = 0, until: Moment = 0, offset: Offset = 0, limit: Limit = 100
) -> Statement:
    """An account's credits over a period; each line names its block and, where accesses caused it, their log entry."""
    account_at(call, str(number))
    return call.parts.usage.statement(number, start=start, until=until, offset=offset, limit=limit)


def account_payments(
    call: Call, number: Numbered, start: Moment = 0, until: Moment = 0, offset: Offset = 0, limit: Limit = 100
) -> Payments:
    """Where an account's money went, down to the last share, oldest first."""
    account_at(call, str(number))
    return call.parts.usage.payments(number, start=start, until=until, offset=offset, limit=limit)


def asset_earnings(call: Call, ref: str) -> Earnings:
    """What an asset earned, and how much of it is paid out."""
    return call.parts.usage.earnings(asset_at(call, ref).number)


def access_trail(call: Call, node: Numbered, index: Offset) -> Trail:
    """From one access back to everything and everyone behind it."""
    return call.parts.usage.trail(call.parts.ledger.state(), node, index)


def usage_totals(call: Call, body: Selection) -> Totals:
    """Rows, units and bytes of the selected accesses, by purpose and operation."""
    return Totals(totals=call.parts.usage.totals(body))


def usage_days(call: Call, body: Selection) -> Days:
    """The selected uses by day and purpose."""
    return Days(days=call.parts.usage.days(body))


def usage_assets(call: Call, body: Selection, limit: Limit = 10) -> AssetUses:
    """What was used most among the selected uses."""
    return AssetUses(assets=call.parts.usage.top_assets(body, limit=limit))


def usage_refusals(call: Call, body: Selection, limit: Limit = 100) -> Refusals:
    """What was refused: uses at the gate, and transactions on the ledger."""
    return call.parts.usage.refusals(body, limit=limit)


OPERATIONS = (
    Operation(routes.ASSET_HISTORY, asset_history, "anyone"),
    Operation(routes.ASSET_EARNINGS, asset_earnings, "anyone"),
    Operation(routes.ACCOUNT_HISTORY, account_history, "anyone"),
    Operation(routes.ACCOUNT_TRANSACTIONS, account_transactions, "anyone"),
    Operation(routes.ACCOUNT_STATEMENT, account_statement, "anyone"),
    Operation(routes.ACCOUNT_PAYMENTS, account_payments, "anyone"),
    Operation(routes.ACCESS_TRAIL, access_trail, "anyone"),
    Operation(routes.USAGE_TOTALS, usage_totals, "anyone"),
    Operation(routes.USAGE_DAYS, usage_days, "anyone"),
    Operation(routes.USAGE_ASSETS, usage_assets, "anyone"),
    Operation(routes.USAGE_REFUSALS, usage_refusals, "anyone"),
)
