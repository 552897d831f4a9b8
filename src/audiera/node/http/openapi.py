"""The description of the HTTP surface, made from the handlers themselves.

Source: OpenAPI 3.1.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from audiera.node.http.operations import JSON, Operation, Plan
from audiera.protocol.api.problems import MEDIA_TYPE, Problem
from audiera.protocol.api.routes import IDEMPOTENCY_KEY, REQUEST_ID

_REFERENCE = "#/components/schemas/{name}"
_ACCESS_TEXT = {
    "anyone": "Anyone may call this.",
    "account": "Needs an account.",
    "own-account": "Needs a token of this account.",
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
            str(operation.status): _success(operation, plan, schemas),
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
        content = {operation.takes: {"schema": {"type": "string", "contentMediaType": operation.takes}}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.access != "anyone":
        described["security"] = [{"token": []}]
    return described


def _success(operation: Operation, plan: Plan, schemas: Mapping[str, Any]) -> dict[str, Any]:
    header = {REQUEST_ID: {"schema": {"type": "string"}, "description": "The request's id."}}
    found: dict[str, Any] = {"description": "It was served.", "headers": header}
    if operation.status == 204 or operation.route.method == "HEAD":
        return found
    schema = (
        {"type": "string", "contentMediaType": operation.sends}
        if _writes_itself(plan.answer)
        else schemas[_key(plan.answer)]
    )
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
    if operation.route.method == "POST":
        found.append({"name": IDEMPOTENCY_KEY, "in": "header", "required": False, "schema": {"type": "string"}})
    return found
