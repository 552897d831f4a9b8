"""The typed routes: a handler's signature says which parameters it takes and what it answers.

The first parameter of a handler is the :class:`Call`. The others are, by their names: a place of the path; ``body``,
a Struct read from the JSON body; ``query``, a Struct read from the query; ``parameters``, the query as it is; anything
else, one query parameter.
What a handler returns is written as JSON, unless it is a response already. A handler that waits for a disk is a plain
function and runs in a thread; an ``async`` one runs on the event loop.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast, get_type_hints

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from audiera.node.http.authorization import Access
from audiera.node.http.identity import Identity
from audiera.node.parts import Parts
from audiera.protocol.api.routes import Route
from audiera.protocol.errors import RequestError

JSON = "application/json"
ANYTHING = "*/*"
"""Media type of a body that may have any."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through a handler."""

    parts: Parts
    """The node's rooms."""

    request: Request
    """As it came."""

    identity: Identity
    """Who asks."""

    id: str
    """The request's id."""

    body: bytes = b""
    """The whole body of a POST; PATCH handlers read the stream themselves."""


Handler = Callable[..., Any]


class Operation(NamedTuple):
    """A route, what serves it, and who may call it."""

    route: Route
    """Method and path."""

    handler: Handler
    """What serves it; the first line of its docstring is the summary."""

    access: Access
    """Who may call it."""

    for_applications: bool = False
    """Whether an application key is enough where an account is asked for."""

    status: int = 200
    """Status of its answers."""

    body_bytes: int = 0
    """Largest body; 0 for the node's setting."""

    sends: str = JSON
    """Media type of its answers."""

    takes: str = JSON
    """Media type of the body, where the handler reads it itself."""

    at_most_once: bool = False
    """Whether a POST with an idempotency key is never served again, even when its answer was lost."""

    headers: tuple[str, ...] = ()
    """Headers of the request that the handler reads."""

    answers: tuple[str, ...] = ()
    """Headers of the answer that say something of their own."""


class Plan(NamedTuple):
    """A handler's signature, read once at start."""

    places: Mapping[str, Any]
    """Types of the path's places."""

    parameters: Mapping[str, tuple[Any, Any]]
    """Type and default of each query parameter."""

    query: type[msgspec.Struct] | None
    """Struct read from the whole query."""

    body: type[msgspec.Struct] | None
    """Struct read from the body."""

    answer: Any
    """What is answered; Response when the handler writes it itself."""

    is_async: bool
    """Whether it runs on the event loop."""

    takes_any: bool = False
    """Whether it takes the whole query as it is, as ``parameters``."""


def place_names(path: str) -> tuple[str, ...]:
    """The names in braces, in order."""
    return tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))


def plan_of(operation: Operation) -> Plan:
    """Read a handler's signature.

    Raises:
        TypeError: a place of the path is not among its parameters, or something is not annotated.
    """
    hints = get_type_hints(operation.handler, include_extras=True)
    answer = hints.pop("return")
    names = list(inspect.signature(operation.handler).parameters.values())[1:]
    places = {name: hints[name] for name in place_names(operation.route.path)}
    parameters = {
        parameter.name: (hints[parameter.name], parameter.default)
        for parameter in names
        if parameter.name not in places and parameter.name not in ("body", "query", "parameters")
    }
    named = {parameter.name for parameter in names}
    return Plan(
        places=places,
        parameters=parameters,
        query=hints["query"] if "query" in named else None,
        body=hints["body"] if "body" in named else None,
        answer=answer,
        is_async=inspect.iscoroutinefunction(operation.handler),
        takes_any="parameters" in named,
    )


def arguments_of(plan: Plan, call: Call, places: Mapping[str, str]) -> dict[str, Any]:
    """A handler's arguments from a request.

    Raises:
        RequestError: one is missing, unknown, of another type or out of its range.
    """
    found: dict[str, Any] = {}
    for name, kind in plan.places.items():
        found[name] = _convert(places[name], kind, name)
    if plan.takes_any:
        found["parameters"] = dict(call.request.query_params)
    elif plan.query is not None:
        found["query"] = _query_struct(call.request.query_params, plan.query)
    else:
        found.update(_query_parameters(call.request.query_params, plan.parameters))
    if plan.body is not None:
        found["body"] = _read_body(call, plan.body)
    return found


def _convert(text: object, kind: Any, name: str) -> Any:
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as cause:
        raise RequestError(f"parameter {name}: {cause}", code="parameter_invalid", parameter=name) from cause
    if isinstance(text, dict):
        for each, given in text.items():
            _require_exact(given, getattr(value, each), each)
    else:
        _require_exact(text, value, name)
    return value


def _require_exact(text: object, value: object, name: str) -> None:
    """Refuse a number that is written otherwise than numbers are, such as 1e3 or 1.0.

    Raises:
        RequestError: it is.
    """
    if isinstance(value, int) and not isinstance(value, bool) and str(value) != text:
        raise RequestError(
            f"parameter {name}: a whole number in decimal digits expected, got {str(text)[:40]!r}",
            code="parameter_invalid",
            parameter=name,
        )


def _query_parameters(query: QueryParams, expected: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in query:
        if name not in expected:
            raise RequestError(f"there is no parameter {name[:60]!r} here", code="parameter_unknown")
    for name, (kind, default) in expected.items():
        values = query.getlist(name)
        if len(values) > 1:
            raise RequestError(f"parameter {name} is given twice", code="parameter_invalid", parameter=name)
        if values:
            found[name] = _convert(values[0], kind, name)
        elif default is inspect.Parameter.empty:
            raise RequestError(f"parameter {name} is missing", code="parameter_missing", parameter=name)
    return found


def _query_struct(query: QueryParams, kind: type[msgspec.Struct]) -> msgspec.Struct:
    """A Struct from the query: a name given several times is a list, and so is a list field given once."""
    # The information about a Struct has fields; its declared type is that of any type.
    lists = {field.name for field in msgspec.inspect.type_info(kind).fields if _is_list(field.type)}  # type: ignore[attr-defined]
    values: dict[str, object] = {}
    for name in query:
        given = query.getlist(name)
        values[name] = given if name in lists or len(given) > 1 else given[0]
    return cast(msgspec.Struct, _convert(values, kind, "query"))


def _is_list(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.ListType | msgspec.inspect.VarTupleType)


def _read_body(call: Call, kind: type[msgspec.Struct]) -> msgspec.Struct:
    media_type = call.request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if media_type != JSON:
        raise RequestError(f"{JSON} expected, got {media_type[:60]!r}", code="media_type_not_supported")
    try:
        return msgspec.json.decode(call.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise RequestError(f"the body is not what is expected here: {cause}", code="body_invalid") from cause


async def answer(operation: Operation, plan: Plan, call: Call, places: Mapping[str, str]) -> Response:
    """Let an operation's handler serve a request."""
    arguments = arguments_of(plan, call, places)
    if plan.is_async:
        result = await cast(Awaitable[object], operation.handler(call, **arguments))
    else:
        result = await call.parts.threads.run(operation.handler, call, **arguments)
    if isinstance(result, Response):
        return result
    return Response(msgspec.json.encode(result), operation.status, media_type=operation.sends)
