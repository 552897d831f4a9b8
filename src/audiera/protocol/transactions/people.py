"""Accounts and their keys."""

from audiera.protocol.records.account import AccountKind, Guardians, Member, Role
from audiera.protocol.records.base import Record


class CreateAccount(Record, frozen=True, kw_only=True, tag="create-account"):
    """The genesis operation of an account; signed by its highest control key, from account 0, sequence 0."""

    kind: AccountKind
    """Person, organization or node."""

    roles: tuple[Role, ...]
    """What it takes part as."""

    control_keys: tuple[bytes, ...]
    """1 to 5 public keys, highest first."""

    device_keys: tuple[bytes, ...]
    """Public keys for daily signing."""

    profile: bytes
    """Salted digest of the profile."""

    members: tuple[Member, ...] = ()
    """Members, for an organization."""

    threshold: int = 0
    """Owners that must agree, for an organization."""

    guardians: Guardians | None = None
    """Who may restore control."""


class ChangeKeys(Record, frozen=True, kw_only=True, tag="change-keys"):
    """Replace the keys; signed by any control key; a higher one may undo it for 72 hours."""

    control_keys: tuple[bytes, ...]
    """The new control keys, highest first."""

    device_keys: tuple[bytes, ...]
    """The new device keys."""


class UndoKeyChange(Record, frozen=True, kw_only=True, tag="undo-key-change"):
    """Take back the oldest change of the last 72 hours that a lower key signed, and all after it."""


class ChangeProfile(Record, frozen=True, kw_only=True, tag="change-profile"):
    """Replace roles and the profile's commitment."""

    roles: tuple[Role, ...]
    """The roles from now on."""

    profile: bytes
    """Salted digest of the new profile."""


class ChangePayout(Record, frozen=True, kw_only=True, tag="change-payout"):
    """Say where withdrawals go; effective after 72 hours."""

    rail: str
    """Settlement rail."""

    commitment: bytes
    """Salted digest of the address."""


class AuthorizeAppKey(Record, frozen=True, kw_only=True, tag="authorize-app-key"):
    """Let an application spend up to a budget until a time."""

    key_hash: bytes
    """SHA-256 of the secret."""

    budget: int
    """Microcredits it may spend in all."""

    expires_at: int
    """Block time of its end, microseconds."""

    models: tuple[int, ...] = ()
    """Models it may call; empty means any."""


class RevokeAppKey(Record, frozen=True, kw_only=True, tag="revoke-app-key"):
    """Take an application key back."""

    key: int
    """Ledger number of the key."""
