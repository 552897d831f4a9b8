"""What may be said of an asset: identifiers with their check digits, and facts that agree with one another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.encoding import digest
from audiera.protocol.errors import RecordError
from audiera.protocol.records import Estimate, Identifiers
from audiera.protocol.records.asset import (
    check_content,
    check_identifiers,
    is_ipi,
    is_isni,
    is_isrc,
    is_iswc,
    is_mbid,
    is_upc,
)
from tests.protocol.world import content_of

CONTENT = content_of(digest(b"blob"))

# ISRC: ISO 3901, the handbook's example. ISWC: ISO 15707 as printed by its agency, T-034.524.680-1.
# UPC: GS1's example 036000291452; EAN: 4006381333931 (Wikipedia, International Article Number).
# ISNI: isni.org's own examples, 0000 0001 2103 2683 and 0000 0001 2150 090X. MBID: RFC 9562 form.
TRUE = {
    "isrc": ("USRC17607839", "GBAYE6800011"),
    "iswc": ("T0345246801",),
    "upc": ("036000291452", "4006381333931"),
    "isni": ("0000000121032683", "000000012150090X"),
    "mbid": ("8f3471b5-7e6a-48da-86a9-c1c07a0f47ae",),
}
CHECKS = {"isrc": is_isrc, "iswc": is_iswc, "upc": is_upc, "isni": is_isni, "ipi": is_ipi, "mbid": is_mbid}


@pytest.mark.parametrize(("scheme", "value"), [(scheme, value) for scheme, values in TRUE.items() for value in values])
def test_true_identifiers_are_accepted(scheme: str, value: str) -> None:
    assert CHECKS[scheme](value)
    check_identifiers(Identifiers(**{scheme: value}))


@pytest.mark.parametrize(
    ("scheme", "value"),
    [
        ("isrc", "US-RC1-76-07839"),
        ("isrc", "usrc17607839"),
        ("isrc", "USRC1760783"),
        ("isrc", "U1RC17607839"),
        ("isrc", "USRC1760783A"),
        ("iswc", "T0345246802"),
        ("iswc", "A0345246801"),
        ("iswc", "T034524680"),
        ("iswc", "T034524680\u0661"),
        ("upc", "036000291453"),
        ("upc", "03600029145"),
        ("upc", "03600029145X"),
        ("isni", "0000000121032684"),
        ("isni", "000000012150090x"),
        ("isni", "00000001210326"),
        ("ipi", "1234567890"),
        ("ipi", "0000000000X"),
        ("mbid", "8F3471B5-7E6A-48DA-86A9-C1C07A0F47AE"),
        ("mbid", "8f3471b57e6a48da86a9c1c07a0f47ae"),
        ("mbid", "8f3471b5-7e6a-48da-86a9-c1c07a0f47ag"),
    ],
)
def test_false_identifiers_are_refused(scheme: str, value: str) -> None:
    assert not CHECKS[scheme](value)
    with pytest.raises(RecordError, match=scheme):
        check_identifiers(Identifiers(**{scheme: value}))


@given(st.integers(0, 10**9 - 1), st.integers(0, 99))
def test_exactly_one_pair_of_check_digits_makes_an_ipi(number: int, check: int) -> None:
    """Weights 10 down to 2; sum and check digits together are a multiple of 101, and 100 is written 00."""
    text = f"{number:09d}"
    total = sum((10 - place) * int(digit) for place, digit in enumerate(text))
    assert is_ipi(f"{text}{check:02d}") == (check == -total % 101 % 100)


@given(st.sampled_from([(scheme, value) for scheme in ("upc", "isni") for value in TRUE[scheme]]), st.data())
def test_one_wrong_digit_is_always_noticed(true: tuple[str, str], data: st.DataObject) -> None:
    scheme, value = true
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.sampled_from("0123456789").filter(lambda digit: digit != value[at]))
    assert not CHECKS[scheme](value[:at] + other + value[at + 1 :])


def technical(**changes: Any) -> dict[str, Any]:
    return {"technical": replace(CONTENT.technical, **changes)}


def estimates(**changes: Any) -> dict[str, Any]:
    estimate = Estimate(name="tempo_mbpm", value="120000", confidence=1, method="m.1")
    return {"estimates": (replace(estimate, **changes),)}


@pytest.mark.parametrize(
    "changes",
    [
        {"blob": b"short"},
        {"manifest_root": b""},
        {"sheet": bytes(33)},
        {"size": 0},
        {"fingerprint": b"short"},
        {"ai_areas": ("vocals",)},
        {"contains_ai": "partly", "ai_areas": ("vocals", "vocals")},
        {"identifiers": Identifiers(isrc="X")},
        {"estimates": estimates()["estimates"] * 17},
        estimates(name="Tempo in BPM"),
        estimates(value=""),
        estimates(value="x" * 65),
        estimates(value="größer"),
        estimates(confidence=10_001),
        technical(container=""),
        technical(codec="x" * 33),
        technical(sample_rate=7_999),
        technical(channels=9),
        technical(bit_depth=65),
        technical(samples=0),
        technical(duration_ms=CONTENT.technical.duration_ms + 2),
        technical(peak_mdb=100_001),
        technical(loudness_mlufs=-400_001),
        technical(true_peak_mdb=100_001),
        technical(method="Not A Slug!"),
    ],
)
def test_content_that_cannot_be_true_is_refused(changes: dict[str, Any]) -> None:
    check_content(CONTENT)
    with pytest.raises(RecordError):
        check_content(replace(CONTENT, **changes))


def test_content_may_say_what_is_optional() -> None:
    check_content(
        replace(
            CONTENT,
            contains_ai="partly",
            ai_areas=("vocals", "lyrics"),
            fingerprint=bytes(32),
            **estimates(),
            **technical(loudness_mlufs=-14_000, true_peak_mdb=-100, method="ebur128-1"),
        )
    )
