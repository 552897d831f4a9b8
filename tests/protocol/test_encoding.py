"""A record has one encoding, and every other form of the same thing is refused."""

import json
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.encoding import MAX_DEPTH, check_depth, decode, digest, digest_of, encode
from audiera.protocol.errors import EncodingError


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The record of tests/vectors/encoding.json."""

    data: bytes
    text: str
    items: tuple[int, ...]
    number: int
    flag: bool = False


class Nested(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="nested"):
    """A record of records."""

    first: Sample
    rest: tuple[Sample, ...] = ()
    names: dict[str, int] = {}


INTEGERS = st.integers(-(2**63), 2**64 - 1)
SAMPLES = st.builds(
    Sample,
    data=st.binary(max_size=300) | st.binary(min_size=28, max_size=28).map(b"\x01\x02\x03\x1c".__add__),
    text=st.text(max_size=300),
    items=st.lists(INTEGERS, max_size=30).map(tuple),
    number=INTEGERS,
    flag=st.booleans(),
)
NESTED = st.builds(
    Nested,
    first=SAMPLES,
    rest=st.lists(SAMPLES, max_size=4).map(tuple),
    names=st.dictionaries(st.text(max_size=9), INTEGERS, max_size=4),
)


@pytest.fixture(scope="module")
def golden(root) -> dict[str, Any]:
    """The vectors of this encoding."""
    return json.loads((root / "tests" / "vectors" / "encoding.json").read_text(encoding="utf-8"))


@given(st.one_of(SAMPLES, NESTED))
def test_a_record_comes_back_from_its_bytes(record):
    assert decode(encode(record), type(record)) == record


@given(st.one_of(SAMPLES, NESTED))
def test_another_library_writes_the_same_bytes(record):
    assert encode(record) == cbor2.dumps(msgspec.to_builtins(record, builtin_types=(bytes,)), canonical=True)


@given(st.binary(max_size=80))
def test_noise_is_refused_or_the_one_form(noise):
    try:
        record = decode(noise, Sample)
    except EncodingError:
        return
    assert encode(record) == noise


@given(SAMPLES, st.data())
def test_altered_bytes_are_refused_or_the_one_form_of_another_record(record, data):
    altered = bytearray(encode(record))
    altered[data.draw(st.integers(0, len(altered) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(altered), Sample)
    except EncodingError:
        return
    assert other != record
    assert encode(other) == altered


def test_the_golden_records_encode_to_their_bytes(golden):
    assert len(golden["valid"]) > 20
    for case in golden["valid"]:
        value = case["value"]
        record = Sample(
            data=bytes.fromhex(value["data"]),
            text=value["text"],
            items=tuple(value["items"]),
            number=int(value["number"]),
            flag=value["flag"],
        )
        assert encode(record).hex() == case["bytes"], case["desc"]
        assert decode(bytes.fromhex(case["bytes"]), Sample) == record, case["desc"]


def test_every_golden_malformed_form_is_refused(golden):
    kinds = {case["kind"] for case in golden["invalid"]}
    assert len(kinds) >= 19
    accepted = []
    for case in golden["invalid"]:
        try:
            decode(bytes.fromhex(case["bytes"]), Sample)
        except EncodingError:
            continue
        accepted.append(case)
    assert accepted == []


def test_the_malformed_forms_are_malformed_to_a_lenient_reader_only(golden):
    """Many of them mean the plain record to an ordinary library: it is the form that is refused, not the content."""
    plain = cbor2.loads(bytes.fromhex(golden["valid"][0]["bytes"]))
    same = 0
    for case in golden["invalid"]:
        data = bytes.fromhex(case["bytes"])
        if len(data) < 200:
            try:
                same += cbor2.loads(data) == plain
            except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError):
                continue
    assert same > 25


def test_input_longer_than_allowed_is_refused_unread():
    record = Sample(data=bytes(100), text="", items=(), number=0)
    assert decode(encode(record), Sample, max_bytes=len(encode(record))) == record
    with pytest.raises(EncodingError, match="at most"):
        decode(encode(record), Sample, max_bytes=len(encode(record)) - 1)


@pytest.mark.parametrize("head", [b"\x81", b"\xa1\x61a"])
def test_depth_is_limited_before_decoding(head):
    check_depth(head * MAX_DEPTH + b"\x01")
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(EncodingError, match="deeper"):
            check_depth(head * depth + b"\x01")


@pytest.mark.parametrize("head", [b"\xc6", b"\xd8\x2a", b"\x81\xc6", b"\x81", b"\xa1\x61a"])
def test_endless_nesting_is_refused(head):
    with pytest.raises(EncodingError):
        decode(head * 100_000 + b"\x01", Sample)


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x71\x12\x20" + bytes(32),
        b"\x01\x55\x12\x20" + bytes(32),
        b"\x01\x02\x03\x1c" + bytes(28),
        b"\x01\x02\x03\x3c" + bytes(60),
        b"\xd8\x2a\x43abc",
    ],
)
def test_bytes_that_look_like_a_content_id_stay_bytes(data):
    record = Nested(first=Sample(data=data, text="\u00e9" * 300, items=(1, -1, 2**64 - 1), number=0, flag=True))
    assert encode(record) == cbor2.dumps(msgspec.to_builtins(record, builtin_types=(bytes,)), canonical=True)
    assert decode(encode(record), Nested) == record


def test_many_items_beside_one_another_are_not_deep():
    check_depth(encode([[number] for number in range(1_000)]))
    check_depth(encode({str(number): {"a": [1]} for number in range(1_000)}))


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**64, -(2**63) - 1, {1: 2}, "\ud800", object(), {"a": {1.0: 1}}])
def test_what_has_no_one_form_is_not_encoded(value):
    with pytest.raises(EncodingError):
        encode({"value": value})


def test_a_digest_is_of_the_bytes():
    record = Sample(data=b"", text="", items=(), number=0)
    assert digest_of(record) == digest(encode(record))
    assert digest(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_record_with_none_comes_back():
    assert encode({"a": None}) == b"\xa1\x61a\xf6"


@pytest.mark.parametrize(
    "data",
    [
        b"\x82" + b"\x81" * 20 + b"\x19\x01",
        b"\x81" * 20 + b"\xff",
        b"\xd8\x2a" * 20 + b"\x81" * 20,
    ],
    ids=["ends inside a length", "has an indefinite length", "tags nest too deeply"],
)
def test_deep_bytes_that_end_too_early_are_refused(data):
    with pytest.raises(EncodingError):
        check_depth(data)
