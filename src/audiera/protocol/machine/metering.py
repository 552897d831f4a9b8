"""Access batches: recorded whatever they say, paid for and counted only where a grant covers them.

What happened must be on the ledger, so a batch is refused only when it is malformed, out of order, not its node's
or disagrees with itself. A row whose session, grant or time does not cover it is recorded and marked unmatched: it
moves no credits, enters no certificate, and counts against the node that released it.
"""

from typing import NamedTuple

from msgspec.structs import replace

from audiera.protocol.accesses import Batch, SessionOpen, Watermark, open_batch, verify_session, verify_watermark
from audiera.protocol.accesses.log import encode_entry
from audiera.protocol.accesses.rows import Array
from audiera.protocol.accesses.totals import (
    Covered,
    SessionRows,
    agrees,
    by_session,
    cover,
    earliest,
    earliest_of,
    is_late_in_order,
    merge_uses,
    pages_of,
    sums_of,
    use_list,
    uses_of,
)
from audiera.protocol.encoding import digest
from audiera.protocol.errors import BatchError, EncodingError, SignatureError
from audiera.protocol.machine.calls import pay_calls
from audiera.protocol.machine.step import (
    NETWORK,
    Step,
    account_purse,
    asset_purse,
    expect,
    grant_purse,
    permit,
)
from audiera.protocol.merkle import Frontier, leaf_hash
from audiera.protocol.purposes import purpose_code
from audiera.protocol.records import Account, AppKey, Grant, Price, Run
from audiera.protocol.records.base import require_range
from audiera.protocol.results import AppliedBatch
from audiera.protocol.revenue import allocate, take_fees
from audiera.protocol.state import LogState, NodeState, SessionState, number_key
from audiera.protocol.transactions import RecordAccesses
from audiera.protocol.units import I64_MAX

_MINUTE_MS = 60_000


def check_record_accesses(body: RecordAccesses) -> None:
    """What can be said of a batch without the state and without opening it."""
    require_range(len(body.batch), 192, 2**31, "the length of a batch")


def record_accesses(step: Step, body: RecordAccesses) -> None:
    """Record a batch.

    1. It is the signing node's, signed with the same key, and continues where the node's last batch ended.
    2. Its rows lie in the time window; older ones are marked late.
    3. Its sessions and watermarks are entered.
    4. Each session's rows are matched with its grant; what is covered, and acknowledged but for the credit of the
       parameters, counts and is paid.
    5. Its entry joins the access log.
    """
    expect(
        len(body.batch) <= step.params().max_batch_bytes,
        "the batch is larger than allowed",
        "batch_too_large",
    )
    batch = open_batch(body.batch, chain_id=step.chain_id)
    before = _continues(step, batch)
    _enter_sessions(step, batch, before)
    _enter_watermarks(step, batch)
    unmatched = 0
    known = _Known({}, {})
    for part in by_session(batch.rows):
        unmatched += _count_session(step, part, known)
    _append_to_log(step, batch, unmatched)
    after = NodeState(
        next_index=batch.header.first_index + batch.header.count,
        last_t=batch.header.t_max,
        last_header_hash=digest(batch.header_bytes),
        last_session=max([before.last_session, *(session.number for session in batch.sessions)]),
    )
    step.put(number_key(b"n", step.signer), after)


def _continues(step: Step, batch: Batch) -> NodeState:
    """Steps 1 and 2: the batch is this node's next one."""
    node = step.account(step.signer)
    permit(node.kind == "node", "only a node's account records accesses")
    header = batch.header
    permit(header.node == node.number, f"the batch is of node {header.node}, signed by account {node.number}")
    try:
        batch.verify_signature(step.key)
    except SignatureError as cause:
        raise BatchError(cause.message, code="batch_signature_invalid") from cause
    before = step.stage.node(node.number)
    params = step.params()
    fits = (
        header.first_index == before.next_index
        and header.prev_header_hash == before.last_header_hash
        and header.t_min > before.last_t
    )
    if not fits:
        raise BatchError(
            f"the batch begins at row {header.first_index} and {before.next_index} is next, or it does not follow "
            "the node's last batch in time or hash",
            code="batch_out_of_order",
            next_index=before.next_index,
        )
    in_window = is_late_in_order(batch.rows, step.time - params.row_lag_us, step.time + params.row_lead_us)
    if not in_window:
        raise BatchError("a row lies ahead of block time, or behind it without the late mark", code="row_time_invalid")
    return before


def _enter_sessions(step: Step, batch: Batch, before: NodeState) -> None:
    last = before.last_session
    for session in batch.sessions:
        if session.number <= last or session.node != step.signer:
            raise BatchError(f"session {session.number} does not follow {last}", code="session_out_of_order")
        last = session.number
        if _is_authorized(step, session):
            state = SessionState(
                grant=session.grant,
                consumer=session.consumer,
                purpose=purpose_code(session.purpose),
                run=session.run,
                expires_at=session.expires_at,
                app_key=session.app_key,
            )
            step.put(number_key(b"S", step.signer, session.number), state)


def _is_authorized(step: Step, session: SessionOpen) -> bool:
    """Whether the consumer, or an application key of the consumer, stands behind a session."""
    consumer = step.stage.account(session.consumer)
    if consumer is None:
        return False
    if session.app_key:
        key = step.stage.app_key(session.app_key)
        return key is not None and _covers(key, session)
    return _signs(consumer, session)


def _covers(key: AppKey, session: SessionOpen) -> bool:
    """Whether an application key may open a session: nobody signs it, so it opens nothing but what it is for."""
    return key.account == session.consumer and session.purpose in key.purposes and session.opened_at < key.expires_at


def _signs(consumer: Account, session: SessionOpen) -> bool:
    if session.key not in consumer.device_keys + consumer.control_keys:
        return False
    try:
        verify_session(session)
    except (SignatureError, EncodingError):
        return False
    return True


def _enter_watermarks(step: Step, batch: Batch) -> None:
    signers: dict[int, tuple[bytes, ...]] = {}
    for watermark in batch.watermarks:
        key = number_key(b"S", step.signer, watermark.session)
        session = step.stage.session(step.signer, watermark.session)
        if session is None or session.app_key:
            continue
        if session.consumer not in signers:
            consumer = step.stage.account(session.consumer)
            signers[session.consumer] = consumer.device_keys + consumer.control_keys if consumer is not None else ()
        if watermark.key in signers[session.consumer] and _is_watermark_good(step, watermark):
            step.put(key, replace(session, acknowledged=max(session.acknowledged, watermark.rows)))


def _is_watermark_good(step: Step, watermark: Watermark) -> bool:
    try:
        verify_watermark(watermark)
    except (SignatureError, EncodingError):
        return False
    return True


class _Known(NamedTuple):
    """What sessions of a batch share, read once for all of them: no batch changes a grant or a run."""

    grants: dict[int, Grant | None]
    """By number."""

    runs: dict[int, Run | None]
    """By number."""


class _Standing(NamedTuple):
    """A session with the grant it runs under."""

    state: SessionState
    grant: Grant


def _standing(step: Step, session: int, known: _Known) -> _Standing | None:
    """A session's standing."""
    grants = known.grants
    state = step.stage.session(step.signer, session)
    if state is None:
        return None
    if state.grant not in grants:
        grants[state.grant] = step.stage.grant(state.grant)
    grant = grants[state.grant]
    if grant is None:
        return None
    agrees = grant.grantee == state.consumer and purpose_code(grant.purpose) == state.purpose
    return _Standing(state, grant) if agrees and grant.status != "requested" else None


def _count_session(step: Step, part: SessionRows, known: _Known) -> int:
    """Step 4 for one session; returns how many released rows no grant covers."""
    if not len(part.payable) or part.session == 0:
        return 0
    standing = _standing(step, part.session, known)
    if standing is None:
        return len(part.payable)
    state, grant = standing
    if not agrees(part.payable, state.consumer, state.grant, state.purpose):
        return len(part.payable)
    step.put(number_key(b"S", step.signer, part.session), replace(state, rows=state.rows + len(part.payable)))
    payable = earliest(part.payable, _counted_rows(step, state))
    ends = [end for end in (grant.valid_until, grant.revoked_at, state.expires_at) if end]
    params = step.params()
    until = min(ends) if ends else 0
    since = max(grant.valid_from - params.row_lag_us, step.time - params.row_late_us)
    if grant.model:
        return len(part.payable) - pay_calls(step, grant, state, payable, until, since)
    covered = _within_budget(step, grant, payable, until, since)
    sums = sums_of(covered.uses)
    if sums.accesses:
        spent = _pay_uses(step, grant, covered)
        step.count_use(grant.number, accesses=sums.accesses, size=sums.bytes, spent=spent)
        if state.run:
            _add_to_run(step, state, grant, covered, known)
    return len(part.payable) - sums.accesses


def _counted_rows(step: Step, state: SessionState) -> int:
    """How many further rows of a session count: those acknowledged, and the credit past them.

    A node cannot invent more uses than that, for it has no watermark of the consumer's. Under an application key
    nobody signs; its budget is the bound.
    """
    if state.app_key:
        return I64_MAX
    return max(0, state.acknowledged + step.params().credit_rows - state.rows)


def _within_budget(step: Step, grant: Grant, payable: Array, until: int, since: int) -> Covered:
    """What a grant covers of a session's rows: of priced assets only the earliest rows that its budget still pays.

    Uses nobody pays are recorded and count for nothing, least of all for a certificate.
    """
    coverage = step.stage.coverage(grant.number)
    covered = cover(uses_of(payable, until, since), coverage)
    budget = step.stage.balance(grant_purse(grant.number))
    if _price(grant, covered) <= budget:
        return covered
    prices = [terms.price for terms in grant.terms]
    priced = [use[0] for use, term in zip(use_list(covered.uses), covered.terms, strict=True) if _is_used(prices[term])]
    low, high = 0, len(payable)
    while low < high:
        count = (low + high + 1) // 2
        covered = cover(uses_of(earliest_of(payable, priced, count), until, since), coverage)
        low, high = (count, high) if _price(grant, covered) <= budget else (low, count - 1)
    return cover(uses_of(earliest_of(payable, priced, low), until, since), coverage)


def _is_used(price: Price | None) -> bool:
    """Whether a price is for each use, and not paid at once when the grant was issued."""
    return price is not None and price.unit != "flat"


def _price(grant: Grant, covered: Covered) -> int:
    """Microcredits that uses cost."""
    return sum(amount for _, amount in _owed(grant, covered))


def _owed(grant: Grant, covered: Covered) -> list[tuple[int, int]]:
    """Each priced asset and the microcredits its uses cost."""
    prices = [terms.price for terms in grant.terms]
    owed: list[tuple[int, int]] = []
    if not any(map(_is_used, prices)):
        return owed
    for (asset, accesses, audio_ms, _), term in zip(use_list(covered.uses), covered.terms, strict=True):
        price = prices[term]
        if price is not None and price.unit == "access":
            owed.append((asset, price.amount * accesses))
        elif price is not None and price.unit == "minute":
            owed.append((asset, price.amount * audio_ms // _MINUTE_MS))
    return owed


def _pay_uses(step: Step, grant: Grant, covered: Covered) -> int:
    """Charge priced uses to the grant's budget, which pays them all. Returns microcredits charged."""
    owed = _owed(grant, covered)
    purse = grant_purse(grant.number)
    amount = sum(value for _, value in owed)
    if amount == 0:
        return 0
    params = step.params()
    fees = take_fees(amount, params.network_fee, params.node_fee)
    step.move(purse, NETWORK, fees.network, "network-fee", grant.number, grant.grantee)
    step.move(purse, account_purse(step.signer), fees.node, "node-fee", grant.number, grant.grantee)
    for payment in allocate(fees.rest, [entry for entry in owed if entry[1]], step.transaction):
        step.move(purse, asset_purse(payment.payee), payment.amount, "access", payment.payee, grant.grantee)
    return amount


def _add_to_run(step: Step, state: SessionState, grant: Grant, covered: Covered, known: _Known) -> None:
    if state.run not in known.runs:
        known.runs[state.run] = step.stage.run(state.run)
    run = known.runs[state.run]
    if run is None or run.status != "open" or run.account != state.consumer or grant.number not in run.grants:
        return
    for page, uses in pages_of(covered.uses):
        key = number_key(b"R", run.number, page)
        step.stage.put(key, merge_uses(step.stage.get(key) or b"", uses))
    heights_key = number_key(b"H", run.number)
    heights = step.stage.get(heights_key)
    first = heights[:8] if heights is not None else step.height.to_bytes(8, "big")
    step.stage.put(heights_key, first + step.height.to_bytes(8, "big"))


def _append_to_log(step: Step, batch: Batch, unmatched: int) -> None:
    log = step.stage.log_state()
    entry = encode_entry(step.height, log.records, batch.header_bytes)
    frontier = Frontier(log.size, log.frontier)
    frontier.append(leaf_hash(entry))
    after = LogState(size=log.size + 1, records=log.records + batch.header.count, frontier=frontier.hashes)
    step.put(b"z", after)
    step.log_entries.append(entry)
    step.batch = AppliedBatch(
        node=step.signer,
        first_index=batch.header.first_index,
        count=batch.header.count,
        log_index=log.size,
        entry=entry,
        unmatched=unmatched,
    )
