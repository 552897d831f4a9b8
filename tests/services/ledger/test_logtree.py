import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from audiera.services.ledger.logtree import LogTree, Tiles, extend

MOST = 70_000
LEAVES = [leaf_hash(index.to_bytes(4, "big")) for index in range(MOST)]


def grown(steps: list[int]) -> Tiles:
    """The stored tiles of a log that grew in steps."""
    tiles: Tiles = {}
    size = 0
    for step in steps:
        tiles.update(extend(lambda level, number: tiles.get((level, number), b""), size, LEAVES[size : size + step]))
        size += step
    return tiles


def reader(tiles: Tiles) -> LogTree:
    return LogTree(lambda level, number: tiles.get((level, number), b""))


@settings(max_examples=30)
@given(steps=st.lists(st.integers(0, 400), min_size=1, max_size=5), data=st.data())
def test_roots_and_paths_equal_those_over_all_leaves(steps: list[int], data: st.DataObject) -> None:
    size = sum(steps)
    tiles = grown(steps)
    assert reader(tiles).root(size) == tree_root(LEAVES[:size])
    if size:
        older = data.draw(st.integers(1, size))
        index = data.draw(st.integers(0, older - 1))
        assert reader(tiles).inclusion_path(index, older) == inclusion_path(LEAVES[:older], index)
        assert reader(tiles).consistency_path(older, size) == consistency_path(LEAVES[:size], older, size)


def test_proofs_from_a_log_of_three_tile_levels_verify() -> None:
    tiles = grown([40_000, MOST - 40_000])
    tree = reader(tiles)
    root = tree.root(MOST)
    assert root == tree_root(LEAVES)
    assert max(level for level, _ in tiles) == 2
    for index in (0, 255, 256, 65_535, 65_536, MOST - 1):
        verify_inclusion(LEAVES[index], index, MOST, tree.inclusion_path(index, MOST), root)
    for size in (1, 256, 40_000, 65_536, MOST):
        verify_consistency(size, MOST, tree_root(LEAVES[:size]), root, tree.consistency_path(size, MOST))


def test_proof_reads_a_few_tiles_however_large_the_log() -> None:
    tiles = grown([MOST])
    read: list[tuple[int, int]] = []

    def recording(level: int, number: int) -> bytes:
        read.append((level, number))
        return tiles[level, number]

    LogTree(recording).inclusion_path(12_345, MOST)
    assert len(read) <= 8


def test_what_cannot_be_proved_is_refused() -> None:
    tree = reader(grown([10]))
    for index, size in ((10, 10), (-1, 10)):
        with pytest.raises(ProofError):
            tree.inclusion_path(index, size)
    for first, second in ((0, 5), (6, 5)):
        with pytest.raises(ProofError):
            tree.consistency_path(first, second)
    with pytest.raises(ProofError, match="tile"):
        tree.root(11)
    assert tree.root(0) == hashlib.sha256(b"").digest()
