"""From any access back to its session, its grant, the music behind a model, and who was paid."""

import numpy as np
import pytest
from msgspec.structs import replace

from audiera.protocol.accesses import Row, SessionOpen, session_domain
from audiera.protocol.accesses.totals import USE
from audiera.protocol.api.usage import Selection
from audiera.protocol.encoding import encode
from audiera.protocol.errors import NotFound, RequestError
from audiera.protocol.records import BaseModel, Model, Movement
from audiera.protocol.state import MemoryStore, StateView, number_key
from audiera.services.usage import UsageIndex
from tests.protocol.world import CHAIN, START
from tests.services.usage.chains import Facts, MadeUp, Market, call, follow, market, offer, register
from tests.services.usage.test_histories import access_of
from tests.services.usage.test_statements import lines_of


def call_of(*, asset: int, consumer: int = 1, grant: int = 0, session: int = 0, t: int = START, op: int = 4) -> Row:
    """A row of node 7, a call's by default."""
    return Row(
        asset=asset,
        t=t,
        consumer=consumer,
        grant=grant,
        session=session,
        bytes=1,
        units=1,
        node=7,
        policy=0,
        purpose=9,
        op=op,
    )


def test_every_access_has_a_trail(happened: Market, usage: UsageIndex, facts: list[Facts]) -> None:
    state = happened.chain.machine.view()
    node = happened.server.node.number
    lines = lines_of(happened.chain.pairs)
    for fact in facts:
        trail = usage.trail(state, node, fact.node_index)
        assert trail.access == access_of(fact)
        assert trail.transaction == fact.transaction
        assert trail.grant == (state.grant(fact.row.grant) if fact.row.grant else None)
        purse = f"grant/{fact.row.grant}"
        assert list(trail.payments) == [
            line for line in lines if line.transaction == fact.transaction and line.debit == purse
        ]
        opened = happened.server.sessions.get(fact.row.session)
        if opened is None:
            assert trail.session is None
        else:
            assert trail.session == usage.session(node, opened.number)
            stated = ("grant", "consumer", "purpose", "run", "app_key", "opened_at", "expires_at", "number", "node")
            assert [getattr(trail.session, name) for name in stated] == [getattr(opened, name) for name in stated]
        assert (trail.model is None) == (fact.op != "call")
        assert bool(trail.sources) == (fact.op == "call")
    assert sorted(fact.node_index for fact in facts) == list(range(len(facts)))
    assert any(fact.node_index != fact.index for fact in facts)


def test_the_trail_of_a_call_reaches_every_asset_of_its_base_models(
    happened: Market, usage: UsageIndex, facts: list[Facts]
) -> None:
    state = happened.chain.machine.view()
    call = next(fact for fact in facts if fact.op == "call")
    trail = usage.trail(state, happened.server.node.number, call.node_index)
    assert trail.model == state.model(happened.model)
    model, base = state.model(happened.model), state.model(happened.base)
    assert model is not None and base is not None
    creator, contributor = happened.number("creator"), happened.number("contributor")
    expected = {
        (model.runs[0], model.number, happened.shared, contributor, 4, 8_000),
        (base.runs[0], base.number, happened.priced, creator, 3, 6_000),
        (base.runs[0], base.number, happened.shared, contributor, 2, 4_000),
    }
    found = [(each.run, each.model, each.asset, each.holder, each.accesses, each.audio_ms) for each in trail.sources]
    assert set(found) == expected and len(found) == 3
    assert [each.audio_ms for each in trail.sources] == [8_000, 6_000, 4_000]
    assert sum(line.amount for line in trail.payments) == 4 * (1_000_007 + 21)


def test_a_base_model_of_two_models_is_told_once(empty: UsageIndex) -> None:
    again = market()
    chain, base = again.chain, again.base
    left, right = (register(chain, name, (), 0, base_models=(BaseModel(model=base, share=1),)) for name in "lr")
    both = (BaseModel(model=left, share=1), BaseModel(model=right, share=1))
    top = register(chain, "top", (), 0, base_models=both)
    offer(chain, again.server, top)
    call(chain, again.server, chain.grant("app", "call-model", model=top, budget=9_000_000), top)
    follow(empty, chain.pairs)
    access = empty.asset_history(top).accesses[0]
    sources = empty.trail(chain.machine.view(), access.node, access.node_index).sources
    assert [(each.model, each.asset) for each in sources] == [(base, again.priced), (base, again.shared)]


def test_of_many_sources_those_with_most_audio_are_told(empty: UsageIndex) -> None:
    chain = MadeUp()
    chain.add(chain.batch(7, [call_of(asset=5), call_of(asset=5, t=START + 1, op=1)]))
    follow(empty, chain.pairs)
    uses = np.zeros(1_005, dtype=USE)
    uses["asset"] = np.arange(1_005) + 100
    uses["audio_ms"] = np.arange(1_005) // 2
    lost = BaseModel(model=4, share=1)
    model = Model(
        number=5,
        id=bytes(32),
        developer=1,
        name="many",
        version="1",
        weights=bytes(32),
        runs=(3,),
        weights_root=bytes(32),
        total_weight=0,
        training_share=0,
        base_models=(lost,),
    )
    store = MemoryStore()
    store.apply([(number_key(b"R", 3, 0), uses.tobytes()), (number_key(b"m", 5), encode(model))], [])
    sources = empty.trail(StateView(store), 7, 0).sources
    by_audio = sorted(range(1_005), key=lambda place: (-(place // 2), place))[:1_000]
    assert [(each.asset, each.audio_ms) for each in sources] == [(place + 100, place // 2) for place in by_audio]
    assert {(each.run, each.model, each.holder) for each in sources} == {(3, 5, 0)}
    no_call = empty.trail(StateView(store), 7, 1)
    assert (no_call.model, no_call.sources) == (None, ())


def test_only_what_the_batch_took_from_the_budget_is_its_payment(empty: UsageIndex) -> None:
    chain = MadeUp()

    def moved(debit: str, credit: str) -> Movement:
        return Movement(debit=debit, credit=credit, amount=5, reason="access", reference=1)

    earlier, later = (chain.moved([moved("grant/3", "network")]) for _ in range(2))
    done, data = chain.batch(7, [call_of(asset=5, grant=3)])
    there_and_back = (moved("grant/4", "network"), moved("network", "grant/3"), moved("grant/3", "asset/1"))
    chain.add(earlier, (replace(done, movements=there_and_back), data), later)
    follow(empty, chain.pairs)
    payments = empty.trail(StateView(MemoryStore()), 7, 0).payments
    assert [(line.position, line.place, line.credit) for line in payments] == [(1, 2, "asset/1")]


@pytest.mark.parametrize("index", [17, 10**6])
def test_an_access_not_on_the_ledger_has_no_trail(happened: Market, usage: UsageIndex, index: int) -> None:
    state = happened.chain.machine.view()
    with pytest.raises(NotFound) as refusal:
        usage.trail(state, happened.server.node.number, index)
    assert refusal.value.code == "access_not_found"
    with pytest.raises(NotFound):
        usage.trail(state, happened.server.node.number + 1, 0)


def test_a_session_nobody_opened_is_not_found(happened: Market, usage: UsageIndex) -> None:
    for number in (10**6, 2**64 - 1):
        with pytest.raises(NotFound) as refusal:
            usage.session(happened.server.node.number, number)
        assert refusal.value.code == "session_not_found"
    with pytest.raises(RequestError):
        usage.session(-1, 1)


def test_rows_that_cite_nothing_real_have_a_trail_too(empty: UsageIndex) -> None:
    """A node may record anything: a session nobody opened, a grant and a model that are not there."""
    chain = MadeUp()
    row = call_of(asset=2**64 - 1, consumer=2**64 - 2, grant=2**64 - 3, session=2**64 - 4)
    opened = SessionOpen(
        domain=session_domain(CHAIN),
        node=7,
        number=2**63 - 1,
        grant=2**64 - 5,
        consumer=2**64 - 6,
        purpose="imitate",
        policy=1,
        opened_at=1,
        expires_at=2,
        nonce=bytes(16),
        run=2**64 - 7,
        app_key=2**64 - 8,
    )
    chain.add(chain.batch(7, [row], [opened]))
    follow(empty, chain.pairs)
    trail = empty.trail(StateView(MemoryStore()), 7, 0)
    assert (trail.access.asset, trail.access.session) == (2**64 - 1, 2**64 - 4)
    assert (trail.session, trail.grant, trail.model, trail.sources, trail.payments) == (None, None, None, (), ())
    facts = empty.session(7, 2**63 - 1)
    assert (facts.grant, facts.consumer, facts.run, facts.app_key) == tuple(2**64 - each for each in (5, 6, 7, 8))
    assert empty.totals(Selection(consumer=2**64 - 2))[0].accesses == 1
