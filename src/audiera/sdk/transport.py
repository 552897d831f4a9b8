"""Requests to a node: tokens minted here, answers decoded strictly, problems raised as errors."""

import base64
import re
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from audiera.protocol.api import routes
from audiera.protocol.api.problems import Problem
from audiera.protocol.api.routes import Route
from audiera.protocol.errors import (
    AccessRefused,
    AudieraError,
    ConfigurationError,
    Conflict,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RequestError,
    TooLarge,
    TooMany,
    Unavailable,
)
from audiera.protocol.keys import format_key, sign_bytes
from audiera.sdk.identity import Identity

T = TypeVar("T")

_ERRORS: Final[dict[int, type[AudieraError]]] = {
    401: NotAuthenticated,
    403: NotPermitted,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: TooMany,
    503: Unavailable,
}
_EARLY_S: Final = 60
"""A token is renewed this long before its end."""

_TRIES: Final = 4
"""How often a request is sent whose answer is cut off."""

_PAUSE_S: Final = 0.1
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ")


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def mint_token(identity: Identity, *, now_s: int, lifetime_s: int = routes.TOKEN_LIFETIME_S) -> str:
    """A token for the identity's account, signed with its key (JWT, ``alg: Ed25519``).

    Args:
        identity: who asks.
        now_s: the time, seconds since 1970 UTC.
        lifetime_s: seconds it is good for.
    """
    header = {"alg": "Ed25519", "kid": format_key(identity.key), "typ": "JWT"}
    claims = {
        "iss": str(identity.account),
        "aud": identity.chain_id,
        "iat": now_s,
        "exp": now_s + lifetime_s,
        "jti": secrets.token_urlsafe(16),
    }
    signed = _part(msgspec.json.encode(header)) + b"." + _part(msgspec.json.encode(claims))
    return (signed + b"." + _part(sign_bytes(identity.seed, signed))).decode("ascii")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        return False


def check_address(url: str) -> str:
    """The address of a node, without a slash at its end.

    Raises:
        ConfigurationError: it is none.
    """
    if not _is_address(url):
        raise ConfigurationError(
            f"the address of a node is such as http://127.0.0.1:7170, got {url[:200]!r}", code="address_invalid"
        )
    return url.rstrip("/")


class Transport:
    """A connection to one node. Thread-safe.

    Args:
        url: address of the node.
        identity: who asks; None for a visitor.
        api_key: an application's opaque key, instead of an identity.
        timeout_s: longest wait for an answer.
        http: another way to send requests, for tests and proxies.

    Raises:
        ConfigurationError: the address is none.
    """

    def __init__(
        self,
        url: str,
        identity: Identity | None = None,
        *,
        api_key: str = "",
        timeout_s: float = 60.0,
        http: httpx2.Client | None = None,
    ) -> None:
        self.url = check_address(url)
        self._timeout_s = timeout_s
        self._identity = identity
        self._api_key = api_key
        self._http = http or httpx2.Client(base_url=self.url, timeout=timeout_s)
        self._lock = threading.Lock()
        self._token = ""
        self._token_end_s = 0

    @property
    def identity(self) -> Identity | None:
        """Who asks; None for a visitor."""
        return self._identity

    @identity.setter
    def identity(self, identity: Identity | None) -> None:
        with self._lock:
            self._identity = identity
            self._token_end_s = 0

    def _authorization(self) -> dict[str, str]:
        if self._api_key:
            return {"Authorization": f"Bearer {self._api_key}"}
        now_s = int(time.time())
        with self._lock:
            if self._identity is None or not self._identity.account:
                return {}
            if now_s > self._token_end_s - _EARLY_S:
                self._token = mint_token(self._identity, now_s=now_s)
                self._token_end_s = now_s + routes.TOKEN_LIFETIME_S
            return {"Authorization": f"Bearer {self._token}"}

    def send(
        self,
        route: Route,
        places: Mapping[str, int | str] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str = "",
        wait_s: float = 0.0,
    ) -> httpx2.Response:
        """Send a request; what comes back is a success.

        A request whose answer was cut off is sent again under the same idempotency key, so its effect is one.

        Args:
            route: method and path.
            places: what fills the path's places.
            query: query parameters.
            content: body.
            headers: further headers.
            token: a session's token, instead of the account's.
            wait_s: longest wait for the answer, where it is longer than for others.

        Raises:
            AudieraError: the node refused; its code and values are the node's.
            Unavailable: the node did not answer.
        """
        sent = {"Authorization": f"Bearer {token}"} if token else self._authorization()
        if route.method != "PATCH":
            sent[routes.IDEMPOTENCY_KEY] = secrets.token_urlsafe(18)
        sent.update(headers or {})
        timeout_s = max(wait_s, self._timeout_s)
        request = self._http.build_request(
            route.method,
            route.url(**(places or {})),
            params=query,
            content=content,
            headers=sent,
            timeout=httpx2.Timeout(self._timeout_s, read=timeout_s),
        )
        response = self._answer(request, tries=1 if route.method == "PATCH" else _TRIES)
        if response.is_success:
            return response
        raise problem_of(response)

    def _answer(self, request: httpx2.Request, *, tries: int) -> httpx2.Response:
        """What the node answers, asked again when the connection was cut on the way.

        Raises:
            Unavailable: it did not answer.
        """
        while True:
            tries -= 1
            try:
                return self._http.send(request)
            except httpx2.TransportError as cause:
                is_cut = isinstance(cause, httpx2.NetworkError | httpx2.RemoteProtocolError)
                if not tries or not is_cut or isinstance(cause, httpx2.ConnectError):
                    raise self._unreachable(cause) from cause
            time.sleep(_PAUSE_S)

    def _unreachable(self, cause: httpx2.TransportError) -> Unavailable:
        if isinstance(cause, httpx2.TimeoutException):
            why = f"the node at {self.url} did not answer in time; try again"
        elif isinstance(cause, httpx2.ConnectError):
            reason = _ERRNO.sub("", str(cause)).lower() or "it cannot be reached"
            why = f"no node answers at {self.url} ({reason}); start one with: audiera node"
        else:
            why = f"the node at {self.url} ended the connection; is it still running?"
        return Unavailable(why, code="node_unreachable", address=self.url)

    def ask(
        self,
        route: Route,
        kind: type[T],
        places: Mapping[str, int | str] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        body: object | None = None,
        token: str = "",
        wait_s: float = 0.0,
    ) -> T:
        """Send a request with a JSON body and decode the answer.

        Raises:
            AudieraError: the node refused, or answered something else than it says it does.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        response = self.send(route, places, query=query, content=content, headers=headers, token=token, wait_s=wait_s)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as cause:
            raise AudieraError(
                f"the node's answer is not what its API says: {cause}; are node and client of one version?",
                code="answer_invalid",
            ) from cause

    def close(self) -> None:
        """Close all connections."""
        self._http.close()


def problem_of(response: httpx2.Response) -> AudieraError:
    """The error that a refusal means."""
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        kind = _ERRORS.get(response.status_code, RequestError)
        return kind(f"the node answered {response.status_code}", status=response.status_code)
    kind = AccessRefused if problem.code == "access_refused" else _ERRORS.get(problem.status, RequestError)
    values = {name: value for name, value in problem.values.items() if name not in ("message", "code")}
    if isinstance(values.get("reasons"), list):
        values["reasons"] = tuple(values["reasons"])
    return kind(problem.detail or problem.title, code=problem.code, **values)
