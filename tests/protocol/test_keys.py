"""One signature rule, one accepted form of a signed message, one text of a key."""

import json

import cbor2
import nacl.bindings
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pycose.headers import Algorithm
from pycose.keys import OKPKey
from pycose.messages import Sign1Message

from audiera.protocol import keys
from audiera.protocol.errors import IdError, LedgerError, SignatureError
from audiera.protocol.keys import (
    format_key,
    is_signature_valid,
    join_signed,
    low_order_points,
    parse_key,
    public_key,
    self_test,
    sign,
    sign_bytes,
    split_signed,
    to_sign,
    verify_bytes,
    verify_signed,
)

SEEDS = st.binary(min_size=32, max_size=32)
SEED = bytes(range(32))
KEY = public_key(SEED)
SIZES = st.sampled_from([0, 1, 23, 24, 255, 256, 1_000, 65_535, 65_536, 70_000])


@given(SEEDS, st.binary(max_size=200))
def test_signatures_agree_with_another_library(seed, message):
    other = Ed25519PrivateKey.from_private_bytes(seed)
    assert public_key(seed) == other.public_key().public_bytes_raw()
    assert sign_bytes(seed, message) == other.sign(message)
    verify_bytes(public_key(seed), message, other.sign(message))


@given(SEEDS, SIZES, st.data())
@settings(max_examples=40)
def test_another_library_verifies_what_we_sign(seed, size, data):
    payload = bytes([data.draw(st.integers(0, 255))]) * size
    tagged = cbor2.loads(b"\xd2" + sign(seed, payload))
    assert tagged.tag == Sign1Message.cbor_tag == 18
    protected, unprotected, content, signature = tagged.value
    message = Sign1Message.from_cose_obj([protected, dict(unprotected), content, signature], True)
    assert message.payload == payload
    assert message.phdr[Algorithm].fullname == "EDDSA"
    assert message.uhdr == {}
    message.key = OKPKey(crv="ED25519", x=public_key(seed))
    assert message.verify_signature()
    message.key = OKPKey(crv="ED25519", x=public_key(bytes(32)))
    assert message.verify_signature() == (seed == bytes(32))


@given(SEEDS, SIZES)
@settings(max_examples=40)
def test_a_signed_message_comes_apart_and_verifies(seed, size):
    payload = bytes(size)
    signed = split_signed(sign(seed, payload))
    assert signed.payload == payload
    verify_signed(public_key(seed), signed)
    assert join_signed(*signed) == sign(seed, payload)


@given(st.binary(max_size=300), st.data())
@settings(max_examples=300)
def test_no_flipped_bit_of_a_signed_message_is_accepted(payload, data):
    altered = bytearray(sign(SEED, payload))
    altered[data.draw(st.integers(0, len(altered) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SignatureError):
        verify_signed(KEY, split_signed(bytes(altered)))


@given(st.binary(max_size=200))
def test_noise_is_no_signed_message(noise):
    for data in (noise, sign(SEED, b"")[:6] + noise):
        try:
            signed = split_signed(data)
        except SignatureError:
            continue
        assert join_signed(*signed) == data


def test_what_is_signed_is_the_cose_structure():
    assert to_sign(b"This is the content.").hex() == (
        "846a5369676e61747572653143a101274054546869732069732074686520636f6e74656e742e"
    )


def test_the_golden_signatures_and_messages_have_their_verdicts(root):
    folder = root / "tests" / "vectors"
    for case in json.loads((folder / "keys-ed25519.json").read_text())["cases"]:
        key, message, signature = (bytes.fromhex(case[name]) for name in ("key", "msg", "sig"))
        assert is_signature_valid(key, message, signature) == case["valid"], case["desc"]
    for case in json.loads((folder / "keys-cose.json").read_text())["cases"]:
        key, message, payload = (bytes.fromhex(case[name]) for name in ("key", "message", "payload"))
        try:
            signed = split_signed(message)
            verify_signed(key, signed)
            accepted = signed.payload == payload
        except SignatureError:
            accepted = False
        assert accepted == case["valid"], case["desc"]
    for case in json.loads((folder / "keys-text.json").read_text())["cases"]:
        assert format_key(bytes.fromhex(case["key"])) == case["text"]


def test_the_pinned_rule_is_openssl_without_low_order_points(vectors):
    """The rule in words: OpenSSL accepts, and neither A nor R is one of the fourteen low-order encodings."""
    low = set(low_order_points())
    accepted = 0
    for case in json.loads((vectors / "cctv-ed25519" / "ed25519vectors.json").read_text()):
        key, signature, message = bytes.fromhex(case["key"]), bytes.fromhex(case["sig"]), case["msg"].encode()
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
            other = True
        except InvalidSignature:
            other = False
        expected = other and key not in low and signature[:32] not in low
        assert is_signature_valid(key, message, signature) == expected, case
        accepted += expected
    assert accepted > 0


def test_a_signature_with_an_unreduced_s_is_refused():
    signature = sign_bytes(SEED, b"m")
    order = 2**252 + 27742317777372353535851937790883648493
    unreduced = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(SignatureError):
        verify_bytes(KEY, b"m", unreduced)


@pytest.mark.parametrize(("key", "signature"), [(b"", bytes(64)), (KEY[:31], bytes(64)), (KEY, b""), (KEY, bytes(65))])
def test_other_lengths_are_no_signatures(key, signature):
    assert not is_signature_valid(key, b"", signature)


def test_the_low_order_points_are_those_of_the_curve():
    points = low_order_points()
    assert len(set(points)) == 14
    assert not any(nacl.bindings.crypto_core_ed25519_is_valid_point(point) for point in points)


def test_the_self_test_passes_here_and_stops_a_node_elsewhere(monkeypatch):
    self_test()

    def lenient(key: bytes, message: bytes, signature: bytes) -> bool:
        return is_signature_valid(key, message, signature) or key in low_order_points()

    monkeypatch.setattr(keys, "is_signature_valid", lenient)
    with pytest.raises(LedgerError, match="pinned rule"):
        self_test()


@given(st.binary(min_size=32, max_size=32))
def test_keys_come_back_from_their_text(key):
    text = format_key(key)
    assert text.startswith("did:key:z6Mk")
    assert parse_key(text) == key


@given(st.text(max_size=70).map(lambda text: "did:key:z" + text) | st.text(max_size=70))
def test_any_text_is_refused_or_the_one_form_of_a_key(text):
    try:
        key = parse_key(text)
    except IdError:
        return
    assert format_key(key) == text


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "1",
        lambda text: text.upper(),
        lambda text: text.replace("did:key:z", "did:key:z1"),
        lambda text: text.replace("did:key:z", "did:web:z"),
        lambda text: text[:20] + "0" + text[21:],
        lambda text: text[:20] + "l" + text[21:],
        lambda text: " " + text,
        lambda text: text + "\n",
    ],
)
def test_other_spellings_of_a_key_are_refused(change):
    with pytest.raises(IdError):
        parse_key(change(format_key(KEY)))
