"""The same POST sent twice has one effect: its answer is kept for a day under the caller's key.

The answer is durable before it leaves. A request that was served and whose answer was lost in a crash is served
again; what it would create twice is refused by the ledger (transactions carry sequence numbers).
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from audiera.node.clock import Clock
from audiera.protocol.errors import RequestError
from audiera.protocol.units import HOUR_US
from audiera.services.storage.sqlite import connect

KEPT_US = 24 * HOUR_US
MAX_KEPT_BYTES = 64 * 2**20
"""Longer answers are not kept, and a repeated request is served again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    account INTEGER NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, answer BLOB NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_at ON answers (at);
"""

_NEVER_KEPT = frozenset({401, 403, 408, 409, 423, 429})
"""Answers that may be another the next time."""


class Answer(msgspec.Struct, frozen=True):
    """An answer as it was sent."""

    status: int
    """HTTP status."""

    headers: dict[str, str]
    """Its headers."""

    body: bytes
    """Its body."""


class Kept(NamedTuple):
    """What is kept under a key."""

    request: bytes
    """SHA-256 of the request that made it."""

    answer: Answer
    """What was answered."""


class Answers:
    """The kept answers. Thread-safe."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._db = connect(path)
        self._db.executescript(_SCHEMA)

    def find(self, account: int, key: str) -> Kept | None:
        """What is kept under an account's key, unless it is older than a day."""
        with self._lock:
            row = self._db.execute(
                "SELECT request, answer FROM answers WHERE account = ? AND key = ? AND at > ?",
                (account, key, self._clock() - KEPT_US),
            ).fetchone()
        return None if row is None else Kept(bytes(row[0]), msgspec.msgpack.decode(row[1], type=Answer))

    def keep(self, account: int, key: str, kept: Kept) -> None:
        """Keep an answer durably; what is older than a day is dropped."""
        now = self._clock()
        row = (account, key, kept.request, msgspec.msgpack.encode(kept.answer), now)
        with self._lock, self._db:
            self._db.execute("DELETE FROM answers WHERE at <= ?", (now - KEPT_US,))
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()


class Once:
    """Serves requests with equal keys one after another. For the event loop's thread.

    Args:
        answers: what was answered before.
        run: runs a blocking call in a thread.
    """

    def __init__(self, answers: Answers, run: Callable[..., Awaitable[object]]) -> None:
        self._answers = answers
        self._run = run
        self._waiting: dict[tuple[int, str], tuple[asyncio.Lock, int]] = {}

    async def serve(self, account: int, key: str, request: bytes, serve: Callable[[], Awaitable[Response]]) -> Response:
        """The kept answer of an equal request, or the one made now, kept before it is returned.

        Raises:
            RequestError: the key is malformed, or another request was made with it.
        """
        if not 1 <= len(key) <= 128 or not key.isascii() or not key.isprintable():
            raise RequestError("an idempotency key has 1 to 128 printable characters", code="idempotency_key_invalid")
        place = (account, key)
        lock, users = self._waiting.get(place, (asyncio.Lock(), 0))
        self._waiting[place] = (lock, users + 1)
        try:
            async with lock:
                return await self._serve(account, key, request, serve)
        finally:
            lock, users = self._waiting.pop(place)
            if users > 1:
                self._waiting[place] = (lock, users - 1)

    async def _serve(
        self, account: int, key: str, request: bytes, serve: Callable[[], Awaitable[Response]]
    ) -> Response:
        kept = await self._run(self._answers.find, account, key)
        if isinstance(kept, Kept):
            if kept.request != request:
                raise RequestError(
                    "this idempotency key was used with another request; take a new key for a new request",
                    code="idempotency_key_reused",
                )
            headers = {**kept.answer.headers, "Idempotent-Replayed": "true"}
            return Response(kept.answer.body, kept.answer.status, headers)
        response = await serve()
        body = bytes(response.body)
        if response.status_code < 500 and response.status_code not in _NEVER_KEPT and len(body) <= MAX_KEPT_BYTES:
            headers = {name: value for name, value in response.headers.items() if name != "content-length"}
            answer = Answer(status=response.status_code, headers=headers, body=body)
            await self._run(self._answers.keep, account, key, Kept(request, answer))
        return response
