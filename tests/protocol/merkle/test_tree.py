"""RFC 9162 trees: every leaf and every extension is provable, every altered proof is refused."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)


def leaves_of(count: int) -> list[bytes]:
    """Distinct leaf hashes."""
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


def split_root(leaves: list[bytes]) -> bytes:
    """The root by the recursive definition of RFC 9162, section 2.1.1, written another way than ours."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + split_root(leaves[:half]) + split_root(leaves[half:])).digest()


def test_the_root_is_the_one_of_the_recursive_definition():
    for count in range(70):
        assert tree_root(leaves_of(count)) == split_root(leaves_of(count))


def test_every_leaf_of_every_small_tree_is_provable():
    for count in range(1, 40):
        leaves = leaves_of(count)
        root = tree_root(leaves)
        for index in range(count):
            verify_inclusion(leaves[index], index, count, inclusion_path(leaves, index), root)


def test_every_extension_of_every_small_tree_is_provable():
    leaves = leaves_of(34)
    roots = [tree_root(leaves[:count]) for count in range(35)]
    for second in range(1, 35):
        for first in range(1, second + 1):
            path = consistency_path(leaves, first, second)
            verify_consistency(first, second, roots[first], roots[second], path)


@given(st.integers(1, 300), st.data())
def test_an_inclusion_proof_proves_one_leaf_at_one_place(count, data):
    leaves = leaves_of(count)
    index = data.draw(st.integers(0, count - 1))
    path, root = inclusion_path(leaves, index), tree_root(leaves)
    verify_inclusion(leaves[index], index, count, path, root)
    other = data.draw(st.integers(0, count - 1).filter(lambda place: place != index) if count > 1 else st.just(count))
    with pytest.raises(ProofError):
        verify_inclusion(leaves[index], other, count, path, root)
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(b"another"), index, count, path, root)
    with pytest.raises(ProofError):
        verify_inclusion(leaves[index], index, count, (*path, bytes(32)), root)
    for place in range(len(path)):
        with pytest.raises(ProofError):
            verify_inclusion(leaves[index], index, count, path[:place] + path[place + 1 :], root)
        altered = bytearray(path[place])
        altered[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(ProofError):
            verify_inclusion(leaves[index], index, count, (*path[:place], bytes(altered), *path[place + 1 :]), root)


@given(st.integers(2, 300), st.data())
def test_a_consistency_proof_proves_no_other_history(count, data):
    leaves = leaves_of(count)
    first = data.draw(st.integers(1, count - 1))
    older, newer = tree_root(leaves[:first]), tree_root(leaves)
    path = consistency_path(leaves, first, count)
    verify_consistency(first, count, older, newer, path)
    rewritten = tree_root([leaf_hash(b"rewritten"), *leaves[1:first]])
    with pytest.raises(ProofError):
        verify_consistency(first, count, rewritten, newer, path)
    with pytest.raises(ProofError):
        verify_consistency(first, count, older, rewritten, path)
    with pytest.raises(ProofError):
        verify_consistency(first, count, older, newer, (*path, bytes(32)))
    with pytest.raises(ProofError):
        verify_consistency(first, count, older, newer, path[:-1])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_places_outside_the_tree_are_refused(index, size):
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(b""), index, size, (), leaf_hash(b""))
    with pytest.raises(ProofError):
        inclusion_path(leaves_of(size), index)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 3), (3, 2), (2, 9)])
def test_extensions_that_are_none_are_refused(first, second):
    with pytest.raises(ProofError):
        consistency_path(leaves_of(4), first, second)


def test_a_tree_is_consistent_with_itself_only_by_an_empty_path():
    root = tree_root(leaves_of(3))
    verify_consistency(3, 3, root, root, ())
    with pytest.raises(ProofError):
        verify_consistency(3, 3, root, EMPTY_ROOT, ())
    with pytest.raises(ProofError):
        verify_consistency(3, 3, root, root, (root,))


def test_a_hash_of_another_length_is_refused():
    left, right = leaves_of(2)
    verify_inclusion(left, 0, 2, (right,), node_hash(left, right))
    with pytest.raises(ProofError):
        verify_inclusion(left, 0, 2, (right[:31],), hashlib.sha256(b"\x01" + left + right[:31]).digest())
    with pytest.raises(ProofError):
        verify_consistency(1, 2, left, hashlib.sha256(b"\x01" + left + right[:31]).digest(), (right[:31],))


@given(st.integers(0, 200))
def test_a_frontier_knows_the_root_without_the_leaves(count):
    leaves = leaves_of(count)
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    again = Frontier(frontier.size, frontier.hashes)
    assert again.root() == frontier.root() == tree_root(leaves)
    assert len(frontier.hashes) == count.bit_count()
    again.append(leaf_hash(b"one more"))
    assert again.root() == tree_root([*leaves, leaf_hash(b"one more")])
    assert frontier.root() == tree_root(leaves)


@pytest.mark.parametrize(("size", "hashes"), [(1, ()), (2, (bytes(32), bytes(32))), (-1, ()), (1, (bytes(31),))])
def test_a_frontier_of_the_wrong_shape_is_refused(size, hashes):
    with pytest.raises(ProofError):
        Frontier(size, hashes)


def test_the_public_vectors_pass(vectors):
    def raw(text: str | None) -> bytes:
        return base64.b64decode(text or "")

    paths = sorted((vectors / "rfc6962").rglob("*.json"))
    assert len(paths) > 50
    wrong: list[Path] = []
    for path in paths:
        case = json.loads(path.read_text())
        proof = [raw(sibling) for sibling in case["proof"] or ()]
        refused = False
        try:
            if "leafIdx" in case:
                leaf, root = raw(case["leafHash"]), raw(case["root"])
                verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root)
            else:
                roots = raw(case["root1"]), raw(case["root2"])
                verify_consistency(case["size1"], case["size2"], *roots, proof)
        except ProofError:
            refused = True
        if refused != case["wantErr"]:
            wrong.append(path)
    assert wrong == []
