"""Accounts: creation, keys and the 72 hours in which a stolen key is survived, application keys."""

from msgspec.structs import replace

from audiera.protocol.errors import TransactionError
from audiera.protocol.machine.step import Step, expect, found, permit
from audiera.protocol.records import ROLES, Account, AppKey, Genesis, KeyChange, PayoutAddress
from audiera.protocol.records.account import Role, check_keys, check_membership
from audiera.protocol.records.base import require, require_digest, require_range, require_slug
from audiera.protocol.state import number_key
from audiera.protocol.transactions import (
    AuthorizeAppKey,
    ChangeKeys,
    ChangePayout,
    ChangeProfile,
    CreateAccount,
    RevokeAppKey,
    UndoKeyChange,
)
from audiera.protocol.units import I64_MAX


def check_roles(roles: tuple[Role, ...]) -> None:
    """Refuse unknown or repeated roles, and the one role nobody may take by asking.

    Raises:
        RecordError: which role.
    """
    require(len(dict.fromkeys(roles)) == len(roles) <= len(ROLES), "a role appears twice")
    require("moderator" not in roles, "moderators are named by the network, not by themselves")


def check_change_keys(body: ChangeKeys) -> None:
    """What can be said of new keys without the state."""
    check_keys(body.control_keys, body.device_keys)


def check_create_account(body: CreateAccount) -> None:
    """What can be said of a new account without the state."""
    check_keys(body.control_keys, body.device_keys)
    check_roles(body.roles)
    require_digest(body.profile, "profile")
    check_membership(body.kind, body.members, body.threshold)
    if body.guardians is not None:
        require_range(len(body.guardians.accounts), 1, 9, "the number of guardians")
        require_range(body.guardians.threshold, 1, len(body.guardians.accounts), "the guardians' threshold")


def create_account(step: Step, body: CreateAccount, genesis: Genesis) -> None:
    """Register an account; its keys may belong to no other."""
    permit(step.key == body.control_keys[0], "an account's creation is signed by its highest control key")
    for member in body.members:
        step.account(member.account)
    for guardian in body.guardians.accounts if body.guardians is not None else ():
        step.account(guardian)
    number = step.assign_number()
    _bind_keys(step, number, (), body.control_keys + body.device_keys, genesis)
    roles = body.roles
    if body.control_keys[0] in genesis.moderators:
        roles = (*roles, "moderator")
    account = Account(
        number=number,
        id=step.transaction,
        kind=body.kind,
        roles=roles,
        control_keys=body.control_keys,
        device_keys=body.device_keys,
        profile=body.profile,
        members=body.members,
        threshold=body.threshold,
        guardians=body.guardians,
        created_at=step.time,
    )
    step.save(b"a", number, account)


def _bind_keys(step: Step, account: int, old: tuple[bytes, ...], new: tuple[bytes, ...], genesis: Genesis) -> None:
    """Give keys to an account; those the genesis names, known to all, only to the account that they sign for."""
    named = genesis.moderators + tuple(authority.key for authority in genesis.authorities)
    for key in old:
        step.stage.put(b"k" + key, None)
        step.stage.put_u64(b"o" + key, account)
    for key in new:
        owner = step.stage.account_of_key(key) or _awaited_by(step, key)
        expect(owner in (None, account), f"a key already belongs to account {owner}; make a new one", "key_taken")
        own = key == step.key or key in old or owner == account
        permit(own or key not in named, "the network names this key, so it signs its account's creation itself")
        step.stage.put_u64(b"k" + key, account)


def _awaited_by(step: Step, key: bytes) -> int | None:
    """The account a removed key may still come back to; a thief who binds it elsewhere would prevent the undo."""
    number = step.stage.former_account_of_key(key)
    if number is None:
        return None
    recent = _recent_changes(step, step.account(number))
    return number if any(key in change.control_keys + change.device_keys for change in recent) else None


def change_keys(step: Step, body: ChangeKeys, genesis: Genesis) -> None:
    """Replace an account's keys; what a lower key does a higher one may undo for 72 hours."""
    account = step.account(step.signer)
    rank = _control_rank(account, step.key)
    recent = _recent_changes(step, account)
    for change in recent:
        permit(
            rank <= change.by_rank,
            "a higher control key changed the keys within 72 hours; wait, or use that key",
        )
    expect(len(recent) < 8, "eight changes of keys within 72 hours are the most", "too_many_changes")
    change = KeyChange(at=step.time, by_rank=rank, control_keys=account.control_keys, device_keys=account.device_keys)
    current = account.control_keys + account.device_keys
    _bind_keys(step, account.number, current, body.control_keys + body.device_keys, genesis)
    changed = replace(
        account,
        control_keys=body.control_keys,
        device_keys=body.device_keys,
        key_changes=(*recent, change),
    )
    step.save(b"a", account.number, changed)


def undo_key_change(step: Step, _body: UndoKeyChange, genesis: Genesis) -> None:
    """Restore the keys from before the oldest recent change that a lower key than the signer's made.

    The signer's rank is its rank in the list from before that change, so that a thief who removed the key cannot
    keep its holder out. A payout address set since then is dropped too.
    """
    account = step.account(step.signer)
    for place, change in enumerate(_recent_changes(step, account)):
        if step.key not in change.control_keys:
            continue
        if change.control_keys.index(step.key) < change.by_rank:
            current = account.control_keys + account.device_keys
            _bind_keys(step, account.number, current, change.control_keys + change.device_keys, genesis)
            restored = replace(
                account,
                control_keys=change.control_keys,
                device_keys=change.device_keys,
                key_changes=_recent_changes(step, account)[:place],
                payout=_payout_before(step, account, change),
            )
            step.save(b"a", account.number, restored)
            return
    raise TransactionError(
        "no change of keys by a lower key within 72 hours; only a higher control key may undo one",
        code="nothing_to_undo",
    )


def _payout_before(step: Step, account: Account, change: KeyChange) -> PayoutAddress | None:
    """The payout address, unless it was set after the change: whoever took the keys may have set it."""
    set_at = account.payout.active_from - step.params().undo_window_us if account.payout is not None else 0
    return account.payout if set_at < change.at else None


def may_undo(account: Account, key: bytes) -> bool:
    """Whether a key that is no longer the account's may still sign an undo."""
    return any(key in change.control_keys for change in account.key_changes)


def _recent_changes(step: Step, account: Account) -> tuple[KeyChange, ...]:
    since = step.time - step.params().undo_window_us
    return tuple(change for change in account.key_changes if change.at > since)


def _control_rank(account: Account, key: bytes) -> int:
    permit(key in account.control_keys, "this needs a control key; a device key signs daily things only")
    return account.control_keys.index(key)


def change_profile(step: Step, body: ChangeProfile) -> None:
    """Replace roles and profile; a moderator stays one."""
    account = step.account(step.signer)
    roles = body.roles + (("moderator",) if "moderator" in account.roles else ())
    step.save(b"a", account.number, replace(account, roles=roles, profile=body.profile))


def check_change_profile(body: ChangeProfile) -> None:
    """What can be said of new roles without the state."""
    check_roles(body.roles)
    require_digest(body.profile, "profile")


def change_payout(step: Step, body: ChangePayout) -> None:
    """Say where withdrawals go, from 72 hours on."""
    account = step.account(step.signer)
    _control_rank(account, step.key)
    active_from = step.time + step.params().undo_window_us
    address = PayoutAddress(rail=body.rail, commitment=body.commitment, active_from=active_from)
    step.save(b"a", account.number, replace(account, payout=address))


def check_change_payout(body: ChangePayout) -> None:
    """What can be said of an address without the state."""
    require_slug(body.rail, "rail")
    require_digest(body.commitment, "commitment")


def authorize_app_key(step: Step, body: AuthorizeAppKey) -> None:
    """Give an application a key of its own; its budget is a limit, the credits stay with the account."""
    expect(body.expires_at > step.time, "an application key ends in the future", "already_expired")
    expect(step.stage.app_key_by_hash(body.key_hash) is None, "this key is registered already", "key_taken")
    for model in body.models:
        found(step.stage.model(model), "model", model)
    number = step.assign_number()
    key = AppKey(
        number=number,
        account=step.signer,
        key_hash=body.key_hash,
        models=body.models,
        budget=body.budget,
        expires_at=body.expires_at,
    )
    step.stage.put_u64(b"h" + body.key_hash, number)
    step.save(b"K", number, key)


def check_authorize_app_key(body: AuthorizeAppKey) -> None:
    """What can be said of an application key without the state."""
    require_digest(body.key_hash, "key_hash")
    require_range(body.budget, 1, I64_MAX, "budget")
    require_range(body.expires_at, 1, I64_MAX, "expires_at")
    require(len(body.models) <= 256, "at most 256 models")


def revoke_app_key(step: Step, body: RevokeAppKey) -> None:
    """Take an application key back."""
    key = found(step.stage.app_key(body.key), "application key", body.key)
    permit(key.account == step.signer, f"application key {body.key} belongs to account {key.account}")
    expect(not key.revoked, f"application key {body.key} was revoked before")
    step.save(b"K", key.number, replace(key, revoked=True, revoked_at=step.time))


def sequence_key(account: int) -> bytes:
    """Where an account's last sequence number stands."""
    return number_key(b"q", account)
