"""What every record has in common, and the checks of values that many of them share."""

import msgspec

from audiera.protocol.errors import RecordError
from audiera.protocol.units import U64_MAX, WHOLE


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything signed or stored. Fields equal to their default are not encoded; new fields go last."""


def require(condition: bool, what: str, **values: object) -> None:
    """Refuse a record that breaks one of its rules.

    Raises:
        RecordError: the condition does not hold.
    """
    if not condition:
        raise RecordError(what, code=None, **values)


def require_digest(value: bytes, name: str) -> None:
    """Refuse a digest or key that is not 32 bytes.

    Raises:
        RecordError: another length.
    """
    require(len(value) == 32, f"{name} is 32 bytes, got {len(value)}", name=name, length=len(value))


def require_range(value: int, low: int, high: int, name: str) -> None:
    """Refuse a number outside its range, both ends included.

    Raises:
        RecordError: outside.
    """
    require(low <= value <= high, f"{name} is between {low} and {high}, got {value}", name=name, value=value)


def require_number(value: int, name: str) -> None:
    """Refuse a ledger number that cannot be one (1 to 2^64 - 1).

    Raises:
        RecordError: zero, negative or too large.
    """
    require_range(value, 1, U64_MAX, name)


_SLUG = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-._")


def require_slug(value: str, name: str, longest: int = 64) -> None:
    """Refuse a name that is not 1 to ``longest`` of a-z, 0-9, hyphen, dot, underscore.

    Raises:
        RecordError: empty, too long or with another character.
    """
    fits = 0 < len(value) <= longest and value.isascii() and all(code in _SLUG for code in value.encode("ascii"))
    require(fits, f"{name} is 1 to {longest} of a-z 0-9 - . _, got {value[:80]!r}", name=name, value=value)


class Split(Record, frozen=True, kw_only=True):
    """One account's share of what an asset earns."""

    account: int
    """Ledger number of the account paid."""

    share: int
    """Basis points of the whole, 1 to 10,000."""


def require_splits(splits: tuple[Split, ...]) -> None:
    """Refuse splits that do not sum to exactly 10,000 or name an account twice.

    Raises:
        RecordError: wrong sum, an empty share, a repeated account, or more than 64 shares.
    """
    require(1 <= len(splits) <= 64, f"1 to 64 splits expected, got {len(splits)}", count=len(splits))
    for split in splits:
        require_number(split.account, "a split's account")
        require_range(split.share, 1, WHOLE, "a split's share in basis points")
    accounts = [split.account for split in splits]
    require(len(dict.fromkeys(accounts)) == len(accounts), "an account appears twice in the splits")
    total = sum(split.share for split in splits)
    require(total == WHOLE, f"splits sum to exactly 10000 basis points, got {total}", total=total)
