"""A consumer's signature opens one session, at one node, on one chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.accesses import (
    SessionOpen,
    Watermark,
    session_digest,
    session_domain,
    sign_session,
    sign_watermark,
    verify_session,
    verify_watermark,
    watermark_domain,
)
from audiera.protocol.accesses.session import check_session, check_watermark
from audiera.protocol.encoding import decode, encode
from audiera.protocol.errors import BatchError, SignatureError
from tests.protocol.accesses.rows_made import CHAIN, CONSUMER_SEED, NODE, START, session, watermark

OPENED = sign_session(CONSUMER_SEED, session(1))
MARKED = sign_watermark(CONSUMER_SEED, watermark(1))


def test_a_signed_session_and_watermark_verify():
    for signed, check, verify in ((OPENED, check_session, verify_session), (MARKED, check_watermark, verify_watermark)):
        check(signed, chain_id=CHAIN)
        verify(signed)
        assert decode(encode(signed), type(signed)) == signed


CHANGES = {
    "domain": session_domain("other"),
    "node": NODE + 1,
    "number": 2,
    "grant": 1,
    "consumer": 1,
    "purpose": "perform",
    "policy": 2,
    "opened_at": START + 1,
    "expires_at": START + 2,
    "nonce": bytes(15) + b"\x01",
    "run": 1,
    "app_key": 1,
    "key": bytes(32),
    "signature": bytes(64),
}


@pytest.mark.parametrize("field", SessionOpen.__struct_fields__)
def test_nothing_of_a_signed_session_can_be_changed(field):
    with pytest.raises(SignatureError):
        verify_session(replace(OPENED, **{field: CHANGES[field]}))


@pytest.mark.parametrize("field", Watermark.__struct_fields__)
def test_nothing_of_a_signed_watermark_can_be_changed(field):
    other = {"session": 2, "rows": 11, "bytes": 1, "t": 1, "domain": watermark_domain("other")}
    with pytest.raises(SignatureError):
        verify_watermark(replace(MARKED, **{field: (CHANGES | other)[field]}))


@pytest.mark.parametrize(
    "change",
    [
        {"domain": session_domain("other")},
        {"number": 0},
        {"number": 2**63},
        {"node": 0},
        {"node": 2**32},
        {"policy": -1},
        {"grant": -1},
        {"consumer": 0},
        {"expires_at": START - 1},
        {"nonce": b""},
        {"key": b""},
        {"signature": b""},
        {"app_key": 5},
    ],
)
def test_a_session_that_no_state_could_make_good_is_refused(change):
    with pytest.raises(BatchError):
        check_session(replace(OPENED, **change), chain_id=CHAIN)


@pytest.mark.parametrize(
    "change",
    [{"domain": session_domain(CHAIN)}, {"session": 0}, {"rows": -1}, {"bytes": 2**63}, {"key": b""}, {"node": 0}],
)
def test_a_watermark_that_no_state_could_make_good_is_refused(change):
    with pytest.raises(BatchError):
        check_watermark(replace(MARKED, **change), chain_id=CHAIN)


def test_a_session_under_an_application_key_is_not_signed():
    check_session(session(1, app_key=5), chain_id=CHAIN)
    with pytest.raises(SignatureError):
        verify_session(session(1, app_key=5))


@given(st.binary(min_size=16, max_size=16))
def test_sessions_are_told_apart_by_their_digest(nonce):
    other = session(1, nonce=nonce)
    assert (session_digest(other) == session_digest(session(1))) == (nonce == bytes(16))
