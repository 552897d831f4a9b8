"""Merkle-sum trees: a leaf's weight, the weights before it and the total are proved by one path.

A leaf is ``SHA-256(00 || length of payee (u16) || payee || weight (u128))``; a node is
``SHA-256(01 || left || sum of left (u128) || right || sum of right (u128))``; odd nodes go up as in RFC 9162.
"""

import hashlib
from collections.abc import Sequence

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle.tree import EMPTY_ROOT

_MAX_SUM = 2**120

Leaf = tuple[bytes, int]
"""A payee's key and its weight."""

Node = tuple[bytes, int]
"""A hash and the sum of the weights below it."""


def _leaf(payee: bytes, weight: int) -> Node:
    if not 0 <= weight < _MAX_SUM or len(payee) > 65_535:
        raise ProofError(f"a weight is between 0 and 2^120, got {weight}", weight=weight)
    data = b"\x00" + len(payee).to_bytes(2, "big") + payee + weight.to_bytes(16, "big")
    return hashlib.sha256(data).digest(), weight


def _join(left: Node, right: Node) -> Node:
    total = left[1] + right[1]
    if total >= _MAX_SUM:
        raise ProofError("the weights sum to more than 2^120", total=total)
    data = b"\x01" + left[0] + left[1].to_bytes(16, "big") + right[0] + right[1].to_bytes(16, "big")
    return hashlib.sha256(data).digest(), total


def _up(level: Sequence[Node]) -> list[Node]:
    paired = [_join(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return paired + list(level[len(paired) * 2 :])


def sum_root(leaves: Sequence[Leaf]) -> Node:
    """The root hash and the total weight; the empty tree has the hash of nothing and total 0."""
    level = [_leaf(*leaf) for leaf in leaves]
    if not level:
        return EMPTY_ROOT, 0
    while len(level) > 1:
        level = _up(level)
    return level[0]


def sum_path(leaves: Sequence[Leaf], index: int) -> tuple[Node, ...]:
    """Sibling hashes and sums from a leaf up to the root.

    Raises:
        ProofError: no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ProofError(f"leaf {index} of {len(leaves)} does not exist", index=index)
    level = [_leaf(*leaf) for leaf in leaves]
    path: list[Node] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = _up(level), index >> 1
    return tuple(path)


def verify_sum(
    payee: bytes,
    weight: int,
    *,
    index: int,
    count: int,
    before: int,
    path: Sequence[Node],
    root: bytes,
    total: int,
) -> None:
    """Check a payee's weight, position, the weights before it, and the total.

    Raises:
        ProofError: any of them is not as stated.
    """
    if not 0 <= index < count or before < 0:
        raise ProofError(f"leaf {index} of {count} does not exist", index=index)
    node, seen, place, last = _leaf(payee, weight), 0, index, count - 1
    for sibling, value in path:
        if last == 0 or len(sibling) != 32 or not 0 <= value < _MAX_SUM:
            raise ProofError("the path is longer than the tree is high, or holds no sum")
        if place & 1 or place == last:
            while not place & 1:
                place, last = place >> 1, last >> 1
            node, seen = _join((sibling, value), node), seen + value
        else:
            node = _join(node, (sibling, value))
        place, last = place >> 1, last >> 1
    if last != 0 or node != (root, total) or seen != before:
        raise ProofError("the path does not lead to the stated root, total and position")
