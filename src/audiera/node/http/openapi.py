"""The description of the HTTP surface, made from the handlers themselves.

Source: OpenAPI 3.1.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from audiera.node.http.operations import ANYTHING, JSON, Operation, Plan
from audiera.protocol.api.problems import MEDIA_TYPE, Problem
from audiera.protocol.api.routes import GRANT_HEADER, IDEMPOTENCY_KEY, PRICE, PRICE_VERSION, RECEIPT, REQUEST_ID

_REFERENCE = "#/components/schemas/{name}"
_HEADERS = {
    REQUEST_ID: "The request's id; the same is in the node's log.",
    IDEMPOTENCY_KEY: "Names this request: sent again under the same name, it has one effect and one answer.",
    RECEIPT: "The node's signed word that this access is recorded; base64.",
    PRICE: "What the call costs, microcredits.",
    PRICE_VERSION: "Version of the price list that was applied.",
    GRANT_HEADER: "Ledger number of the grant to draw on, instead of the newest one.",
    "Range": "One range of bytes, such as bytes=0-1023.",
    "Content-Range": "Which part was sent.",
    "ETag": "The id of the asset's bytes.",
    "Location": "Where the upload is.",
    "Tus-Resumable": "1.0.0.",
    "Tus-Version": "Versions of tus that are spoken here.",
    "Tus-Max-Size": "Largest upload, bytes.",
    "Upload-Length": "Bytes the upload has in all.",
    "Upload-Metadata": "filename and its base64.",
    "Upload-Offset": "Bytes that are here.",
    "Upload-Checksum": "sha256 or sha1, and the base64 digest of this request's body.",
}
_NEEDED = frozenset({"Tus-Resumable", "Upload-Length", "Upload-Offset"})
_ACCESS_TEXT = {
    "anyone": "Anyone may call this.",
    "account": "Needs an account.",
    "own-upload": "Needs a token of the account that made the upload.",
    "own-session": "Needs the session's token, or one of the account that opened it.",
    "caller": "Needs an open session's token, or an application's key.",
}


def describe(operations: Sequence[tuple[Operation, Plan]], *, version: str) -> dict[str, Any]:
    """The OpenAPI document of these operations."""
    schemas, components = msgspec.json.schema_components(_types(operations), ref_template=_REFERENCE)
    by_type = dict(zip([_key(kind) for kind in _types(operations)], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation, plan in operations:
        described = _describe_operation(operation, plan, by_type)
        paths.setdefault(operation.route.path, {})[operation.route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Audiera",
            "version": version,
            "description": "Music and audio as training data, with rights, a trail of every access, and payouts "
            "that add up. Moments are microseconds since 1970 UTC, money is microcredits, bytes are base64.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A JWT with alg Ed25519 and kid did:key, minted by the caller for at most "
                    "15 minutes; an application's key; or a session's token.",
                }
            },
        },
    }


def _types(operations: Sequence[tuple[Operation, Plan]]) -> list[Any]:
    found: dict[str, Any] = {_key(Problem): Problem}
    for _, plan in operations:
        kinds = [*plan.places.values(), *(kind for kind, _ in plan.parameters.values())]
        kinds += [kind for kind in (plan.body, plan.answer) if kind is not None and not _writes_itself(kind)]
        if plan.query is not None:
            kinds += [field.type for field in msgspec.structs.fields(plan.query)]
        for kind in kinds:
            found.setdefault(_key(kind), kind)
    return list(found.values())


def _key(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}:{kind!r}"


def _writes_itself(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Response)


def _describe_operation(operation: Operation, plan: Plan, schemas: Mapping[str, Any]) -> dict[str, Any]:
    text = inspect.getdoc(operation.handler) or operation.handler.__name__
    summary, _, rest = text.partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": summary.rstrip("."),
        "description": f"{rest.partition('Raises:')[0].strip()}\n\n{_ACCESS_TEXT[operation.access]}".strip(),
        "parameters": _parameters(operation, plan, schemas),
        "responses": {
            **_successes(operation, plan, schemas),
            "default": {
                "description": "Why the request was not served.",
                "content": {MEDIA_TYPE: {"schema": schemas[_key(Problem)]}},
            },
        },
    }
    if plan.body is not None:
        content = {JSON: {"schema": schemas[_key(plan.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    elif operation.takes != JSON:
        content = {operation.takes: {"schema": _bytes_of(operation.takes)}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.access != "anyone":
        described["security"] = [{"token": []}]
    return described


def _successes(operation: Operation, plan: Plan, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of an operation that served; where a range may be asked for, a part is one."""
    statuses = (operation.status, 206) if "Range" in operation.headers else (operation.status,)
    return {str(status): _success(operation, plan, schemas) for status in statuses}


def _bytes_of(media_type: str) -> dict[str, Any]:
    """The schema of a body that a handler reads or writes itself."""
    if media_type == JSON:
        return {"type": "object"}
    return {} if media_type == ANYTHING else {"type": "string", "contentMediaType": media_type}


def _success(operation: Operation, plan: Plan, schemas: Mapping[str, Any]) -> dict[str, Any]:
    headers = {
        name: {"schema": {"type": "string"}, "description": _HEADERS[name]} for name in (REQUEST_ID, *operation.answers)
    }
    found: dict[str, Any] = {"description": "It was served.", "headers": headers}
    if operation.status == 204 or operation.route.method == "HEAD":
        return found
    schema = _bytes_of(operation.sends) if _writes_itself(plan.answer) else schemas[_key(plan.answer)]
    return {**found, "content": {operation.sends: {"schema": schema}}}


def _parameters(operation: Operation, plan: Plan, schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": schemas[_key(kind)]}
        for name, kind in plan.places.items()
    ]
    for name, (kind, default) in plan.parameters.items():
        needed = default is inspect.Parameter.empty
        found.append({"name": name, "in": "query", "required": needed, "schema": schemas[_key(kind)]})
    for field in msgspec.structs.fields(plan.query) if plan.query is not None else ():
        found.append(
            {
                "name": field.encode_name,
                "in": "query",
                "required": field.required,
                "schema": schemas[_key(field.type)],
            }
        )
    if plan.takes_any:
        schema = {"type": "object", "additionalProperties": {"type": "string"}}
        found.append({"name": "parameters", "in": "query", "required": False, "style": "form", "schema": schema})
    names = operation.headers + ((IDEMPOTENCY_KEY,) if operation.route.method == "POST" else ())
    found += [
        {
            "name": name,
            "in": "header",
            "required": name in _NEEDED,
            "description": _HEADERS[name],
            "schema": {"type": "string"},
        }
        for name in names
    ]
    return found
