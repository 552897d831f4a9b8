"""Application keys at work: one secret is enough to call a model; grant and session are found or made here.

A session under an application key is signed by nobody; the key's scope, end and budget bound it, at the gate and on
the ledger.
"""

import threading
from typing import NamedTuple

from audiera.node.clock import Clock
from audiera.protocol.accesses import SessionOpen, session_domain
from audiera.protocol.encoding import decode
from audiera.protocol.errors import NotFound, NotPermitted
from audiera.protocol.records import Grant
from audiera.protocol.results import BlockResult
from audiera.protocol.units import HOUR_US
from audiera.services.access import Gate, Meter, Session
from audiera.services.ledger.ports import Ledger
from audiera.services.storage.files import Entropy

_MOST = 100_000


class CallGrants:
    """Which grants let an account call a model. Thread-safe; made anew at each start.

    Args:
        ledger: where grants are; what is committed there is known here, followed or not.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._grants: dict[tuple[int, int], list[int]] = {}
        self._height = ledger.head().height
        for _, record in ledger.state().scan(b"g"):
            self._note(decode(record, Grant))

    def apply(self, result: BlockResult) -> None:
        """Note the grants a block issued; quiet when they are known."""
        with self._lock:
            self._apply(result)

    def _apply(self, result: BlockResult) -> None:
        if result.height <= self._height:
            return
        for transaction in result.transactions:
            for record in transaction.records if transaction.ok else ():
                if isinstance(record, Grant):
                    self._note(record)
        self._height = result.height

    def _catch_up(self) -> None:
        """Note what was committed since the last block that was followed: whoever was told of a grant may use it."""
        if self._ledger.head().height > self._height:
            with self._lock:
                for result in self._ledger.follow(self._height + 1):
                    self._apply(result)

    def _note(self, grant: Grant) -> None:
        if grant.model:
            known = self._grants.setdefault((grant.grantee, grant.model), [])
            if grant.number not in known:
                known.append(grant.number)

    def newest(self, account: int, model: int) -> int:
        """The newest active grant of an account for a model; 0 when there is none."""
        self._catch_up()
        state = self._ledger.state()
        for number in reversed(self._grants.get((account, model), [])):
            grant = state.grant(number)
            if grant is not None and grant.status == "active":
                return number
        return 0


class _Place(NamedTuple):
    """What a session under an application key is opened for."""

    key: int
    grant: int


class Applications:
    """Sessions of application keys. For the event loop's thread.

    Args:
        ledger: whose state counts.
        grants: which grants there are.
        gate: opens sessions.
        meter: makes them durable.
        node: ledger number of this node.
        clock: the node's clock.
        entropy: source of nonces.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        grants: CallGrants,
        gate: Gate,
        meter: Meter,
        node: int,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._ledger = ledger
        self._grants = grants
        self._gate = gate
        self._meter = meter
        self._node = node
        self._clock = clock
        self._entropy = entropy
        self._sessions: dict[_Place, Session] = {}

    def session(self, account: int, app_key: int, model: int, *, grant: int = 0) -> Session:
        """The open session in which an application calls a model.

        Args:
            account: whose key it is.
            app_key: ledger number of the key.
            model: ledger number of the model.
            grant: the grant to draw on; the newest active one when 0.

        Raises:
            NotFound: the account has no active grant for the model.
            NotPermitted: the grant is another account's.
            AccessRefused: the grant does not stand.
        """
        number = grant or self._grants.newest(account, model)
        record = self._ledger.state().grant(number) if number else None
        if record is None:
            raise NotFound(
                f"the account has no active grant to call model {model}; issue one with a budget first",
                code="grant_not_found",
                model=model,
            )
        if record.grantee != account:
            raise NotPermitted(f"grant {number} belongs to another account", code="grant_other_account")
        place = _Place(app_key, number)
        known = self._sessions.get(place)
        if known is not None and known.end > self._clock():
            return known
        if len(self._sessions) >= _MOST:
            self._sessions.clear()
        opened = self._open(record, app_key)
        self._sessions[place] = opened
        return opened

    def _open(self, grant: Grant, app_key: int) -> Session:
        now = self._clock()
        opening = SessionOpen(
            domain=session_domain(self._ledger.genesis.chain_id),
            node=self._node,
            number=self._gate.reserve(),
            grant=grant.number,
            consumer=grant.grantee,
            purpose=grant.purpose,
            policy=max((terms.revision for terms in grant.terms), default=0),
            opened_at=now,
            expires_at=now + HOUR_US,
            nonce=self._entropy(16),
            app_key=app_key,
        )
        session = self._gate.open(opening)
        self._meter.add_session(opening)
        return session
