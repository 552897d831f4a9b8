"""Every durable row has a receipt that proves the node's word; an altered receipt proves nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.accesses import ReceiptGroup, decode_receipt, encode_receipt, unpack_row, verify_receipt
from audiera.protocol.errors import AudieraError, BatchError, ProofError, SignatureError
from audiera.protocol.keys import public_key
from tests.protocol.accesses.rows_made import CHAIN, NODE, NODE_KEY, START, plain_rows, sign


def group_of(count: int, *, k: int = 1, node: int = NODE) -> ReceiptGroup:
    """A signed group."""
    rows = plain_rows(count).tobytes()
    return ReceiptGroup(rows, chain_id=CHAIN, node=node, first_index=1_000, t=START, sign=sign, k=k)


@given(st.integers(1, 70), st.sampled_from([1, 4, 16]), st.data())
@settings(max_examples=60)
def test_every_row_of_a_group_has_a_receipt(count, k, data):
    position = data.draw(st.integers(0, count - 1))
    receipt = group_of(count, k=k).receipt(position)
    again = decode_receipt(encode_receipt(receipt))
    assert again == receipt
    assert group_of(count, k=k).encoded(position) == encode_receipt(receipt)
    row = verify_receipt(again, NODE_KEY, chain_id=CHAIN)
    assert row.pack() == plain_rows(count)[position].tobytes()
    assert again.index == 1_000 + position


@given(st.data())
@settings(max_examples=200)
def test_no_altered_bit_of_a_receipt_is_accepted(data):
    whole = bytearray(encode_receipt(group_of(20).receipt(7)))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(AudieraError):
        verify_receipt(decode_receipt(bytes(whole)), NODE_KEY, chain_id=CHAIN)


def test_a_receipt_of_another_chain_or_key_is_refused():
    receipt = group_of(3).receipt(0)
    with pytest.raises(ProofError):
        verify_receipt(receipt, NODE_KEY, chain_id="other")
    with pytest.raises(SignatureError):
        verify_receipt(receipt, public_key(bytes(32)), chain_id=CHAIN)


@pytest.mark.parametrize(
    "change", [{"position": 1}, {"position": 20}, {"position": -1}, {"page": b""}, {"path": ()}, {"page": bytes(128)}]
)
def test_parts_that_do_not_belong_together_are_refused(change):
    with pytest.raises(ProofError):
        verify_receipt(replace(group_of(20).receipt(7), **change), NODE_KEY, chain_id=CHAIN)


def test_a_receipt_for_a_row_of_another_node_is_refused():
    with pytest.raises(ProofError, match="of node"):
        verify_receipt(group_of(3, node=NODE + 1).receipt(0), NODE_KEY, chain_id=CHAIN)


def test_a_signed_row_that_means_nothing_is_refused():
    rows = bytearray(plain_rows(1).tobytes())
    rows[61] = 99
    group = ReceiptGroup(bytes(rows), chain_id=CHAIN, node=NODE, first_index=0, t=START, sign=sign)
    with pytest.raises(ProofError, match="means nothing"):
        verify_receipt(group.receipt(0), NODE_KEY, chain_id=CHAIN)
    with pytest.raises(BatchError):
        unpack_row(bytes(rows))


@pytest.mark.parametrize("rows", [b"", bytes(63)])
def test_a_group_is_whole_rows(rows):
    with pytest.raises(BatchError):
        ReceiptGroup(rows, chain_id=CHAIN, node=NODE, first_index=0, t=START, sign=sign)


def test_there_is_no_receipt_for_a_row_that_is_not_there():
    for position in (-1, 3):
        with pytest.raises(ProofError):
            group_of(3).receipt(position)


def test_a_receipt_is_small():
    assert len(encode_receipt(group_of(500).receipt(499))) < 700
