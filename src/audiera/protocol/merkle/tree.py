"""RFC 9162 Merkle trees: roots, inclusion and consistency; and a frontier that grows without the old leaves.

Source: RFC 9162, section 2.1 (the hashing of RFC 6962).
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from audiera.protocol.errors import ProofError

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, in order; the empty tree has the hash of nothing."""
    level = list(leaf_hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        paired = [node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The sibling hashes from a leaf up to the root.

    Raises:
        ProofError: no such leaf.
    """
    if not 0 <= index < len(leaf_hashes):
        raise ProofError(f"leaf {index} of {len(leaf_hashes)} does not exist", index=index)
    path: list[bytes] = []
    level = list(leaf_hashes)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        paired = [node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
        level, index = paired + level[len(paired) * 2 :], index >> 1
    return tuple(path)


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf stands at a position in the tree with this size and root (RFC 9162, section 2.1.3.2).

    Raises:
        ProofError: it does not.
    """
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} of {size} does not exist", index=index)
    place, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0 or len(sibling) != 32:
            raise ProofError("the path is longer than the tree is high, or holds no hash")
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    if last != 0 or node != root:
        raise ProofError("the path does not lead from the leaf to the root")


def consistency_path(leaf_hashes: Sequence[bytes], first: int, second: int) -> tuple[bytes, ...]:
    """The hashes that show the tree of ``second`` leaves to extend the tree of ``first`` (section 2.1.4.1).

    Raises:
        ProofError: not 0 < first <= second <= number of leaves.
    """
    if not 0 < first <= second <= len(leaf_hashes):
        raise ProofError(f"0 < first <= second <= {len(leaf_hashes)} expected, got {first} and {second}")
    path: list[bytes] = []
    low, high, size, whole = 0, second, first, True
    while size != high - low:
        half = 1 << (high - low - 1).bit_length() - 1
        if size <= half:
            path.append(tree_root(leaf_hashes[low + half : high]))
            high = low + half
        else:
            path.append(tree_root(leaf_hashes[low : low + half]))
            low, size, whole = low + half, size - half, False
    if not whole:
        path.append(tree_root(leaf_hashes[low:high]))
    return tuple(reversed(path))


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> None:
    """Check that one tree extends another (RFC 9162, section 2.1.4.2).

    Raises:
        ProofError: it does not.
    """
    if not 0 < first <= second:
        raise ProofError(f"0 < first <= second expected, got {first} and {second}")
    if first == second:
        if path or first_root != second_root:
            raise ProofError("trees of one size are consistent only when they are equal, by an empty path")
        return
    hashes = list(path) if first & (first - 1) else [first_root, *path]
    if not hashes or any(len(sibling) != 32 for sibling in hashes):
        raise ProofError("the path is empty or holds no hash")
    if _climb_both(first, second, hashes) != (first_root, second_root):
        raise ProofError("the path does not lead to both roots")


def _climb_both(first: int, second: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The older and the newer root that a consistency path leads to."""
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError("the path is longer than the tree is high")
        if place & 1 or place == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofError("the path is shorter than the tree is high")
    return older, newer


class Frontier:
    """The roots of a tree's complete subtrees, largest first: enough to append to it and to know its root."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if size < 0 or len(hashes) != size.bit_count() or any(len(node) != 32 for node in hashes):
            raise ProofError(f"a frontier of {size} leaves has {max(size, 0).bit_count()} hashes, got {len(hashes)}")
        self.size = size
        self._hashes = list(hashes)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The subtree roots, largest first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._hashes.pop(), node)
            size >>= 1
        self._hashes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self._hashes:
            return EMPTY_ROOT
        node = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            node = node_hash(left, node)
        return node
