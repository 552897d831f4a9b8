"""Tokens of open sessions: random, kept in memory only; after a restart a session is opened anew."""

from typing import NamedTuple

from audiera.node.clock import Clock
from audiera.services.access import Session
from audiera.services.storage.files import Entropy

_MOST = 100_000


class Ticket(NamedTuple):
    """A session and the moment its token ends."""

    session: Session
    """The open session."""

    expires_at: int
    """Microseconds."""


class SessionTokens:
    """Which token opens which session. For the event loop's thread.

    Args:
        clock: the node's clock.
        entropy: source of tokens.
    """

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self._tickets: dict[str, Ticket] = {}

    def issue(self, session: Session) -> str:
        """A token for a session, good as long as the session."""
        if len(self._tickets) >= _MOST:
            now = self._clock()
            self._tickets = {token: kept for token, kept in self._tickets.items() if kept.expires_at > now}
        token = self._entropy(32).hex()
        self._tickets[token] = Ticket(session, session.opening.expires_at)
        return token

    def find(self, token: str) -> Session | None:
        """The session a token opens, unless it is over."""
        ticket = self._tickets.get(token)
        if ticket is None:
            return None
        if ticket.expires_at <= self._clock():
            self._tickets.pop(token, None)
            return None
        return ticket.session
