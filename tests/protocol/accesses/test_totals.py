"""Adding up rows: what arrays of columns give is what row after row gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.accesses.rows import FLAG_FAILED, Array, in_order, unpack_row
from audiera.protocol.accesses.totals import (
    PAYABLE_OPS,
    USE,
    by_session,
    earliest,
    merge_uses,
    pack_coverage,
    shares_of,
    unpack_uses,
    use_list,
    uses_of,
)
from audiera.protocol.errors import BatchError
from tests.protocol.accesses.rows_made import empty_rows, plain_rows, row_arrays


def summed(rows: Array, since: int = 0, until: int = 0) -> list[tuple[int, int, int, int]]:
    """What each asset's rows sum up to, row by row."""
    sums: dict[int, list[int]] = {}
    for raw in rows:
        row = unpack_row(raw.tobytes())
        if row.t >= since and (not until or row.t < until):
            mine = sums.setdefault(row.asset, [0, 0, 0])
            mine[0], mine[1], mine[2] = mine[0] + 1, mine[1] + row.units, mine[2] + row.bytes
    return [(asset, *mine) for asset, mine in sorted(sums.items())]


@given(row_arrays())
def test_every_row_belongs_to_its_session_once_and_in_order(rows: Array) -> None:
    rows = in_order(rows)
    parts = list(by_session(rows))
    assert [part.session for part in parts] == sorted(set(rows["session"].tolist()))
    for part in parts:
        mine = rows[rows["session"] == np.uint64(part.session)]
        released = [raw for raw in mine if int(raw["op"]) in PAYABLE_OPS and not int(raw["flags"]) & FLAG_FAILED]
        assert part.payable.tobytes() == b"".join(raw.tobytes() for raw in released)


@pytest.mark.parametrize("apart", [1, 65_535, 65_536, 2**40])
def test_sessions_near_and_far_apart_are_told_from_each_other(apart: int) -> None:
    rows = plain_rows(300, sessions=3).copy()
    rows["session"] = np.uint64(5) + rows["session"] * np.uint64(apart)
    parts = list(by_session(in_order(rows)))
    assert [part.session for part in parts] == [5 + apart * number for number in (1, 2, 3)]
    assert [int(part.payable["session"][0]) for part in parts] == [part.session for part in parts]


@given(row_arrays(), st.integers(0, 70))
def test_the_earliest_rows_stay_in_their_order(rows: Array, count: int) -> None:
    rows = in_order(rows)
    kept = earliest(rows, count)
    first = set(sorted(rows["t"].tolist())[:count])
    assert [row.tobytes() for row in kept] == [row.tobytes() for row in rows if int(row["t"]) in first]


def test_no_rows_have_no_sessions() -> None:
    assert list(by_session(empty_rows())) == []


@given(row_arrays(), st.integers(0, 300), st.integers(0, 300))
def test_uses_are_the_sums_of_rows_within_the_time(rows: Array, since: int, until: int) -> None:
    rows = in_order(rows)
    rows["bytes"] %= np.uint64(2**30)
    assert use_list(uses_of(rows, until, since)) == summed(rows, since, until)


def test_a_beginning_before_all_time_leaves_nothing_out() -> None:
    rows = in_order(plain_rows(50))
    assert use_list(uses_of(rows, 0, -1)) == summed(rows)


def test_bytes_beyond_any_access_are_refused() -> None:
    rows = plain_rows(2).copy()
    rows["bytes"] = np.uint64(2**42)
    with pytest.raises(BatchError) as refused:
        uses_of(rows, 0, 0)
    assert refused.value.code == "batch_sum_overflow"


_USES = st.dictionaries(st.integers(1, 40), st.tuples(*[st.integers(0, 2**40)] * 3), min_size=1, max_size=20)


@given(st.one_of(st.just({}), _USES), _USES)
def test_merging_uses_adds_up_asset_by_asset(
    before: dict[int, tuple[int, int, int]], more: dict[int, tuple[int, int, int]]
) -> None:
    def packed(uses: dict[int, tuple[int, int, int]]) -> Array:
        return np.array([(asset, *uses[asset]) for asset in sorted(uses)], dtype=USE)

    merged = unpack_uses(merge_uses(packed(before).tobytes(), packed(more)))
    nothing = (0, 0, 0)
    expected = [
        (asset, *(a + b for a, b in zip(before.get(asset, nothing), more.get(asset, nothing), strict=True)))
        for asset in sorted({*before, *more})
    ]
    assert merged == expected


def test_an_asset_weighs_what_the_last_coverage_says() -> None:
    first = pack_coverage([(3, 1_000, 0), (5, 1_000, 1), (9, 1_000, 0)])
    second = pack_coverage([(5, 1_000, 0)])
    covers = [(first, [10_000, 7]), (b"", []), (second, [20_000])]
    assert shares_of([2, 3, 5, 9, 2**64 - 1], covers) == [0, 10_000, 20_000, 10_000, 0]
    assert shares_of([5], covers[:2]) == [7]
