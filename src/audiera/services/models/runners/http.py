"""Sends calls to a model's own HTTP endpoint: pinned address, no redirects, capped in time and size."""

import http.client
import socket
import ssl
from collections.abc import Sequence
from urllib.parse import urlencode

from audiera.services.models.ports import CallAnswer, CallRequest, ModelError
from audiera.services.models.runners.addresses import Target, resolve


class HttpRunner:
    """One endpoint.

    Args:
        url: where calls go; the body is passed on as it is, parameters as the query.
        allowed_local: ``host:port`` pairs the operator has listed.
        timeout_s: longest wait for an answer.
        max_bytes: largest answer.
    """

    def __init__(
        self,
        url: str,
        *,
        allowed_local: Sequence[str] = (),
        timeout_s: float = 60.0,
        max_bytes: int = 64 * 2**20,
    ) -> None:
        self._url = url
        self._allowed = tuple(allowed_local)
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        resolve(url, self._allowed)

    def run(self, request: CallRequest) -> CallAnswer:
        """Pass one call on.

        Raises:
            ModelError: unreachable, not answered in time, an error answer, or too large an answer.
        """
        target = resolve(self._url, self._allowed)
        connection = _PinnedConnection(target, self._timeout_s)
        path = target.path
        if request.parameters:
            path += ("&" if "?" in path else "?") + urlencode(request.parameters)
        try:
            connection.request("POST", path, body=request.body, headers={"Content-Type": request.media_type})
            answer = connection.getresponse()
            body = answer.read(self._max_bytes + 1)
        except (OSError, http.client.HTTPException) as cause:
            raise ModelError(f"the model's endpoint did not answer: {cause}", code="model_unreachable") from cause
        finally:
            connection.close()
        if answer.status != 200:
            raise ModelError(
                f"the model's endpoint answered {answer.status}", code="model_failed", status=answer.status
            )
        if len(body) > self._max_bytes:
            raise ModelError(f"the model's answer is over {self._max_bytes} bytes", code="model_answer_too_large")
        media_type = (answer.getheader("Content-Type") or "application/octet-stream").split(";")[0].strip()
        return CallAnswer(body, media_type)

    def close(self) -> None:
        """Nothing is held open between calls."""


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to the resolved address, while Host and TLS name the host."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout_s)
        self._target = target

    def connect(self) -> None:
        """Open the connection to the pinned address."""
        plain = socket.create_connection((self._target.address, self._target.port), timeout=self.timeout)
        if self._target.is_tls:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self._target.host)
        else:
            self.sock = plain
