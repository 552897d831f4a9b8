"""How a refusal looks on the wire.

Source: RFC 9457, problem details for HTTP APIs.
"""

from typing import Any

import msgspec

from audiera.protocol.api.base import Message

MEDIA_TYPE = "application/problem+json"


class Problem(Message, frozen=True, kw_only=True):
    """Why a request was not served."""

    type: str
    """``urn:audiera:problem:<code>``."""

    title: str
    """What kind of problem it is, the same for every occurrence."""

    status: int
    """HTTP status."""

    code: str
    """Stable code, the same in logs and on the command line."""

    detail: str = ""
    """What was expected, what came, and what to do."""

    instance: str = ""
    """``urn:audiera:request:<id>``, the id under which the node logged the request."""

    values: dict[str, Any] = msgspec.field(default_factory=dict)
    """The values the detail speaks of; ``reasons`` are the reason codes of a refused decision."""
