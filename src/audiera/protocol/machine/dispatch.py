"""Which function checks a transaction's body, and which applies it: one table."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from audiera.protocol import transactions as tx
from audiera.protocol.machine import granting, metering, offers, paying, people, training
from audiera.protocol.machine.step import Step
from audiera.protocol.records import Genesis


def _nothing_to_check(_body: object) -> None:
    """For bodies whose types say all that can be said without the state."""


class Handler(NamedTuple):
    """How a kind of transaction is handled."""

    check: Callable[[Any], None]
    """Refuses what is wrong whatever the state; raises RecordError."""

    apply: Callable[[Step, Any], None] | None
    """Applies it; None where it also needs the genesis."""

    apply_with_genesis: Callable[[Step, Any, Genesis], None] | None = None
    """Applies it with the genesis at hand."""

    by_any_key: bool = False
    """Whether keys that were the account's within 72 hours may sign it too."""


HANDLERS: Final[dict[type, Handler]] = {
    tx.CreateAccount: Handler(people.check_create_account, None, people.create_account),
    tx.ChangeKeys: Handler(people.check_change_keys, None, people.change_keys),
    tx.UndoKeyChange: Handler(_nothing_to_check, None, people.undo_key_change, by_any_key=True),
    tx.ChangeProfile: Handler(people.check_change_profile, people.change_profile),
    tx.ChangePayout: Handler(people.check_change_payout, people.change_payout),
    tx.AuthorizeAppKey: Handler(people.check_authorize_app_key, people.authorize_app_key),
    tx.RevokeAppKey: Handler(_nothing_to_check, people.revoke_app_key),
    tx.CommitRegistrations: Handler(offers.check_commit_registrations, offers.commit_registrations),
    tx.RegisterWork: Handler(offers.check_register_work, offers.register_work),
    tx.RegisterAsset: Handler(offers.check_register_asset, offers.register_asset),
    tx.ChangeAsset: Handler(offers.check_change_asset, offers.change_asset),
    tx.WithdrawAsset: Handler(_nothing_to_check, offers.withdraw_asset),
    tx.TransferAsset: Handler(_nothing_to_check, offers.transfer_asset),
    tx.PublishLicense: Handler(offers.check_publish_license, offers.publish_license),
    tx.ReviseLicense: Handler(offers.check_revise_license, offers.revise_license),
    tx.IssueGrant: Handler(granting.check_issue_grant, granting.issue_grant),
    tx.AnswerGrant: Handler(_nothing_to_check, granting.answer_grant),
    tx.RevokeGrant: Handler(_nothing_to_check, granting.revoke_grant),
    tx.ReturnBudget: Handler(_nothing_to_check, granting.return_budget),
    tx.PublishSnapshot: Handler(training.check_publish_snapshot, training.publish_snapshot),
    tx.OpenRun: Handler(training.check_open_run, training.open_run),
    tx.CloseRun: Handler(_nothing_to_check, training.close_run),
    tx.RegisterModel: Handler(training.check_register_model, training.register_model),
    tx.PublishEndpoint: Handler(training.check_publish_endpoint, training.publish_endpoint),
    tx.RecordAccesses: Handler(metering.check_record_accesses, metering.record_accesses),
    tx.DepositCredits: Handler(paying.check_deposit_credits, None, paying.deposit_credits),
    tx.WithdrawCredits: Handler(paying.check_withdraw_credits, paying.withdraw_credits),
    tx.SettlePool: Handler(_nothing_to_check, paying.settle_pool),
    tx.ClaimPayouts: Handler(paying.check_claim_payouts, paying.claim_payouts),
    tx.OpenDispute: Handler(offers.check_open_dispute, offers.open_dispute),
    tx.VoteDispute: Handler(_nothing_to_check, offers.vote_dispute),
}
"""Every kind of transaction; a test compares it with the union."""


def kind_of(body: object) -> str:
    """The tag of a body, such as ``issue-grant``."""
    return str(type(body).__struct_config__.tag)  # type: ignore[attr-defined]  # every body is a msgspec Struct
