"""May I, open, acknowledge, flush, prove."""

import base64
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from audiera.node.advice import advise, is_number
from audiera.node.http.lookup import asset_at
from audiera.node.http.operations import ANYTHING, Call, Operation
from audiera.protocol.accesses import SessionOpen, Watermark
from audiera.protocol.accesses.proof import format_proof
from audiera.protocol.api import routes
from audiera.protocol.api.access import (
    DecisionAnswer,
    DecisionRequest,
    FlushAnswer,
    ReservationAnswer,
    ReservationRequest,
    SessionAnswer,
    SessionRequest,
    WatermarkAnswer,
    WatermarkRequest,
)
from audiera.protocol.encoding import decode
from audiera.protocol.errors import NotPermitted, RequestError, TooMany
from audiera.protocol.units import I64_MAX

_MAX_OPENING_BYTES = 2_048

Number = Annotated[int, Meta(ge=0, le=I64_MAX)]
"""A number in a path."""


def decisions(call: Call, body: DecisionRequest) -> DecisionAnswer:
    """May I use these? The answer of every license, with reasons and what it would cost; nothing is recorded."""
    ledger = call.parts.ledger
    height = ledger.head().height
    now = max(call.parts.clock(), ledger.head().time)
    return advise(ledger.state(), body, account=call.identity.account, now=now, height=height)


async def reserve_session(call: Call, body: ReservationRequest) -> ReservationAnswer:
    """The number that a session about to be signed must carry; good for one opening."""
    grant = call.parts.ledger.state().grant(body.grant) if is_number(body.grant) else None
    if grant is None or grant.grantee != call.identity.account:
        raise NotPermitted(f"grant {body.grant} is not the asker's", code="grant_other_account")
    number = call.parts.gate.reserve()
    return ReservationAnswer(number=number, node=call.parts.account, now=call.parts.clock())


async def open_session(call: Call, body: SessionRequest) -> SessionAnswer:
    """Open a line of accesses under a grant; the opening is signed by the grantee, or under an application key."""
    opening = decode(body.session, SessionOpen, max_bytes=_MAX_OPENING_BYTES)
    if opening.consumer != call.identity.account or opening.app_key != call.identity.app_key:
        raise NotPermitted("the session is another account's, or under another key", code="other_account")
    session = call.parts.gate.open(opening)
    call.parts.meter.add_session(opening)
    return SessionAnswer(
        session=session.number,
        token=call.parts.sessions.issue(session),
        expires_at=opening.expires_at,
        node=call.parts.account,
        credit_rows=call.parts.ledger.state().params().credit_rows,
    )


async def sign_watermark(call: Call, session: Number, body: WatermarkRequest) -> WatermarkAnswer:
    """Acknowledge what was received; past the credit window nothing more is served without it."""
    watermark = decode(body.watermark, Watermark, max_bytes=_MAX_OPENING_BYTES)
    if watermark.session != session:
        raise NotPermitted(f"the watermark is of session {watermark.session}", code="watermark_invalid")
    acknowledged = call.parts.gate.acknowledge(watermark)
    call.parts.meter.add_watermark(watermark)
    return WatermarkAnswer(session=session, rows=acknowledged.acknowledged)


async def flush_session(call: Call, session: Number) -> FlushAnswer:
    """Wait until everything the session received is on the ledger."""
    rows = call.parts.gate.session(session).rows
    height = await call.parts.sealer.flush()
    return FlushAnswer(session=session, rows=rows, height=height)


def access_proof(call: Call, node: Number, index: Number) -> Response:
    """The proof of one access: a file that anyone can verify without a node."""
    proof = call.parts.proofs.prove(node, index)
    return Response(format_proof(proof), media_type="application/json")


async def asset_preview(call: Call, ref: str) -> Response:
    """Half a minute to decide by, as Ogg Opus; recorded as an access with purpose preview before it leaves."""
    client = call.request.client
    if not call.parts.previews.take(client.host if client is not None else ""):
        raise TooMany("too many previews from this address; wait a minute", code="too_many_previews")
    asset = asset_at(call, ref)
    data = await call.parts.threads.run(call.parts.intake.preview, asset.content.blob)
    recorded = await call.parts.stream.preview(asset.number, len(data))
    receipt = base64.b64encode(recorded.encoded_receipt()).decode()
    return Response(data, media_type="audio/ogg", headers={routes.RECEIPT: receipt})


def session_bytes(call: Call, session: Number, asset: Number) -> Response:
    """Bytes of an asset within a session, all or one range; on the record before the first byte leaves.

    ``Audiera-Receipt`` is the node's signed word for the record. ``Idempotency-Key`` names the access: the same bytes
    asked for again by the same name are the same access.
    """
    raise RequestError(
        f"sessions and assets are numbered from 1, written without a zero before; got {call.request.url.path[:80]!r}",
        code="parameter_invalid",
        session=session,
        asset=asset,
    )


OPERATIONS = (
    Operation(routes.DECIDE, decisions, "anyone"),
    Operation(routes.RESERVE_SESSION, reserve_session, "account", for_applications=True),
    Operation(routes.OPEN_SESSION, open_session, "account", for_applications=True),
    # Served by the hot path around the table; what comes here is written otherwise.
    Operation(
        routes.SESSION_BYTES,
        session_bytes,
        "own-session",
        for_applications=True,
        sends=ANYTHING,
        headers=("Range", routes.IDEMPOTENCY_KEY),
        answers=(routes.RECEIPT, "Content-Range", "ETag"),
    ),
    Operation(routes.SIGN_WATERMARK, sign_watermark, "own-session"),
    Operation(routes.FLUSH_SESSION, flush_session, "own-session", for_applications=True),
    Operation(routes.ACCESS_PROOF, access_proof, "anyone"),
    Operation(routes.ASSET_PREVIEW, asset_preview, "anyone", sends="audio/ogg", answers=(routes.RECEIPT,)),
)
