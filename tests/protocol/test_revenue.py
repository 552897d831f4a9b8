"""Money divides exactly, whatever the order, whatever the weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import RecordError
from audiera.protocol.records import Split
from audiera.protocol.revenue import allocate, divide_by_splits, part_of, payee_order, take_fees

AMOUNTS = st.integers(0, 10**18)
WEIGHTS = st.dictionaries(st.integers(1, 2**64 - 1), st.integers(0, 10**15), min_size=1, max_size=40).filter(
    lambda weights: any(weights.values())
)


@given(AMOUNTS, WEIGHTS, st.binary(min_size=32, max_size=32))
def test_parts_sum_to_the_amount_and_lie_within_one_unit(amount: int, weights: dict[int, int], seed: bytes) -> None:
    parts = allocate(amount, list(weights.items()), seed)
    total = sum(weights.values())
    assert sum(part.amount for part in parts) == amount
    assert sorted(part.payee for part in parts) == sorted(weights)
    for part in parts:
        exact = amount * weights[part.payee] // total
        assert max(0, exact - 1) <= part.amount <= exact + 1


@given(AMOUNTS, WEIGHTS, st.randoms(use_true_random=False))
def test_parts_do_not_depend_on_the_order_given(amount: int, weights: dict[int, int], shuffler: object) -> None:
    pairs = list(weights.items())
    first = allocate(amount, pairs, b"seed")
    shuffler.shuffle(pairs)  # type: ignore[attr-defined]
    assert allocate(amount, pairs, b"seed") == first


@given(AMOUNTS, WEIGHTS)
def test_each_part_can_be_computed_alone(amount: int, weights: dict[int, int]) -> None:
    parts = {part.payee: part.amount for part in allocate(amount, list(weights.items()), b"s")}
    before, total = 0, sum(weights.values())
    for payee in payee_order(b"s", weights):
        assert part_of(amount, before, weights[payee], total) == parts[payee]
        before += weights[payee]


def test_a_payee_with_no_weight_gets_nothing() -> None:
    assert {part.payee: part.amount for part in allocate(7, [(1, 0), (2, 5)], b"")} == {1: 0, 2: 7}


@pytest.mark.parametrize("weights", [[(1, 1), (1, 2)], [(1, 0)], []])
def test_weights_that_cannot_divide_are_refused(weights: list[tuple[int, int]]) -> None:
    with pytest.raises(RecordError):
        allocate(5, weights, b"")


@pytest.mark.parametrize(("before", "weight", "total"), [(1, 1, 1), (-1, 1, 2), (0, -1, 2), (0, 0, 0)])
def test_a_part_outside_the_whole_is_refused(before: int, weight: int, total: int) -> None:
    with pytest.raises(RecordError):
        part_of(5, before, weight, total)


@given(AMOUNTS, st.integers(0, 10_000))
def test_fees_and_rest_are_the_payment(amount: int, network: int) -> None:
    fees = take_fees(amount, network, 10_000 - network)
    assert fees.network + fees.node + fees.rest == amount
    assert min(fees) >= 0


def test_splits_divide_by_basis_points() -> None:
    splits = (Split(account=1, share=3_333), Split(account=2, share=6_667))
    parts = {part.payee: part.amount for part in divide_by_splits(10_000, splits, b"")}
    assert parts == {1: 3_333, 2: 6_667}
