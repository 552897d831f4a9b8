"""Columns that no encoder of ours would write are refused, whoever signed them."""

import struct

import pytest
import zstandard

from audiera.protocol.accesses.columns import decode_columns, encode_columns
from audiera.protocol.accesses.rows import in_order
from audiera.protocol.errors import BatchError
from tests.protocol.accesses.rows_made import NODE, plain_rows

PLAIN = {
    "session": [0, 5],
    "consumer": [1, 2],
    "grant": [0, 3],
    "purpose": [0, 4],
    "fact": [0, 1, 1],
    "asset": [0, 1, 0],
    "t": [10, 11, 12],
    "bytes": [100, 200, 70_000],
    "units": [1, 2, 3],
    "policy": [1, 1, 1],
    "op": [1, 2, 2],
    "flags": [0, 0, 1],
}


def columns_of(values: dict[str, list[int]], *, facts: int | None = None) -> bytes:
    """Columns in their narrowest form, written without the encoder."""
    head, content = b"", b""
    for column in values.values():
        base = min(column)
        width = ((max(column) - base).bit_length() + 7) // 8
        head += struct.pack("<QB", base, width)
        offsets = [(value - base).to_bytes(8, "little") for value in column]
        content += b"".join(bytes(offset[plane] for offset in offsets) for plane in range(width))
    count = len(values["session"]) if facts is None else facts
    return count.to_bytes(4, "little") + head + (zstandard.ZstdCompressor().compress(content) if content else b"")


def decode(data: bytes, *, count: int = 3, first_asset: int = 7) -> list[int]:
    return decode_columns(data, count=count, node=NODE, first_asset=first_asset)["asset"].tolist()


def test_the_plain_columns_are_good():
    assert decode(columns_of(PLAIN)) == [7, 8, 8]
    rows = decode_columns(columns_of(PLAIN), count=3, node=NODE, first_asset=7)
    assert rows["session"].tolist() == [0, 5, 5]
    assert rows["consumer"].tolist() == [1, 2, 2]
    assert rows["bytes"].tolist() == [100, 200, 70_000]
    assert decode_columns(encode_columns(rows), count=3, node=NODE, first_asset=7).tobytes() == rows.tobytes()
    assert rows["node"].tolist() == [NODE] * 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"session": [5, 0], "consumer": [2, 1]}, "ascending"),
        ({"session": [5, 5], "consumer": [1, 1], "grant": [3, 3], "purpose": [4, 4]}, "ascending"),
        ({"session": [5, 5]}, "one consumer"),
        ({"fact": [0, 0, 0]}, "not there"),
        ({"fact": [0, 1, 2]}, "not there"),
        ({"fact": [1, 1, 1]}, "not there"),
        ({"asset": [1, 1, 0]}, "not 0"),
        ({"asset": [0, 2**63, 2**63]}, "exceed"),
        ({"asset": [0, 0, 2**64 - 7]}, "exceed"),
    ],
)
def test_columns_that_contradict_themselves_are_refused(change, words):
    with pytest.raises(BatchError, match=words):
        decode(columns_of(PLAIN | change))


def test_facts_that_no_row_has_are_refused():
    three = {name: [*PLAIN[name], 9] for name in ("session", "consumer", "grant", "purpose")}
    with pytest.raises(BatchError, match="no row has"):
        decode(columns_of(PLAIN | three | {"fact": [0, 2, 2]}))


@pytest.mark.parametrize("facts", [0, 4, 2**32 - 1])
def test_more_facts_than_rows_are_refused_unread(facts):
    with pytest.raises(BatchError, match="more facts than rows"):
        decode(columns_of(PLAIN, facts=facts))


def test_a_width_over_eight_is_refused_unread():
    data = bytearray(columns_of(PLAIN))
    data[12] = 9
    with pytest.raises(BatchError, match="width over 8"):
        decode(bytes(data))


@pytest.mark.parametrize("length", [0, 4, 111])
def test_columns_cut_short_in_their_head_are_refused(length):
    with pytest.raises(BatchError, match="head"):
        decode(columns_of(PLAIN)[:length])


def test_one_row_is_constant_and_followed_by_nothing():
    row = in_order(plain_rows(1))
    data = encode_columns(row)
    asset = int(row["asset"][0])
    assert len(data) == 112
    assert decode_columns(data, count=1, node=NODE, first_asset=asset).tobytes() == row.tobytes()
    with pytest.raises(BatchError, match="followed by nothing"):
        decode_columns(data + b"\x00", count=1, node=NODE, first_asset=asset)


def test_the_largest_asset_still_fits():
    assert decode(columns_of(PLAIN | {"asset": [0, 0, 2**64 - 8]})) == [7, 7, 2**64 - 1]
