"""Uploads by tus 1.0: core, creation, termination, checksum.

Source: the tus resumable upload protocol, version 1.0.0.
"""

import base64
import binascii
import hashlib

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.uploads import (
    CHECKSUM_ALGORITHMS,
    TUS_EXTENSIONS,
    TUS_VERSION,
    UploadReport,
)
from audiera.protocol.errors import RequestError
from audiera.services.media.spool import Appender

CHUNK = "application/offset+octet-stream"
_WRITE_BYTES = 1_048_576


def _answer(status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status_code=status, headers={"Tus-Resumable": TUS_VERSION, **named})


def _require_version(request: Request) -> None:
    version = request.headers.get("tus-resumable", "")
    if version != TUS_VERSION:
        raise RequestError(f"Tus-Resumable: {TUS_VERSION} expected, got {version[:20]!r}", code="tus_version")


def _header_number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not text.isdecimal() or not text.isascii() or len(text) > 18:
        raise RequestError(f"{name} is a whole number, got {text[:40]!r}", code="header_invalid", header=name)
    return int(text)


def _base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise RequestError(f"{name} holds base64, got {text[:60]!r}", code="header_invalid", header=name) from cause


def file_name(request: Request) -> str:
    """The file's name as the uploader states it in Upload-Metadata; empty when it states none."""
    for pair in request.headers.get("upload-metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        if key == "filename":
            return _base64(value, "Upload-Metadata").decode("utf-8", "replace")
    return ""


def checksum(request: Request) -> bytes | None:
    """What the bytes of this request must hash to, if the header says so."""
    stated = request.headers.get("upload-checksum")
    if stated is None:
        return None
    algorithm, _, value = stated.partition(" ")
    digest = _base64(value, "Upload-Checksum")
    if algorithm != CHECKSUM_ALGORITHMS or len(digest) != hashlib.sha256().digest_size:
        raise RequestError(f"Upload-Checksum is 'sha256 <base64>', got {stated[:60]!r}", code="header_invalid")
    return digest


async def upload_options(call: Call) -> Response:
    """What this node can do with uploads."""
    return _answer(
        204,
        Tus_Version=TUS_VERSION,
        Tus_Extension=TUS_EXTENSIONS,
        Tus_Checksum_Algorithm=CHECKSUM_ALGORITHMS,
        Tus_Max_Size=str(call.parts.spool.limit),
    )


def create_upload(call: Call) -> Response:
    """Begin an upload of ``Upload-Length`` bytes; its address is in ``Location``."""
    _require_version(call.request)
    length = _header_number(call.request, "Upload-Length")
    spool = call.parts.spool
    ticket = spool.create(call.identity.account, length, name=file_name(call.request), now=call.parts.clock())
    return _answer(201, Location=routes.UPLOAD_STATE.url(id=ticket.id), Upload_Offset="0")


def upload_state(call: Call, id: str) -> Response:  # noqa: A002 - the path's own word
    """How far an upload has come, in ``Upload-Offset``."""
    _require_version(call.request)
    offset, length = call.parts.intake.progress(id)
    return _answer(200, Upload_Offset=str(offset), Upload_Length=str(length), Cache_Control="no-store")


async def append_upload(call: Call, id: str) -> Response:  # noqa: A002 - the path's own word
    """Send bytes from ``Upload-Offset`` on; what arrived before a cut stays, unless a checksum was sent."""
    _require_version(call.request)
    if call.request.headers.get("content-type") != CHUNK:
        raise RequestError(f"Content-Type: {CHUNK} expected", code="media_type_not_supported")
    expected = checksum(call.request)
    with call.parts.spool.append(id, _header_number(call.request, "Upload-Offset")) as appender:
        try:
            await _receive(call, appender)
        except ClientDisconnect:
            if expected is not None:
                appender.drop()
            raise
        offset = await call.parts.threads.run(appender.finish, expected)
    return _answer(204, Upload_Offset=str(offset))


async def _receive(call: Call, appender: Appender) -> None:
    """Write the body as it comes, a megabyte at a time."""
    held = bytearray()
    try:
        async for piece in call.request.stream():
            held += piece
            if len(held) >= _WRITE_BYTES:
                data, held = bytes(held), bytearray()
                await call.parts.threads.run(appender.write, data)
    finally:
        if held:
            appender.write(bytes(held))


def delete_upload(call: Call, id: str) -> Response:  # noqa: A002 - the path's own word
    """Forget an upload that was not taken in."""
    _require_version(call.request)
    with call.parts.spool.hold(id):
        call.parts.spool.delete(id)
    return _answer(204)


async def analyze_upload(call: Call, id: str) -> UploadReport:  # noqa: A002 - the path's own word
    """Take a whole upload in: decode it in a sandbox, measure, store it; durable when this is answered.

    A file that is no sound, damaged, lying or hostile is refused with the reason, and nothing of it is kept.
    """
    return await call.parts.analyses.run(call.parts.intake.take_in, id)


OPERATIONS = (
    Operation(routes.UPLOAD_OPTIONS, upload_options, "anyone", status=204),
    Operation(routes.CREATE_UPLOAD, create_upload, "account", status=201),
    Operation(routes.UPLOAD_STATE, upload_state, "own-upload"),
    Operation(routes.APPEND_UPLOAD, append_upload, "own-upload", status=204, takes=CHUNK),
    Operation(routes.DELETE_UPLOAD, delete_upload, "own-upload", status=204),
    Operation(routes.ANALYZE_UPLOAD, analyze_upload, "own-upload"),
)
