"""Accounts, their credits, and the test faucet."""

from audiera.node.http.lookup import account_at, found, profile_of
from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.accounts import AccountAnswer, FaucetAnswer, FaucetRequest
from audiera.protocol.errors import NotPermitted, RequestError
from audiera.protocol.ids import format_id
from audiera.protocol.keys import format_key
from audiera.protocol.machine import account_purse


def account(call: Call, ref: str) -> AccountAnswer:
    """An account by number, id or one of its keys, with its credits and the sequence number it has reached."""
    record = account_at(call, ref)
    state = call.parts.ledger.state()
    return AccountAnswer(
        id=format_id(record.id),
        account=record,
        sequence=state.sequence(record.number),
        balance=state.balance(account_purse(record.number)),
        keys=tuple(format_key(key) for key in record.control_keys + record.device_keys),
        profile=profile_of(call, record.profile),
    )


def faucet(call: Call, body: FaucetRequest) -> FaucetAnswer:
    """Give the asker test credits, which are worth nothing.

    Raises:
        NotPermitted: the node gives none, or the account is another's.
        RequestError: less than one microcredit or more than the limit.
    """
    limit = call.parts.settings.faucet_limit
    giver = call.parts.faucet
    if giver is None or body.account != call.identity.account:
        raise NotPermitted("this node gives test credits to the asker only, and only when its faucet is on")
    if not 1 <= body.amount <= limit:
        raise RequestError(f"1 to {limit} microcredits at once, got {body.amount}", code="amount_invalid")
    found(call.parts.ledger.state().account(body.account), "account", body.account)
    deposit = giver.give(body.account, body.amount)
    balance = call.parts.ledger.state().balance(account_purse(body.account))
    note = "test credits: they are worth nothing"
    return FaucetAnswer(transaction=format_id(deposit.transaction), height=deposit.height, balance=balance, note=note)


OPERATIONS = (
    Operation(routes.ACCOUNT, account, "anyone"),
    Operation(routes.FAUCET, faucet, "account", at_most_once=True),
)
