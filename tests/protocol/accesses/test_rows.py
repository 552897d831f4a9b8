"""A row is 64 bytes that mean one thing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.accesses import ROW, ROW_BYTES, Row, array_of, rows_root, unpack_row
from audiera.protocol.accesses.rows import check_order, check_rows, in_order, page_count, page_of, page_path
from audiera.protocol.errors import BatchError
from audiera.protocol.merkle import leaf_hash, tree_root, verify_inclusion
from tests.protocol.accesses.rows_made import NODE, plain_rows, row_arrays

PLAIN = unpack_row(plain_rows(3)[2].tobytes())


def test_the_layout_is_the_published_one():
    row = Row(
        asset=0x0101010101010101,
        t=0x0202020202020202,
        consumer=0x0303030303030303,
        grant=0x0404040404040404,
        session=0x0505050505050505,
        bytes=0x0606060606,
        units=0x07070707,
        node=0x08080808,
        policy=0x09090909,
        purpose=9,
        op=6,
        flags=15,
    )
    expected = "01" * 8 + "02" * 8 + "03" * 8 + "04" * 8 + "05" * 8 + "06" * 5 + "000000"
    expected += "07" * 4 + "08" * 4 + "09" * 4 + "09" + "06" + "0f00"
    assert row.pack().hex() == expected
    assert ROW.itemsize == ROW_BYTES == 64


@given(row_arrays())
def test_rows_come_back_from_their_bytes(rows):
    listed = [unpack_row(row.tobytes()) for row in rows]
    assert array_of(listed).tobytes() == array_of(rows.tobytes()).tobytes() == rows.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"asset": -1},
        {"asset": 2**64},
        {"units": 2**32},
        {"purpose": 10},
        {"op": 0},
        {"op": 7},
        {"flags": 16},
        {"bytes": 2**40},
    ],
)
def test_values_that_do_not_fit_are_refused(change):
    with pytest.raises(BatchError):
        replace(PLAIN, **change).pack()


@pytest.mark.parametrize("data", [b"", bytes(63), bytes(65)])
def test_other_lengths_are_no_rows(data):
    with pytest.raises(BatchError):
        unpack_row(data)
    if data:
        with pytest.raises(BatchError):
            array_of(data)


def test_rows_out_of_order_are_refused():
    rows = in_order(plain_rows(20))
    check_order(rows)
    with pytest.raises(BatchError, match="ascending"):
        check_order(rows[::-1])


def test_no_rows_break_no_rule():
    check_rows(array_of([]), NODE)


@given(st.integers(1, 80), st.sampled_from([1, 2, 16]), st.data())
def test_a_page_leads_to_the_rows_root(count, k, data):
    rows = plain_rows(count).tobytes()
    row = data.draw(st.integers(0, count - 1))
    page = page_of(rows, row, k)
    assert rows[row * 64 : row * 64 + 64] in page
    verify_inclusion(leaf_hash(page), row // k, page_count(count, k), page_path(rows, row, k), rows_root(rows, k))


def test_with_one_row_to_a_page_the_root_is_that_of_the_rows():
    rows = plain_rows(11).tobytes()
    assert rows_root(rows, 1) == tree_root([leaf_hash(rows[at : at + 64]) for at in range(0, len(rows), 64)])


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=40), st.sampled_from([1, 3, 2**20]))
def test_a_time_used_twice_is_found_however_far_apart_the_times_are(times, apart):
    rows = plain_rows(len(times)).copy()
    rows["t"] = np.array([1_700_000_000_000_000 + time % 1_000 * apart for time in times], dtype=np.uint64)
    rows["asset"] = np.arange(1, len(times) + 1)
    if len({int(t) for t in rows["t"]}) == len(times):
        check_order(rows)
        return
    with pytest.raises(BatchError) as refused:
        check_order(rows)
    assert refused.value.code == "row_repeated"
