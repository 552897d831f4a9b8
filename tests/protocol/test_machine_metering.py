"""Batches on the real machine: what is covered counts and is paid, everything is recorded, nothing is invented."""

import pytest
from msgspec import structs

from audiera.protocol import keys
from audiera.protocol.accesses import Watermark, open_batch, sign_watermark, watermark_domain
from audiera.protocol.encoding import digest
from audiera.protocol.errors import TransactionError
from audiera.protocol.machine import settlement_claims
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.records import BaseModel, CallPrice, Caps, Clip, Interface, Params, Price, Rule, Shard, Split
from audiera.protocol.transactions import (
    AuthorizeAppKey,
    ClaimPayouts,
    CloseRun,
    IssueGrant,
    OpenDispute,
    OpenRun,
    PublishEndpoint,
    PublishSnapshot,
    RecordAccesses,
    RegisterModel,
    ReturnBudget,
    RevokeGrant,
    SettlePool,
    WithdrawAsset,
)
from tests.protocol.world import SECOND, Server, World, genesis_of, seed_of

FREE = Rule(purpose="train-generative", verdict="allow", commercial=True)
PER_ACCESS = Rule(
    purpose="train-generative", verdict="terms", commercial=True, price=Price(unit="access", amount=1_000_003)
)
PER_MINUTE = Rule(purpose="train-generative", verdict="terms", price=Price(unit="minute", amount=60_000))
FLAT = Rule(purpose="train-generative", verdict="terms", price=Price(unit="flat", amount=777_777), revenue_share=2_500)
DAY = 86_400 * SECOND


def market(**params: int) -> tuple[World, Server]:
    world = World(genesis=structs.replace(genesis_of(), params=Params(**params)))
    world.join("creator", "creator")
    world.join("contributor", "contributor")
    world.join("lab", "model-developer")
    world.join("app", "app-developer")
    for name in ("lab", "app"):
        world.fund(name, 100_000_000)
    return world, world.serve()


def usage(world: World, grant: int) -> tuple[int, int, int]:
    used = world.machine.view().grant_usage(grant)
    return used.accesses, used.bytes, used.spent


def test_a_free_access_counts_and_costs_nothing() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,), commercial=True)
    session = server.open("lab", grant)
    result = server.record(server.row(session, asset), server.row(session, asset, size=500))
    assert result.batch is not None
    assert (result.batch.count, result.batch.unmatched, result.movements) == (2, 0, ())
    assert usage(world, grant) == (2, 1_500, 0)


def test_a_priced_access_pays_network_node_and_asset_to_the_last_micro_credit() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    session = server.open("lab", grant)
    server.record(*(server.row(session, asset) for _ in range(3)))
    spent = 3 * 1_000_003
    network, node = spent * 500 // 10_000, spent * 1_000 // 10_000
    assert world.balance("network") == network
    assert world.balance(f"account/{server.node.number}") == node
    assert world.balance(f"asset/{asset}") == spent - network - node
    assert world.balance(f"grant/{grant}") == 10_000_000 - spent
    world.do("lab", ClaimPayouts(assets=(asset,)))
    assert world.balance(f"account/{world.people['creator'].number}") == spent - network - node


def test_what_the_budget_does_not_pay_does_not_count() -> None:
    """Else a licensee who runs the serving node would have everything certified for a budget of nearly nothing."""
    world, server = market()
    dear = world.asset("creator", world.license("creator", PER_ACCESS))
    free = world.asset("contributor", world.license("contributor", FREE))
    grant = world.grant("lab", "train-generative", assets=tuple(sorted((dear, free))), budget=2_500_000)
    run = world.do("lab", OpenRun(grants=(grant,))).number
    session = server.open("lab", grant, run=run)
    rows = [server.row(session, asset) for asset in (dear, free, dear, dear, free)]
    result = server.record(*rows)
    assert result.batch is not None and result.batch.unmatched == 1
    assert world.balance(f"grant/{grant}") == 2_500_000 - 2 * 1_000_003
    assert usage(world, grant) == (4, 4_000, 2 * 1_000_003)
    assert {asset: use.accesses for asset, use in world.machine.view().run_uses(run)} == {dear: 2, free: 2}
    result = server.record(server.row(session, dear), server.row(session, free))
    assert result.batch is not None and result.batch.unmatched == 1
    assert usage(world, grant)[0] == 5


def test_a_budget_for_minutes_counts_the_earliest_rows_it_pays() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_MINUTE), duration_ms=30_000)
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=75_000)
    session = server.open("lab", grant)
    result = server.record(*(server.row(session, asset, units=30_000) for _ in range(4)))
    assert result.batch is not None and result.batch.unmatched == 2  # half a minute each at 60,000 a minute
    assert usage(world, grant) == (2, 2_000, 60_000)


def test_minutes_are_charged_for_no_more_audio_than_the_asset_holds() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_MINUTE), duration_ms=30_000)
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    session = server.open("lab", grant)
    server.record(server.row(session, asset, units=30_000), server.row(session, asset, units=4_000_000))
    assert usage(world, grant)[2] == 60_000


def test_one_grant_over_licenses_with_different_prices_pays_each_its_own() -> None:
    world, server = market()
    cheap = world.asset("creator", world.license("creator", FREE))
    dear = world.asset("contributor", world.license("contributor", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=tuple(sorted((cheap, dear))), budget=5_000_000)
    session = server.open("lab", grant)
    server.record(server.row(session, cheap), server.row(session, dear))
    assert world.balance(f"asset/{cheap}") == 0
    assert usage(world, grant)[2] == 1_000_003


def test_rows_outside_the_grant_are_recorded_and_move_nothing() -> None:
    world, server = market()
    license_ = world.license("creator", PER_ACCESS)
    inside, outside = world.asset("creator", license_), world.asset("creator", license_)
    grant = world.grant("lab", "train-generative", assets=(inside,), budget=10_000_000)
    session = server.open("lab", grant)
    result = server.record(server.row(session, inside), server.row(session, outside))
    assert result.batch is not None and result.batch.unmatched == 1
    assert world.balance(f"asset/{outside}") == 0
    assert usage(world, grant)[0] == 1


def test_a_session_somebody_else_signed_pays_nobody() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    forged = server.open("lab", grant, signer="creator")
    result = server.record(server.row(forged, asset))
    assert result.batch is not None and result.batch.unmatched == 1
    assert usage(world, grant) == (0, 0, 0)


def test_refusals_and_previews_and_failed_calls_cost_nothing() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    session = server.open("lab", grant)
    result = server.record(server.row(session, asset, op=6), server.row(session, asset, op=1, flags=8))
    assert result.batch is not None and result.batch.unmatched == 0
    assert usage(world, grant) == (0, 0, 0)


def test_after_revocation_nothing_more_is_paid() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    session = server.open("lab", grant)
    server.record(server.row(session, asset))
    world.do("lab", RevokeGrant(grant=grant))
    late = server.record(server.row(session, asset))
    assert late.batch is not None and late.batch.unmatched == 1
    world.refused("lab", ReturnBudget(grant=grant), "too_early")
    world.time += 2 * DAY
    before = world.balance(f"account/{world.people['lab'].number}")
    world.do("lab", ReturnBudget(grant=grant))
    assert world.balance(f"account/{world.people['lab'].number}") == before + 10_000_000 - 1_000_003


def test_a_batch_is_accepted_once_and_in_order() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,))
    session = server.open("lab", grant)
    batch = server.batch([server.row(session, asset)])
    world.do("node", RecordAccesses(batch=batch))
    server.opened.clear()
    world.refused("node", RecordAccesses(batch=batch), "batch_out_of_order")
    gap = server.batch([server.row(session, asset)], first_index=7)
    world.refused("node", RecordAccesses(batch=gap), "batch_out_of_order")
    stranger = server.batch([server.row(session, asset)], prev_header_hash=digest(b"other"))
    world.refused("node", RecordAccesses(batch=stranger), "batch_out_of_order")
    forged = server.batch([server.row(session, asset)], sign=lambda m: keys.sign_bytes(seed_of("lab"), m))
    world.refused("node", RecordAccesses(batch=forged), "batch_signature_invalid")
    world.refused("lab", RecordAccesses(batch=batch), "not_permitted")
    assert usage(world, grant)[0] == 1


def test_rows_keep_to_block_time_unless_marked_late() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,))
    session = server.open("lab", grant)
    world.time += 3_600 * SECOND
    early = world.time - 1_800 * SECOND
    ahead = server.batch([server.row(session, asset)], t=world.time + 60 * SECOND)
    world.refused("node", RecordAccesses(batch=ahead), "row_time_invalid")
    unmarked = server.batch([server.row(session, asset)], t=early)
    world.refused("node", RecordAccesses(batch=unmarked), "row_time_invalid")
    result = server.record(server.row(session, asset, flags=1), t=early)
    assert result.batch is not None and result.batch.unmatched == 0


def test_rows_older_than_a_day_are_recorded_but_not_paid() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    session = server.open("lab", grant)
    world.time += 3 * DAY
    result = server.record(server.row(session, asset, flags=1), t=world.time - 2 * DAY)
    assert result.batch is not None and result.batch.unmatched == 1
    assert usage(world, grant) == (0, 0, 0)


def test_watermarks_are_entered_only_when_the_consumer_signed_them() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,))
    session = server.open("lab", grant)
    server.record(server.row(session, asset))
    for signer, expected in (("creator", 0), ("lab", 1)):
        mark = Watermark(
            domain=watermark_domain("test"), node=server.node.number, session=session, rows=1, bytes=1_000, t=world.time
        )
        server.marks.append(sign_watermark(seed_of(signer), mark))
        server.record(server.row(session, asset))
        state = world.machine.view().session(server.node.number, session)
        assert state is not None and state.acknowledged == expected


def test_rows_past_the_credit_count_only_once_they_are_acknowledged() -> None:
    world, server = market(credit_rows=3)
    asset = world.asset("creator", world.license("creator", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=50_000_000)
    session = server.open("lab", grant)

    def read(count: int) -> int:
        result = server.record(*(server.row(session, asset) for _ in range(count)))
        assert result.batch is not None
        return result.batch.unmatched

    def acknowledge(rows: int) -> None:
        mark = Watermark(
            domain=watermark_domain("test"), node=server.node.number, session=session, rows=rows, bytes=0, t=world.time
        )
        server.marks.append(sign_watermark(seed_of("lab"), mark))

    assert read(5) == 2  # the node says five, and nobody confirms more than the credit
    assert usage(world, grant)[0] == 3
    assert read(1) == 1
    acknowledge(6)
    assert read(4) == 1
    assert usage(world, grant)[0] == 6


def test_the_access_log_commits_to_every_batch() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,))
    session = server.open("lab", grant)
    entries = []
    for count in (1, 3, 2):
        result = server.record(*(server.row(session, asset) for _ in range(count)))
        assert result.batch is not None
        entries.append(result.batch.entry)
    log = world.machine.view().log()
    assert (log.size, log.records) == (3, 6)
    assert log.root == tree_root([leaf_hash(entry) for entry in entries])
    assert world.replay() == world.machine.app_hash


def trained(world: World, server: Server, assets: tuple[int, ...], **grant_fields: object) -> tuple[int, int]:
    """A run over the assets, twice the first one, and a model made of it."""
    grant = world.grant("lab", "train-generative", assets=tuple(sorted(assets)), **grant_fields)
    run = world.do("lab", OpenRun(grants=(grant,))).number
    session = server.open("lab", grant, run=run)
    server.record(*(server.row(session, asset) for asset in (*assets, assets[0])))
    world.do("lab", CloseRun(run=run))
    return grant, run


def model_of(world: World, runs: tuple[int, ...], share: int, **fields: object) -> int:
    body = RegisterModel(
        name="texture",
        version="1.0",
        weights=bytes(32),
        runs=runs,
        training_share=share,
        interface=Interface(task="generation", accepts=("application/json",), returns=("audio/wav",)),
        **fields,  # type: ignore[arg-type]
    )
    return world.do("lab", body).number


def test_a_certificate_says_what_the_log_shows() -> None:
    world, server = market()
    license_ = world.license("creator", FREE)
    assets = tuple(world.asset("creator", license_) for _ in range(3))
    _, run = trained(world, server, assets)
    record = world.machine.view().run(run)
    assert record is not None and record.certificate is not None
    certificate = record.certificate
    assert (certificate.assets, certificate.accesses, certificate.audio_ms, certificate.bytes) == (3, 4, 8_000, 4_000)
    assert certificate.first_height == certificate.last_height > 0
    assert certificate.total_weight == 8_000 * 10_000


def test_nothing_joins_a_closed_run() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant, run = trained(world, server, (asset,))
    session = server.open("lab", grant, run=run)
    server.record(server.row(session, asset))
    record = world.machine.view().run(run)
    assert record is not None and record.certificate is not None and record.certificate.accesses == 2
    assert sum(use.accesses for _, use in world.machine.view().run_uses(run)) == 2


def test_a_model_owes_its_training_data_what_the_licenses_ask() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FLAT))
    _, run = trained(world, server, (asset,), max_price=1_000_000)
    body = RegisterModel(
        name="texture",
        version="1.0",
        weights=bytes(32),
        runs=(run,),
        training_share=2_499,
        interface=Interface(task="generation", accepts=(), returns=()),
    )
    world.refused("lab", body, "share_too_small")
    assert model_of(world, (run,), 2_500)


def test_a_cap_on_models_holds() -> None:
    world, server = market()
    rule = Rule(purpose="train-generative", verdict="allow", caps=Caps(models=1))
    asset = world.asset("creator", world.license("creator", rule))
    _, run = trained(world, server, (asset,))
    model_of(world, (run,), 0)
    body = RegisterModel(
        name="second",
        version="1.0",
        weights=bytes(32),
        runs=(run,),
        training_share=0,
        interface=Interface(task="generation", accepts=(), returns=()),
    )
    world.refused("lab", body, "cap_models")


def test_a_call_is_shared_down_the_lineage_and_settles_exactly() -> None:
    world, server = market()
    owners = {"creator": world.license("creator", FREE), "contributor": world.license("contributor", FREE)}
    mine = world.asset("creator", owners["creator"])
    shared = world.asset(
        "contributor",
        owners["contributor"],
        splits=(
            Split(account=world.people["creator"].number, share=3_333),
            Split(account=world.people["contributor"].number, share=6_667),
        ),
    )
    _, run = trained(world, server, (mine, shared))
    model = model_of(world, (run,), 3_000)
    price = CallPrice(version=1, per_call=1_000_001, per_audio_second=7)
    world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=price))
    grant = world.grant("app", "call-model", model=model, budget=50_000_000)
    session = server.open("app", grant)
    calls = [server.row(session, model, op=4, units=3) for _ in range(5)]
    failed = server.row(session, model, op=4, units=3, flags=8)
    result = server.record(*calls, failed)
    charged = 5 * (1_000_001 + 7 * 3)
    assert result.batch is not None and result.batch.unmatched == 0
    assert usage(world, grant)[2] == charged
    network, node = charged * 500 // 10_000, charged * 1_000 // 10_000
    rest = charged - network - node
    pool = rest * 3_000 // 10_000
    assert world.balance(f"model/{model}") == pool
    settlement = world.do("app", SettlePool(model=model)).number
    record = world.machine.view().settlement(settlement)
    assert record is not None and (record.amount, record.assets) == (pool, 2)
    claims = settlement_claims(world.machine.view(), record)
    assert {claim.asset: claim.weight for claim in claims} == {mine: 40_000_000, shared: 20_000_000}
    before = {name: world.balance(f"account/{world.people[name].number}") for name in owners}
    for claim in claims:
        world.do("creator", ClaimPayouts(settlements=(claim,)))
        world.refused("creator", ClaimPayouts(settlements=(claim,)), "claimed_before")
    gained = {name: world.balance(f"account/{world.people[name].number}") - before[name] for name in owners}
    assert sum(gained.values()) == pool
    assert world.balance(f"settlement/{settlement}") == 0
    assert gained["creator"] > gained["contributor"] > 0
    assert world.replay() == world.machine.app_hash


def test_an_altered_claim_is_refused() -> None:
    world, server = market()
    license_ = world.license("creator", FREE)
    assets = tuple(world.asset("creator", license_) for _ in range(3))
    _, run = trained(world, server, assets)
    model = model_of(world, (run,), 5_000)
    world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=CallPrice(version=1, per_call=999)))
    session = server.open("app", world.grant("app", "call-model", model=model, budget=10_000))
    server.record(server.row(session, model, op=4, units=0))
    settlement = world.machine.view().settlement(world.do("app", SettlePool(model=model)).number)
    assert settlement is not None
    claim = settlement_claims(world.machine.view(), settlement)[1]
    import msgspec

    for change in ({"weight": claim.weight + 1}, {"before": claim.before + 1}, {"index": 0}, {"path": claim.path[:-1]}):
        altered = msgspec.structs.replace(claim, **change)
        world.refused("creator", ClaimPayouts(settlements=(altered,)), "claim_unproved")


def test_a_base_model_takes_its_share_first() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    _, run = trained(world, server, (asset,))
    base = model_of(world, (run,), 5_000)
    model = model_of(world, (), 0, base_models=(BaseModel(model=base, share=4_000),))
    world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=CallPrice(version=1, per_call=10_000)))
    session = server.open("app", world.grant("app", "call-model", model=model, budget=10_000))
    server.record(server.row(session, model, op=4, units=0))
    rest = 10_000 - 500 - 1_000
    assert world.balance(f"model/{base}") == rest * 4_000 // 10_000 // 2


def test_a_call_is_charged_by_the_list_it_was_quoted_by() -> None:
    world, server = market()
    model = model_of(world, (), 0)

    def publish(version: int, per_call: int) -> None:
        price = CallPrice(version=version, per_call=per_call)
        world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=price))

    publish(1, 1_000)
    grant = world.grant("app", "call-model", model=model, budget=100_000)
    session = server.open("app", grant)
    quoted = world.time
    publish(2, 9_000)
    world.time += 1_000_000
    result = server.record(
        server.row(session, model, op=4, units=0, policy=1),
        server.row(session, model, op=4, units=0, policy=2),
        server.row(session, model, op=4, units=0, policy=3),
        t=quoted + 1,
    )
    assert result.batch is not None and result.batch.unmatched == 1  # there is no third list
    assert usage(world, grant)[2] == 1_000 + 9_000
    world.time += 3 * 120_000_000
    late = server.record(server.row(session, model, op=4, units=0, policy=1), t=world.time)
    assert late.batch is not None and late.batch.unmatched == 1  # a list that ended charges no later call
    assert usage(world, grant)[2] == 10_000


def test_an_application_key_spends_no_more_than_its_budget() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    _, run = trained(world, server, (asset,))
    model = model_of(world, (run,), 0)
    world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=CallPrice(version=1, per_call=1_000)))
    key = world.do("app", AuthorizeAppKey(key_hash=bytes(32), budget=1_500, expires_at=world.time + DAY)).number
    grant = world.grant("app", "call-model", model=model, budget=10_000)
    session = server.open("app", grant, app_key=key)
    server.record(server.row(session, model, op=4, units=0), server.row(session, model, op=4, units=0))
    record = world.machine.view().app_key(key)
    assert record is not None and record.spent == 1_500
    assert world.balance(f"grant/{grant}") == 8_500


def test_an_application_key_opens_nothing_but_what_it_is_for() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    _, run = trained(world, server, (asset,))
    first, second = model_of(world, (run,), 0), model_of(world, (), 0)
    for model in (first, second):
        price = CallPrice(version=1, per_call=1_000)
        world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=price))
    expires_at = world.time + DAY
    body = AuthorizeAppKey(key_hash=bytes(32), budget=9_000, expires_at=expires_at, models=(first,))
    key = world.do("app", body).number
    training = server.open("app", world.grant("app", "train-generative", assets=(asset,)), app_key=key)
    other = server.open("app", world.grant("app", "call-model", model=second, budget=10_000), app_key=key)
    result = server.record(server.row(training, asset), server.row(other, second, op=4, units=0))
    assert result.batch is not None and result.batch.unmatched == 2
    world.time = expires_at
    late = server.open("app", world.grant("app", "call-model", model=first, budget=10_000), app_key=key)
    result = server.record(server.row(late, first, op=4, units=0))
    assert result.batch is not None and result.batch.unmatched == 1
    record = world.machine.view().app_key(key)
    assert record is not None and record.spent == 0


def test_flat_prices_are_paid_at_once_and_bounded_by_the_offer() -> None:
    world, _ = market()
    asset = world.asset("creator", world.license("creator", FLAT))
    result = world.refused(
        "lab", IssueGrant(purpose="train-generative", assets=(asset,), max_price=777_776), "price_too_high"
    )
    assert result.reasons == ("price-too-high",)
    world.grant("lab", "train-generative", assets=(asset,), max_price=777_777)
    network = 777_777 * 500 // 10_000
    assert world.balance(f"asset/{asset}") == 777_777 - network
    assert world.balance("network") == network


def test_a_snapshot_binds_clips_to_registered_bytes() -> None:
    world, server = market()
    license_ = world.license("creator", FREE)
    assets = [world.asset("creator", license_) for _ in range(3)]
    view = world.machine.view()
    clips = [
        Clip(asset=asset, blob=view.asset(asset).content.blob, start_ms=0, duration_ms=2_000)  # type: ignore[union-attr]
        for asset in assets
    ]
    body = PublishSnapshot(shards=(Shard(clips=tuple(clips[:2])), Shard(clips=tuple(clips[2:]))))
    snapshot = world.do("contributor", body).number
    record = world.machine.view().snapshot(snapshot)
    assert record is not None and (record.clip_count, record.audio_ms) == (3, 6_000)
    wrong = Clip(asset=assets[0], blob=bytes(32), start_ms=0, duration_ms=1)
    world.refused("contributor", PublishSnapshot(shards=(Shard(clips=(wrong,)),)), "wrong_state")
    grant = world.grant("lab", "train-generative", snapshot=snapshot)
    session = server.open("lab", grant)
    assert server.record(*(server.row(session, asset) for asset in assets)).batch.unmatched == 0  # type: ignore[union-attr]


def test_one_refusing_license_refuses_the_whole_grant_with_its_asset_named() -> None:
    world, _ = market()
    fine = world.asset("creator", world.license("creator", FREE))
    never = world.asset("contributor", world.license("contributor", Rule(purpose="train-generative", verdict="deny")))
    result = world.refused(
        "lab", IssueGrant(purpose="train-generative", assets=tuple(sorted((fine, never)))), "access_refused"
    )
    assert result.reasons == ("denied",)
    assert f"asset {never}" in result.message


def test_a_holder_ends_grants_on_a_withdrawn_asset() -> None:
    world, _ = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,))
    world.refused("creator", RevokeGrant(grant=grant), "not_permitted")
    world.do("creator", WithdrawAsset(asset=asset))
    world.do("creator", RevokeGrant(grant=grant))
    assert world.machine.view().grant(grant).status == "revoked"  # type: ignore[union-attr]


def test_contested_earnings_wait() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PER_ACCESS))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    session = server.open("lab", grant)
    server.record(server.row(session, asset))
    world.do("contributor", OpenDispute(asset=asset, evidence=bytes(32)))
    world.refused("creator", ClaimPayouts(assets=(asset,)), "wrong_state")


def test_a_batch_of_another_chain_is_refused() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    session = server.open("lab", world.grant("lab", "train-generative", assets=(asset,)))
    batch = server.batch([server.row(session, asset)])
    with pytest.raises(TransactionError):
        open_batch(batch, chain_id="other")
