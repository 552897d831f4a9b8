"""The gate: the one decision, taken on the committed state, before every access.

Denies by default. What was decided for a session and asset holds for one height of the ledger; what the node has
recorded and the ledger has not counted yet is counted here, so that no cap and no budget is ever exceeded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from audiera.protocol.accesses import SessionOpen, Watermark, verify_session, verify_watermark
from audiera.protocol.accesses.rows import FLAG_FAILED, OP_CALL, OP_PREVIEW
from audiera.protocol.accesses.session import check_session, check_watermark
from audiera.protocol.accesses.totals import covered_assets
from audiera.protocol.errors import AccessRefused, BatchError, Conflict, NotFound, NotPermitted, SignatureError
from audiera.protocol.machine import grant_purse
from audiera.protocol.purposes import purpose_code
from audiera.protocol.records import Account, Asset, Grant, GrantUsage, Price
from audiera.protocol.rights import REASONS, Decision, Use, cap_reasons, decide, standing_reasons
from audiera.protocol.state import StateView
from audiera.services.access.decisions import (
    Decided,
    access_price,
    agreed_prices,
    call_price,
    decide_covered,
    decide_model,
    key_reasons,
    price_version,
    use_of,
)
from audiera.services.access.meter import RowFields
from audiera.services.access.tallies import Promise, Tallies, counted_rows
from audiera.services.ledger.ports import Ledger

_SKEW_US = 120_000_000
"""How far a session's opening may be from the node's clock."""

_LONGEST_US = 86_400_000_000
"""Longest a session may last: a day."""

_REMEMBERED_SESSIONS = 100_000


class Ask(NamedTuple):
    """What is asked for within a session."""

    asset: int
    """Ledger number of the asset, or of the model to call."""

    op: int
    """Op code."""

    bytes: int
    """Bytes that would be released."""

    units: int
    """Milliseconds of audio; started seconds of audio for a call."""


class Authorization(NamedTuple):
    """A yes; its charge is reserved until the row is on the ledger."""

    fields: RowFields
    """The row to make durable."""

    promise: Promise
    """What is reserved."""

    @property
    def charge(self) -> int:
        """Microcredits reserved."""
        return self.promise.charge


@dataclass
class Session:
    """An open session as the gate knows it."""

    opening: SessionOpen
    """What the consumer signed."""

    coverage: dict[int, tuple[int, int]]
    """Asset -> (duration in milliseconds, index of the grant's terms)."""

    rows: int = 0
    """Accesses recorded."""

    bytes: int = 0
    """Bytes recorded."""

    acknowledged: int = 0
    """Accesses the consumer has acknowledged."""

    decided_at: int = -1
    """Height of the decisions kept below."""

    decided: dict[int, Decided] = field(default_factory=dict)
    """Asset -> decision, at that height."""

    end: int = 0
    """Moment after which it is over, whatever the ledger says."""

    @property
    def number(self) -> int:
        """The node's number of the session."""
        return self.opening.number


class Gate:
    """Opens sessions and decides about accesses.

    Used by one event loop only: between a yes and its record nothing else runs.

    Args:
        ledger: whose state decides.
        chain_id: the chain.
        node: ledger number of this node.
        clock: microseconds since 1970 UTC.
        last_session: largest session number this node has ever used, on the ledger or in its write-ahead file.
    """

    def __init__(
        self, ledger: Ledger, *, chain_id: str, node: int, clock: Callable[[], int], last_session: int
    ) -> None:
        self._ledger = ledger
        self._chain_id = chain_id
        self._node = node
        self._clock = clock
        self._reserved = last_session
        self._opened = last_session
        self._sessions: dict[int, Session] = {}
        self._tallies = Tallies()

    # ------------------------------------------------------------------ sessions

    def reserve(self) -> int:
        """The number a session about to be signed must carry."""
        self._reserved += 1
        return self._reserved

    def open(self, opening: SessionOpen) -> Session:
        """Open a session.

        1. It is of this chain and node, signed by a key of its consumer, or under an application key of theirs.
        2. Its grant is the consumer's, active, and for its purpose; its run is the consumer's and open.
        3. Its number is larger than that of every session opened before.

        Raises:
            NotPermitted: it is not signed by whom it names, or names what is not theirs.
            AccessRefused: the grant does not stand; the reasons say why.
            Conflict: its number is used or overtaken; reserve another and sign again.
        """
        view = self._ledger.state()
        self._check_signed(view, opening)
        grant = view.grant(opening.grant)
        if grant is None:
            raise NotFound(f"there is no grant {opening.grant}", code="unknown_object")
        reasons = standing_reasons(grant, use_of(opening, grant), self._now())
        if reasons:
            raise _refusal(reasons)
        self._check_run(view, opening)
        if not self._opened < opening.number <= self._reserved:
            raise Conflict(
                f"session {opening.number} was not reserved, or a later one was opened; reserve a new number",
                code="session_number_stale",
            )
        self._opened = opening.number
        covered = {asset: (ms, term) for asset, ms, term in covered_assets(view.coverage(grant.number))}
        session = Session(opening, covered, end=opening.expires_at)
        self._keep(session)
        return session

    def _check_signed(self, view: StateView, opening: SessionOpen) -> None:
        try:
            check_session(opening, chain_id=self._chain_id)
        except BatchError as cause:
            raise NotPermitted(cause.message, code="session_invalid") from cause
        now = self._clock()
        fits = abs(opening.opened_at - now) <= _SKEW_US and now < opening.expires_at <= now + _LONGEST_US
        if opening.node != self._node or not fits:
            raise NotPermitted(
                f"the session is for node {opening.node} and its times do not fit this node's clock; sign a new one",
                code="session_invalid",
            )
        consumer = view.account(opening.consumer)
        if consumer is None:
            raise NotFound(f"there is no account {opening.consumer}", code="unknown_account")
        if opening.app_key:
            _check_app_key(view, opening, now)
        else:
            _check_consumer(consumer, opening)

    def _check_run(self, view: StateView, opening: SessionOpen) -> None:
        if not opening.run:
            return
        run = view.run(opening.run)
        if run is None or run.account != opening.consumer or opening.grant not in run.grants:
            raise NotPermitted(f"run {opening.run} is not the consumer's, or not under this grant", code="wrong_run")
        if run.status != "open":
            raise Conflict(f"run {opening.run} is closed", code="run_closed")

    def _keep(self, session: Session) -> None:
        if len(self._sessions) >= _REMEMBERED_SESSIONS:
            now = self._clock()
            self._sessions = {number: kept for number, kept in self._sessions.items() if kept.end > now}
        self._sessions[session.number] = session

    def session(self, number: int) -> Session:
        """An open session.

        Raises:
            NotFound: it was never opened here, or is over.
        """
        session = self._sessions.get(number)
        if session is None or session.end <= self._clock():
            raise NotFound(f"session {number} is not open; open a new one", code="session_not_open")
        return session

    def acknowledge(self, watermark: Watermark) -> Session:
        """Take a consumer's word on what a session has received.

        Raises:
            NotPermitted: malformed, or not signed by a key of the session's consumer.
        """
        session = self.session(watermark.session)
        consumer = self._ledger.state().account(session.opening.consumer)
        try:
            check_watermark(watermark, chain_id=self._chain_id)
            if consumer is None or watermark.key not in consumer.device_keys + consumer.control_keys:
                raise SignatureError("the watermark is not signed with a key of the session's consumer")
            verify_watermark(watermark)
        except (BatchError, SignatureError) as cause:
            raise NotPermitted(cause.message, code="watermark_invalid") from cause
        if watermark.node != self._node or watermark.rows > session.rows:
            raise NotPermitted(
                f"the session has {session.rows} accesses here, the watermark says {watermark.rows}",
                code="watermark_invalid",
            )
        session.acknowledged = max(session.acknowledged, watermark.rows)
        return session

    # ------------------------------------------------------------------ decisions

    def authorize(self, session: Session, ask: Ask) -> Authorization | Decision:
        """Decide about one access; a yes reserves what it can cost.

        Of an asset's bytes, the row is to be recorded at once. A model is called first: :meth:`finish` follows.

        Returns:
            The authorization, or the refusal with every reason.
        """
        view = self._ledger.state()
        grant = self._grant_of(session, view)
        opening = session.opening
        decision, revision = self._decide(session, view, grant, ask)
        reasons = [reason for reason in decision.reasons if reason != "allowed"]
        if not opening.app_key and session.rows - session.acknowledged >= view.params().credit_rows:
            reasons.append("credit-window")
        charge = 0
        if not reasons:
            charge = self._charge(session, view, grant, ask)
            reasons += self._limits(view, grant, ask, charge, opening.app_key)
        if reasons:
            return Decision(allowed=False, reasons=tuple(reasons), rule=decision.rule)
        session.rows += 1
        session.bytes += ask.bytes
        promise = Promise(grant.number, ask.bytes, charge, opening.app_key)
        self._tallies.reserve(promise)
        if ask.op != OP_CALL:
            self._tallies.enter(promise, promise)
        return Authorization(self.row(session, ask, revision), promise)

    def finish(self, call: Authorization, fields: RowFields, charge: int) -> None:
        """A call is over and its row is to be recorded at once: what it took replaces what was reserved."""
        self._tallies.enter(call.promise, call.promise._replace(bytes=fields.bytes, charge=charge))

    def spare(self, session: Session) -> int:
        """Microcredits a session may still be charged, by its grant's and its key's budget, less what is promised."""
        view = self._ledger.state()
        grant = session.opening.grant
        spare = view.balance(grant_purse(grant)) - self._tallies.of(grant).charges
        key = view.app_key(session.opening.app_key) if session.opening.app_key else None
        if key is not None:
            spare = min(spare, key.budget - key.spent - self._tallies.of_key(key.number))
        return max(spare, 0)

    def repeat(self, session: Session, ask: Ask) -> Decision:
        """Decide whether bytes whose access is recorded may leave again: it costs nothing, but must still be right."""
        view = self._ledger.state()
        return self._decide(session, view, self._grant_of(session, view), ask)[0]

    def _grant_of(self, session: Session, view: StateView) -> Grant:
        grant = view.grant(session.opening.grant)
        if grant is None:
            raise NotFound(f"there is no grant {session.opening.grant}", code="unknown_object")
        return grant

    def _decide(self, session: Session, view: StateView, grant: Grant, ask: Ask) -> tuple[Decision, int]:
        """What session, key, grant and asset say, and the license revision; caps, budget and credit left aside."""
        opening = session.opening
        now = self._now()
        reasons = list(standing_reasons(grant, use_of(opening, grant), now))
        if now >= session.end:
            reasons.append("session-expired")
        if opening.key and view.account_of_key(opening.key) != opening.consumer:
            reasons.append("key-removed")
        key = view.app_key(opening.app_key) if opening.app_key else None
        reasons += key_reasons(key, ask.asset, now) if key is not None else []
        decision, revision = self._decide_asset(session, view, grant, ask, now)
        reasons += [reason for reason in decision.reasons if reason != "allowed" and reason not in reasons]
        allowed = not reasons
        return Decision(allowed=allowed, reasons=tuple(reasons) or ("allowed",), rule=decision.rule), revision

    def _decide_asset(
        self, session: Session, view: StateView, grant: Grant, ask: Ask, now: int
    ) -> tuple[Decision, int]:
        """The decision about an asset, kept until the next block or the next moment its license speaks of."""
        if ask.op == OP_CALL:
            return decide_model(view, grant, ask.asset, self._node), price_version(view, ask.asset)
        height = self._ledger.head().height
        if session.decided_at != height:
            session.decided_at = height
            session.decided.clear()
        known = session.decided.get(ask.asset)
        if known is None or now >= known.until:
            known = decide_covered(session.opening, session.coverage, view, grant, ask.asset, now)
            session.decided[ask.asset] = known
        return known.decision, known.revision

    def _charge(self, session: Session, view: StateView, grant: Grant, ask: Ask) -> int:
        """The most this access can cost."""
        if ask.op == OP_CALL:
            return call_price(view, ask.asset, price_version(view, ask.asset), ask.units)
        return access_price(grant.terms[session.coverage[ask.asset][1]].price, ask.units)

    def _limits(self, view: StateView, grant: Grant, ask: Ask, charge: int, app_key: int) -> list[str]:
        """Caps and budgets, with what the ledger has not counted yet."""
        tally = self._tallies.of(grant.number)
        usage = view.grant_usage(grant.number)
        used = GrantUsage(accesses=usage.accesses + tally.accesses, bytes=usage.bytes + tally.bytes)
        found = list(cap_reasons(grant, used, Use(purpose=grant.purpose, accesses=1, bytes=ask.bytes)))
        if charge and view.balance(grant_purse(grant.number)) - tally.charges < charge:
            found.append("budget-used-up")
        key = view.app_key(app_key) if app_key else None
        if key is not None and charge > key.budget - key.spent - self._tallies.of_key(key.number):
            found.append("app-key-budget")
        return found

    def row(self, session: Session, ask: Ask, policy: int) -> RowFields:
        """The row of an access asked for within a session."""
        opening = session.opening
        return RowFields(
            asset=ask.asset,
            consumer=opening.consumer,
            grant=opening.grant,
            session=opening.number,
            bytes=ask.bytes,
            units=ask.units,
            policy=policy,
            purpose=purpose_code(opening.purpose),
            op=ask.op,
        )

    def settle(self, rows: np.ndarray) -> None:
        """A batch is on the ledger: what it holds is counted there now."""
        self._tallies.settle(rows)

    def restore(self, rows: np.ndarray, sessions: Iterable[SessionOpen] = ()) -> None:
        """Count rows an earlier process made durable and the ledger lacks.

        Args:
            rows: the rows, in their order.
            sessions: sessions opened beside them, which the ledger lacks as well.
        """
        view = self._ledger.state()
        opened = {session.number: session.app_key for session in sessions}
        prices: dict[int, dict[int, Price | None]] = {}
        for row in counted_rows(rows):
            grant, asset, units = int(row["grant"]), int(row["asset"]), int(row["units"])
            if row["flags"] & FLAG_FAILED:
                charge = 0
            elif row["op"] == OP_CALL:
                charge = call_price(view, asset, int(row["policy"]), units)
            else:
                if grant not in prices:
                    prices[grant] = agreed_prices(view, grant)
                charge = access_price(prices[grant].get(asset), units)
            number = int(row["session"])
            state = view.session(self._node, number) if number not in opened else None
            key = opened.get(number, state.app_key if state is not None else 0)
            promise = Promise(grant, int(row["bytes"]), charge, key)
            self._tallies.reserve(promise)
            self._tallies.enter(promise, promise)

    def decide_preview(self, asset: int) -> tuple[Decision, Asset | None]:
        """Whether a visitor without a grant may listen: only where the license simply allows previews."""
        view = self._ledger.state()
        record = view.asset(asset)
        if record is None:
            return Decision(allowed=False, reasons=("asset-unknown",)), None
        if record.status == "withdrawn":
            return Decision(allowed=False, reasons=("asset-withdrawn",)), record
        license_ = view.license(record.license)
        if license_ is None:
            return Decision(allowed=False, reasons=("no-rule",)), record
        decision = decide(license_, None, Use(purpose="preview"), self._now())
        if decision.allowed and (decision.rule is None or decision.rule.verdict != "allow"):
            return Decision(allowed=False, reasons=("needs-grant",), rule=decision.rule), record
        return decision, record

    def _now(self) -> int:
        """The later of the node's clock and block time: neither may be used to stretch a grant."""
        return max(self._clock(), self._ledger.head().time)


def preview_row(asset: Asset, size: int, units: int, revision: int) -> RowFields:
    """The row of a visitor's preview."""
    return RowFields(
        asset=asset.number,
        consumer=0,
        grant=0,
        session=0,
        bytes=size,
        units=units,
        policy=revision,
        purpose=purpose_code("preview"),
        op=OP_PREVIEW,
    )


def _check_consumer(consumer: Account, opening: SessionOpen) -> None:
    if opening.key not in consumer.device_keys + consumer.control_keys:
        raise NotPermitted(f"the session is not signed with a key of account {consumer.number}", code="wrong_key")
    try:
        verify_session(opening)
    except SignatureError as cause:
        raise NotPermitted(cause.message, code="session_invalid") from cause


def _check_app_key(view: StateView, opening: SessionOpen, now: int) -> None:
    key = view.app_key(opening.app_key)
    if key is None or key.account != opening.consumer:
        raise NotPermitted(f"application key {opening.app_key} is not the consumer's", code="wrong_key")
    if key.revoked or key.expires_at <= now:
        raise NotPermitted(f"application key {key.number} was revoked or has expired", code="key_expired")
    if opening.purpose not in key.purposes:
        raise NotPermitted(
            f"application key {key.number} is for {', '.join(key.purposes)}, not {opening.purpose}",
            code="app_key_scope",
        )


def _refusal(reasons: tuple[str, ...]) -> AccessRefused:
    words = "; ".join(REASONS.get(reason, reason) for reason in reasons)
    return AccessRefused(words, reasons=reasons)


def refuse(decision: Decision) -> AccessRefused:
    """The error for a refusal, at a door."""
    return _refusal(decision.reasons)
