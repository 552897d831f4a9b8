"""The ASGI application: guard, route, identify, authorize, serve; every error becomes a problem document.

Source: ASGI 3.0.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from audiera.node.http.authorization import Owners, authorize
from audiera.node.http.idempotency import Once, Place
from audiera.node.http.identity import Tokens
from audiera.node.http.operations import Call, Operation, Plan, answer, plan_of
from audiera.node.http.problems import problem_response
from audiera.node.http.streaming import ByteRoute
from audiera.node.parts import Parts
from audiera.protocol.api import routes
from audiera.protocol.api.routes import GRANT_HEADER, IDEMPOTENCY_KEY, REQUEST_ID
from audiera.protocol.api.uploads import TUS_VERSION
from audiera.protocol.errors import AudieraError, NotFound, NotPermitted, RequestError, TooLarge

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_HEADER = REQUEST_ID.lower().encode("ascii")
_SAFE_SITES = frozenset({b"same-origin", b"none"})
_UPLOADS = routes.CREATE_UPLOAD.path
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_log = logging.getLogger("audiera.node.http")


class Match(NamedTuple):
    """An operation found for a request."""

    operation: Operation
    plan: Plan
    places: Mapping[str, str]


class Table:
    """The generated route table.

    Args:
        operations: every operation of the node.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.rows = [(operation, plan_of(operation)) for operation in operations]
        self._by_length: dict[int, list[tuple[tuple[str, ...], Operation, Plan]]] = {}
        for operation, plan in self.rows:
            parts = tuple(operation.route.path.split("/"))
            self._by_length.setdefault(len(parts), []).append((parts, operation, plan))
        for candidates in self._by_length.values():  # a fixed part is more exact than a place
            candidates.sort(key=lambda row: sum(part.startswith("{") for part in row[0]))

    def find(self, method: str, path: str) -> Match:
        """The operation for a method and a raw path.

        Raises:
            NotFound: no route has this path.
            RequestError: the path has other methods.
        """
        given = path.split("/")
        methods: list[str] = []
        named: tuple[str, ...] = ()
        for parts, operation, plan in self._by_length.get(len(given), ()):
            places = _places(parts, given)
            if places is None or named not in ((), parts):
                continue  # a less exact path does not answer for a more exact one
            named = parts
            if operation.route.method == method:
                return Match(operation, plan, places)
            methods.append(operation.route.method)
        if methods:
            allowed = ", ".join(sorted(set(methods)))
            raise RequestError(
                f"{method} is not offered here, only {allowed}", code="method_not_allowed", allowed=allowed
            )
        raise NotFound("there is nothing at this path; see /docs", code="route_not_found")


def _places(parts: tuple[str, ...], given: list[str]) -> dict[str, str] | None:
    places: dict[str, str] = {}
    for part, value in zip(parts, given, strict=True):
        if part.startswith("{"):
            if not value:
                return None
            places[part[1:-1]] = unquote_to_bytes(value).decode("utf-8", "replace")
        elif part != value:
            return None
    return places


class HttpNode:
    """A node's HTTP surface.

    Args:
        parts: the node's rooms.
        table: its operations.
        tokens: tells who asks.
        once: serves repeated POSTs once.
        owners: looks up who owns what a path names.
        byte_route: the hot path, which goes around everything else.
        hosts: names under which the node may be called, with and without port.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        table: Table,
        tokens: Tokens,
        once: Once,
        owners: Owners,
        byte_route: ByteRoute,
        hosts: frozenset[str],
    ) -> None:
        self._parts = parts
        self._table = table
        self._tokens = tokens
        self._once = once
        self._owners = owners
        self._byte_route = byte_route
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        try:
            self._guard(scope["method"], headers)
            wanted = self._byte_route.find(scope)
            if wanted is not None:
                await self._byte_route.serve(wanted, headers, receive, send, request_id, _ALWAYS)
                return
            request = Request(scope, receive)
            response = await self._respond(request, request_id)
        except AudieraError as error:
            response = problem_response(error, request_id)
            _log.info("http.refused request=%s code=%s status=%d", request_id, error.code, response.status_code)
        except ClientDisconnect:
            return
        except Exception as fault:  # noqa: BLE001 - the door: one request's fault must not end the node
            _log.exception("http.failed request=%s", request_id)
            unknown = AudieraError(f"the node failed on this request; its log names {request_id}", code="internal")
            response = problem_response(unknown, request_id)
            del fault
        response.raw_headers += [*_ALWAYS, (b"x-request-id", request_id.encode("ascii"))]
        if scope["path"].startswith(_UPLOADS):
            response.headers["tus-resumable"] = TUS_VERSION
        if "cache-control" not in response.headers:
            response.headers["cache-control"] = "no-store"
        await response(scope, receive, send)

    def _request_id(self, headers: Mapping[bytes, bytes]) -> str:
        given = headers.get(_REQUEST_ID_HEADER)
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return self._parts.entropy(8).hex()

    def _guard(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Keep other web pages out: any page a person visits can send requests to a local node.

        Their pages may link here and do nothing else: even what they could not read would be on the record, as a
        preview is.

        Raises:
            RequestError: called under a name that is not the node's (DNS rebinding).
            NotPermitted: a page of another origin asks.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if host.lower() not in self.hosts:
            raise RequestError(
                f"this node is not called {host[:80]!r}; add the name to the setting hosts",
                code="request_invalid_host",
            )
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        is_foreign = origin is not None and origin.decode("latin-1").lower().partition("://")[2] not in self.hosts
        is_followed_link = method == "GET" and headers.get(b"sec-fetch-mode") == b"navigate"
        if is_foreign or (site is not None and site not in _SAFE_SITES and not is_followed_link):
            raise NotPermitted("a page of another origin may not use this node", code="origin_not_allowed")

    async def _respond(self, request: Request, request_id: str) -> Response:
        path = request.scope.get("raw_path", b"").partition(b"?")[0].decode("ascii", "replace")
        found = self._table.find(request.method, path or request.scope["path"])
        operation = found.operation
        identity = self._tokens.identify(request.headers.get("authorization"))
        authorize(
            operation.access,
            identity,
            found.places,
            self._owners,
            for_applications=operation.for_applications,
        )
        body = b""
        if operation.route.method == "POST":
            body = await read_body(request, operation.body_bytes or self._parts.settings.body_bytes)
        call = Call(self._parts, request, identity, request_id, body)
        key = request.headers.get(IDEMPOTENCY_KEY)
        serve = partial(answer, operation, found.plan, call, found.places)
        if key is None or operation.route.method != "POST":
            return await serve()
        place = Place(identity.account, identity.app_key, key)
        digest = _request_digest(request, body)
        return await self._once.serve(place, digest, serve, at_most_once=operation.at_most_once)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer than the limit.
    """
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > limit:
        raise TooLarge(f"a body has at most {limit} bytes here, got {stated}", limit=limit)
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise TooLarge(f"a body has at most {limit} bytes here", limit=limit)
        pieces.append(piece)
    return b"".join(pieces)


def _request_digest(request: Request, body: bytes) -> bytes:
    """What makes two requests equal: method, target, what its headers say of its content, body."""
    names = ("content-type", "upload-length", "upload-metadata", GRANT_HEADER)
    named = [request.headers.get(name, "") for name in names]
    head = "\n".join([request.method, request.url.path, request.url.query, *named])
    return hashlib.sha256(head.encode("utf-8", "replace") + b"\n" + body).digest()
