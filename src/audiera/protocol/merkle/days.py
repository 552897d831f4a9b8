"""A day's sum tree: how often each asset was accessed, and that nothing was left out.

A leaf is ``SHA-256(00 || asset || count || bytes || digest)``, ascending by asset; a node is
``SHA-256(01 || left || its count || its bytes || right || its count || its bytes)``; numbers are u64, big-endian. The
digest is SHA-256 of the asset's rows of that day in order of (t, node). The root's count must be what the access
log gained that day, so that no row can be missing from the summary; and because every step of a path states counts,
a leaf's place among all rows is proved with it. Two leaves whose places touch show that no asset between them was
accessed.
"""

import hashlib
import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle.tree import EMPTY_ROOT
from audiera.protocol.units import U64_MAX

_DAY: Final = b"\x02"


_Bytes = bytes


class DayLeaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One asset's day."""

    asset: int
    """Ledger number of the asset."""

    count: int
    """Its accesses that day, at least 1."""

    bytes: int
    """Bytes released in them."""

    digest: _Bytes
    """SHA-256 of its rows in order of (t, node)."""


class DayNode(NamedTuple):
    """A subtree: its hash and what is below it."""

    hash: _Bytes
    """32 bytes."""

    rows: int
    """Accesses below it."""

    bytes: int
    """Bytes below it."""


class LeafProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A leaf with its way up."""

    leaf: DayLeaf
    """The leaf."""

    index: int
    """Its position among the day's assets."""

    path: tuple[tuple[bytes, int, int], ...]
    """Siblings from the leaf up: hash, rows, bytes."""


class DayProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="day-proof"):
    """What one asset's day was; or, by its two neighbors, that it had no accesses."""

    assets: int
    """Distinct assets of the day; the leaves of the tree."""

    leaves: tuple[LeafProof, ...]
    """The asset's own leaf; or the leaves before and after where it would be (one of them at an end, none in an
    empty day)."""


def _leaf_node(leaf: DayLeaf) -> DayNode:
    numbers = (leaf.asset, leaf.count, leaf.bytes)
    if not all(0 <= number <= U64_MAX for number in numbers) or leaf.count == 0 or len(leaf.digest) != 32:
        raise ProofError(f"asset {leaf.asset} has an impossible day: {leaf.count} accesses, {leaf.bytes} bytes")
    data = b"\x00" + b"".join(number.to_bytes(8, "big") for number in numbers) + leaf.digest
    return DayNode(hashlib.sha256(data).digest(), leaf.count, leaf.bytes)


def _packed(node: DayNode) -> bytes:
    return node.hash + node.rows.to_bytes(8, "big") + node.bytes.to_bytes(8, "big")


def _join(left: DayNode, right: DayNode) -> DayNode:
    rows, size = left.rows + right.rows, left.bytes + right.bytes
    if rows > U64_MAX or size > U64_MAX:
        raise ProofError("the day's sums exceed 64 bits")
    return DayNode(hashlib.sha256(b"\x01" + _packed(left) + _packed(right)).digest(), rows, size)


def _up(level: Sequence[DayNode]) -> list[DayNode]:
    paired = [_join(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return paired + list(level[len(paired) * 2 :])


def _levels(leaves: Sequence[DayLeaf]) -> list[list[DayNode]]:
    if any(before.asset >= after.asset for before, after in itertools.pairwise(leaves)):
        raise ProofError("a day's leaves ascend by asset, each asset once")
    levels = [[_leaf_node(leaf) for leaf in leaves]]
    while len(levels[-1]) > 1:
        levels.append(_up(levels[-1]))
    return levels


def day_root(leaves: Sequence[DayLeaf]) -> DayNode:
    """The root of a day: its hash, accesses and bytes.

    Raises:
        ProofError: leaves that do not ascend by asset, or sums beyond 64 bits.
    """
    top = _levels(leaves)[-1]
    return top[0] if top else DayNode(EMPTY_ROOT, 0, 0)


def day_digest(day: int, assets: int, root: DayNode) -> bytes:
    """The 32 bytes that stand for a closed day: SHA-256(02 || day || assets || root || rows || bytes).

    Args:
        day: days since 1970-01-01 UTC.
        assets: distinct assets of the day.
        root: the day's root.
    """
    return hashlib.sha256(_DAY + day.to_bytes(8, "big") + assets.to_bytes(8, "big") + _packed(root)).digest()


def prove_day(leaves: Sequence[DayLeaf], asset: int) -> DayProof:
    """The proof of one asset's day, or of its absence.

    Raises:
        ProofError: leaves that are not a day's.
    """
    levels = _levels(leaves)
    place = sum(leaf.asset < asset for leaf in leaves)
    here = place < len(leaves) and leaves[place].asset == asset
    wanted = (place,) if here else tuple(index for index in (place - 1, place) if 0 <= index < len(leaves))
    return DayProof(assets=len(leaves), leaves=tuple(_leaf_proof(leaves, levels, index) for index in wanted))


def _leaf_proof(leaves: Sequence[DayLeaf], levels: list[list[DayNode]], index: int) -> LeafProof:
    path: list[tuple[bytes, int, int]] = []
    place = index
    for level in levels[:-1]:
        if place ^ 1 < len(level):
            path.append((level[place ^ 1].hash, level[place ^ 1].rows, level[place ^ 1].bytes))
        place >>= 1
    return LeafProof(leaf=leaves[index], index=index, path=tuple(path))


def verify_day(proof: DayProof, asset: int, root: DayNode) -> DayLeaf | None:
    """One asset's day; None when it is proved that it had none.

    The root comes from a checked place (:func:`day_digest` in the application hash) and its ``rows`` must equal what
    the access log gained that day (``accesses.log.records_between``).

    Raises:
        ProofError: the proof shows neither.
    """
    places = [_climb(proof.assets, leaf_proof, root) for leaf_proof in proof.leaves]
    leaves = [leaf_proof.leaf for leaf_proof in proof.leaves]
    if len(leaves) == 1 and leaves[0].asset == asset:
        return leaves[0]
    if not leaves:
        if proof.assets == 0 and root == DayNode(EMPTY_ROOT, 0, 0):
            return None
        raise ProofError("the proof shows no leaf of a day that has some")
    first, last = leaves[0], leaves[-1]
    if len(leaves) == 1:
        absent = places[0] == 0 if asset < first.asset else places[0] + first.count == root.rows
    else:
        touching = len(leaves) == 2 and places[0] + first.count == places[1]
        absent = touching and first.asset < asset < last.asset
    if not absent:
        raise ProofError(f"the proof shows neither a day of asset {asset} nor that it had none", asset=asset)
    return None


def _climb(assets: int, proof: LeafProof, root: DayNode) -> int:
    """Check a leaf's path and give how many rows stand before it."""
    if not 0 <= proof.index < assets:
        raise ProofError(f"leaf {proof.index} of {assets} does not exist")
    node, before, place, last = _leaf_node(proof.leaf), 0, proof.index, assets - 1
    for hash_, rows, size in proof.path:
        if last == 0 or len(hash_) != 32 or not 0 <= rows <= U64_MAX or not 0 <= size <= U64_MAX:
            raise ProofError("the path is longer than the tree is high, or holds no sums")
        sibling = DayNode(hash_, rows, size)
        if place & 1 or place == last:
            while not place & 1:
                place, last = place >> 1, last >> 1
            node, before = _join(sibling, node), before + rows
        else:
            node = _join(node, sibling)
        place, last = place >> 1, last >> 1
    if last != 0 or node != root:
        raise ProofError("the path does not lead to the day's root")
    return before
