"""Streaming under a grant: a signed session, recorded accesses, signed watermarks."""

import base64
import contextlib
import hashlib
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from audiera.protocol.accesses import SessionOpen, Watermark, session_domain, sign_session, sign_watermark
from audiera.protocol.accesses.receipts import Receipt, decode_receipt, verify_receipt
from audiera.protocol.accesses.session import watermark_domain
from audiera.protocol.api import routes
from audiera.protocol.api.access import (
    FlushAnswer,
    ReservationAnswer,
    ReservationRequest,
    SessionAnswer,
    SessionRequest,
    WatermarkAnswer,
    WatermarkRequest,
)
from audiera.protocol.encoding import encode
from audiera.protocol.errors import AudieraError, Conflict, EncodingError, ProofError
from audiera.protocol.ids import format_blob_id
from audiera.protocol.records import Grant
from audiera.sdk.identity import Identity
from audiera.sdk.transport import Transport

_LIFETIME_US = 3_600_000_000
_TRIES = 20


@dataclass(frozen=True)
class Delivered:
    """Bytes that came, and the record made before they left."""

    data: bytes
    """The bytes."""

    node: int
    """Node that served them."""

    index: int
    """Index of the record among all the node's."""

    receipt: Receipt
    """The node's signed word for it, verified."""


class Stream:
    """An open session. Thread-safe; close it, or use it in a ``with``.

    Every delivery is checked against the node's signed receipt; watermarks are signed as the node asks for them.

    Args:
        transport: to the node.
        identity: who signs.
        grant: what it runs under.
        node_key: the serving node's public key, which its receipts must verify under.
        run: training run it belongs to; 0 for none.
    """

    def __init__(
        self, transport: Transport, identity: Identity, grant: Grant, *, node_key: bytes, run: int = 0
    ) -> None:
        self._node_key = node_key
        self._transport = transport
        self._identity = identity
        self._grant = grant
        self._lock = threading.Lock()
        self._rows = self._bytes = self._acknowledged = 0
        self._last_t = 0
        self._answer, self._opening = self._open(grant, run)
        self._every = max(1, self._answer.credit_rows // 2)

    def _open(self, grant: Grant, run: int) -> tuple[SessionAnswer, SessionOpen]:
        """Reserve a number, sign, open; another consumer may have been faster, then once more."""
        for attempt in range(_TRIES):
            reserved = self._transport.ask(
                routes.RESERVE_SESSION, ReservationAnswer, body=ReservationRequest(grant=grant.number)
            )
            opening = sign_session(self._identity.seed, self._opening_of(grant, run, reserved))
            try:
                request = SessionRequest(session=encode(opening))
                return self._transport.ask(routes.OPEN_SESSION, SessionAnswer, body=request), opening
            except Conflict:
                if attempt == _TRIES - 1:
                    raise
        raise Conflict("no session could be opened")

    def _opening_of(self, grant: Grant, run: int, reserved: ReservationAnswer) -> SessionOpen:
        return SessionOpen(
            domain=session_domain(self._identity.chain_id),
            node=reserved.node,
            number=reserved.number,
            grant=grant.number,
            consumer=self._identity.account,
            purpose=grant.purpose,
            policy=max((terms.revision for terms in grant.terms), default=0),
            opened_at=reserved.now,
            expires_at=reserved.now + _LIFETIME_US,
            nonce=secrets.token_bytes(16),
            run=run,
        )

    @property
    def number(self) -> int:
        """The node's number of the session."""
        return self._answer.session

    @property
    def token(self) -> str:
        """Bearer token good for this session only."""
        return self._answer.token

    def fetch(self, asset: int, start: int = 0, length: int | None = None, *, blob: bytes = b"") -> Delivered:
        """Bytes of an asset; all of it by default.

        Args:
            asset: ledger number.
            start: first byte.
            length: how many; all that follow when None.
            blob: digest the whole asset must have, by the ledger; what the node says it has when empty.

        Raises:
            AccessRefused: the decision was no; ``values["reasons"]`` says why.
            ProofError: the receipt is not for this access, or the bytes are not the asset's.
        """
        is_part = bool(start) or length is not None
        end = "" if length is None else start + length - 1
        response = self._transport.send(
            routes.SESSION_BYTES,
            {"session": self.number, "asset": asset},
            headers={"Range": f"bytes={start}-{end}"} if is_part else {},
            token=self.token,
        )
        receipt = receipt_of(response.headers)
        row = verify_receipt(receipt, self._node_key, chain_id=self._identity.chain_id)
        named = (row.node, row.session, row.grant, row.consumer, row.asset)
        if named != (self._answer.node, self.number, self._grant.number, self._identity.account, asset):
            raise ProofError("the node's receipt is for another access than this one", asset=asset)
        if row.bytes != len(response.content):
            raise ProofError(
                f"the node's receipt is for {row.bytes} bytes, and {len(response.content)} came", asset=asset
            )
        expected = f'"{format_blob_id(blob)}"' if blob else response.headers.get("ETag", "")
        if not is_part and f'"{format_blob_id(hashlib.sha256(response.content).digest())}"' != expected:
            raise ProofError("what came is not the asset's bytes", code="bytes_differ", asset=asset)
        self.count(len(response.content), row.t)
        return Delivered(response.content, row.node, receipt.index, receipt)

    def count(self, size: int, t: int) -> None:
        """Count a received access; a watermark is signed when enough have come."""
        with self._lock:
            self._rows += 1
            self._bytes += size
            self._last_t = max(self._last_t, t)
            is_due = self._rows - self._acknowledged >= self._every
        if is_due:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Sign what was received so far."""
        with self._lock:
            mark = Watermark(
                domain=watermark_domain(self._identity.chain_id),
                node=self._answer.node,
                session=self.number,
                rows=self._rows,
                bytes=self._bytes,
                t=self._last_t,
            )
            self._acknowledged = self._rows
        request = WatermarkRequest(watermark=encode(sign_watermark(self._identity.seed, mark)))
        self._transport.ask(routes.SIGN_WATERMARK, WatermarkAnswer, {"session": self.number}, body=request)

    def flush(self) -> int:
        """Wait until everything received is on the ledger; returns a height that has it."""
        if self._rows > self._acknowledged:
            self.acknowledge()
        return self._transport.ask(routes.FLUSH_SESSION, FlushAnswer, {"session": self.number}, token=self.token).height

    def close(self) -> None:
        """Acknowledge what was received and wait until it is on the ledger."""
        if self._rows:
            self.flush()

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it; what went wrong inside is told before what goes wrong in closing."""
        with contextlib.nullcontext() if kind is None else contextlib.suppress(AudieraError):
            self.close()


def receipt_of(headers: Mapping[str, str]) -> Receipt:
    """The receipt that came with an answer, not verified yet.

    Raises:
        ProofError: none came.
        EncodingError: what came is none.
    """
    text = headers.get(routes.RECEIPT, "")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as cause:
        raise EncodingError("the receipt is not base64") from cause
    if not data:
        raise ProofError("the node released bytes and sent no receipt for them", code="receipt_missing")
    return decode_receipt(data)
