"""A batch opens to exactly the rows it was sealed from, or not at all."""

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from audiera.protocol.accesses import (
    HEADER_BYTES,
    ROW,
    decode_header,
    open_batch,
    seal,
    sign_session,
    sign_watermark,
)
from audiera.protocol.accesses.batch import signed_bytes
from audiera.protocol.accesses.columns import MAX_ROWS, decode_columns, encode_columns, exact_sum
from audiera.protocol.accesses.rows import PAGE_SIZES, in_order
from audiera.protocol.encoding import digest
from audiera.protocol.errors import AudieraError, BatchError, SignatureError
from tests.protocol.accesses.rows_made import (
    CHAIN,
    CONSUMER_SEED,
    NODE,
    NODE_KEY,
    batch_bytes,
    empty_rows,
    plain_rows,
    row_arrays,
    session,
    sign,
    watermark,
)


def resealed(body: bytes, header: bytes) -> bytes:
    """A batch whose header commits to another body, signed again: what a lying node can make."""
    payload = header[:128] + digest(body) + header[160:]
    return payload + body + sign(signed_bytes(CHAIN, payload))


def sections_of(data: bytes) -> list[bytes]:
    body, at, parts = data[HEADER_BYTES:-64], 0, []
    for _ in range(3):
        length = int.from_bytes(body[at : at + 4], "little")
        parts.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return parts


def with_columns(data: bytes, columns: bytes) -> bytes:
    """The batch with other columns, its hashes put right."""
    opened, marked, _ = sections_of(data)
    body = b"".join(len(part).to_bytes(4, "little") + part for part in (opened, marked, columns))
    return resealed(body, data[:HEADER_BYTES])


@given(row_arrays(), st.sampled_from(PAGE_SIZES))
def test_a_batch_opens_to_the_rows_it_was_sealed_from(rows, k):
    batch = open_batch(batch_bytes(rows, k=k), chain_id=CHAIN)
    assert batch.rows.tobytes() == in_order(rows).tobytes()
    assert batch.header.count == len(rows)
    assert batch.header.sum_bytes == sum(int(size) for size in rows["bytes"])
    batch.verify_signature(NODE_KEY)


@given(row_arrays())
def test_columns_give_back_every_row(rows):
    ordered = in_order(rows)
    data = encode_columns(ordered)
    again = decode_columns(data, count=len(rows), node=NODE, first_asset=int(ordered["asset"][0]))
    assert again.tobytes() == ordered.tobytes()


def test_a_large_batch_takes_few_bytes_a_row():
    rng = np.random.default_rng(1)
    rows = np.zeros(50_000, dtype=ROW)
    rows["asset"] = rng.permutation(50_000) + 1_000
    rows["t"] = 1_700_000_000_000_000 + np.cumsum(rng.integers(1, 1_000, 50_000)).astype(np.uint64)
    rows["bytes"] = rng.normal(480_000, 24_000, 50_000).astype(np.uint64)
    rows["node"], rows["op"], rows["session"], rows["grant"], rows["consumer"] = NODE, 1, 5, 11, 9
    data = batch_bytes(rows)
    assert len(data) < 8 * 50_000
    assert open_batch(data, chain_id=CHAIN).rows.tobytes() == in_order(rows).tobytes()


def test_sessions_and_watermarks_travel_with_the_rows():
    sessions = tuple(sign_session(CONSUMER_SEED, session(number)) for number in (1, 2, 3))
    watermarks = (sign_watermark(CONSUMER_SEED, watermark(1)),)
    batch = open_batch(batch_bytes(plain_rows(40), sessions=sessions, watermarks=watermarks), chain_id=CHAIN)
    assert (batch.sessions, batch.watermarks) == (sessions, watermarks)


@given(st.data())
@settings(max_examples=300)
def test_no_flipped_bit_goes_unnoticed(data):
    sessions = (sign_session(CONSUMER_SEED, session(1)),)
    watermarks = (sign_watermark(CONSUMER_SEED, watermark(1)),)
    whole = batch_bytes(plain_rows(50), sessions=sessions, watermarks=watermarks)
    altered = bytearray(whole)
    altered[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((BatchError, SignatureError)):
        open_batch(bytes(altered), chain_id=CHAIN).verify_signature(NODE_KEY)


@given(st.data())
@settings(max_examples=200)
def test_altered_columns_are_refused_even_when_the_node_signs_them(data):
    whole = batch_bytes(plain_rows(50))
    columns = bytearray(sections_of(whole)[2])
    place = data.draw(st.integers(0, len(columns) - 1))
    columns[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        batch = open_batch(with_columns(whole, bytes(columns)), chain_id=CHAIN)
    except BatchError:
        return
    # A bit of the compressor's own bookkeeping may mean nothing; the rows must then be the very same.
    assert batch.rows.tobytes() == in_order(plain_rows(50)).tobytes()


@given(st.binary(max_size=600))
def test_noise_is_refused_as_a_batch(noise):
    with pytest.raises(AudieraError):
        open_batch(noise, chain_id=CHAIN)


@pytest.mark.parametrize("length", [0, 191, 192, 267, 300])
def test_a_batch_cut_short_is_refused(length):
    with pytest.raises(BatchError):
        open_batch(batch_bytes(plain_rows(50))[:length], chain_id=CHAIN)


def test_a_batch_of_another_chain_is_refused():
    whole = batch_bytes(plain_rows(5))
    with pytest.raises(SignatureError):
        open_batch(whole, chain_id="other").verify_signature(NODE_KEY)
    signed = batch_bytes(plain_rows(5), sessions=(sign_session(CONSUMER_SEED, session(1)),))
    with pytest.raises(BatchError, match="another chain"):
        open_batch(signed, chain_id="other")


class Untouchable(zstandard.ZstdDecompressor):
    """A decompressor that must not be reached."""

    def decompress(self, *_: object, **__: object) -> bytes:
        raise RuntimeError("the bomb was read")


@pytest.mark.parametrize("claimed", [4 * 1024 * 1024, 2**40, 2**62])
def test_a_decoder_bomb_is_refused_unread(monkeypatch, claimed):
    whole = batch_bytes(plain_rows(50))
    columns = sections_of(whole)[2]
    head = columns[: -len(zstandard_part(columns))]
    single_segment = bytes.fromhex("28b52ffde0") + claimed.to_bytes(8, "little")
    bomb = with_columns(whole, head + single_segment + zstandard_part(columns)[8:])
    monkeypatch.setattr(zstandard, "ZstdDecompressor", Untouchable)
    with pytest.raises(BatchError, match="it is not read"):
        open_batch(bomb, chain_id=CHAIN)


def test_a_frame_that_holds_more_than_it_declares_is_refused():
    whole = batch_bytes(plain_rows(50))
    columns = sections_of(whole)[2]
    frame = zstandard_part(columns)
    size = zstandard.frame_content_size(frame)
    bomb = bytearray(zstandard.ZstdCompressor().compress(bytes(60_000)))
    assert bomb[4] & 0xE0 == 0x60  # one segment, the size in two bytes, less 256
    struct.pack_into("<H", bomb, 5, size - 256)
    assert zstandard.frame_content_size(bytes(bomb)) == size
    with pytest.raises(BatchError, match="do not decompress"):
        open_batch(with_columns(whole, columns[: -len(frame)] + bytes(bomb)), chain_id=CHAIN)


def zstandard_part(columns: bytes) -> bytes:
    return columns[columns.index(b"\x28\xb5\x2f\xfd") :]


def test_a_frame_of_unknown_size_or_with_a_tail_is_refused():
    whole = batch_bytes(plain_rows(50))
    columns = sections_of(whole)[2]
    frame = zstandard_part(columns)
    head = columns[: -len(frame)]
    content = zstandard.ZstdDecompressor().decompress(frame)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(content)
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"more"
    for other in (unsized, frame + b"\x00", frame + skippable, skippable + frame, frame + frame, frame[:-1], b""):
        with pytest.raises(BatchError):
            open_batch(with_columns(whole, head + other), chain_id=CHAIN)


def test_more_rows_than_allowed_are_refused_unread():
    whole = batch_bytes(plain_rows(50))
    for count in (0, MAX_ROWS + 1, 2**32 - 1):
        header = whole[:12] + count.to_bytes(4, "little") + whole[16:HEADER_BYTES]
        with pytest.raises(BatchError):
            open_batch(resealed(whole[HEADER_BYTES:-64], header), chain_id=CHAIN)
        with pytest.raises(BatchError):
            decode_columns(sections_of(whole)[2], count=count, node=NODE, first_asset=1)


def test_columns_have_one_form_only():
    rows = in_order(plain_rows(50))
    data = encode_columns(rows)
    frame = zstandard_part(data)
    content = zstandard.ZstdDecompressor().decompress(frame)
    head = bytearray(data[: -len(frame)])
    names = ("session", "consumer", "grant", "purpose", "fact", "asset", "t", "bytes", "units", "policy", "op", "flags")
    first = int(rows["asset"][0])
    for place in range(len(names)):
        at = 4 + place * 9
        base, width = struct.unpack_from("<QB", head, at)
        start = sum(head[4 + before * 9 + 8] * (3 if before < 4 else 50) for before in range(place))
        length = 3 if place < 4 else 50
        wider = bytearray(head)
        struct.pack_into("<QB", wider, at, base, width + 1)
        end = start + width * length
        stuffed = content[:end] + bytes(length) + content[end:]
        compressed = zstandard.ZstdCompressor().compress(stuffed)
        with pytest.raises(BatchError, match="narrowest"):
            decode_columns(bytes(wider) + compressed, count=50, node=NODE, first_asset=first)


@pytest.mark.parametrize(("name", "limit"), [("purpose", 8), ("units", 32), ("policy", 32), ("op", 8), ("flags", 16)])
def test_a_column_cannot_hold_more_than_its_bits(name, limit):
    rows = in_order(plain_rows(1))
    data = bytearray(encode_columns(rows))
    names = ("session", "consumer", "grant", "purpose", "fact", "asset", "t", "bytes", "units", "policy", "op", "flags")
    struct.pack_into("<Q", data, 4 + names.index(name) * 9, 1 << limit)
    with pytest.raises(BatchError, match="beyond its range"):
        decode_columns(bytes(data), count=1, node=NODE, first_asset=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("purpose", 10), ("op", 0), ("op", 7), ("flags", 16), ("bytes", 2**40), ("node", NODE + 1)],
)
def test_rows_with_codes_that_mean_nothing_are_refused(name, value):
    rows = plain_rows(5).copy()
    rows[name][2] = value
    with pytest.raises(BatchError):
        batch_bytes(rows)


def test_one_time_for_two_rows_is_refused():
    rows = plain_rows(5).copy()
    rows["t"][4] = rows["t"][0]
    with pytest.raises(BatchError, match="same time"):
        batch_bytes(rows)


def test_a_session_with_two_consumers_is_refused():
    rows = plain_rows(9).copy()
    rows["consumer"][3] += 1
    with pytest.raises(BatchError, match="one consumer"):
        open_batch(batch_bytes(rows), chain_id=CHAIN)


def test_rows_that_contradict_the_session_opened_here_are_refused():
    opened = sign_session(CONSUMER_SEED, session(2, consumer=999))
    with pytest.raises(BatchError, match="contradicts"):
        batch_bytes(plain_rows(9), sessions=(opened,))


def test_sessions_out_of_order_or_of_another_node_are_refused():
    one, two = (sign_session(CONSUMER_SEED, session(number)) for number in (1, 2))
    elsewhere = sign_session(CONSUMER_SEED, session(1, node=NODE + 1))
    marked = sign_watermark(CONSUMER_SEED, watermark(1, node=NODE + 1))
    for sections in ({"sessions": (two, one)}, {"sessions": (one, one)}, {"sessions": (elsewhere,)}):
        with pytest.raises(BatchError):
            batch_bytes(plain_rows(9), **sections)
    with pytest.raises(BatchError):
        batch_bytes(plain_rows(9), watermarks=(marked,))


@pytest.mark.parametrize("field", ["t_min", "t_max", "asset_min", "asset_max", "sum_bytes"])
def test_a_header_that_states_other_bounds_is_refused(field):
    whole = batch_bytes(plain_rows(20))
    at = {"t_min": 24, "t_max": 32, "asset_min": 40, "asset_max": 48, "sum_bytes": 56}[field]
    header = bytearray(whole[:HEADER_BYTES])
    header[at] ^= 1
    with pytest.raises(BatchError):
        open_batch(resealed(whole[HEADER_BYTES:-64], bytes(header)), chain_id=CHAIN)


@pytest.mark.parametrize("at", [64, 96])
def test_a_header_with_another_root_or_sessions_hash_is_refused(at):
    whole = batch_bytes(plain_rows(20))
    header = bytearray(whole[:HEADER_BYTES])
    header[at] ^= 1
    with pytest.raises(BatchError):
        open_batch(resealed(whole[HEADER_BYTES:-64], bytes(header)), chain_id=CHAIN)


@pytest.mark.parametrize(("at", "value"), [(0, 0), (4, 3), (4, 0), (6, 1), (8, 0)])
def test_a_header_of_another_form_is_refused(at, value):
    header = bytearray(batch_bytes(plain_rows(20))[:HEADER_BYTES])
    header[at] = value
    with pytest.raises(BatchError):
        decode_header(bytes(header))


def test_a_header_is_what_its_bytes_say():
    header = batch_bytes(plain_rows(20), first_index=77)[:HEADER_BYTES]
    decoded = decode_header(header)
    assert decoded.encode() == header
    assert (decoded.first_index, decoded.node, decoded.k, decoded.count) == (77, NODE, 16, 20)


def test_what_cannot_be_sealed_is_refused():
    with pytest.raises(BatchError):
        batch_bytes(empty_rows())
    with pytest.raises(BatchError):
        batch_bytes(plain_rows(3), k=5)
    with pytest.raises(BatchError):
        seal(plain_rows(3), chain_id=CHAIN, node=NODE, first_index=0, prev_header_hash=b"", sign=sign)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
def test_sums_are_exact_beyond_64_bits(values):
    assert exact_sum(np.array(values, dtype=np.uint64)) == sum(values)


def test_a_header_of_another_length_is_none():
    with pytest.raises(BatchError, match="192 bytes"):
        decode_header(bytes(191))


def test_columns_beyond_any_rows_and_sections_that_do_not_fill_are_refused():
    data = batch_bytes(plain_rows(20))
    with pytest.raises(BatchError) as refused:
        open_batch(with_columns(data, bytes(200_000)), chain_id=CHAIN)
    assert refused.value.code == "columns_size"
    longer = resealed(data[HEADER_BYTES:-64] + b"\x00", data[:HEADER_BYTES])
    with pytest.raises(BatchError) as refused:
        open_batch(longer, chain_id=CHAIN)
    assert refused.value.code == "batch_cut_short"


def test_a_section_that_is_no_list_of_sessions_is_refused():
    data = batch_bytes(plain_rows(20))
    _, marked, columns = sections_of(data)
    opened = b"\xa0"
    parts = [len(part).to_bytes(4, "little") + part for part in (opened, marked, columns)]
    header = data[:96] + digest(parts[0] + parts[1]) + data[128:HEADER_BYTES]
    with pytest.raises(BatchError) as refused:
        open_batch(resealed(b"".join(parts), header), chain_id=CHAIN)
    assert refused.value.code == "section_invalid"
