"""A day's summary counts every row once, whatever batches brought it."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.accesses.days import day_leaves
from audiera.protocol.merkle import day_root, prove_day, verify_day
from tests.protocol.accesses.rows_made import START, plain_rows, row_arrays


@given(row_arrays(), st.integers(0, 60))
def test_a_day_is_the_same_however_it_is_cut_into_batches(rows, cut):
    assert day_leaves([rows[cut:], rows[:cut]]) == day_leaves([rows])


def test_a_day_counts_every_row_once():
    first, second = plain_rows(100), plain_rows(70, start=START + 10_000_000)
    leaves = day_leaves([first, second])
    root = day_root(leaves)
    assert root.rows == 170
    assert root.bytes == int(first["bytes"].sum()) + int(second["bytes"].sum())
    both = np.concatenate([first, second])
    for leaf in leaves:
        mine = both[both["asset"] == leaf.asset]
        mine = mine[np.argsort(mine["t"], kind="stable")]
        assert leaf.digest == hashlib.sha256(mine.tobytes()).digest()
        assert verify_day(prove_day(leaves, leaf.asset), leaf.asset, root) == leaf


def test_a_day_without_accesses_has_no_leaves():
    assert day_leaves([]) == []
