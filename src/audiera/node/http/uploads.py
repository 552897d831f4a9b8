"""Uploads by tus 1.0: core, creation, termination, checksum.

Source: the tus resumable upload protocol, version 1.0.0.
"""

import base64
import binascii
import errno
import hashlib

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.uploads import TUS_EXTENSIONS, TUS_VERSION, UploadReport
from audiera.protocol.errors import AudieraError, RequestError, StorageError
from audiera.services.media.spool import Appender

CHUNK = "application/offset+octet-stream"
_WRITE_BYTES = 1_048_576
_CHECKSUMS = {"sha256": 32, "sha1": 20}
"""Length of each algorithm's digest; the protocol demands sha1 of every server that checks sums."""


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


class Checksum:
    """What the bytes of one request must hash to.

    Args:
        algorithm: sha1 or sha256.
        expected: the digest.
    """

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._expected = expected

    def update(self, data: bytes) -> None:
        """Count bytes in."""
        self._hash.update(data)

    @property
    def fits(self) -> bool:
        """Whether the bytes so far are the ones meant."""
        return self._hash.digest() == self._expected


def checksum(request: Request) -> Checksum | None:
    """What the bytes of this request must hash to, if the header says so."""
    stated = request.headers.get("upload-checksum")
    if stated is None:
        return None
    algorithm, _, value = stated.partition(" ")
    digest = _base64(value, "Upload-Checksum")
    if len(digest) != _CHECKSUMS.get(algorithm):
        known = " or ".join(f"'{name} <base64>'" for name in _CHECKSUMS)
        raise RequestError(f"Upload-Checksum is {known}, got {stated[:60]!r}", code="header_invalid")
    return Checksum(algorithm, digest)


async def upload_options(call: Call) -> Response:
    """What this node can do with uploads."""
    return _answer(
        204,
        Tus_Version=TUS_VERSION,
        Tus_Extension=TUS_EXTENSIONS,
        Tus_Checksum_Algorithm=",".join(_CHECKSUMS),
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
    """Send bytes from ``Upload-Offset`` on; what arrived before a cut stays, unless a checksum was sent.

    Raises:
        RequestError: the checksum is another's; the bytes are dropped.
        StorageError: the disk did not take them.
    """
    _require_version(call.request)
    if call.request.headers.get("content-type") != CHUNK:
        raise RequestError(f"Content-Type: {CHUNK} expected", code="media_type_not_supported")
    expected = checksum(call.request)
    with call.parts.spool.append(id, _header_number(call.request, "Upload-Offset")) as appender:
        try:
            await _receive(call, appender, expected)
            if expected is not None and not expected.fits:
                raise RequestError(
                    "the bytes do not have the checksum sent with them; send them again", code="checksum_mismatch"
                )
            offset = await call.parts.threads.run(appender.finish)
        except (AudieraError, ClientDisconnect, OSError) as fault:
            if expected is not None:
                appender.drop()  # bytes nobody has checked must not stay
            if isinstance(fault, OSError):
                raise _disk_fault(fault) from fault
            raise
    return _answer(204, Upload_Offset=str(offset))


async def _receive(call: Call, appender: Appender, expected: Checksum | None) -> None:
    """Write the body as it comes, a megabyte at a time."""

    def write(data: bytes) -> None:
        if expected is not None:
            expected.update(data)
        appender.write(data)

    held = bytearray()
    try:
        async for piece in call.request.stream():
            held += piece
            if len(held) >= _WRITE_BYTES:
                data, held = bytes(held), bytearray()
                await call.parts.threads.run(write, data)
    finally:
        if held:
            await call.parts.threads.run(write, bytes(held))


def _disk_fault(fault: OSError) -> StorageError:
    is_full = fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return StorageError(
        f"the disk did not take the bytes ({fault.strerror}); ask how far the upload came, and go on later",
        code="disk_full" if is_full else "upload_not_stored",
    )


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
    Operation(routes.UPLOAD_OPTIONS, upload_options, "anyone", status=204, answers=("Tus-Version", "Tus-Max-Size")),
    Operation(
        routes.CREATE_UPLOAD,
        create_upload,
        "account",
        status=201,
        headers=("Tus-Resumable", "Upload-Length", "Upload-Metadata"),
        answers=("Location", "Upload-Offset"),
    ),
    Operation(
        routes.UPLOAD_STATE,
        upload_state,
        "own-upload",
        headers=("Tus-Resumable",),
        answers=("Upload-Offset", "Upload-Length"),
    ),
    Operation(
        routes.APPEND_UPLOAD,
        append_upload,
        "own-upload",
        status=204,
        takes=CHUNK,
        headers=("Tus-Resumable", "Upload-Offset", "Upload-Checksum"),
        answers=("Upload-Offset",),
    ),
    Operation(routes.DELETE_UPLOAD, delete_upload, "own-upload", status=204, headers=("Tus-Resumable",)),
    Operation(routes.ANALYZE_UPLOAD, analyze_upload, "own-upload"),
)
