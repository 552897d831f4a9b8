"""What makes a block final, and how a verifier goes from one trusted header to any later one."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.chain import BlockId, Commit, CommitSignature, Header, header_hash
from audiera.protocol.chain.light import CLOCK_DRIFT_NS, LightBlock, TrustedState, verify_light
from audiera.protocol.chain.validators import address_of, in_order, signed_power, validators_hash, verify_commit
from audiera.protocol.errors import ProofError
from audiera.protocol.keys import is_signature_valid
from audiera.protocol.records import Validator
from tests.protocol.chain.chains import (
    CHAIN,
    SECOND_NS,
    START_NS,
    Voter,
    commit_of,
    header_at,
    light_block,
    records,
    voters,
    whole_block,
)

NOW = START_NS + 1_000 * SECOND_NS
PERIOD = 3_600 * SECOND_NS


def check(trusted: TrustedState, block: LightBlock, *, now_ns: int = NOW, period_ns: int = PERIOD) -> None:
    verify_light(trusted, block, now_ns=now_ns, period_ns=period_ns, verify=is_signature_valid)


def trusting(set_: list[Voter], following: list[Voter] | None = None, *, height: int = 10) -> TrustedState:
    return TrustedState(header=header_at(height, set_, following), next_validators=records(following or set_))


# ---------------------------------------------------------------- public vectors


def header_from(raw: dict[str, Any]) -> Header:
    names = [name for name in Header.__struct_fields__ if name.endswith(("_hash", "_address"))]
    hashes = {name: bytes.fromhex(raw.get(name, "")) for name in names}
    plain = {name: value for name, value in raw.items() if name not in hashes}
    return Header(last_block_id=BlockId(), **plain, **hashes)


def set_from(raw: list[list[Any]]) -> tuple[Validator, ...]:
    return tuple(Validator(key=base64.b64decode(key), power=power) for key, power in raw)


def light_from(raw: dict[str, Any]) -> LightBlock:
    commit = raw["commit"]
    signatures = tuple(
        CommitSignature(
            flag=each["flag"],
            address=bytes.fromhex(each["address"]),
            time_ns=each["time_ns"],
            signature=base64.b64decode(each["signature"]),
        )
        for each in commit["signatures"]
    )
    return LightBlock(
        header=header_from(raw["header"]),
        commit=Commit(
            height=commit["height"],
            round=commit["round"],
            block_id=BlockId(
                hash=bytes.fromhex(commit["hash"]),
                parts_total=commit["parts_total"],
                parts_hash=bytes.fromhex(commit["parts_hash"]),
            ),
            signatures=signatures,
        ),
        validators=set_from(raw["validators"]),
    )


STEPS = json.loads((Path(__file__).parents[2] / "vectors" / "light-client.json").read_text())["steps"]


@pytest.mark.parametrize("step", STEPS, ids=[step["name"] for step in STEPS])
def test_public_steps_have_their_verdict(step: dict[str, Any]) -> None:
    """Headers, sets and signatures made by another implementation; see the file for their source."""
    trusted = TrustedState(
        header=header_from(step["trusted"]["header"]), next_validators=set_from(step["trusted"]["next_validators"])
    )
    block = light_from(step["block"])
    assert header_hash(block.header) == block.commit.block_id.hash
    assert validators_hash(block.validators) == block.header.validators_hash
    verdict, why = "SUCCESS", ""
    try:
        check(trusted, block, now_ns=step["now_ns"], period_ns=step["period_ns"])
    except ProofError as refused:
        why = refused.message
        verdict = "NOT_ENOUGH_TRUST" if "verify a block between" in why else "INVALID"
    assert verdict == step["verdict"], why


def test_the_public_steps_are_of_every_verdict() -> None:
    assert {step["verdict"] for step in STEPS} == {"SUCCESS", "NOT_ENOUGH_TRUST", "INVALID"}
    assert len(STEPS) == 20


# ---------------------------------------------------------------- sets and commits


def test_a_set_is_in_order_of_power_then_address() -> None:
    set_ = in_order(records(voters(1, 9, 5, 5, 5)))
    assert [validator.power for validator in set_] == [9, 5, 5, 5, 1]
    equal = [address_of(validator.key) for validator in set_[1:4]]
    assert equal == sorted(equal)
    assert validators_hash(set_) == validators_hash(list(reversed(set_)))
    assert validators_hash(set_) != validators_hash(set_[1:])
    assert validators_hash([replace(set_[0], power=8), *set_[1:]]) != validators_hash(set_)


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=6), st.data())
def test_a_commit_is_final_exactly_beyond_two_thirds(powers: list[int], data: st.DataObject) -> None:
    set_ = voters(*powers)
    fate = [data.draw(st.sampled_from(("signs", "absent", "nil"))) for _ in set_]
    block = BlockId(hash=bytes(32), parts_total=1, parts_hash=bytes(32))
    commit = commit_of(
        block,
        set_,
        height=4,
        absent=[voter for voter, what in zip(set_, fate, strict=True) if what == "absent"],
        nil=[voter for voter, what in zip(set_, fate, strict=True) if what == "nil"],
    )
    signed = sum(power for power, what in zip(powers, fate, strict=True) if what == "signs")
    assert signed_power(records(set_), CHAIN, commit, is_signature_valid) == signed
    if 3 * signed > 2 * sum(powers):
        verify_commit(records(set_), CHAIN, block, 4, commit, is_signature_valid)
    else:
        with pytest.raises(ProofError, match="two thirds"):
            verify_commit(records(set_), CHAIN, block, 4, commit, is_signature_valid)


def test_exactly_two_thirds_is_not_enough() -> None:
    set_ = voters(1, 1, 1)
    block = BlockId(hash=bytes(32))
    with pytest.raises(ProofError, match="two thirds"):
        verify_commit(
            records(set_), CHAIN, block, 1, commit_of(block, set_, height=1, absent=set_[:1]), is_signature_valid
        )


Spoil = Callable[[Commit], Commit]


def spoiled_entry(**changes: object) -> Spoil:
    def spoil(commit: Commit) -> Commit:
        entry = replace(commit.signatures[0], **changes)
        return replace(commit, signatures=(entry, *commit.signatures[1:]))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda commit: replace(commit, height=8), "another block"),
        (lambda commit: replace(commit, block_id=replace(commit.block_id, parts_total=9)), "another block"),
        (lambda commit: replace(commit, round=1), "does not verify"),
        (lambda commit: replace(commit, signatures=commit.signatures[:-1]), "entries expected"),
        (lambda commit: replace(commit, signatures=(*commit.signatures, commit.signatures[0])), "entries expected"),
        (lambda commit: replace(commit, signatures=commit.signatures[::-1]), "names another validator"),
        (spoiled_entry(time_ns=5), "does not verify"),
        (spoiled_entry(signature=bytes(64)), "does not verify"),
        (spoiled_entry(signature=b""), "does not verify"),
        (spoiled_entry(address=bytes(20)), "names another validator"),
        (spoiled_entry(flag=3), "two thirds"),
        (spoiled_entry(flag=7), "two thirds"),
    ],
)
def test_a_commit_tampered_with_is_refused(spoil: Spoil, why: str) -> None:
    set_ = voters(2, 2, 2)
    block, commit = whole_block(set_, b"tx")
    verify_commit(records(set_), CHAIN, commit.block_id, 7, commit, is_signature_valid)
    assert commit.block_id.hash == header_hash(block.header)
    with pytest.raises(ProofError, match=why):
        verify_commit(records(set_), CHAIN, commit.block_id, 7, spoil(commit), is_signature_valid)


def test_signatures_for_another_chain_do_not_count() -> None:
    set_ = voters(2, 2, 2)
    block = BlockId(hash=bytes(32))
    commit = commit_of(block, set_, height=1, chain_id="other")
    with pytest.raises(ProofError, match="does not verify"):
        verify_commit(records(set_), CHAIN, block, 1, commit, is_signature_valid)


def test_a_validator_listed_twice_does_not_count_twice() -> None:
    set_ = voters(1)
    block = BlockId(hash=bytes(32))
    commit = commit_of(block, set_, height=1)
    twice = replace(commit, signatures=commit.signatures * 2)
    with pytest.raises(ProofError, match="appears twice"):
        verify_commit(records(set_) * 2, CHAIN, block, 1, twice, is_signature_valid)


# ---------------------------------------------------------------- from one header to another


def test_the_next_header_is_trusted_by_the_set_the_last_one_names() -> None:
    old, new = voters(1, 1, 1), voters(7, 7, 7, prefix="new")
    check(trusting(old, new), light_block(header_at(11, new), new))
    with pytest.raises(ProofError, match="names other validators"):
        check(trusting(old, old), light_block(header_at(11, new), new))


# The cases of cometbft/cometbft, light/verifier_test.go, TestVerifyNonAdjacentHeaders: powers 20, 30, 40 and 50,
# trusted at height 1; who of them forms the new set, who signs, and what comes of it.
@pytest.mark.parametrize(
    ("members", "absent", "why"),
    [
        ((20, 30, 40, 50), (), ""),
        ((20, 30, 40, 50), (20,), ""),
        ((20, 30, 40, 50), (20, 30, 40), "two thirds of 140"),
        ((30, 40, 50), (), ""),
        ((50,), (), ""),
        ((20,), (), "more than a third of the known 140 expected, 20 signed"),
    ],
)
def test_a_later_header_is_trusted_by_a_third_of_the_known(
    members: tuple[int, ...], absent: tuple[int, ...], why: str
) -> None:
    everybody = {voter.record.power: voter for voter in voters(20, 30, 40, 50)}
    trusted = trusting(list(everybody.values()), height=1)
    set_ = [everybody[power] for power in members]
    block = light_block(header_at(5, set_), set_, absent=[everybody[power] for power in absent])
    if why:
        with pytest.raises(ProofError, match=why):
            check(trusted, block)
    else:
        check(trusted, block)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.lists(st.integers(1, 9), max_size=4), st.data())
def test_skipping_needs_more_than_a_third_that_signed(known: list[int], new: list[int], data: st.DataObject) -> None:
    old = voters(*known)
    kept = data.draw(st.lists(st.sampled_from(old), unique_by=id))
    set_ = kept + voters(*new, prefix="new")
    if not set_:
        return
    overlap = sum(voter.record.power for voter in kept)
    block = light_block(header_at(20, set_), set_)
    if 3 * overlap > sum(known):
        check(trusting(old), block)
    else:
        with pytest.raises(ProofError, match="more than a third"):
            check(trusting(old), block)


def test_the_power_that_counts_is_the_one_that_was_trusted() -> None:
    """A header that gives a known validator more power gives it no more trust."""
    old = voters(1, 1, 1, 1)
    promoted = Voter("v0", 1_000)
    with pytest.raises(ProofError, match="more than a third"):
        check(trusting(old), light_block(header_at(20, [promoted]), [promoted]))


def test_one_known_validator_repeated_is_not_a_third() -> None:
    """A quarter of the known power, listed twice in a set of the attacker's, with the same signature twice."""
    old = voters(1, 1, 1, 1)
    traitor = old[0]
    header = header_at(20, [traitor, traitor])
    named = BlockId(hash=header_hash(header))
    commit = commit_of(named, [traitor], height=20)
    block = LightBlock(
        header=header,
        commit=replace(commit, signatures=commit.signatures * 2),
        validators=records([traitor, traitor]),
    )
    with pytest.raises(ProofError, match="appears twice"):
        check(trusting(old), block)


def test_a_known_set_that_the_trusted_header_does_not_name_is_refused() -> None:
    old, other = voters(1, 1, 1), voters(1, 1, 1, prefix="other")
    trusted = replace(trusting(old), next_validators=records(other))
    with pytest.raises(ProofError, match="not those the trusted header names"):
        check(trusted, light_block(header_at(20, other), other))


def test_a_chain_is_followed_by_skips_and_steps() -> None:
    sets = [voters(3, 3, 3)]
    for place in range(5):
        sets.append([*sets[-1][1:], Voter(f"later{place}", 3)])
    trusted = trusting(sets[0], sets[1], height=1)
    for height, members, following in ((3, sets[2], sets[3]), (4, sets[3], sets[4]), (6, sets[5], sets[5])):
        header = header_at(height, members, following)
        check(trusted, light_block(header, members))
        trusted = TrustedState(header=header, next_validators=records(following))
    with pytest.raises(ProofError, match="verify a block between"):
        check(trusting(sets[0], height=1), light_block(header_at(6, sets[5]), sets[5]))


@pytest.mark.parametrize(
    ("changes", "when", "why"),
    [
        ({"chain_id": "other"}, NOW, "a header of test-chain expected"),
        ({"height": 10}, NOW, "a height above 10"),
        ({"height": 9}, NOW, "a height above 10"),
        ({"time_ns": START_NS + 10 * SECOND_NS}, NOW, "time does not go on"),
        ({"time_ns": NOW + CLOCK_DRIFT_NS}, NOW, "lies in the future"),
        ({}, START_NS + 10 * SECOND_NS + PERIOD, "older than the trusting period"),
        ({"validators_hash": bytes(32)}, NOW, "not the validators the header names"),
    ],
)
def test_a_header_out_of_place_is_refused(changes: dict[str, object], when: int, why: str) -> None:
    set_ = voters(1, 1, 1)
    block = light_block(header_at(11, set_, **changes), set_)
    with pytest.raises(ProofError, match=why):
        check(trusting(set_), block, now_ns=when)


def test_bounds_of_time_are_inclusive_where_they_should_be() -> None:
    set_ = voters(1)
    check(trusting(set_), light_block(header_at(11, set_, time_ns=NOW + CLOCK_DRIFT_NS - 1), set_))
    check(trusting(set_), light_block(header_at(11, set_), set_), now_ns=START_NS + 10 * SECOND_NS + PERIOD - 1)


@pytest.mark.parametrize("name", Header.__struct_fields__)
def test_a_header_altered_after_it_was_signed_is_refused(name: str) -> None:
    set_ = voters(1, 1, 1)
    block = light_block(header_at(11, set_), set_)
    check(trusting(set_), block)
    value = getattr(block.header, name)
    altered: object
    if isinstance(value, int):
        altered = value + 1
    elif isinstance(value, BlockId):
        altered = replace(value, parts_total=value.parts_total + 1)
    else:
        altered = value + value[-1:]
    with pytest.raises(ProofError):
        check(trusting(set_), replace(block, header=replace(block.header, **{name: altered})))


def test_a_later_header_with_too_few_of_its_own_signatures_is_refused() -> None:
    """Trusted by overlap, but not final by its own set."""
    set_ = voters(2, 2, 2)
    block = light_block(header_at(20, set_), set_, absent=set_[:1])
    with pytest.raises(ProofError, match="two thirds"):
        check(trusting(set_), block)
