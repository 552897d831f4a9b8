"""The gate: one decision, on the committed state, and nothing more than was promised, however many ask at once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.accesses import ROW
from audiera.protocol.accesses.rows import FLAG_FAILED, OP_CALL, OP_RANGE, OP_REFUSAL, OP_WHOLE
from audiera.protocol.encoding import digest
from audiera.protocol.errors import AccessRefused, Conflict, NotFound, NotPermitted
from audiera.protocol.machine import grant_purse
from audiera.protocol.records import CallPrice, Rule
from audiera.protocol.rights import Decision
from audiera.protocol.transactions import (
    ChangeKeys,
    CloseRun,
    OpenDispute,
    OpenRun,
    PublishEndpoint,
    RevokeAppKey,
    RevokeGrant,
    WithdrawAsset,
)
from audiera.services.access import Ask, Authorization, RowFields, Session
from audiera.services.access.tallies import Promise, Tallies
from tests.services.access.house import (
    DURATION_MS,
    FREE,
    HOUR,
    SECOND,
    House,
    Rooms,
    capped,
    house_in,
    priced,
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as house:
        yield house


def ask(asset: int, *, size: int = 1_000, units: int = DURATION_MS, op: int = OP_WHOLE) -> Ask:
    return Ask(asset, op, size, units)


def refused(answer: Authorization | Decision) -> tuple[str, ...]:
    assert isinstance(answer, Decision)
    assert not answer.allowed
    return answer.reasons


def allowed(answer: Authorization | Decision) -> Authorization:
    assert isinstance(answer, Authorization), answer
    return answer


def opened(house: House, rule: Rule = FREE, **grant: object) -> tuple[Rooms, int, int, Session]:
    """Rooms, an asset under a rule, a grant of the lab's on it, and a session under that."""
    asset = house.asset(house.license(rule))
    number = house.grant(house.lab, asset, **grant)
    rooms = house.rooms()
    return rooms, asset, number, rooms.session(house.lab, number)


# ---------------------------------------------------------------- sessions


def test_a_session_opens_under_its_consumers_signature(house: House) -> None:
    rooms, asset, grant, session = opened(house)
    assert rooms.gate.session(session.number) is session
    assert session.coverage == {asset: (DURATION_MS, 0)}
    row = allowed(rooms.gate.authorize(session, ask(asset))).fields
    assert row == RowFields(
        asset=asset,
        consumer=house.lab.number,
        grant=grant,
        session=session.number,
        bytes=1_000,
        units=DURATION_MS,
        policy=1,
        purpose=4,
        op=OP_WHOLE,
    )
    assert (session.rows, session.bytes) == (1, 1_000)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"domain": "audiera/other/session/1"}, "session_invalid"),
        ({"node": 99}, "session_invalid"),
        ({"nonce": b"short"}, "session_invalid"),
        ({"opened_at": 0}, "session_invalid"),
        ({"expires_at": 2**62}, "session_invalid"),
        ({"consumer": 999}, "unknown_account"),
        ({"grant": 9_999}, "unknown_object"),
        ({"run": 999}, "wrong_run"),
        ({"number": 1}, "session_number_stale"),
        ({"number": 1_000}, "session_number_stale"),
    ],
)
def test_an_opening_that_is_not_in_order_is_refused(house: House, changes: dict[str, object], code: str) -> None:
    rooms, _, grant, _ = opened(house)
    opening = rooms.opening(house.lab, grant, **changes)
    with pytest.raises((NotPermitted, NotFound, Conflict)) as error:
        rooms.gate.open(opening)
    assert error.value.code == code


def test_an_opening_signed_by_another_or_changed_after_signing_is_refused(house: House) -> None:
    rooms, _, grant, _ = opened(house)
    with pytest.raises(NotPermitted) as stranger:
        rooms.gate.open(rooms.opening(house.rival, grant, consumer=house.lab.number))
    assert stranger.value.code == "wrong_key"
    opening = rooms.opening(house.lab, grant)
    with pytest.raises(NotPermitted) as altered:
        rooms.gate.open(replace(opening, nonce=bytes(16)))
    assert altered.value.code == "session_invalid"
    rooms.gate.open(opening)


def test_anothers_grant_and_another_purpose_open_nothing(house: House) -> None:
    rooms, _, grant, _ = opened(house)
    for who, changes, reason in (
        (house.rival, {}, "grant-other-account"),
        (house.lab, {"purpose": "imitate"}, "grant-other-purpose"),
    ):
        with pytest.raises(AccessRefused) as error:
            rooms.gate.open(rooms.opening(who, grant, **changes))
        assert error.value.values["reasons"] == (reason,)


def test_session_numbers_are_used_once_and_in_order(house: House) -> None:
    rooms, _, grant, first = opened(house)
    second, third = rooms.opening(house.lab, grant), rooms.opening(house.lab, grant)
    rooms.gate.open(third)
    for opening in (second, third):
        with pytest.raises(Conflict) as error:
            rooms.gate.open(opening)
        assert error.value.code == "session_number_stale"
    assert third.number == first.number + 2


def test_a_run_must_be_open_the_consumers_and_under_the_grant(house: House) -> None:
    rooms, _, grant, _ = opened(house)
    run = house.do(house.lab, OpenRun(grants=(grant,))).number
    assert rooms.session(house.lab, grant, run=run).opening.run == run
    house.do(house.lab, CloseRun(run=run))
    with pytest.raises(Conflict) as error:
        rooms.gate.open(rooms.opening(house.lab, grant, run=run))
    assert error.value.code == "run_closed"


def test_a_session_that_is_over_is_gone_and_refused(house: House) -> None:
    rooms, asset, _, session = opened(house)
    allowed(rooms.gate.authorize(session, ask(asset)))
    house.clock.advance(HOUR - 1)
    allowed(rooms.gate.authorize(session, ask(asset)))
    house.clock.advance(1)
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("session-expired",)
    assert rooms.gate.repeat(session, ask(asset)).reasons == ("session-expired",)
    with pytest.raises(NotFound) as error:
        rooms.gate.session(session.number)
    assert error.value.code == "session_not_open"


def test_sessions_that_are_over_are_forgotten_when_there_are_many(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiera.services.access.gate._REMEMBERED_SESSIONS", 3)
    rooms, _, grant, first = opened(house)
    rooms.session(house.lab, grant)
    rooms.session(house.lab, grant)
    house.clock.advance(2 * HOUR)
    last = rooms.session(house.lab, grant)
    assert set(rooms.gate._sessions) == {last.number}
    assert first.number not in rooms.gate._sessions


# ---------------------------------------------------------------- what the ledger says


def test_a_revoked_grant_refuses_from_its_block_on(house: House) -> None:
    rooms, asset, grant, session = opened(house)
    allowed(rooms.gate.authorize(session, ask(asset)))
    house.do(house.lab, RevokeGrant(grant=grant))
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("grant-revoked",)
    assert rooms.gate.repeat(session, ask(asset)).reasons == ("grant-revoked",)
    with pytest.raises(AccessRefused):
        rooms.gate.open(rooms.opening(house.lab, grant))


def test_a_session_ends_with_the_key_that_signed_it(house: House) -> None:
    rooms, asset, _, session = opened(house)
    allowed(rooms.gate.authorize(session, ask(asset)))
    other = keys.public_key(digest(b"another key"))
    house.do(house.lab, ChangeKeys(control_keys=(other,), device_keys=()))
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("key-removed",)
    assert rooms.gate.repeat(session, ask(asset)).reasons == ("key-removed",)


def test_an_asset_withdrawn_or_contested_refuses_from_its_block_on(house: House) -> None:
    rooms, asset, _, session = opened(house)
    allowed(rooms.gate.authorize(session, ask(asset)))
    house.do(house.rival, OpenDispute(asset=asset, evidence=bytes(32)))
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("asset-contested",)
    house.do(house.creator, WithdrawAsset(asset=asset))
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("asset-withdrawn",)


def test_assets_outside_the_grant_and_unknown_ones_are_refused(house: House) -> None:
    rooms, asset, _, session = opened(house)
    other = house.asset(house.license(FREE))
    assert refused(rooms.gate.authorize(session, ask(other))) == ("not-covered",)
    assert refused(rooms.gate.authorize(session, ask(9_999))) == ("asset-unknown",)
    assert session.rows == 0
    allowed(rooms.gate.authorize(session, ask(asset)))


def test_a_grants_end_refuses_although_no_block_was_made(house: House) -> None:
    until = house.clock() + 60 * SECOND
    rooms, asset, _, session = opened(house, valid_until=until)
    height = house.ledger.head().height
    allowed(rooms.gate.authorize(session, ask(asset)))
    house.clock.at = until
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("grant-expired",)
    assert house.ledger.head().height == height


def test_a_rule_that_begins_to_deny_does_so_although_no_block_was_made(house: House) -> None:
    """A decision is kept while the ledger stands still, but not beyond the moments its license speaks of."""
    at = house.clock() + 60 * SECOND
    denial = Rule(purpose="train-generative", verdict="deny", valid_from=at)
    asset = house.asset(house.license(FREE, denial))
    rooms = house.rooms()
    session = rooms.session(house.lab, house.grant(house.lab, asset))
    height = house.ledger.head().height
    allowed(rooms.gate.authorize(session, ask(asset)))
    house.clock.at = at - 1
    allowed(rooms.gate.authorize(session, ask(asset)))
    house.clock.at = at
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("denied",)
    assert house.ledger.head().height == height


def test_a_clock_that_was_set_back_stretches_nothing(house: House) -> None:
    until = house.clock() + 60 * SECOND
    rooms, asset, _, session = opened(house, valid_until=until)
    house.clock.at = until
    house.license(FREE)  # a block at that moment
    house.clock.at = until - 30 * SECOND
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("grant-expired",)


# ---------------------------------------------------------------- caps, budgets, credit


def test_a_cap_counts_what_the_ledger_has_not_seen(house: House) -> None:
    rooms, asset, _, session = opened(house, capped(accesses=3, bytes=2_500))
    allowed(rooms.gate.authorize(session, ask(asset)))
    allowed(rooms.gate.authorize(session, ask(asset)))
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("cap-bytes",)
    allowed(rooms.gate.authorize(session, ask(asset, size=500, op=OP_RANGE)))
    assert refused(rooms.gate.authorize(session, ask(asset, size=0))) == ("cap-accesses",)


def test_minutes_are_reserved_rounded_up(house: House) -> None:
    house.fund(house.lab, 1_000)
    rooms, asset, _, session = opened(house, priced("minute", 100), budget=10)
    charges = [allowed(rooms.gate.authorize(session, ask(asset, units=units))).charge for units in (2_000, 1, 600)]
    assert charges == [4, 1, 1]  # 3.33, 0.001 and exactly 1 of a hundred a minute
    assert refused(rooms.gate.authorize(session, ask(asset, units=6_000))) == ("budget-used-up",)


def test_a_flat_price_was_paid_and_reserves_nothing(house: House) -> None:
    house.fund(house.lab, 1_000)
    rooms, asset, _, session = opened(house, priced("flat", 100), max_price=100)
    assert allowed(rooms.gate.authorize(session, ask(asset))).charge == 0


def test_a_batch_releases_what_its_own_rows_reserved_and_no_more(house: House) -> None:
    """A cheap row on the ledger must not release part of what a dear one, still on its way, will cost."""
    house.fund(house.lab, 1_000)
    cheap, dear = house.asset(house.license(priced("access", 1))), house.asset(house.license(priced("access", 99)))
    grant = house.grant(house.lab, cheap, dear, budget=100)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant)

    async def run() -> None:
        async with rooms.sealing():
            await rooms.meter.record(allowed(rooms.gate.authorize(session, ask(cheap))).fields)
            rooms.file.hold()
            on_its_way = asyncio.create_task(
                rooms.meter.record(allowed(rooms.gate.authorize(session, ask(dear))).fields)
            )
            await rooms.sealer.flush(1)
            assert house.ledger.state().balance(grant_purse(grant)) == 99
            assert refused(rooms.gate.authorize(session, ask(cheap))) == ("budget-used-up",)
            rooms.file.release()
            await on_its_way
            await rooms.sealer.flush()

    asyncio.run(run())
    assert house.ledger.state().balance(grant_purse(grant)) == 0
    assert house.ledger.state().grant_usage(grant).spent == 100


@pytest.mark.parametrize("rule", [capped(accesses=60), capped(bytes=60_000), priced("access", 7)])
def test_a_thousand_at_once_never_exceed_a_cap_or_budget(house: House, rule: Rule) -> None:
    house.fund(house.lab, 1_000)
    rooms, asset, grant, session = opened(house, rule, budget=420 if rule.price else 0)
    granted: list[int] = []

    async def one() -> None:
        for _ in range(3):
            answer = rooms.gate.authorize(session, ask(asset))
            if isinstance(answer, Authorization):
                granted.append((await rooms.meter.record(answer.fields)).index)
            await asyncio.sleep(0)

    async def run() -> None:
        async with rooms.sealing():
            await asyncio.gather(*(one() for _ in range(400)))
            await rooms.sealer.flush()
            assert not isinstance(rooms.gate.authorize(session, ask(asset)), Authorization)

    asyncio.run(run())
    usage = house.ledger.state().grant_usage(grant)
    assert sorted(granted) == list(range(60))
    assert (usage.accesses, usage.bytes, usage.spent) == (60, 60_000, 420 if rule.price else 0)
    assert house.ledger.state().balance(grant_purse(grant)) == 0


def test_a_restart_still_counts_what_the_ledger_lacks(house: House) -> None:
    house.fund(house.lab, 1_000)
    rooms, asset, grant, session = opened(house, priced("access", 40), budget=100)

    async def one(rooms: Rooms, session: Session) -> bool:
        answer = rooms.gate.authorize(session, ask(asset))
        if isinstance(answer, Authorization):
            await rooms.meter.record(answer.fields)
        return isinstance(answer, Authorization)

    assert asyncio.run(one(rooms, session))
    rooms = house.restart()
    session = rooms.session(house.lab, grant)
    assert asyncio.run(one(rooms, session))
    assert not asyncio.run(one(rooms, session))
    rooms = house.restart()
    session = rooms.session(house.lab, grant)
    assert not asyncio.run(one(rooms, session))

    async def seal() -> None:
        async with rooms.sealing():
            await rooms.sealer.flush()

    asyncio.run(seal())
    assert house.ledger.state().grant_usage(grant).spent == 80
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("budget-used-up",)
    assert rooms.gate._tallies.of(grant).accesses == 0


def test_a_restart_counts_bytes_under_any_number_of_grants(house: House) -> None:
    """Bytes used to be left out when a group held rows of more than 64 grants."""
    asset = house.asset(house.license(capped(bytes=1_500)))
    grants = [house.grant(house.lab, asset) for _ in range(70)]
    rooms = house.rooms()
    sessions = [rooms.session(house.lab, grant) for grant in grants]

    async def run() -> None:
        rows = [allowed(rooms.gate.authorize(session, ask(asset))).fields for session in sessions]
        await asyncio.gather(*(rooms.meter.record(row) for row in rows))

    asyncio.run(run())
    rooms = house.restart()
    session = rooms.session(house.lab, grants[5])
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("cap-bytes",)
    allowed(rooms.gate.authorize(session, ask(asset, size=500)))

    async def seal() -> None:
        async with rooms.sealing():
            await rooms.sealer.flush()

    asyncio.run(seal())
    assert all(rooms.gate._tallies.of(grant).bytes == 0 for grant in grants if grant != grants[5])


def test_the_credit_window_closes_and_a_watermark_opens_it(house: House) -> None:
    rooms, asset, _, session = opened(house)
    credit = house.ledger.state().params().credit_rows
    for _ in range(credit):
        allowed(rooms.gate.authorize(session, ask(asset)))
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("credit-window",)
    assert rooms.gate.repeat(session, ask(asset)).allowed
    assert rooms.gate.acknowledge(rooms.watermark(house.lab, session, 10)).acknowledged == 10
    assert rooms.gate.acknowledge(rooms.watermark(house.lab, session, 4)).acknowledged == 10
    for _ in range(10):
        allowed(rooms.gate.authorize(session, ask(asset)))
    assert refused(rooms.gate.authorize(session, ask(asset))) == ("credit-window",)


def test_a_watermark_that_is_not_the_consumers_word_is_refused(house: House) -> None:
    rooms, asset, _, session = opened(house)
    allowed(rooms.gate.authorize(session, ask(asset)))
    good = rooms.watermark(house.lab, session, 1)
    bad = [
        rooms.watermark(house.rival, session, 1),
        rooms.watermark(house.lab, session, 2),
        rooms.watermark(house.lab, session, 1, node=99),
        rooms.watermark(house.lab, session, 1, domain="audiera/other/watermark/1"),
        replace(good, rows=0),
        replace(good, signature=b""),
    ]
    for watermark in bad:
        with pytest.raises(NotPermitted) as error:
            rooms.gate.acknowledge(watermark)
        assert error.value.code == "watermark_invalid"
    with pytest.raises(NotFound):
        rooms.gate.acknowledge(rooms.watermark(house.lab, session, 1, session=99))
    assert session.acknowledged == 0
    rooms.gate.acknowledge(good)
    assert session.acknowledged == 1


# ---------------------------------------------------------------- application keys and calls


def call_ask(model: int, seconds: int = 0) -> Ask:
    return Ask(model, OP_CALL, 0, seconds)


def test_a_call_is_decided_by_its_grant_and_endpoint(house: House) -> None:
    house.fund(house.lab, 1_000)
    model, other = house.model(), house.model()
    rooms = house.rooms()
    session = rooms.session(house.lab, house.call_grant(house.lab, model, 100), purpose="call-model")
    assert allowed(rooms.gate.authorize(session, call_ask(model, 5))).charge == 15
    assert refused(rooms.gate.authorize(session, call_ask(other))) == ("not-covered",)
    assert refused(rooms.gate.authorize(session, call_ask(model, 76))) == ("budget-used-up",)
    price = CallPrice(version=2, per_call=1)
    house.do(house.creator, PublishEndpoint(model=model, node=house.node.number, price=price, active=False))
    assert refused(rooms.gate.authorize(session, call_ask(model))) == ("model-inactive",)


def test_a_call_that_took_less_gives_the_rest_back_and_a_failed_one_all(house: House) -> None:
    house.fund(house.lab, 1_000)
    model = house.model()
    grant = house.call_grant(house.lab, model, 100)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant, purpose="call-model")
    first = allowed(rooms.gate.authorize(session, call_ask(model, 80)))
    assert refused(rooms.gate.authorize(session, call_ask(model, 1))) == ("budget-used-up",)
    rooms.gate.finish(first, first.fields._replace(units=2, bytes=50), 12)
    second = allowed(rooms.gate.authorize(session, call_ask(model, 78)))
    rooms.gate.finish(second, second.fields._replace(units=0, flags=FLAG_FAILED), 0)
    allowed(rooms.gate.authorize(session, call_ask(model, 78)))
    assert rooms.gate._tallies.of(grant).bytes == 50


def test_calls_that_end_in_another_order_than_they_began_release_their_own(house: House) -> None:
    house.fund(house.lab, 10_000)
    model = house.model()
    grant = house.call_grant(house.lab, model, 1_000)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant, purpose="call-model")

    async def run() -> None:
        async with rooms.sealing():
            slow = allowed(rooms.gate.authorize(session, call_ask(model, 600)))
            quick = allowed(rooms.gate.authorize(session, call_ask(model, 100)))
            rooms.gate.finish(quick, quick.fields, 110)
            await rooms.meter.record(quick.fields)
            await rooms.sealer.flush()
            tally = rooms.gate._tallies.of(grant)
            assert (tally.accesses, tally.charges) == (1, 610)
            assert refused(rooms.gate.authorize(session, call_ask(model, 290))) == ("budget-used-up",)
            rooms.gate.finish(slow, slow.fields, 610)
            await rooms.meter.record(slow.fields)
            await rooms.sealer.flush()

    asyncio.run(run())
    assert house.ledger.state().grant_usage(grant).spent == 720


def test_an_application_key_opens_what_it_is_for_and_stops_when_it_ends(house: House) -> None:
    house.fund(house.lab, 10_000)
    model = house.model()
    grant = house.call_grant(house.lab, model, 1_000)
    key = house.app_key(house.lab, 30)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant, purpose="call-model", app_key=key)
    allowed(rooms.gate.authorize(session, call_ask(model, 5)))
    assert refused(rooms.gate.authorize(session, call_ask(model, 6))) == ("app-key-budget",)
    allowed(rooms.gate.authorize(session, call_ask(model, 5)))
    house.do(house.lab, RevokeAppKey(key=key))
    assert refused(rooms.gate.authorize(session, call_ask(model))) == ("app-key-ended",)
    with pytest.raises(NotPermitted) as error:
        rooms.gate.open(rooms.opening(house.lab, grant, purpose="call-model", app_key=key))
    assert error.value.code == "key_expired"


def test_what_is_spare_is_the_smaller_budget_less_what_is_promised(house: House) -> None:
    house.fund(house.lab, 10_000)
    model = house.model()
    grant = house.call_grant(house.lab, model, 100)
    rooms = house.rooms()
    own = rooms.session(house.lab, grant, purpose="call-model")
    keyed = rooms.session(house.lab, grant, purpose="call-model", app_key=house.app_key(house.lab, 30))
    assert (rooms.gate.spare(own), rooms.gate.spare(keyed)) == (100, 30)
    allowed(rooms.gate.authorize(keyed, call_ask(model, 5)))
    assert (rooms.gate.spare(own), rooms.gate.spare(keyed)) == (85, 15)
    allowed(rooms.gate.authorize(own, call_ask(model, 75)))
    assert (rooms.gate.spare(own), rooms.gate.spare(keyed)) == (0, 0)


def test_an_application_key_of_another_or_for_something_else_opens_nothing(house: House) -> None:
    house.fund(house.lab, 10_000)
    model = house.model()
    grant = house.call_grant(house.lab, model, 1_000)
    rooms = house.rooms()
    theirs = house.app_key(house.rival, 30)
    for number in (theirs, 999):
        with pytest.raises(NotPermitted) as error:
            rooms.gate.open(rooms.opening(house.lab, grant, purpose="call-model", app_key=number))
        assert error.value.code == "wrong_key"
    mine = house.app_key(house.lab, 30)
    training = house.grant(house.lab, house.asset(house.license(FREE)))
    with pytest.raises(NotPermitted) as error:
        rooms.gate.open(rooms.opening(house.lab, training, app_key=mine))
    assert error.value.code == "app_key_scope"
    elsewhere = house.app_key(house.lab, 30, models=(house.model(),))
    session = rooms.session(house.lab, grant, purpose="call-model", app_key=elsewhere)
    assert refused(rooms.gate.authorize(session, call_ask(model))) == ("app-key-scope",)


def test_a_keys_budget_holds_over_grants_sessions_and_a_restart(house: House) -> None:
    house.fund(house.lab, 10_000)
    model = house.model()
    grants = [house.call_grant(house.lab, model, 1_000) for _ in range(2)]
    key = house.app_key(house.lab, 35)
    rooms = house.rooms()

    async def call(rooms: Rooms, grant: int) -> bool:
        session = rooms.session(house.lab, grant, purpose="call-model", app_key=key)
        answer = rooms.gate.authorize(session, call_ask(model))
        if isinstance(answer, Authorization):
            rooms.gate.finish(answer, answer.fields, answer.charge)
            await rooms.meter.record(answer.fields)
        return isinstance(answer, Authorization)

    async def flush() -> None:
        async with rooms.sealing():
            await rooms.sealer.flush()

    assert asyncio.run(call(rooms, grants[0]))
    assert asyncio.run(call(rooms, grants[1]))
    rooms = house.restart()
    assert asyncio.run(call(rooms, grants[0]))
    assert not asyncio.run(call(rooms, grants[1]))
    asyncio.run(flush())
    key_now = house.ledger.state().app_key(key)
    assert key_now is not None
    assert key_now.spent == 30
    assert rooms.gate._tallies.of_key(key) == 0
    rooms = house.restart()
    assert not asyncio.run(call(rooms, grants[0]))


def test_a_restart_finds_the_key_of_a_session_the_ledger_has(house: House) -> None:
    house.fund(house.lab, 10_000)
    model = house.model()
    grant = house.call_grant(house.lab, model, 1_000)
    key = house.app_key(house.lab, 25)
    rooms = house.rooms()
    session = rooms.session(house.lab, grant, purpose="call-model", app_key=key)

    async def call(flags: int = 0, *, seal: bool) -> None:
        answer = allowed(rooms.gate.authorize(session, call_ask(model)))
        rooms.gate.finish(answer, answer.fields, 0 if flags else answer.charge)
        await rooms.meter.record(answer.fields._replace(flags=flags))
        if seal:
            async with rooms.sealing():
                await rooms.sealer.flush()

    asyncio.run(call(FLAG_FAILED, seal=True))
    rooms = house.restart()
    rows = np.zeros(3, dtype=ROW)
    rows["asset"], rows["grant"], rows["session"], rows["op"] = model, grant, session.number, OP_CALL
    rows["policy"] = 1
    rows["flags"][2] = FLAG_FAILED
    rooms.gate.restore(rows)
    assert rooms.gate._tallies.of_key(key) == 20
    assert rooms.gate._tallies.of(grant).accesses == 3


def test_rows_of_a_grant_or_model_nobody_knows_are_restored_at_no_charge(house: House) -> None:
    rooms = house.rooms()
    rows = np.zeros(3, dtype=ROW)
    rows["grant"] = 77
    rows["op"] = (OP_WHOLE, OP_CALL, OP_REFUSAL)
    rooms.gate.restore(rows)
    tally = rooms.gate._tallies.of(77)
    assert (tally.accesses, tally.charges) == (2, 0)
    rooms.gate.settle(rows)
    assert rooms.gate._tallies.of(77).accesses == 0
    rooms.gate.settle(rows)  # what was never promised here settles nothing


def test_a_grant_that_vanished_is_an_error_not_a_yes(house: House) -> None:
    rooms, asset, _, session = opened(house)
    session.opening = replace(session.opening, grant=999)
    with pytest.raises(NotFound):
        rooms.gate.authorize(session, ask(asset))


# ---------------------------------------------------------------- previews


def test_a_preview_needs_a_license_that_simply_allows_it(house: House) -> None:
    allow = Rule(purpose="preview", verdict="allow")
    rooms = house.rooms()
    free = house.asset(house.license(allow))
    assert rooms.gate.decide_preview(free)[0].allowed
    silent = house.asset(house.license(FREE))
    assert rooms.gate.decide_preview(silent)[0].reasons == ("no-rule",)
    on_terms = house.asset(house.license(Rule(purpose="preview", verdict="terms")))
    assert rooms.gate.decide_preview(on_terms)[0].reasons == ("needs-grant",)
    assert rooms.gate.decide_preview(9_999)[0].reasons == ("asset-unknown",)
    house.do(house.creator, WithdrawAsset(asset=free))
    assert rooms.gate.decide_preview(free)[0].reasons == ("asset-withdrawn",)


# ---------------------------------------------------------------- tallies


@given(st.data())
@settings(max_examples=60)
def test_tallies_are_the_sum_of_what_is_not_settled(data: st.DataObject) -> None:
    """Against a plain list of promises, whatever the order of reserving, entering and settling."""
    tallies = Tallies()
    reserved: list[Promise] = []
    entered: list[Promise] = []
    numbers = st.integers(1, 3)
    for _ in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(("reserve", "enter", "settle"))):
            case "reserve":
                amount = data.draw(st.integers(0, 9))
                promise = Promise(data.draw(numbers), amount * 10, amount, data.draw(st.integers(0, 2)))
                tallies.reserve(promise)
                reserved.append(promise)
            case "enter" if reserved:
                promise = reserved.pop(data.draw(st.integers(0, len(reserved) - 1)))
                final = promise._replace(charge=data.draw(st.integers(0, promise.charge)))
                tallies.enter(promise, final)
                entered.append(final)
            case _:
                count = data.draw(st.integers(0, len(entered)))
                rows = np.zeros(count + 1, dtype=ROW)
                rows["op"] = OP_WHOLE
                rows["op"][count] = OP_REFUSAL
                rows["grant"][:count] = [promise.grant for promise in entered[:count]]
                rows["grant"][count] = 1
                tallies.settle(rows)
                del entered[:count]
        open_ = reserved + entered
        for grant in (1, 2, 3):
            mine = [promise for promise in open_ if promise.grant == grant]
            tally = tallies.of(grant)
            assert (tally.accesses, tally.bytes, tally.charges) == (
                len(mine),
                sum(promise.bytes for promise in mine),
                sum(promise.charge for promise in mine),
            )
        for key in (1, 2):
            assert tallies.of_key(key) == sum(promise.charge for promise in open_ if promise.key == key)
