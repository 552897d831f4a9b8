"""Amounts of credits, exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import RequestError
from audiera.protocol.units import I64_MAX
from audiera.sdk.money import MICRO, format_credits, parse_credits


@given(st.integers(0, I64_MAX))
def test_every_amount_is_read_as_it_is_written(microcredits: int) -> None:
    assert parse_credits(format_credits(microcredits).replace(",", "")) == microcredits
    assert format_credits(-microcredits).removeprefix("-") == format_credits(microcredits)


@pytest.mark.parametrize(
    ("amount", "microcredits"),
    [
        ("20.00", 20 * MICRO),
        (20, 20 * MICRO),
        (0.1, 100_000),
        ("0.000001", 1),
        (" 1 ", MICRO),
        ("1e2", 100 * MICRO),
        (0, 0),
    ],
)
def test_an_amount_is_text_or_a_number(amount: str | float, microcredits: int) -> None:
    assert parse_credits(amount) == microcredits


@pytest.mark.parametrize(
    "amount", ["", "x", "-1", "+1", "1.0000001", "1,5", "nan", "inf", "1_0", "\u0661", float("nan"), -1, str(2**63)]
)
def test_what_is_no_amount_is_refused(amount: str | float) -> None:
    with pytest.raises(RequestError) as refused:
        parse_credits(amount)
    assert refused.value.code == "amount_invalid"
