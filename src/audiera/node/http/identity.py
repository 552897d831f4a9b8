"""Who is asking: short-lived tokens the caller mints with its own key, and opaque application keys.

A token is a JWT with ``alg: Ed25519`` whose key is one of the account's keys in the committed state. Verified
tokens are remembered by their bytes; what can change (time, the account's keys) is checked again.

Source: RFC 7515 (JWS), RFC 7519 (JWT), RFC 9864 (the algorithm name Ed25519).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from audiera.node.clock import Clock
from audiera.protocol.api.routes import API_KEY_PREFIX, TOKEN_LIFETIME_S
from audiera.protocol.errors import IdError, NotAuthenticated
from audiera.protocol.keys import is_signature_valid, parse_key
from audiera.services.ledger.ports import Ledger

MAX_TOKEN_BYTES = 2_048
CLOCK_LEAD_S = 60
"""How far ahead of the node's clock a caller's may be, seconds."""

_REMEMBERED = 8_192


class Identity(NamedTuple):
    """Who is asking."""

    account: int = 0
    """Ledger number; 0 for a visitor."""

    key: bytes = b""
    """Public key that signed the token; empty for others."""

    app_key: int = 0
    """Ledger number of the application key; 0 for none."""

    session: int = 0
    """Session the token is good for alone; 0 for none."""


VISITOR = Identity()


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    kid: str
    typ: str = "JWT"


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    aud: str
    iat: int
    exp: int
    jti: str


class _Known(NamedTuple):
    identity: Identity
    expires_s: int
    height: int


def _decode_part(text: bytes) -> bytes:
    """Bytes of a base64url part without padding, in its one spelling."""
    padded = text + b"=" * (-len(text) % 4)
    try:
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as cause:
        raise _refusal("it is not base64url") from cause
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text:
        raise _refusal("it is not base64url in its one spelling")
    return raw


def _refusal(why: str, code: str = "token_invalid") -> NotAuthenticated:
    return NotAuthenticated(f"the token is refused: {why}; mint a new one", code=code)


class Tokens:
    """Tells callers by what their Authorization header holds. For the event loop's thread.

    Args:
        ledger: whose committed state names keys.
        clock: the node's clock.
        session_of: the identity behind a session token, if it is one of an open session.
    """

    def __init__(self, ledger: Ledger, clock: Clock, session_of: Callable[[str], Identity | None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._session_of = session_of
        self._chain = ledger.genesis.chain_id
        self._known: dict[str, _Known] = {}

    def identify(self, authorization: str | None) -> Identity:
        """Who sent this Authorization header; a visitor sends none.

        Raises:
            NotAuthenticated: it holds something that is no good, or no longer.
        """
        if authorization is None:
            return VISITOR
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refusal("the header is not 'Bearer <token>' with at most 2048 characters")
        if token.startswith(API_KEY_PREFIX):
            return self._application(token)
        if "." not in token:
            session = self._session_of(token)
            if session is None:
                raise _refusal("no session with this token is open; open a new one", "session_unknown")
            return session
        return self._account(token)

    def _application(self, token: str) -> Identity:
        found = self._ledger.state().app_key_by_hash(hashlib.sha256(token.encode("ascii")).digest())
        if found is None:
            raise _refusal("no application key with this secret is registered", "app_key_unknown")
        if found.revoked or found.expires_at <= self._clock():
            raise _refusal("the application key has expired or was revoked", "app_key_ended")
        return Identity(account=found.account, app_key=found.number)

    def _account(self, token: str) -> Identity:
        known = self._known.get(token)
        height = self._ledger.head().height
        if known is None:
            known = self._verify(token, height)
            if len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
        elif known.height != height:
            self._require_key(known.identity.account, known.identity.key)
        if known.expires_s * 1_000_000 <= self._clock():
            self._known.pop(token, None)
            raise _refusal("it has expired", "token_expired")
        self._known[token] = known._replace(height=height)
        return known.identity

    def _verify(self, token: str, height: int) -> _Known:
        """Check a token that was not seen before, in this order.

        1. Three parts of base64url; the header names alg Ed25519 and a key, and nothing else.
        2. The claims are for this chain, in their time, and not longer than 15 minutes.
        3. The key is one of the issuing account's.
        4. The signature is the key's.
        """
        parts = token.encode("ascii").split(b".")
        if len(parts) != 3:
            raise _refusal("it does not have three parts")
        try:
            header = msgspec.json.decode(_decode_part(parts[0]), type=_Header)
            claims = msgspec.json.decode(_decode_part(parts[1]), type=_Claims)
            key = parse_key(header.kid)
        except (msgspec.DecodeError, IdError, UnicodeDecodeError) as cause:
            raise _refusal(f"header or claims are malformed ({cause})") from cause
        if header.alg != "Ed25519" or header.typ != "JWT":
            raise _refusal("its header must say alg Ed25519 and typ JWT")
        self._check_times(claims)
        if not (claims.iss.isascii() and claims.iss.isdecimal()) or claims.iss.startswith("0") or len(claims.iss) > 20:
            raise _refusal("iss is the account's number")
        account = int(claims.iss)
        self._require_key(account, key)
        if not is_signature_valid(key, parts[0] + b"." + parts[1], _decode_part(parts[2])):
            raise _refusal("the signature does not verify")
        return _Known(Identity(account=account, key=key), claims.exp, height)

    def _check_times(self, claims: _Claims) -> None:
        now_s = self._clock() // 1_000_000
        if claims.aud != self._chain:
            raise _refusal(f"it is for {claims.aud[:60]!r}, this chain is {self._chain!r}", "token_wrong_chain")
        if not 0 < claims.exp - claims.iat <= TOKEN_LIFETIME_S or not 1 <= len(claims.jti) <= 64:
            raise _refusal(f"exp is at most {TOKEN_LIFETIME_S} s after iat, and jti has 1 to 64 characters")
        if claims.iat > now_s + CLOCK_LEAD_S:
            raise _refusal("iat lies in the future; set the clock", "token_not_yet")
        if claims.exp <= now_s:
            raise _refusal("it has expired", "token_expired")

    def _require_key(self, account: int, key: bytes) -> None:
        if self._ledger.state().account_of_key(key) != account:
            raise _refusal("its key is not, or no longer, a key of the account", "key_not_authorized")
