"""The gate: the one decision, taken on the committed state, before every access.

Denies by default. What was decided for a session and asset holds for one height of the ledger; what the node has
recorded and the ledger has not counted yet is counted here, so that no cap and no budget is ever exceeded.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from audiera.protocol.accesses import SessionOpen, Watermark, verify_session, verify_watermark
from audiera.protocol.accesses.rows import OP_CALL, OP_PREVIEW, OP_RANGE, OP_WHOLE
from audiera.protocol.accesses.session import check_session, check_watermark
from audiera.protocol.accesses.totals import covered_assets
from audiera.protocol.errors import AccessRefused, BatchError, Conflict, NotFound, NotPermitted, SignatureError
from audiera.protocol.machine import call_charge, grant_purse
from audiera.protocol.purposes import purpose_code
from audiera.protocol.records import Account, AppKey, Asset, Grant, GrantUsage
from audiera.protocol.rights import REASONS, Decision, Use, cap_reasons, decide, standing_reasons
from audiera.protocol.state import StateView
from audiera.services.access.meter import RowFields
from audiera.services.ledger.ports import Ledger

_SKEW_US = 120_000_000
"""How far a session's opening may be from the node's clock."""

_LONGEST_US = 86_400_000_000
"""Longest a session may last: a day."""

_MINUTE_MS = 60_000
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

    charge: int
    """Microcredits reserved."""


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

    standing: tuple[str, ...] = ()
    """What speaks against every use of the session, at that height."""

    decided: dict[int, tuple[Decision, int]] = field(default_factory=dict)
    """Asset -> decision and license revision, at that height."""

    end: int = 0
    """Moment after which it is over, whatever the ledger says."""

    @property
    def number(self) -> int:
        """The node's number of the session."""
        return self.opening.number


@dataclass
class _Tally:
    """What the node recorded under a grant and the ledger has not counted yet."""

    accesses: int = 0
    bytes: int = 0
    charges: int = 0
    keys: Counter[int] = field(default_factory=Counter)
    """Application key -> its part of the charges."""


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
        self._tallies: dict[int, _Tally] = {}

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
        reasons = standing_reasons(grant, _use_of(opening, grant), self._now(view))
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
        """Decide about one access; a yes reserves its charge.

        Returns:
            The authorization, or the refusal with every reason.
        """
        view = self._ledger.state()
        grant = self._decide_standing(session, view)
        opening = session.opening
        reasons = list(session.standing)
        now = self._clock()
        if now >= session.end:
            reasons.append("session-expired")
        if not opening.app_key and session.rows - session.acknowledged >= view.params().credit_rows:
            reasons.append("credit-window")
        key = view.app_key(opening.app_key) if opening.app_key else None
        reasons += _key_reasons(key, ask, now) if key is not None else []
        decision, revision = self._decide_asset(session, view, grant, ask, now)
        reasons += [reason for reason in decision.reasons if reason != "allowed" and reason not in reasons]
        charge = 0
        if not reasons:
            charge = self._charge(session, view, grant, ask)
            reasons += self._limits(view, grant, ask, charge)
            if key is not None and charge > key.budget - key.spent - self._key_charges(key.number):
                reasons.append("app-key-budget")
        if reasons:
            return Decision(allowed=False, reasons=tuple(reasons), rule=decision.rule)
        self._count(session, grant.number, ask, charge)
        if key is not None:
            self._tallies[grant.number].keys[key.number] += charge
        return Authorization(self.row(session, ask, revision), charge)

    def _decide_standing(self, session: Session, view: StateView) -> Grant:
        """The session's grant; decisions taken at an earlier height are forgotten."""
        height = self._ledger.head().height
        grant = view.grant(session.opening.grant)
        if grant is None:
            raise NotFound(f"there is no grant {session.opening.grant}", code="unknown_object")
        if session.decided_at != height:
            session.decided_at = height
            session.decided.clear()
        session.standing = standing_reasons(grant, _use_of(session.opening, grant), self._now(view))
        return grant

    def _decide_asset(
        self, session: Session, view: StateView, grant: Grant, ask: Ask, now: int
    ) -> tuple[Decision, int]:
        if ask.op == OP_CALL:
            return _decide_model(view, grant, ask, self._node), 0
        known = session.decided.get(ask.asset)
        if known is None:
            known = _decide_covered(session, view, grant, ask.asset, now)
            session.decided[ask.asset] = known
        return known

    def _charge(self, session: Session, view: StateView, grant: Grant, ask: Ask) -> int:
        """The most this access can cost."""
        if ask.op == OP_CALL:
            endpoint = view.endpoint(ask.asset)
            return call_charge(endpoint.price, 1, ask.units) if endpoint is not None else 0
        price = grant.terms[session.coverage[ask.asset][1]].price
        if price is None or price.unit == "flat":
            return 0
        return price.amount if price.unit == "access" else -(-price.amount * ask.units // _MINUTE_MS)

    def _limits(self, view: StateView, grant: Grant, ask: Ask, charge: int) -> list[str]:
        """Caps and budget, with what the ledger has not counted yet."""
        tally = self._tallies.get(grant.number, _NOTHING)
        usage = view.grant_usage(grant.number)
        used = GrantUsage(accesses=usage.accesses + tally.accesses, bytes=usage.bytes + tally.bytes)
        found = list(cap_reasons(grant, used, Use(purpose=grant.purpose, accesses=1, bytes=ask.bytes)))
        if charge and view.balance(grant_purse(grant.number)) - tally.charges < charge:
            found.append("budget-used-up")
        return found

    def _key_charges(self, key: int) -> int:
        """What an application key has used and the ledger has not counted yet, under all grants."""
        return sum(tally.keys[key] for tally in self._tallies.values())

    def _count(self, session: Session, grant: int, ask: Ask, charge: int) -> None:
        session.rows += 1
        session.bytes += ask.bytes
        tally = self._tallies.setdefault(grant, _Tally())
        tally.accesses += 1
        tally.bytes += ask.bytes
        tally.charges += charge

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
        """A batch is on the ledger: what it holds is counted there now.

        Charges are released in proportion to the accesses, all of them with the last one.
        """
        for grant, count, size in _sums(rows):
            tally = self._tallies.get(grant)
            if tally is None:
                continue
            if count >= tally.accesses:
                del self._tallies[grant]
                continue
            tally.charges -= tally.charges * count // tally.accesses
            for key, charge in tally.keys.items():
                tally.keys[key] = charge - charge * count // tally.accesses
            tally.accesses -= count
            tally.bytes = max(0, tally.bytes - size)

    def restore(self, rows: np.ndarray) -> None:
        """Count rows an earlier process made durable and the ledger lacks."""
        view = self._ledger.state()
        for grant, count, size in _sums(rows):
            tally = self._tallies.setdefault(grant, _Tally())
            tally.accesses += count
            tally.bytes += size
            tally.charges = view.balance(grant_purse(grant))

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
        decision = decide(license_, None, Use(purpose="preview"), self._now(view))
        if decision.allowed and (decision.rule is None or decision.rule.verdict != "allow"):
            return Decision(allowed=False, reasons=("needs-grant",), rule=decision.rule), record
        return decision, record

    def _now(self, view: StateView) -> int:
        """The later of the node's clock and block time: neither may be used to stretch a grant."""
        return max(self._clock(), self._ledger.head().time)


_NOTHING = _Tally()


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


def _sums(rows: np.ndarray) -> list[tuple[int, int, int]]:
    """(grant, accesses, bytes) of the rows that were authorized under a grant."""
    authorized = rows[np.isin(rows["op"], (OP_WHOLE, OP_RANGE, OP_CALL)) & (rows["grant"] > 0)]
    grants, places = np.unique(authorized["grant"], return_inverse=True)
    counts = np.bincount(places, minlength=len(grants))
    found = []
    for place, grant in enumerate(grants.tolist()):
        size = int(authorized["bytes"][places == place].sum()) if len(grants) <= 64 else 0
        found.append((grant, int(counts[place]), size))
    return found


def _use_of(opening: SessionOpen, grant: Grant) -> Use:
    return Use(
        purpose=opening.purpose, commercial=grant.commercial, territory=grant.territory, account=opening.consumer
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
            f"application key {key.number} is for {', '.join(key.purposes)}, not {opening.purpose}", code="app_key_scope"
        )


def _key_reasons(key: AppKey, ask: Ask, now: int) -> list[str]:
    """What speaks against an application key's use, whatever its grant says."""
    found = []
    if key.revoked or key.expires_at <= now:
        found.append("app-key-ended")
    if key.models and ask.asset not in key.models:
        found.append("app-key-scope")
    return found


def _decide_covered(session: Session, view: StateView, grant: Grant, number: int, now: int) -> tuple[Decision, int]:
    """Decide about an asset by the terms that were agreed for it."""
    covered = session.coverage.get(number)
    asset = view.asset(number)
    if asset is None:
        return Decision(allowed=False, reasons=("asset-unknown",)), 0
    if covered is None:
        return Decision(allowed=False, reasons=("not-covered",)), 0
    terms = grant.terms[covered[1]]
    license_ = view.license(terms.license, terms.revision)
    if license_ is None:
        return Decision(allowed=False, reasons=("grant-other-license",)), terms.revision
    decision = decide(license_, grant, _use_of(session.opening, grant), now)
    if asset.status != "active":
        against = tuple(reason for reason in decision.reasons if reason != "allowed")
        decision = Decision(allowed=False, reasons=(*against, f"asset-{asset.status}"), rule=decision.rule)
    return decision, terms.revision


def _decide_model(view: StateView, grant: Grant, ask: Ask, node: int) -> Decision:
    endpoint = view.endpoint(ask.asset)
    if grant.model != ask.asset:
        return Decision(allowed=False, reasons=("not-covered",))
    if endpoint is None or not endpoint.active or endpoint.node != node:
        return Decision(allowed=False, reasons=("model-inactive",))
    return Decision(allowed=True, reasons=("allowed",))


def _refusal(reasons: tuple[str, ...]) -> AccessRefused:
    words = "; ".join(REASONS.get(reason, reason) for reason in reasons)
    return AccessRefused(words, reasons=reasons)


def refuse(decision: Decision) -> AccessRefused:
    """The error for a refusal, at a door."""
    return _refusal(decision.reasons)
