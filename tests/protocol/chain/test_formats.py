"""Bytes and hashes of blocks are CometBFT's: its own test vectors, and strict reading of one form only."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.chain import (
    Block,
    BlockId,
    Commit,
    CommitSignature,
    Header,
    block_id,
    check_block,
    commit_hash,
    consensus_hash,
    data_hash,
    decode_block,
    decode_commit,
    decode_header,
    encode_block,
    encode_commit,
    encode_header,
    header_hash,
    results_hash,
    vote_sign_bytes,
)
from audiera.protocol.chain.header import PART_BYTES, parts_of
from audiera.protocol.chain.protobuf import (
    Message,
    field_bytes,
    field_fixed64,
    field_int,
    field_message,
    read_fields,
    read_timestamp,
    timestamp,
    varint,
)
from audiera.protocol.chain.vote import PREVOTE, sign_bytes_of, signed_positions
from audiera.protocol.errors import EncodingError, ProofError
from audiera.protocol.merkle import EMPTY_ROOT, leaf_hash, node_hash
from tests.protocol.chain.chains import CHAIN, voters, whole_block

GO_ZERO_TIME_S = -62_135_596_800
"""The zero of Go's time.Time: the first of January of the year 1."""


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


# ---------------------------------------------------------------- CometBFT's vectors


def test_header_hash_is_the_one_of_cometbft() -> None:
    """Source: cometbft/cometbft, types/block_test.go, TestHeaderHash."""
    zeros = bytes(32)
    header = Header(
        block_version=1,
        app_version=2,
        chain_id="chainId",
        height=3,
        time_ns=int(datetime(2019, 10, 13, 16, 14, 44, tzinfo=UTC).timestamp()) * 10**9,
        last_block_id=BlockId(hash=zeros, parts_total=6, parts_hash=zeros),
        last_commit_hash=sha("last_commit_hash"),
        data_hash=sha("data_hash"),
        validators_hash=sha("validators_hash"),
        next_validators_hash=sha("next_validators_hash"),
        consensus_hash=sha("consensus_hash"),
        app_hash=sha("app_hash"),
        last_results_hash=sha("last_results_hash"),
        evidence_hash=sha("evidence_hash"),
        proposer_address=sha("proposer_address")[:20],
    )
    expected = "f740121f553b5418c3efbd343c2dbfe9e007bb67b0d020a0741374bab65242a4"
    assert header_hash(header).hex() == expected


@pytest.mark.parametrize(
    ("chain_id", "height", "round_", "kind", "expected"),
    [
        ("", 0, 0, 0, "0d2a0b088092b8c398feffffff01"),
        ("", 1, 1, 2, "2108021101000000000000001901000000000000002a0b088092b8c398feffffff01"),
        ("", 1, 1, 1, "2108011101000000000000001901000000000000002a0b088092b8c398feffffff01"),
        ("", 1, 1, 0, "1f1101000000000000001901000000000000002a0b088092b8c398feffffff01"),
        (
            "test_chain_id",
            1,
            1,
            0,
            "2e1101000000000000001901000000000000002a0b088092b8c398feffffff01320d746573745f636861696e5f6964",
        ),
    ],
)
def test_sign_bytes_of_votes_are_those_of_cometbft(
    chain_id: str, height: int, round_: int, kind: int, expected: str
) -> None:
    """Source: cometbft/cometbft, types/vote_test.go, TestVoteSignBytesTestVectors; a vote without a time has Go's."""
    found = vote_sign_bytes(chain_id, height, round_, None, GO_ZERO_TIME_S * 10**9, kind=kind)
    assert found.hex() == expected


def test_roots_of_nothing_are_the_hash_of_nothing() -> None:
    """Source: cometbft/cometbft, types/block_test.go, TestNilDataHashDoesntCrash."""
    assert data_hash([]) == commit_hash(Commit()) == results_hash([]) == EMPTY_ROOT == sha("")


def test_largest_commit_has_the_size_cometbft_allows_for_it() -> None:
    """Source: cometbft/cometbft, types/block.go: MaxCommitOverheadBytes 94, MaxCommitSigBytes 109."""
    signature = CommitSignature(flag=3, address=bytes(20), time_ns=-1, signature=bytes(64))
    assert len(signature.proto()) == 109
    block = BlockId(hash=bytes(32), parts_total=2**31 - 1, parts_hash=bytes(32))
    assert len(encode_commit(Commit(height=2**63 - 1, round=2**31 - 1, block_id=block))) == 94


def test_first_block_is_encoded_as_cometbft_encodes_it() -> None:
    """Messages that cannot be absent are written although they are empty."""
    assert encode_commit(Commit()).hex() == "1a021200"
    block = Block(header=header_of_nothing(), transactions=(), last_commit=Commit())
    assert encode_block(block).hex().endswith("12001a0022041a021200")


def header_of_nothing() -> Header:
    empty: dict[str, Any] = dict.fromkeys(
        (
            "last_commit_hash",
            "data_hash",
            "validators_hash",
            "next_validators_hash",
            "consensus_hash",
            "app_hash",
            "last_results_hash",
            "proposer_address",
            "evidence_hash",
        ),
        b"",
    )
    return Header(chain_id="", height=0, time_ns=0, last_block_id=BlockId(), block_version=0, app_version=0, **empty)


def test_header_of_nothing_still_has_its_messages() -> None:
    assert encode_header(header_of_nothing()).hex() == "0a0022002a021200"
    assert decode_header(encode_header(header_of_nothing())) == header_of_nothing()


def test_roots_are_rfc_9162_trees_over_what_cometbft_hashes() -> None:
    one, two = b"tx one", b"tx two"
    leaves = [leaf_hash(hashlib.sha256(each).digest()) for each in (one, two)]
    assert data_hash([one]) == leaves[0]
    assert data_hash([one, two]) == node_hash(*leaves)
    assert results_hash([(0, b"")]) == leaf_hash(b"")
    assert results_hash([(1, b"ab")]) == leaf_hash(bytes.fromhex("080112026162"))
    # HashedParams: block.max_bytes = 1, block.max_gas = 2.
    assert consensus_hash(22_020_096, -1) == hashlib.sha256(bytes.fromhex("088080c00a10ffffffffffffffffff01")).digest()


def test_parts_are_64_kibibytes() -> None:
    data = bytes(PART_BYTES) + b"rest"
    assert parts_of(data) == (2, node_hash(leaf_hash(bytes(PART_BYTES)), leaf_hash(b"rest")))
    assert parts_of(b"x") == (1, leaf_hash(b"x"))


# ---------------------------------------------------------------- protocol buffers


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (150, "9601"), (300, "ac02"), (-1, "ff" * 9 + "01")],
)
def test_varints_are_those_of_the_encoding_guide(value: int, expected: str) -> None:
    """Source: https://protobuf.dev/programming-guides/encoding/."""
    assert varint(value).hex() == expected


def test_fields_are_those_of_the_encoding_guide() -> None:
    """Source: https://protobuf.dev/programming-guides/encoding/, messages Test1, Test2 and Test3."""
    assert field_int(1, 150).hex() == "089601"
    assert field_bytes(2, b"testing").hex() == "120774657374696e67"
    assert field_message(3, field_int(1, 150)).hex() == "1a03089601"
    assert field_int(1, 0) == field_bytes(2, b"") == field_fixed64(3, 0) == b""
    assert field_message(2, b"").hex() == "1200"
    assert field_fixed64(2, -2).hex() == "11fe" + "ff" * 7


@given(st.lists(st.tuples(st.integers(1, 2**20), st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=200))))
def test_fields_written_are_read(fields: list[tuple[int, int | bytes]]) -> None:
    ordered = sorted(fields, key=lambda field: field[0])
    data = b"".join(
        field_message(number, value) if isinstance(value, bytes) else varint(number << 3) + varint(value)
        for number, value in ordered
    )
    found = read_fields(data)
    assert [field.number for field in found] == [number for number, _ in ordered]
    for field, (_, value) in zip(found, ordered, strict=True):
        assert field.value == (value if isinstance(value, bytes) else value % 2**64)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("08", "ends inside a number"),
        ("0880", "ends inside a number"),
        ("08" + "80" * 10 + "01", "too long"),
        ("120574657374", "ends inside a field"),
        ("1100000000", "ends inside a field"),
        ("12ffffffff0f", "ends inside a field"),
        ("10010801", "out of order"),
        ("0d00000000", "wire type 5"),
        ("0b", "wire type 3"),
    ],
)
def test_malformed_messages_are_refused(data: str, why: str) -> None:
    with pytest.raises(EncodingError, match=why):
        read_fields(bytes.fromhex(data))


def test_fields_of_another_kind_twice_or_not_text_are_refused() -> None:
    message = Message(bytes.fromhex("080108021201ff18ffffffffffffffffff01"))
    with pytest.raises(EncodingError, match="2 times"):
        message.integer(1)
    with pytest.raises(EncodingError, match="is a number"):
        message.integer(2)
    with pytest.raises(EncodingError, match="length of bytes"):
        message.octets(3)
    with pytest.raises(EncodingError, match="ASCII"):
        message.text(2)
    with pytest.raises(EncodingError, match="length of bytes"):
        message.each(1)
    assert message.integer(3) == -1
    assert (message.integer(9), message.octets(9), message.text(9), message.each(9)) == (0, b"", "", [])


@given(st.integers(-(2**90), 2**62) | st.just(GO_ZERO_TIME_S * 10**9))
def test_times_come_back_to_the_nanosecond(time_ns: int) -> None:
    seconds = time_ns // 10**9
    if seconds >= -(2**63):
        assert read_timestamp(timestamp(time_ns)) == time_ns


@pytest.mark.parametrize("nanos", [-1, 10**9])
def test_a_time_has_less_than_a_second_of_nanoseconds(nanos: int) -> None:
    with pytest.raises(EncodingError, match="nanoseconds"):
        read_timestamp(field_int(1, 5) + field_int(2, nanos))


# ---------------------------------------------------------------- round trips, strictness

HASHES = st.binary(max_size=40)
INT64 = st.integers(0, 2**63 - 1)
BLOCK_IDS = st.builds(BlockId, hash=HASHES, parts_total=st.integers(0, 2**31), parts_hash=HASHES)
TIMES = st.integers(0, 2**62) | st.just(GO_ZERO_TIME_S * 10**9)
HEADERS = st.builds(
    Header,
    chain_id=st.text("abc-012", max_size=48),
    height=INT64,
    time_ns=TIMES,
    last_block_id=BLOCK_IDS,
    block_version=INT64,
    app_version=INT64,
    **dict.fromkeys(
        (
            "last_commit_hash",
            "data_hash",
            "validators_hash",
            "next_validators_hash",
            "consensus_hash",
            "app_hash",
            "last_results_hash",
            "proposer_address",
            "evidence_hash",
        ),
        HASHES,
    ),
)
SIGNATURES = st.builds(
    CommitSignature, flag=st.integers(0, 3), address=HASHES, time_ns=TIMES, signature=st.binary(max_size=70)
)
COMMITS = st.builds(
    Commit,
    height=INT64,
    round=st.integers(0, 2**31 - 1),
    block_id=BLOCK_IDS,
    signatures=st.lists(SIGNATURES, max_size=4).map(tuple),
)


@given(HEADERS)
def test_headers_come_back(header: Header) -> None:
    assert decode_header(encode_header(header)) == header


@given(COMMITS)
def test_commits_come_back(commit: Commit) -> None:
    assert decode_commit(encode_commit(commit)) == commit


@given(HEADERS, COMMITS, st.lists(st.binary(max_size=60), max_size=4))
def test_blocks_come_back(header: Header, commit: Commit, transactions: list[bytes]) -> None:
    block = Block(header=header, transactions=tuple(transactions), last_commit=commit)
    assert decode_block(encode_block(block)) == block


@given(HEADERS, st.data())
def test_every_field_of_a_header_is_in_its_hash(header: Header, data: st.DataObject) -> None:
    other = data.draw(HEADERS)
    name = data.draw(st.sampled_from(Header.__struct_fields__))
    changed = replace(header, **{name: getattr(other, name)})
    assert (header_hash(changed) == header_hash(header)) == (changed == header)


def test_any_other_byte_in_a_block_is_refused_or_another_block() -> None:
    set_ = voters(5, 5, 5)
    block, _ = whole_block(set_, b"first", b"second")
    data = encode_block(block)
    check_block(decode_block(data))
    name = block_id(block)
    for at in range(len(data)):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            found = decode_block(altered)
            check_block(found)
        except (EncodingError, ProofError):
            continue
        assert block_id(found) != name, at


@pytest.mark.parametrize("cut", [0, 1, 10, 100])
def test_a_block_cut_short_or_with_more_behind_it_is_refused(cut: int) -> None:
    data = encode_block(whole_block(voters(1), b"tx")[0])
    with pytest.raises(EncodingError):
        decode_block(data[: len(data) - 1 - cut])
    with pytest.raises(EncodingError):
        decode_block(data + b"\x28\x01")
    with pytest.raises(EncodingError):
        decode_block(data + data)


@pytest.mark.parametrize(
    "extra",
    ["7801", "0a00", "188000", "1a00", "7a0161"],
    ids=["unknown number", "field twice", "long varint", "other kind", "unknown bytes"],
)
def test_headers_and_commits_have_one_form(extra: str) -> None:
    block, commit = whole_block(voters(1))
    for data, decode in ((encode_header(block.header), decode_header), (encode_commit(commit), decode_commit)):
        fields = bytes.fromhex(extra)
        with pytest.raises(EncodingError):
            decode(data + fields)
        with pytest.raises(EncodingError):
            decode(fields + data)


def test_a_header_commits_to_transactions_and_signatures() -> None:
    block, _ = whole_block(voters(1), b"one", b"two")
    check_block(block)
    with pytest.raises(ProofError, match="other transactions"):
        check_block(replace(block, transactions=(b"two", b"one")))
    with pytest.raises(ProofError, match="other signatures"):
        check_block(replace(block, last_commit=replace(block.last_commit, signatures=())))


def test_a_vote_for_nothing_names_no_block_and_says_so() -> None:
    block = BlockId(hash=sha("b"), parts_total=1, parts_hash=sha("p"))
    for_block = CommitSignature(flag=2, address=bytes(20), time_ns=5, signature=bytes(64))
    commit = Commit(
        height=3, round=1, block_id=block, signatures=(for_block, replace(for_block, flag=3), CommitSignature(flag=1))
    )
    assert sign_bytes_of(commit, CHAIN, 0) == vote_sign_bytes(CHAIN, 3, 1, block, 5)
    assert sign_bytes_of(commit, CHAIN, 1) == vote_sign_bytes(CHAIN, 3, 1, None, 5)
    assert signed_positions(commit.signatures) == [0]
    assert vote_sign_bytes(CHAIN, 3, 1, block, 5, kind=PREVOTE) != sign_bytes_of(commit, CHAIN, 0)
