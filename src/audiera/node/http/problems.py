"""Errors as problem documents: one class, one status; the code is the error's own.

Source: RFC 9457, RFC 9110 section 15.
"""

import msgspec
from starlette.responses import Response

from audiera.protocol import errors
from audiera.protocol.api.problems import MEDIA_TYPE, Problem
from audiera.protocol.api.uploads import TUS_VERSION
from audiera.services.models import ModelError

_STATUS: tuple[tuple[type[errors.AudieraError], int, str], ...] = (
    (errors.NotAuthenticated, 401, "Authentication is needed"),
    (errors.NotPermitted, 403, "This is not permitted"),
    (errors.NotFound, 404, "It is not here"),
    (errors.Conflict, 409, "It contradicts what is recorded"),
    (errors.TooLarge, 413, "It is too large"),
    (errors.TooMany, 429, "A limit is reached"),
    (errors.Unavailable, 503, "The node cannot serve this now"),
    (errors.RequestError, 400, "The request cannot be served as it is"),
    (errors.AccessRefused, 403, "The use is refused"),
    (errors.TransactionError, 422, "The transaction is refused"),
    (errors.MediaError, 422, "The sound cannot be taken in"),
    (errors.EncodingError, 400, "The bytes are not in the accepted form"),
    (errors.IdError, 400, "The id is not in the accepted form"),
    (errors.SignatureError, 400, "The signature does not verify"),
    (errors.ProofError, 400, "The proof proves nothing"),
    (errors.RecordError, 422, "The values break a rule"),
    (errors.LedgerError, 503, "The ledger cannot serve"),
    (errors.StorageError, 503, "The storage cannot serve"),
    (ModelError, 502, "The model gave no answer"),
    (errors.AudieraError, 500, "The node failed"),
)

_STATUS_OF_CODE = {
    "wrong_sequence": 409,
    "request_invalid_host": 421,
    "method_not_allowed": 405,
    "media_type_not_supported": 415,
    "idempotency_key_reused": 422,
    "upload_locked": 423,
    "tus_version": 412,
    "checksum_mismatch": 460,
    "range_not_satisfiable": 416,
    "range_invalid": 416,
    "disk_full": 507,
    "budget_too_small": 402,
    "media_type_not_accepted": 415,
    "model_input_invalid": 422,
    "model_unusable": 422,
    "model_files_missing": 409,
    "architecture_unknown": 422,
    "onnx_missing": 501,
    "audio_unreadable": 422,
    "audio_too_long": 413,
    "url_invalid": 422,
    "url_not_public": 422,
    "url_unresolved": 422,
}
"""Codes whose status is more exact than their class's."""


def problem_of(error: errors.AudieraError, request_id: str) -> Problem:
    """The problem document of an error."""
    status, title = next((status, title) for kind, status, title in _STATUS if isinstance(error, kind))
    status = _STATUS_OF_CODE.get(error.code, status)
    return Problem(
        type=f"urn:audiera:problem:{error.code}",
        title=title,
        status=status,
        code=error.code,
        detail=error.message,
        instance=f"urn:audiera:request:{request_id}",
        values={name: _plain(value) for name, value in error.values.items()},
    )


def _plain(value: object) -> object:
    """A value as JSON can hold it; what it cannot hold becomes text."""
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value)


def problem_response(error: errors.AudieraError, request_id: str) -> Response:
    """The answer to a request that met an error."""
    problem = problem_of(error, request_id)
    headers = {}
    if "allowed" in error.values:
        headers["Allow"] = str(error.values["allowed"])
    if problem.status == 416 and "size" in error.values:
        headers["Content-Range"] = f"bytes */{error.values['size']}"
    if problem.status == 412:
        headers["Tus-Version"] = TUS_VERSION
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="audiera"'
    if problem.status in (429, 503):
        headers["Retry-After"] = "1"
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)
