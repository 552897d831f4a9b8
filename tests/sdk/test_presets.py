"""Ready-made terms: what the words say is what the decision is, for every purpose."""

import pytest

from audiera.protocol.errors import RequestError
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.protocol.records import License, Terms
from audiera.protocol.records.license import check_terms
from audiera.protocol.rights import Use, decide
from audiera.sdk import preset
from audiera.sdk.offers import PRESET_WORDS, Preset

PRICE, SHARE = 50_000, 2_000
TRAINING = ("train-analytic", "train-generative")

# purpose -> (otherwise, commercially)
ALLOWED: dict[Preset, dict[str, tuple[bool, bool]]] = {
    # free to evaluate, embed and train on, not commercially
    "research": {"evaluate": (True, False), "index": (True, False), **dict.fromkeys(TRAINING, (True, False))},
    # free to evaluate; training, commercial too, for a price or a share of revenue
    "commercial": {"evaluate": (True, True), **dict.fromkeys(TRAINING, (True, True))},
    # may be evaluated, not commercially; never trained on or imitated
    "no-training": {"evaluate": (True, False)},
    # everything but imitation is free, commercial too
    "open": {purpose: (True, True) for purpose in ASSET_PURPOSES if purpose != "imitate"},
}


def terms_of(name: Preset) -> Terms:
    return preset(name, price=PRICE, revenue_share=SHARE) if name == "commercial" else preset(name)


def license_of(name: Preset) -> License:
    return License(number=1, id=bytes(32), holder=1, revision=1, terms=terms_of(name))


@pytest.mark.parametrize("name", PRESET_WORDS)
def test_a_preset_allows_what_its_words_say(name: Preset) -> None:
    assert set(ALLOWED) == set(PRESET_WORDS)
    check_terms(terms_of(name))
    expected = {"preview": (True, True), **ALLOWED[name]}
    for purpose in ASSET_PURPOSES:
        for commercial in (False, True):
            use = Use(purpose=purpose, commercial=commercial, account=2)
            decision = decide(license_of(name), None, use, 1)
            assert decision.allowed == expected.get(purpose, (False, False))[commercial], (purpose, commercial)
            if decision.allowed:
                assert decision.rule is not None
                is_priced = name == "commercial" and purpose in TRAINING
                price = decision.rule.price
                assert (0 if price is None else price.amount) == (PRICE if is_priced else 0)
                assert decision.rule.revenue_share == (SHARE if is_priced else 0)


@pytest.mark.parametrize("name", PRESET_WORDS)
def test_no_preset_allows_imitation(name: Preset) -> None:
    assert terms_of(name).no_imitation
    assert not decide(license_of(name), None, Use(purpose="imitate", account=2), 1).allowed


def test_training_is_sold_by_a_price_a_share_or_both() -> None:
    assert {rule.price for rule in preset("commercial", revenue_share=SHARE).rules} == {None}
    assert {rule.revenue_share for rule in preset("commercial", price=PRICE).rules} == {0}
    with pytest.raises(RequestError) as refused:
        preset("commercial")
    assert refused.value.code == "price_invalid"


@pytest.mark.parametrize("name", [name for name in PRESET_WORDS if name != "commercial"])
def test_terms_without_a_price_refuse_one(name: Preset) -> None:
    for given in ({"price": 1}, {"revenue_share": 1}):
        with pytest.raises(RequestError) as refused:
            preset(name, **given)
        assert refused.value.code == "price_invalid"
