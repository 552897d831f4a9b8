"""The whole truth table of one rule, the precedence of many, and everything a grant can say against a use."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.purposes import ASSET_PURPOSES, PURPOSES
from audiera.protocol.records import AgreedTerms, Caps, Grant, GrantUsage, License, Price, Rule, Terms
from audiera.protocol.rights import REASONS, Use, decide

AT = 1_000


def license_of(*rules: Rule, no_imitation: bool = False) -> License:
    return License(number=5, id=bytes(32), holder=1, revision=2, terms=Terms(rules=rules, no_imitation=no_imitation))


def grant_for(purpose: str = "evaluate", **changes: object) -> Grant:
    fields: dict[str, object] = {
        "number": 9,
        "id": bytes(32),
        "grantee": 7,
        "purpose": purpose,
        "assets": (3,),
        "terms": (AgreedTerms(license=5, revision=2),),
        "valid_from": 0,
    }
    return Grant(**(fields | changes))  # type: ignore[arg-type]


TABLE = list(
    product(
        ("allow", "terms", "deny"),
        (False, True),  # rule commercial
        (False, True),  # use commercial
        ("anyone", "verified", "named", "request"),
        (False, True),  # asker verified
        (0, 7, 8),  # asker
        (("*",), ("DE",), ("DE", "FR")),
        ("*", "DE", "US"),
        ((0, 0), (0, AT), (AT, 0), (AT + 1, 0), (0, AT + 1)),
    )
)


@pytest.mark.parametrize("purpose", ["preview", "train-generative"])
def test_one_rule_decides_as_the_table_says(purpose: str) -> None:
    allowed = 0
    for verdict, covers, commercial, audience, verified, account, places, place, (start, end) in TABLE:
        rule = Rule(
            purpose=purpose,  # type: ignore[arg-type]
            verdict=verdict,  # type: ignore[arg-type]
            commercial=covers,
            audience=audience,  # type: ignore[arg-type]
            named=(7,) if audience == "named" else (),
            territories=places,
            valid_from=start,
            valid_until=end,
        )
        use = Use(purpose=purpose, commercial=commercial, territory=place, account=account, verified=verified)
        decision = decide(license_of(rule), None, use, AT)
        expected = (
            verdict != "deny"
            and (covers or not commercial)
            and audience in ("anyone", "verified", "named")
            and (audience != "verified" or verified)
            and (audience != "named" or account == 7)
            and (places == ("*",) or place in places)
            and start <= AT
            and (end == 0 or end > AT)
        )
        assert decision.allowed == expected, (rule, use, decision)
        assert decision.reasons and all(reason in REASONS for reason in decision.reasons)
        assert (decision.reasons == ("allowed",)) == expected
        allowed += expected
    assert 0 < allowed < len(TABLE)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_silence_denies_every_purpose(purpose: str) -> None:
    assert not decide(license_of(), None, Use(purpose=purpose), AT).allowed


@pytest.mark.parametrize("asked", ASSET_PURPOSES)
def test_a_rule_speaks_of_its_own_purpose_only(asked: str) -> None:
    for said in ASSET_PURPOSES:
        decision = decide(license_of(Rule(purpose=said, verdict="allow")), None, Use(purpose=asked), AT)
        assert decision.allowed == (said == asked)


@pytest.mark.parametrize("purpose", ["", "train", "TRAIN-GENERATIVE", "call-model", "preview "])
def test_unknown_purposes_are_denied(purpose: str) -> None:
    decision = decide(license_of(Rule(purpose="preview", verdict="allow")), None, Use(purpose=purpose), AT)
    assert decision.reasons == ("unknown-purpose",)


def test_no_imitation_outranks_a_rule_that_allows_it() -> None:
    rule = Rule(purpose="imitate", verdict="allow", commercial=True)
    assert decide(license_of(rule, no_imitation=True), None, Use(purpose="imitate"), AT).reasons == ("no-imitation",)
    assert decide(license_of(rule), None, Use(purpose="imitate"), AT).allowed


def test_training_generatively_never_implies_imitation() -> None:
    rule = Rule(purpose="train-generative", verdict="allow", commercial=True)
    assert not decide(license_of(rule), None, Use(purpose="imitate"), AT).allowed


def test_the_more_specific_rule_wins_over_the_general_denial() -> None:
    everyone = Rule(purpose="evaluate", verdict="deny")
    friends = Rule(purpose="evaluate", verdict="allow", audience="named", named=(7,))
    license_ = license_of(everyone, friends)
    assert decide(license_, None, Use(purpose="evaluate", account=7), AT).allowed
    assert not decide(license_, None, Use(purpose="evaluate", account=8), AT).allowed


def test_a_denied_country_denies_worldwide_use() -> None:
    license_ = license_of(
        Rule(purpose="perform", verdict="allow"), Rule(purpose="perform", verdict="deny", territories=("US",))
    )
    assert decide(license_, None, Use(purpose="perform", territory="DE"), AT).allowed
    assert not decide(license_, None, Use(purpose="perform", territory="US"), AT).allowed
    assert not decide(license_, None, Use(purpose="perform", territory="*"), AT).allowed


VERDICTS = st.sampled_from(["allow", "terms", "deny"])


@given(st.lists(VERDICTS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_among_equal_rules_the_strictest_wins_in_any_order(verdicts: list[str], shuffler: object) -> None:
    rules = [
        Rule(
            purpose="index",
            verdict=verdict,  # type: ignore[arg-type]
            price=Price(unit="access", amount=place + 1) if verdict == "terms" else None,
        )
        for place, verdict in enumerate(verdicts)
    ]
    first = decide(license_of(*rules), None, Use(purpose="index"), AT)
    shuffler.shuffle(rules)  # type: ignore[attr-defined]
    second = decide(license_of(*rules), None, Use(purpose="index"), AT)
    assert first == second
    assert first.allowed == ("deny" not in verdicts)
    if first.allowed and "terms" in verdicts:
        assert first.rule is not None and first.rule.price is not None
        assert first.rule.price.amount == max(place + 1 for place, v in enumerate(verdicts) if v == "terms")


FREE = license_of(Rule(purpose="evaluate", verdict="allow", audience="request"))
GRANT_CASES = [
    ({}, {}, ()),
    ({"status": "revoked"}, {}, ("grant-revoked",)),
    ({"status": "requested"}, {}, ("grant-requested",)),
    ({"status": "exhausted"}, {}, ("grant-exhausted",)),
    ({"status": "declined"}, {}, ("grant-declined",)),
    ({"status": "offered"}, {}, ("grant-offered",)),
    ({"status": "expired"}, {}, ("grant-expired",)),
    ({"grantee": 8}, {}, ("grant-other-account",)),
    ({"purpose": "index"}, {}, ("grant-other-purpose",)),
    ({"valid_from": AT + 1}, {}, ("grant-not-yet",)),
    ({"valid_until": AT}, {}, ("grant-expired",)),
    ({"valid_until": AT + 1}, {}, ()),
    ({"territory": "DE"}, {}, ("grant-territory",)),
    ({"territory": "DE"}, {"territory": "DE"}, ()),
    ({"terms": (AgreedTerms(license=5, revision=1),)}, {}, ("grant-other-license",)),
    ({"terms": (AgreedTerms(license=6, revision=2),)}, {}, ("grant-other-license",)),
    ({"caps": Caps(accesses=3)}, {"accesses": 1}, ()),
    ({"caps": Caps(accesses=2)}, {"accesses": 1}, ("cap-accesses",)),
    ({"caps": Caps(bytes=109)}, {"bytes": 10}, ("cap-bytes",)),
    ({"caps": Caps(bytes=110)}, {"bytes": 10}, ()),
    ({"status": "revoked", "grantee": 8}, {}, ("grant-revoked", "grant-other-account")),
]


@pytest.mark.parametrize(("grant_changes", "use_changes", "reasons"), GRANT_CASES)
def test_a_grant_is_checked_in_every_respect(
    grant_changes: dict[str, object], use_changes: dict[str, object], reasons: tuple[str, ...]
) -> None:
    use = Use(**({"purpose": "evaluate", "account": 7} | use_changes))  # type: ignore[arg-type]
    usage = GrantUsage(accesses=2, bytes=100)
    decision = decide(FREE, grant_for(**grant_changes), use, AT, usage)
    assert decision.allowed == (not reasons)
    assert decision.reasons == (reasons or ("allowed",))


def test_a_non_commercial_grant_refuses_commercial_use() -> None:
    license_ = license_of(Rule(purpose="evaluate", verdict="allow", commercial=True))
    use = Use(purpose="evaluate", account=7, commercial=True)
    assert decide(license_, grant_for(), use, AT).reasons == ("grant-not-commercial",)
    assert decide(license_, grant_for(commercial=True), use, AT).allowed


def test_every_reason_explains_itself_to_a_person() -> None:
    decision = decide(license_of(), None, Use(purpose="index"), AT)
    assert "says nothing about this purpose" in decision.explain()
