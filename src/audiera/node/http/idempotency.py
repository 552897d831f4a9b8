"""The same POST sent twice has one effect: its answer is kept for a day under the caller's key.

The answer is durable before it leaves. A request that was served and whose answer was lost in a crash is served
again where nothing comes of it twice (the ledger refuses a second transaction of one sequence number). Where
something would, a call of a model or a gift of the faucet, the key is durable before the request is served, and after
a crash between the two the request is refused instead.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from audiera.node.clock import Clock
from audiera.protocol.errors import AudieraError, Conflict, LedgerError, RequestError, StorageError, Unavailable
from audiera.protocol.units import HOUR_US
from audiera.services.storage.sqlite import connect

KEPT_US = 24 * HOUR_US
MAX_KEPT_BYTES = 64 * 2**20
"""Longer answers are not kept, and a repeated request is served again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    account INTEGER NOT NULL, app_key INTEGER NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL,
    answer BLOB NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (account, app_key, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_at ON answers (at);
"""

MAX_KEY = 128
"""Characters in a key at the most."""

_UNSURE = (LedgerError, StorageError, Unavailable)
"""Errors after which a request may have had its effect all the same."""

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


class Place(NamedTuple):
    """Whose key it is: two applications of one account do not share theirs."""

    account: int
    """Ledger number of the account; 0 for visitors."""

    app_key: int
    """Ledger number of the application's key; 0 for the account itself."""

    key: str
    """The idempotency key."""


class Kept(NamedTuple):
    """What is kept under a key."""

    request: bytes
    """SHA-256 of the request that made it."""

    answer: Answer | None
    """What was answered; None while it is served, and for ever when the node was killed meanwhile."""


def check_key(key: str) -> None:
    """Refuse an idempotency key that is none.

    Raises:
        RequestError: it is empty, too long, or not printable ASCII.
    """
    if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise RequestError(
            f"an idempotency key has 1 to {MAX_KEY} printable characters", code="idempotency_key_invalid"
        )


class Answers:
    """The kept answers. Thread-safe."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._db = connect(path)
        self._db.executescript(_SCHEMA)

    def find(self, place: Place) -> Kept | None:
        """What is kept under a key, unless it is older than a day."""
        with self._lock:
            row = self._db.execute(
                "SELECT request, answer FROM answers WHERE account = ? AND app_key = ? AND key = ? AND at > ?",
                (*place, self._clock() - KEPT_US),
            ).fetchone()
        if row is None:
            return None
        return Kept(bytes(row[0]), msgspec.msgpack.decode(row[1], type=Answer) if row[1] else None)

    def keep(self, place: Place, kept: Kept) -> None:
        """Keep an answer durably, or that a request is served; what is older than a day is dropped."""
        now = self._clock()
        answer = b"" if kept.answer is None else msgspec.msgpack.encode(kept.answer)
        with self._lock, self._db:
            self._db.execute("DELETE FROM answers WHERE at <= ?", (now - KEPT_US,))
            row = (*place, kept.request, answer, now)
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)

    def forget(self, place: Place) -> None:
        """Nothing came of a request: its key is free again."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM answers WHERE account = ? AND app_key = ? AND key = ?", place)

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
        self._waiting: dict[Place, tuple[asyncio.Lock, int]] = {}

    async def serve(
        self, place: Place, request: bytes, serve: Callable[[], Awaitable[Response]], *, at_most_once: bool
    ) -> Response:
        """The kept answer of an equal request, or the one made now, kept before it is returned.

        Args:
            place: whose key it is.
            request: SHA-256 of the request.
            serve: serves it.
            at_most_once: whether it must not be served again even when its answer was lost.

        Raises:
            RequestError: the key is malformed, or another request was made with it.
            Conflict: an equal request was being served when the node was killed.
        """
        check_key(place.key)
        lock, users = self._waiting.get(place, (asyncio.Lock(), 0))
        self._waiting[place] = (lock, users + 1)
        try:
            async with lock:
                return await self._serve(place, request, serve, at_most_once=at_most_once)
        finally:
            lock, users = self._waiting.pop(place)
            if users > 1:
                self._waiting[place] = (lock, users - 1)

    async def _serve(
        self, place: Place, request: bytes, serve: Callable[[], Awaitable[Response]], *, at_most_once: bool
    ) -> Response:
        kept = await self._run(self._answers.find, place)
        if isinstance(kept, Kept):
            return _again(kept, request)
        if at_most_once:
            await self._run(self._answers.keep, place, Kept(request, None))
        try:
            response = await serve()
        except AudieraError as error:
            if at_most_once and not isinstance(error, _UNSURE):
                await self._run(self._answers.forget, place)
            raise
        body = bytes(response.body)
        if response.status_code < 500 and response.status_code not in _NEVER_KEPT and len(body) <= MAX_KEPT_BYTES:
            headers = {name: value for name, value in response.headers.items() if name != "content-length"}
            answer = Answer(status=response.status_code, headers=headers, body=body)
            await self._run(self._answers.keep, place, Kept(request, answer))
        return response


def _again(kept: Kept, request: bytes) -> Response:
    """The answer to a request made under a known key."""
    if kept.request != request:
        raise RequestError(
            "this idempotency key was used with another request; take a new key for a new request",
            code="idempotency_key_reused",
        )
    if kept.answer is None:
        raise Conflict(
            "a request with this key was begun and its answer is lost, so it is not served twice; look up what came "
            "of it, and take a new key to ask anew",
            code="outcome_unknown",
        )
    return Response(kept.answer.body, kept.answer.status, {**kept.answer.headers, "Idempotent-Replayed": "true"})
