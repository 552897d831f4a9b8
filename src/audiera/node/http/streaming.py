"""The hot path: bytes of an asset within a session, as a raw ASGI responder around all routing.

The access is decided and durable before the first byte is read. One range may be asked for; everything else about
an answer is fixed. ``Idempotency-Key`` names an access: asked for again with it, the same bytes are the same access.

Source: RFC 9110 section 14 (ranges).
"""

import asyncio
import base64
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from audiera.node.http.authorization import Owners, authorize
from audiera.node.http.idempotency import check_key
from audiera.node.http.identity import Tokens
from audiera.node.sessions import SessionTokens
from audiera.node.threads import Threads
from audiera.protocol.errors import AudieraError, RequestError
from audiera.protocol.ids import format_blob_id
from audiera.protocol.units import U64_MAX
from audiera.services.access import Delivery, Gate, Session, Stream

_PATH = re.compile(r"/v1/sessions/([1-9][0-9]{0,19})/assets/([1-9][0-9]{0,19})/bytes")
_RANGE = re.compile(rb"bytes=([0-9]{0,15})-([0-9]{0,15})")
_INLINE_BYTES = 262_144
"""Up to this many bytes are read on the event loop: from the page cache that is faster than a thread."""

_MEDIA_TYPES = {
    "wav": b"audio/wav",
    "aiff": b"audio/aiff",
    "flac": b"audio/flac",
    "mp3": b"audio/mpeg",
    "ogg": b"audio/ogg",
    "m4a": b"audio/mp4",
}

Headers = Sequence[tuple[bytes, bytes]]

_log = logging.getLogger("audiera.node.http")


class Wanted(NamedTuple):
    """What a request for bytes names."""

    session: str
    """The session's number."""

    asset: str
    """The asset's number."""


class Span(NamedTuple):
    """A part of an asset's bytes."""

    start: int
    """First byte."""

    length: int | None
    """How many; None for all that follow."""


def parse_range(value: bytes | None, size: Callable[[], int]) -> Span | None:
    """The one range a header asks for; None when it asks for everything.

    Args:
        value: the Range header.
        size: gives the asset's size; asked only for a range that counts from the end.

    Raises:
        RequestError: it is not one range of bytes.
    """
    if value is None:
        return None
    found = _RANGE.fullmatch(value)
    if found is None or not (found[1] or found[2]):
        raise RequestError("one range such as 'bytes=0-1023' expected", code="range_not_satisfiable")
    if not found[1]:
        length = min(int(found[2]), size())
        return Span(size() - length, length)
    start = int(found[1])
    if not found[2]:
        return Span(start, None)
    if int(found[2]) < start:
        raise RequestError("a range ends after it begins", code="range_not_satisfiable")
    return Span(start, int(found[2]) - start + 1)


class ByteRoute:
    """Serves ``GET /v1/sessions/{session}/assets/{asset}/bytes``. For the event loop's thread.

    Args:
        stream: decides, records, reads.
        gate: knows the sessions.
        sessions: tells sessions by their token.
        tokens: tells accounts by theirs.
        owners: who opened a session.
        threads: where large reads are made.
    """

    def __init__(
        self,
        *,
        stream: Stream,
        gate: Gate,
        sessions: SessionTokens,
        tokens: Tokens,
        owners: Owners,
        threads: Threads,
        asset_size: Callable[[int], int],
    ) -> None:
        self._stream = stream
        self._gate = gate
        self._sessions = sessions
        self._tokens = tokens
        self._owners = owners
        self._threads = threads
        self._asset_size = asset_size

    def find(self, scope: Scope) -> Wanted | None:
        """The session and asset that a request names, both as text; None when it is not one for bytes."""
        if scope["method"] != "GET":
            return None
        found = _PATH.fullmatch(scope["path"])
        return None if found is None else Wanted(found[1], found[2])

    async def serve(
        self,
        wanted: Wanted,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
        request_id: str,
        always: Headers,
    ) -> None:
        """Decide, record, and only then send.

        Args:
            wanted: what the request names.
            headers: the request's.
            receive: tells when the asker is gone.
            send: where the answer goes.
            request_id: the request's id.
            always: headers of every answer.

        Raises:
            AudieraError: why nothing was released.
        """
        session = self._session(headers, wanted.session)
        asset = int(wanted.asset)
        if asset > U64_MAX:
            raise RequestError("a ledger number is at most 2^64 - 1", code="parameter_invalid")
        span = parse_range(headers.get(b"range"), lambda: self._asset_size(asset))
        start, length = span if span is not None else Span(0, None)
        key = headers.get(b"idempotency-key", b"").decode("latin-1")
        if b"idempotency-key" in headers:
            check_key(key)
        delivery = await self._stream.open(session, asset, start, length, request=key)
        await self._send(delivery, receive, send, [*always, (b"x-request-id", request_id.encode("ascii"))])

    def _session(self, headers: Mapping[bytes, bytes], number: str) -> Session:
        """The session of the path, which must be the asker's."""
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        known = self._sessions.find(authorization[7:]) if authorization[:7] == "Bearer " else None
        if known is not None and str(known.number) == number:
            return known
        identity = self._tokens.identify(authorization or None)
        authorize("own-session", identity, {"session": number}, self._owners, for_applications=True)
        return self._gate.session(int(number))

    async def _send(self, delivery: Delivery, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        content = delivery.asset.content
        is_part = delivery.length != content.size
        end = delivery.start + delivery.length - 1
        headers += [
            (b"content-type", _MEDIA_TYPES.get(content.technical.container, b"application/octet-stream")),
            (b"content-length", str(delivery.length).encode("ascii")),
            (b"etag", f'"{format_blob_id(content.blob)}"'.encode("ascii")),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", b"private, no-store"),
            (b"audiera-receipt", base64.b64encode(delivery.recorded.encoded_receipt())),
        ]
        if is_part:
            headers.append((b"content-range", f"bytes {delivery.start}-{end}/{content.size}".encode("ascii")))
        begin: dict[str, object] = {
            "type": "http.response.start",
            "status": 206 if is_part else 200,
            "headers": headers,
        }
        if delivery.length <= _INLINE_BYTES:
            body = b"".join(delivery.pieces())
            await send(begin)
            await send({"type": "http.response.body", "body": body})
            return
        await self._send_pieces(delivery, receive, send, begin)

    async def _send_pieces(self, delivery: Delivery, receive: Receive, send: Send, begin: dict[str, object]) -> None:
        """Send piece after piece, as long as there is somebody to send them to."""
        pieces = delivery.pieces()
        gone = asyncio.create_task(_gone(receive))
        try:
            piece: bytes | None = await self._threads.run(next, pieces, b"")
            await send(begin)
            while piece and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await self._next(delivery, pieces)
            if piece is not None:  # else the answer ends short of its length, and the server cuts the connection
                await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            delivery.reader.close()

    async def _next(self, delivery: Delivery, pieces: Iterator[bytes]) -> bytes | None:
        """The next piece; empty at the end, None when it cannot be read: too late to say so in the answer."""
        try:
            return await self._threads.run(next, pieces, b"")
        except (AudieraError, OSError) as fault:
            _log.error("access.cut asset=%d index=%d fault=%s", delivery.asset.number, delivery.recorded.index, fault)
            return None


async def _gone(receive: Receive) -> None:
    """Return once the asker is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
