"""Sessions and watermarks: what a consumer signs so that a node cannot invent accesses.

A session is an opened line of accesses under one grant. The node counts its sessions; the ledger knows a session
as (node, number) and refuses a number that is not larger than the node's last one. The number is in what the
consumer signs, so a signature opens exactly one session: a node first tells the consumer the number it will have,
then gets it signed. A session under an application key carries that key's number and no signature; the key's
budget bounds it. A watermark is the consumer's signed word on how much a session has received so far.
"""

import msgspec
from msgspec.structs import replace

from audiera.protocol.encoding import digest, encode
from audiera.protocol.errors import BatchError
from audiera.protocol.keys import public_key, sign_bytes, to_sign, verify_bytes
from audiera.protocol.purposes import Purpose
from audiera.protocol.units import I64_MAX, U32_MAX, U64_MAX

_Bytes = bytes


class SessionOpen(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="session"
):
    """The opening of a session, as the first batch that cites it carries it."""

    domain: str
    """``audiera/<chain>/session/1``."""

    node: int
    """Ledger number of the node that serves; u32."""

    number: int
    """The node's number of the session, larger than all before; u64, at least 1."""

    grant: int
    """Ledger number of the grant; 0 for previews."""

    consumer: int
    """Ledger number of the account that uses."""

    purpose: Purpose
    """What for; the grant's purpose."""

    policy: int
    """License revision the grant was decided under; u32."""

    opened_at: int
    """When, microseconds since 1970 UTC."""

    expires_at: int
    """When it ends, microseconds since 1970 UTC."""

    nonce: bytes
    """16 random bytes, so that no two sessions are alike."""

    run: int = 0
    """Ledger number of the run it belongs to; 0 for none."""

    app_key: int = 0
    """Ledger number of the application key it was opened with; 0 for none."""

    key: bytes = b""
    """The consumer's public key; empty with an application key."""

    signature: bytes = b""
    """The signature of the COSE_Sign1 over this record without it; empty with an application key."""


class Watermark(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="watermark"
):
    """The consumer's word on what a session has received."""

    domain: str
    """``audiera/<chain>/watermark/1``."""

    node: int
    """Ledger number of the node."""

    session: int
    """The node's number of the session."""

    rows: int
    """Accesses so far."""

    bytes: int
    """Payload bytes so far."""

    t: int
    """Time of the last access acknowledged, microseconds since 1970 UTC."""

    key: _Bytes = b""
    """The consumer's public key."""

    signature: _Bytes = b""
    """The signature of the COSE_Sign1 over this record without it."""


def session_domain(chain_id: str) -> str:
    """What a session's opening names, so that its signature means nothing elsewhere."""
    return f"audiera/{chain_id}/session/1"


def watermark_domain(chain_id: str) -> str:
    """What a watermark names, so that its signature means nothing elsewhere."""
    return f"audiera/{chain_id}/watermark/1"


def session_payload(session: SessionOpen) -> bytes:
    """The COSE payload the consumer signs: the record without its signature."""
    return encode(replace(session, signature=b""))


def watermark_payload(watermark: Watermark) -> bytes:
    """The COSE payload the consumer signs: the record without its signature."""
    return encode(replace(watermark, signature=b""))


def sign_session(seed: bytes, session: SessionOpen) -> SessionOpen:
    """The session with the consumer's key and signature."""
    named = replace(session, key=public_key(seed))
    return replace(named, signature=sign_bytes(seed, to_sign(session_payload(named))))


def sign_watermark(seed: bytes, watermark: Watermark) -> Watermark:
    """The watermark with the consumer's key and signature."""
    named = replace(watermark, key=public_key(seed))
    return replace(named, signature=sign_bytes(seed, to_sign(watermark_payload(named))))


def session_digest(session: SessionOpen) -> bytes:
    """SHA-256 of the whole opening: what names it inside a node before the ledger has it."""
    return digest(encode(session))


def check_session(session: SessionOpen, *, chain_id: str) -> None:
    """Refuse an opening that no chain state could make good.

    Raises:
        BatchError: of another chain, a number out of range, or neither signed nor under an application key.
    """
    fits = (
        session.domain == session_domain(chain_id)
        and 1 <= session.number <= I64_MAX
        and 1 <= session.node <= U32_MAX
        and 0 <= session.policy <= U32_MAX
        and 0 <= session.opened_at <= session.expires_at <= I64_MAX
        and all(0 <= value <= U64_MAX for value in (session.grant, session.run, session.app_key))
        and 1 <= session.consumer <= U64_MAX
        and len(session.nonce) == 16
    )
    signed = (len(session.key), len(session.signature))
    if not fits or signed != ((0, 0) if session.app_key else (32, 64)):
        raise BatchError(
            f"session {session.number} is of another chain, has a number out of range, or is neither signed nor "
            "under an application key",
            code="session_invalid",
        )


def check_watermark(watermark: Watermark, *, chain_id: str) -> None:
    """Refuse a watermark that no chain state could make good.

    Raises:
        BatchError: of another chain, a number out of range, or not signed.
    """
    fits = (
        watermark.domain == watermark_domain(chain_id)
        and 1 <= watermark.session <= I64_MAX
        and 1 <= watermark.node <= U32_MAX
        and all(0 <= value <= I64_MAX for value in (watermark.rows, watermark.bytes, watermark.t))
    )
    if not fits or (len(watermark.key), len(watermark.signature)) != (32, 64):
        raise BatchError(
            f"the watermark of session {watermark.session} is of another chain, has a number out of range, or is "
            "not signed",
            code="watermark_invalid",
        )


def verify_session(session: SessionOpen) -> None:
    """Refuse an opening its key did not sign. The caller knows whose key it is.

    Raises:
        SignatureError: it does not verify.
    """
    verify_bytes(session.key, to_sign(session_payload(session)), session.signature)


def verify_watermark(watermark: Watermark) -> None:
    """Refuse a watermark its key did not sign. The caller knows whose key it is.

    Raises:
        SignatureError: it does not verify.
    """
    verify_bytes(watermark.key, to_sign(watermark_payload(watermark)), watermark.signature)
