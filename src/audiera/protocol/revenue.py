"""Dividing money so that it adds up: integers only, exact to the micro-credit, independent of order.

Rule: in an order fixed by a seed, ``pay_i = floor(A * C_i / W) - floor(A * C_(i-1) / W)`` with ``C_i`` the sum of
the first i weights and ``W`` their total. The parts sum to ``A`` exactly, each lies within one unit of its exact
share, and one part can be computed and proved alone from ``(A, W, C_(i-1), w_i)``.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from audiera.protocol.encoding import digest
from audiera.protocol.errors import RecordError
from audiera.protocol.records.base import Split
from audiera.protocol.units import WHOLE


class Part(NamedTuple):
    """One payee's part of an amount."""

    payee: int
    """Ledger number of the account or asset."""

    amount: int
    """Microcredits, >= 0."""


def payee_order(seed: bytes, payees: Iterable[int]) -> list[int]:
    """The order in which parts are cut: by SHA-256 of seed and payee, so that nobody can choose a place."""
    return sorted(payees, key=lambda payee: digest(seed + payee.to_bytes(8, "big")))


def part_of(amount: int, before: int, weight: int, total: int) -> int:
    """One payee's part.

    Args:
        amount: what is divided, microcredits, >= 0.
        before: sum of the weights earlier in the order.
        weight: the payee's own weight, >= 0.
        total: sum of all weights, >= 1.

    Raises:
        RecordError: weights that do not fit together.
    """
    if amount < 0 or before < 0 or weight < 0 or total < 1 or before + weight > total:
        raise RecordError(f"a part needs 0 <= before + weight <= total, got {before} + {weight} of {total}")
    return amount * (before + weight) // total - amount * before // total


def allocate(amount: int, weights: Sequence[tuple[int, int]], seed: bytes) -> list[Part]:
    """Divide an amount among payees by weight.

    Args:
        amount: microcredits, >= 0.
        weights: (payee, weight) pairs in any order, each payee once, weights >= 0 and not all 0.
        seed: what fixes the order of cutting.

    Returns:
        A part for each payee, in the order of cutting; the parts sum to ``amount``.

    Raises:
        RecordError: a payee twice, or nothing to weigh by.
    """
    by_payee = dict(weights)
    if len(by_payee) != len(weights):
        raise RecordError("a payee appears twice among the weights")
    total = sum(by_payee.values())
    if total < 1:
        raise RecordError("nobody has a weight, so nobody could be paid")
    parts: list[Part] = []
    before = 0
    for payee in payee_order(seed, by_payee):
        parts.append(Part(payee, part_of(amount, before, by_payee[payee], total)))
        before += by_payee[payee]
    return parts


def divide_by_splits(amount: int, splits: Sequence[Split], seed: bytes) -> list[Part]:
    """Divide an amount among the accounts of an asset's splits."""
    return allocate(amount, [(split.account, split.share) for split in splits], seed)


class Fees(NamedTuple):
    """A payment taken apart."""

    network: int
    """Microcredits for the network's purse."""

    node: int
    """Microcredits for the serving node."""

    rest: int
    """What remains for those who made what was used."""


def take_fees(amount: int, network_fee: int, node_fee: int) -> Fees:
    """Take the fees (basis points) off a payment; fees are rounded down, in favor of the rest."""
    network = amount * network_fee // WHOLE
    node = amount * node_fee // WHOLE
    return Fees(network, node, amount - network - node)
