"""Accounts: who holds keys, what they may do, and how a stolen or lost key is survived."""

from typing import Final, Literal

from audiera.protocol.records.base import Record, require, require_digest, require_number, require_range

AccountKind = Literal["person", "organization", "node"]
Role = Literal[
    "creator",
    "contributor",
    "model-developer",
    "app-developer",
    "consumer",
    "operator",
    "auditor",
    "moderator",
]
ROLES: Final[tuple[Role, ...]] = (
    "creator",
    "contributor",
    "model-developer",
    "app-developer",
    "consumer",
    "operator",
    "auditor",
    "moderator",
)
MemberRole = Literal["owner", "rights", "uploader", "finance", "read-only"]


class Member(Record, frozen=True, kw_only=True):
    """An account's place in an organization."""

    account: int
    """Ledger number of the member account."""

    role: MemberRole
    """What the member may do for the organization."""


class Guardians(Record, frozen=True, kw_only=True):
    """Accounts that may together restore control after a total loss of keys."""

    accounts: tuple[int, ...]
    """Ledger numbers of the guardians, 1 to 9."""

    threshold: int
    """How many of them must agree."""


class KeyChange(Record, frozen=True, kw_only=True):
    """A change of keys that a higher control key may still undo."""

    at: int
    """Block time of the change, microseconds."""

    by_rank: int
    """Rank of the control key that signed it; 0 is the highest."""

    control_keys: tuple[bytes, ...]
    """The control keys before the change."""

    device_keys: tuple[bytes, ...] = ()
    """The device keys before the change."""


class PayoutAddress(Record, frozen=True, kw_only=True):
    """Where withdrawn credits go; a change waits out 72 hours."""

    rail: str
    """Name of the settlement rail."""

    commitment: bytes
    """Salted digest of the address at that rail; the address itself never reaches the ledger."""

    active_from: int
    """Block time from which it is used, microseconds."""


class AppKey(Record, frozen=True, kw_only=True, tag="app-key"):
    """A scoped, capped, expiring key of an application; its secret is hashed."""

    number: int
    """Ledger number of the key."""

    account: int
    """Ledger number of the account it draws on."""

    key_hash: bytes
    """SHA-256 of the secret."""

    models: tuple[int, ...] = ()
    """Models it may call; empty means any."""

    purposes: tuple[str, ...] = ("call-model",)
    """Purposes it may be used for."""

    budget: int = 0
    """Microcredits it may spend in all."""

    spent: int = 0
    """Microcredits spent so far."""

    expires_at: int = 0
    """Block time after which it is dead, microseconds."""

    revoked: bool = False
    """Whether the account took it back."""

    revoked_at: int = 0
    """Block time from which it was taken back, microseconds; 0 while it was not."""


class Account(Record, frozen=True, kw_only=True, tag="account"):
    """A person, organization or node holding keys."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the signed genesis operation."""

    kind: AccountKind
    """Person, organization or node."""

    roles: tuple[Role, ...]
    """What it takes part as."""

    control_keys: tuple[bytes, ...]
    """1 to 5 public keys, highest first; any may change the list, a higher one may undo that for 72 hours."""

    device_keys: tuple[bytes, ...]
    """Public keys for daily signing, up to 16."""

    profile: bytes
    """Salted digest of the profile, which lives off the ledger and can be erased."""

    members: tuple[Member, ...] = ()
    """Members, for an organization."""

    threshold: int = 0
    """How many owners must agree, for an organization."""

    guardians: Guardians | None = None
    """Who may restore control, if anyone."""

    key_changes: tuple[KeyChange, ...] = ()
    """Changes of the last 72 hours, oldest first."""

    payout: PayoutAddress | None = None
    """Where withdrawals go."""

    created_at: int = 0
    """Block time of registration, microseconds."""


def check_keys(control_keys: tuple[bytes, ...], device_keys: tuple[bytes, ...]) -> None:
    """Refuse an unusable list of keys.

    Raises:
        RecordError: wrong count, wrong length, or a key twice.
    """
    require(1 <= len(control_keys) <= 5, f"1 to 5 control keys expected, got {len(control_keys)}")
    require(len(device_keys) <= 16, f"at most 16 device keys expected, got {len(device_keys)}")
    for key in control_keys + device_keys:
        require_digest(key, "a key")
    every = control_keys + device_keys
    require(len(dict.fromkeys(every)) == len(every), "a key appears twice; control and device keys are distinct")


def check_membership(kind: AccountKind, members: tuple[Member, ...], threshold: int) -> None:
    """Refuse an organization without a workable set of owners, and members anywhere else.

    Raises:
        RecordError: the rules of organizations are broken.
    """
    if kind != "organization":
        require(not members and threshold == 0, "only an organization has members and a threshold")
        return
    require(1 <= len(members) <= 64, f"an organization has 1 to 64 members, got {len(members)}")
    for member in members:
        require_number(member.account, "a member's account")
    owners = sum(1 for member in members if member.role == "owner")
    require_range(threshold, 1, owners, "an organization's threshold (at most its owners)")
