"""A day's proof shows an asset's accesses, or that there were none, and cannot show less than there was."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.encoding import decode, encode
from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import DayLeaf, DayProof, day_digest, day_root, prove_day, verify_day
from audiera.protocol.merkle.days import LeafProof


def leaf(asset: int, count: int = 3, size: int = 1_000) -> DayLeaf:
    return DayLeaf(asset=asset, count=count, bytes=size, digest=asset.to_bytes(32, "big"))


@st.composite
def days(draw: st.DrawFn) -> list[DayLeaf]:
    assets = sorted(draw(st.sets(st.integers(1, 300), max_size=40)))
    return [leaf(asset, draw(st.integers(1, 50)), draw(st.integers(0, 2**50))) for asset in assets]


@given(days(), st.integers(0, 301))
def test_every_asset_has_a_proof_of_its_day_or_its_absence(leaves, asset):
    proof = prove_day(leaves, asset)
    expected = next((leaf for leaf in leaves if leaf.asset == asset), None)
    assert verify_day(proof, asset, day_root(leaves)) == expected
    assert decode(encode(proof), DayProof) == proof


@given(st.integers(3, 30), st.data())
def test_an_asset_that_was_accessed_cannot_be_hidden(count, data):
    leaves = [leaf(10 * (place + 1), place + 1) for place in range(count)]
    root = day_root(leaves)
    hidden = data.draw(st.integers(0, count - 1))
    proofs = [prove_day(leaves, leaf.asset).leaves[0] for leaf in leaves]
    others = [proof for place, proof in enumerate(proofs) if place != hidden]
    for pair in [(), *((proof,) for proof in others), *itertools.permutations(others, 2)]:
        for assets in (count, count - 1, count + 1):
            with pytest.raises(ProofError):
                verify_day(DayProof(assets=assets, leaves=tuple(pair)), leaves[hidden].asset, root)


@given(days().filter(bool), st.data())
def test_no_altered_part_of_a_proof_is_accepted(leaves, data):
    chosen = data.draw(st.sampled_from(leaves))
    proof = prove_day(leaves, chosen.asset)
    root = day_root(leaves)
    (shown,) = proof.leaves

    def refused(changed: LeafProof) -> None:
        with pytest.raises(ProofError):
            verify_day(replace(proof, leaves=(changed,)), chosen.asset, root)

    refused(replace(shown, leaf=replace(chosen, count=chosen.count + 1)))
    refused(replace(shown, leaf=replace(chosen, bytes=chosen.bytes + 1)))
    refused(replace(shown, leaf=replace(chosen, digest=bytes(32) if any(chosen.digest) else b"\x01" * 32)))
    refused(replace(shown, path=(*shown.path, (bytes(32), 1, 1))))
    for place, (hash_, rows, size) in enumerate(shown.path):
        for other in ((bytes(32), rows, size), (hash_, rows + 1, size), (hash_, rows, size + 1), (b"", rows, size)):
            refused(replace(shown, path=(*shown.path[:place], other, *shown.path[place + 1 :])))
        refused(replace(shown, path=shown.path[:place] + shown.path[place + 1 :]))


def test_an_empty_day_proves_every_absence():
    root = day_root([])
    assert verify_day(prove_day([], 5), 5, root) is None
    with pytest.raises(ProofError):
        verify_day(DayProof(assets=0, leaves=()), 5, day_root([leaf(5)]))


def test_a_leaf_that_does_not_exist_proves_nothing():
    proof = prove_day([leaf(1), leaf(2)], 1)
    with pytest.raises(ProofError):
        verify_day(replace(proof, leaves=(replace(proof.leaves[0], index=2),)), 1, day_root([leaf(1), leaf(2)]))


@pytest.mark.parametrize(
    "leaves",
    [
        [leaf(2), leaf(1)],
        [leaf(1), leaf(1)],
        [leaf(1, count=0)],
        [leaf(1, size=-1)],
        [leaf(1, size=2**64)],
        [leaf(1, size=2**63), leaf(2, size=2**63)],
        [replace(leaf(1), digest=b"")],
    ],
)
def test_what_is_no_day_is_refused(leaves):
    with pytest.raises(ProofError):
        day_root(leaves)


def test_a_closed_day_is_named_by_all_of_it():
    root = day_root([leaf(1), leaf(2)])
    digests = {
        day_digest(19_000, 2, root),
        day_digest(19_001, 2, root),
        day_digest(19_000, 3, root),
        day_digest(19_000, 2, root._replace(rows=7)),
        day_digest(19_000, 2, root._replace(bytes=7)),
        day_digest(19_000, 2, root._replace(hash=bytes(32))),
    }
    assert len(digests) == 6


def test_a_completeness_proof_stays_within_a_kilobyte_and_a_half():
    leaves = [leaf(place * 3 + 1, size=2**40) for place in range(4_096)]
    own, absent = len(encode(prove_day(leaves, 301))), len(encode(prove_day(leaves, 302)))
    assert own * 20 < 1_536 * 12  # 20 levels, a million assets
    assert absent < 2 * own
