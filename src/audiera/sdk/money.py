"""Amounts as people write them, in credits, and as the ledger counts them, in whole microcredits."""

from decimal import Decimal, InvalidOperation
from typing import Final

from audiera.protocol.errors import RequestError
from audiera.protocol.units import I64_MAX

MICRO: Final = 1_000_000
"""Microcredits in a credit."""

Amount = str | int | float
"""Credits: ``"20.00"``, 20, 0.5. Text is exact; a binary fraction counts as the decimal it is written as."""


def parse_credits(amount: Amount) -> int:
    """Microcredits from an amount of credits.

    Raises:
        RequestError: it is no amount, is negative, or is finer than a microcredit.
    """
    text = str(amount).strip()
    is_plain = text.isascii() and not text.startswith(("-", "+")) and "_" not in text
    try:
        micro = Decimal(text) * MICRO if is_plain else Decimal("NaN")
    except InvalidOperation:
        micro = Decimal("NaN")
    if not micro.is_finite() or micro > I64_MAX:
        raise RequestError(f"an amount of credits such as 2 or 0.5 expected, got {text[:40]!r}", code="amount_invalid")
    if micro != micro.to_integral_value():
        raise RequestError(f"at most six digits after the point, got {text[:40]!r}", code="amount_invalid")
    return int(micro)


def format_credits(microcredits: int) -> str:
    """An amount as people read it, exact: ``1.25`` credits."""
    sign = "-" if microcredits < 0 else ""
    whole, part = divmod(abs(microcredits), MICRO)
    digits = f"{part:06d}".rstrip("0")
    return f"{sign}{whole:,}.{digits.ljust(2, '0')}"
