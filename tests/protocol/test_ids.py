"""An id has one text, and records and blobs are not mistaken for each other."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import IdError
from audiera.protocol.ids import format_blob_id, format_id, parse_blob_id, parse_id

DIGEST = bytes(range(32))
DIGESTS = st.binary(min_size=32, max_size=32)


@given(DIGESTS)
def test_ids_come_back_from_their_text(digest):
    assert parse_id(format_id(digest)) == digest
    assert parse_blob_id(format_blob_id(digest)) == digest


def test_the_texts_are_cids_of_version_one():
    record, blob = format_id(DIGEST), format_blob_id(DIGEST)
    assert record.startswith("bafyrei")
    assert blob.startswith("bafkrei")
    assert base64.b32decode(record[1:].upper() + "======") == b"\x01\x71\x12\x20" + DIGEST
    assert base64.b32decode(blob[1:].upper() + "======") == b"\x01\x55\x12\x20" + DIGEST


@given(DIGESTS)
def test_a_record_is_no_blob(digest):
    with pytest.raises(IdError, match="another kind"):
        parse_id(format_blob_id(digest))
    with pytest.raises(IdError, match="another kind"):
        parse_blob_id(format_id(digest))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "a",
        lambda text: text.upper(),
        lambda text: "B" + text[1:],
        lambda text: "z" + text[1:],
        lambda text: text[:-1] + "1",
        lambda text: text[:10] + "\u00e9" + text[11:],
        lambda text: text[:10] + "=" + text[11:],
        lambda text: text[:10] + " " + text[11:],
        lambda text: text[:10] + text[10].upper() + text[11:],
    ],
)
def test_other_spellings_are_refused(change):
    text = format_id(b"\xaa" * 32)
    assert parse_id(text)
    for parse in (parse_id, parse_blob_id):
        with pytest.raises(IdError):
            parse(change(text))


def test_unused_bits_of_the_last_character_are_zero():
    text = format_id(DIGEST)
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    others = [text[:-1] + letter for letter in alphabet if letter != text[-1]]
    same = [other for other in others if base64.b32decode(other[1:].upper() + "======")[4:] == DIGEST]
    assert same
    for other in same:
        with pytest.raises(IdError):
            parse_id(other)


@given(st.text(max_size=70))
def test_any_text_is_refused_or_the_one_form(text):
    try:
        digest = parse_id(text)
    except IdError:
        return
    assert format_id(digest) == text


@pytest.mark.parametrize("length", [0, 31, 33])
def test_other_lengths_are_no_ids(length):
    for write in (format_id, format_blob_id):
        with pytest.raises(IdError):
            write(bytes(length))
