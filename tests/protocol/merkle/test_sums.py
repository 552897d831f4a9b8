"""A sum tree proves a payee's weight, the weights before it and the total, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import EMPTY_ROOT, sum_path, sum_root, verify_sum

LEAVES = st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(0, 2**70)), min_size=1, max_size=40)


@given(LEAVES, st.data())
def test_every_payee_is_provable_and_only_as_it_is(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, total = sum_root(leaves)
    assert total == sum(weight for _, weight in leaves)
    payee, weight = leaves[index]
    before = sum(earlier for _, earlier in leaves[:index])
    path = sum_path(leaves, index)

    def verify(payee=payee, weight=weight, before=before, path=path, root=root, total=total):
        verify_sum(payee, weight, index=index, count=len(leaves), before=before, path=path, root=root, total=total)

    verify()
    for other in (
        {"payee": payee + b"\x00"},
        {"weight": weight + 1},
        {"before": before + 1},
        {"total": total + 1},
        {"root": bytes(32)},
        {"path": (*path, (bytes(32), 0))},
        {"path": path[:-1]} if path else {"weight": weight + 2},
    ):
        with pytest.raises(ProofError):
            verify(**other)
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        hash_, value = path[place]
        with pytest.raises(ProofError):
            verify(path=(*path[:place], (hash_, value + 1), *path[place + 1 :]))


def test_weight_cannot_be_moved_between_siblings():
    leaves = [(b"a", 10), (b"b", 20)]
    root, total = sum_root(leaves)
    ((sibling, value),) = sum_path(leaves, 0)
    with pytest.raises(ProofError):
        verify_sum(b"a", 11, index=0, count=2, before=0, path=((sibling, value - 1),), root=root, total=total)


@pytest.mark.parametrize("weight", [-1, 2**120])
def test_negative_and_overflowing_weights_are_refused(weight):
    with pytest.raises(ProofError):
        sum_root([(b"a", weight)])
    with pytest.raises(ProofError):
        verify_sum(b"a", weight, index=0, count=1, before=0, path=(), root=bytes(32), total=weight)
    with pytest.raises(ProofError):
        verify_sum(b"a", 1, index=0, count=2, before=0, path=((bytes(32), weight),), root=bytes(32), total=1 + weight)


def test_a_total_that_overflows_is_refused():
    with pytest.raises(ProofError):
        sum_root([(b"a", 2**119), (b"b", 2**119)])


def test_a_payee_name_that_is_too_long_is_refused():
    with pytest.raises(ProofError):
        sum_root([(bytes(70_000), 1)])


def test_nobody_has_a_root_of_nothing():
    assert sum_root([]) == (EMPTY_ROOT, 0)


@pytest.mark.parametrize("index", [-1, 2])
def test_payees_outside_the_tree_are_refused(index):
    leaves = [(b"a", 1), (b"b", 2)]
    root, total = sum_root(leaves)
    with pytest.raises(ProofError):
        sum_path(leaves, index)
    with pytest.raises(ProofError):
        verify_sum(b"a", 1, index=index, count=2, before=0, path=(), root=root, total=total)


def test_a_place_before_the_first_is_refused():
    root, total = sum_root([(b"a", 1)])
    with pytest.raises(ProofError):
        verify_sum(b"a", 1, index=0, count=1, before=-1, path=(), root=root, total=total)
