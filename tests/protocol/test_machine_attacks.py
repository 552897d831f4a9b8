"""What somebody would send who wants to stop the validators, or have what is not theirs; the machine's answers."""

import numpy as np
import pytest
from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.accesses import array_of
from audiera.protocol.accesses.totals import USE, merge_uses, unpack_uses, uses_of
from audiera.protocol.encoding import digest, encode
from audiera.protocol.errors import RecordError, TransactionError
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.records import BaseModel, CallPrice, GrantUsage, Interface, Params, Price, Rule, Split, Terms
from audiera.protocol.state import number_key
from audiera.protocol.transactions import (
    AnswerGrant,
    AuthorizeAppKey,
    Body,
    ChangeKeys,
    ChangePayout,
    ClaimPayouts,
    CloseRun,
    CommitRegistrations,
    CreateAccount,
    DepositCredits,
    Envelope,
    IssueGrant,
    OpenDispute,
    OpenRun,
    PublishEndpoint,
    PublishLicense,
    RecordAccesses,
    RegisterAsset,
    RegisterModel,
    ReturnBudget,
    RevokeAppKey,
    RevokeGrant,
    SettlePool,
    TransferAsset,
    UndoKeyChange,
    VoteDispute,
    WithdrawAsset,
    WithdrawCredits,
    commitment_leaf,
    domain,
    sign_transaction,
)
from tests.protocol.world import CHAIN, SECOND, Server, World, content_of, genesis_of, seed_of

HOUR = 3_600 * SECOND
FREE = Rule(purpose="train-generative", verdict="allow", commercial=True)


# ---------------------------------------------------------------- numbers that cannot be


NEGATIVE: tuple[Body, ...] = (
    WithdrawAsset(asset=-1),
    TransferAsset(asset=-1, to=1),
    OpenDispute(asset=-1, evidence=bytes(32)),
    VoteDispute(dispute=-1, for_claimant=True),
    AnswerGrant(grant=-1, agree=True),
    RevokeGrant(grant=-1),
    ReturnBudget(grant=-1),
    OpenRun(grants=(-1,)),
    CloseRun(run=-1),
    SettlePool(model=-1),
    RevokeAppKey(key=-1),
    IssueGrant(purpose="evaluate", assets=(1,), snapshot=-1),
    IssueGrant(purpose="evaluate", assets=(1,), model=-1),
    AuthorizeAppKey(key_hash=bytes(32), budget=1, expires_at=2**62, models=(-(2**63),)),
)


@pytest.mark.parametrize("body", NEGATIVE, ids=lambda body: type(body).__name__)
def test_a_number_below_zero_fails_its_transaction_and_not_the_validator(body: Body) -> None:
    world = World()
    world.join("moderator")
    assert world.attempt("moderator", body).code == "record_invalid"
    assert world.replay() == world.machine.app_hash


def test_a_transaction_of_an_account_below_zero_is_not_let_in() -> None:
    world = World()
    person = world.join("a")
    envelope = Envelope(domain=domain(CHAIN), account=-3, sequence=1, key=person.key, body=WithdrawAsset(asset=1))
    signed = sign_transaction(person.seed, envelope)
    with pytest.raises(TransactionError) as refused:
        world.machine.check(signed)
    assert refused.value.code == "record_invalid"
    assert not world.machine.process([signed])
    assert world.block(signed)[0].code == "record_invalid"


def test_nothing_stands_under_a_number_that_cannot_be() -> None:
    for number in (-1, 2**64):
        with pytest.raises(RecordError):
            number_key(b"a", number)


# ---------------------------------------------------------------- sums beyond 64 bits


def market(**params: int) -> tuple[World, Server]:
    world = World(genesis=replace(genesis_of(), params=Params(**params)))
    for name in ("moderator", "creator", "contributor", "lab", "app"):
        world.join(name)
    for name in ("lab", "app"):
        world.fund(name, 100_000_000)
    return world, world.serve()


def test_bytes_a_node_claims_stop_counting_where_64_bits_end() -> None:
    """128 full batches of rows of a terabyte each reach 2^64; the batch after them stopped the validators."""
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,))
    run = world.do("lab", OpenRun(grants=(grant,))).number
    session = server.open("lab", grant, run=run)
    server.record(server.row(session, asset, size=2**40 - 1))
    used = array_of([server.row(session, asset)] * 2)
    page = merge_uses(b"", uses_of(used, 0, 0))
    full = merge_uses(page, np.array([(asset, 2**62, 2_000, 2**62)], dtype=USE))
    reached = encode(GrantUsage(accesses=2**40, bytes=2**63 - 5, spent=0))
    world.store.apply(((number_key(b"u", grant), reached), (number_key(b"R", run, asset >> 12), full)), ())
    server.record(server.row(session, asset, size=2**40 - 1))
    assert world.machine.view().grant_usage(grant).bytes == 2**63 - 1
    world.do("lab", CloseRun(run=run))


def test_uses_of_a_run_stop_and_do_not_begin_again() -> None:
    use = np.array([(7, 1, 2**62 - 1, 2**62 - 1)], dtype=USE)
    assert unpack_uses(merge_uses(use.tobytes(), use)) == [(7, 2, 2**62, 2**62)]


def long_run(world: World, server: Server, *batches: int) -> int:
    """A run that opened a day of audio so often, under a license of the largest weight."""
    day_ms = 86_400_000
    asset = world.asset("creator", world.license("creator", FREE, share_weight=1_000_000), duration_ms=day_ms)
    grant = world.grant("lab", "train-generative", assets=(asset,))
    run = world.do("lab", OpenRun(grants=(grant,))).number
    session = server.open("lab", grant, run=run)
    for rows in batches:
        server.record(*[server.row(session, asset, units=day_ms)] * rows, t=world.time + 1)
    return run


def test_weights_beyond_64_bits_make_no_certificate_and_no_model() -> None:
    world, server = market(credit_rows=10**6)
    world.refused("lab", CloseRun(run=long_run(world, server, 110_000, 110_000)), "weights_too_large")
    runs = tuple(long_run(world, server, 110_000) for _ in range(2))
    for run in runs:
        world.do("lab", CloseRun(run=run))
    world.refused("lab", model_body(runs, 0), "weights_too_large")
    assert world.do("lab", model_body(runs[:1], 0)).number


def test_no_more_credits_are_issued_than_63_bits_hold() -> None:
    world, _ = market()
    lab = world.people["lab"].number
    for place in range(9):
        world.fund("lab", 10**18 - 100_000_000 * (place < 2))
    deposit = DepositCredits(account=lab, amount=10**18, rail="test-faucet", reference=digest(b"last"))
    world.refused("faucet", deposit, "too_many_credits")
    world.do("faucet", replace(deposit, amount=2**63 - 1 - 9 * 10**18))
    world.refused("faucet", replace(deposit, amount=1, reference=bytes(32)), "too_many_credits")


def model_body(runs: tuple[int, ...], share: int, **fields: object) -> RegisterModel:
    return RegisterModel(
        name="texture",
        version="1.0",
        weights=bytes(32),
        runs=runs,
        training_share=share,
        interface=Interface(task="generation", accepts=(), returns=()),
        **fields,  # type: ignore[arg-type]
    )


# ---------------------------------------------------------------- disputed money


PRICED = Rule(purpose="train-generative", verdict="terms", price=Price(unit="access", amount=1_000_000))
EARNED = 850_000


def earning(world: World, server: Server) -> int:
    """An asset of the creator's that earned one access."""
    asset = world.asset("creator", world.license("creator", PRICED))
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=10_000_000)
    server.record(server.row(server.open("lab", grant), asset))
    assert world.balance(f"asset/{asset}") == EARNED
    return asset


def purse(world: World, name: str) -> int:
    return world.balance(f"account/{world.people[name].number}")


def dispute_of(world: World, asset: int) -> int:
    return world.do("contributor", OpenDispute(asset=asset, evidence=bytes(32))).number


def test_withdrawing_a_disputed_asset_frees_none_of_its_earnings() -> None:
    world, server = market()
    asset = earning(world, server)
    dispute = dispute_of(world, asset)
    world.do("creator", WithdrawAsset(asset=asset))
    world.refused("creator", ClaimPayouts(assets=(asset,)), "wrong_state")
    world.do("moderator", VoteDispute(dispute=dispute, for_claimant=False))
    world.do("creator", ClaimPayouts(assets=(asset,)))
    assert purse(world, "creator") == EARNED


def test_a_won_dispute_pays_the_claimant_what_the_asset_earned() -> None:
    """The splits were the thief's own; they would have been paid all the same."""
    world, server = market()
    asset = earning(world, server)
    world.do("moderator", VoteDispute(dispute=dispute_of(world, asset), for_claimant=True))
    world.do("creator", ClaimPayouts(assets=(asset,)))
    assert (purse(world, "creator"), purse(world, "contributor")) == (0, EARNED)


def test_a_copy_found_out_later_cannot_be_withdrawn_to_be_paid() -> None:
    world, server = market()
    blob, salt, owner = digest(b"song"), digest(b"salt"), world.people["contributor"]
    leaf = leaf_hash(commitment_leaf(salt, blob, owner.number))
    early = world.do("contributor", CommitRegistrations(root=tree_root([leaf]), count=1)).number
    copy = world.asset("creator", world.license("creator", PRICED), blob=blob)
    grant = world.grant("lab", "train-generative", assets=(copy,), budget=10_000_000)
    server.record(server.row(server.open("lab", grant), copy))
    body = RegisterAsset(
        content=content_of(blob),
        splits=(Split(account=owner.number, share=10_000),),
        license=world.license("contributor", PRICED),
        commitment=early,
        salt=salt,
        index=0,
    )
    world.do("contributor", body)
    world.refused("creator", WithdrawAsset(asset=copy), "wrong_state")
    world.refused("creator", ClaimPayouts(assets=(copy,)), "wrong_state")
    world.do("moderator", VoteDispute(dispute=dispute_of(world, copy), for_claimant=True))
    world.do("contributor", ClaimPayouts(assets=(copy,)))
    assert purse(world, "contributor") == EARNED


def test_bytes_a_dispute_gave_to_an_account_cannot_be_registered_again_by_another() -> None:
    world, server = market()
    asset = earning(world, server)
    record = world.machine.view().asset(asset)
    assert record is not None
    world.do("moderator", VoteDispute(dispute=dispute_of(world, asset), for_claimant=True))
    again = world.asset("creator", record.license, blob=record.content.blob)
    own = world.asset("contributor", world.license("contributor", PRICED), blob=record.content.blob)
    states = [world.machine.view().asset(number) for number in (again, own)]
    assert [state.status for state in states if state is not None] == ["contested", "active"]


def test_a_moderator_does_not_judge_an_own_case() -> None:
    world, _ = market()
    held = world.asset("moderator", world.license("moderator", FREE))
    judge = Split(account=world.people["moderator"].number, share=1)
    others = Split(account=world.people["creator"].number, share=9_999)
    paid = world.asset("creator", world.license("creator", FREE), splits=(others, judge))
    claimed = world.asset("creator", world.license("creator", FREE))
    disputes = [dispute_of(world, held), dispute_of(world, paid)]
    disputes.append(world.do("moderator", OpenDispute(asset=claimed, evidence=bytes(32))).number)
    for dispute in disputes:
        world.refused("moderator", VoteDispute(dispute=dispute, for_claimant=True), "not_permitted")


# ---------------------------------------------------------------- application keys that ended


def calling(world: World, server: Server, *, expires_in: int = 10**12) -> tuple[int, int, int]:
    """A model of the lab's at a price per call, a grant of the app's to call it, and an application key."""
    model = world.do("lab", model_body((), 0)).number
    price = CallPrice(version=1, per_call=1_000)
    world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=price))
    body = AuthorizeAppKey(key_hash=bytes(32), budget=50_000, expires_at=world.time + expires_in)
    return model, world.grant("app", "call-model", model=model, budget=100_000), world.do("app", body).number


def spent(world: World, grant: int) -> int:
    return world.machine.view().grant_usage(grant).spent


def test_a_revoked_application_key_pays_for_no_later_call() -> None:
    """Nobody signs its sessions, so a node could go on charging, and open new ones with an older date."""
    world, server = market()
    model, grant, key = calling(world, server)
    session = server.open("app", grant, app_key=key)
    server.record(server.row(session, model, op=4, units=0))
    world.do("app", RevokeAppKey(key=key))
    world.refused("app", RevokeAppKey(key=key), "wrong_state")
    fresh = server.open("app", grant, app_key=key)
    server.opened[-1] = replace(server.opened[-1], opened_at=world.time - 100 * SECOND)
    calls = [server.row(number, model, op=4, units=0) for number in (session, fresh)]
    result = server.record(*calls)
    assert result.batch is not None and result.batch.unmatched == 2
    assert spent(world, grant) == 1_000


def test_calls_made_before_a_revocation_are_still_paid() -> None:
    world, server = market()
    model, grant, key = calling(world, server)
    session = server.open("app", grant, app_key=key)
    called_at = world.time
    world.do("app", RevokeAppKey(key=key), after=10 * SECOND)
    server.record(server.row(session, model, op=4, units=0), t=called_at)
    assert spent(world, grant) == 1_000


def test_an_expired_application_key_pays_for_no_call_of_an_open_session() -> None:
    world, server = market()
    model, grant, key = calling(world, server, expires_in=100 * SECOND)
    session = server.open("app", grant, app_key=key)
    server.record(server.row(session, model, op=4, units=0))
    world.time += 100 * SECOND
    result = server.record(server.row(session, model, op=4, units=0))
    assert result.batch is not None and result.batch.unmatched == 1
    assert spent(world, grant) == 1_000


# ---------------------------------------------------------------- grants that never began


ASKED = Rule(
    purpose="train-generative", verdict="terms", audience="request", price=Price(unit="flat", amount=1_000_000)
)


def asked(world: World) -> tuple[int, int]:
    asset = world.asset("creator", world.license("creator", ASKED))
    return asset, world.grant("lab", "train-generative", assets=(asset,), max_price=1_000_000)


def uncovered(server: Server, grant: int, asset: int, **fields: object) -> int:
    session = server.open("lab", grant)
    batch = server.record(server.row(session, asset, flags=1), **fields).batch  # type: ignore[arg-type]
    assert batch is not None
    return batch.unmatched


def test_a_declined_request_covers_nothing() -> None:
    world, server = market()
    asset, grant = asked(world)
    world.do("creator", AnswerGrant(grant=grant, agree=False))
    assert uncovered(server, grant, asset) == 1


def test_a_request_taken_back_covers_nothing_earlier() -> None:
    world, server = market()
    asset, grant = asked(world)
    requested_at = world.time
    world.do("lab", RevokeGrant(grant=grant), after=300 * SECOND)
    assert uncovered(server, grant, asset, t=requested_at + 1) == 1


def test_a_grant_begins_with_the_last_yes() -> None:
    world, server = market()
    asset, grant = asked(world)
    requested_at = world.time
    world.do("creator", AnswerGrant(grant=grant, agree=True), after=300 * SECOND)
    assert uncovered(server, grant, asset, t=requested_at + 1) == 1
    assert uncovered(server, grant, asset) == 0


def test_nothing_dated_before_a_grant_was_issued_is_covered_by_it() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", PRICED))
    long_before = world.time
    world.block(after=300 * SECOND)
    grant = world.grant("lab", "train-generative", assets=(asset,), budget=5_000_000)
    assert uncovered(server, grant, asset, t=long_before) == 1


def test_nobody_sells_by_a_late_yes_what_is_no_longer_offered() -> None:
    """Every gate would refuse the asset that the grantee had paid for."""
    world, _ = market()
    asset, grant = asked(world)
    world.do("creator", WithdrawAsset(asset=asset))
    world.refused("creator", AnswerGrant(grant=grant, agree=True), "wrong_state")
    world.do("lab", RevokeGrant(grant=grant))
    assert purse(world, "lab") == 100_000_000


# ---------------------------------------------------------------- stolen keys and addresses


def test_undoing_a_theft_of_keys_drops_the_thiefs_payout_address() -> None:
    world, _ = market()
    high, low, thief = (digest(name) for name in (b"high", b"low", b"thief"))
    lab = world.people["lab"]
    world.do("lab", ChangeKeys(control_keys=(keys.public_key(high), keys.public_key(low)), device_keys=()))
    lab.seed = high
    world.do("lab", ChangePayout(rail="test-faucet", commitment=digest(b"mine")), after=HOUR)
    rotated = ChangeKeys(
        control_keys=(keys.public_key(high), keys.public_key(low)), device_keys=(keys.public_key(thief),)
    )
    world.block(after=100 * HOUR)
    assert world.attempt("lab", rotated, key=low).ok
    assert world.attempt("lab", UndoKeyChange(), key=high).ok
    account = world.machine.view().account(lab.number)
    assert account is not None and account.payout is not None  # set before anything was stolen
    stolen = ChangeKeys(control_keys=(keys.public_key(thief),), device_keys=())
    assert world.attempt("lab", stolen, key=low).ok
    mine = ChangePayout(rail="test-faucet", commitment=digest(b"theirs"))
    assert world.attempt("lab", mine, key=thief, after=HOUR).ok
    assert world.attempt("lab", UndoKeyChange(), key=high, after=70 * HOUR).ok
    world.block(after=3 * HOUR)
    world.refused("lab", WithdrawCredits(amount=1, rail="test-faucet"), "no_payout_address")


# ---------------------------------------------------------------- work that grows with what was prepared


def bases(*models: int, share: int) -> dict[str, object]:
    return {"base_models": tuple(BaseModel(model=model, share=share) for model in sorted(models))}


def test_a_call_pays_a_woven_lineage_once_a_level_and_not_once_a_path() -> None:
    """Four layers of 16 models, each on all of the layer below: 16^4 paths, 70,000 movements for one small call."""
    world, server = market()
    layer: list[int] = []
    for _ in range(4):
        fields = bases(*layer, share=625) if layer else {}
        layer = [world.do("lab", model_body((), 0, **fields)).number for _ in range(16)]
    woven = world.do("lab", model_body((), 0, **bases(*layer, share=625))).number
    price = CallPrice(version=1, per_call=1_000_000)
    world.do("lab", PublishEndpoint(model=woven, node=server.node.number, price=price))
    session = server.open("app", world.grant("app", "call-model", model=woven, budget=1_000_000))
    before = purse(world, "lab")
    result = server.record(server.row(session, woven, op=4, units=0))
    assert len(result.movements) <= 3 + 64
    assert purse(world, "lab") == before + 850_000
    more = [world.do("lab", model_body((), 0, **bases(model, share=1))).number for model in layer[:2]]
    world.refused("lab", model_body((), 0, **bases(woven, *more, share=1)), "lineage_too_large")


def test_a_lineage_is_paid_eight_levels_down_and_no_further() -> None:
    world, server = market()
    model = world.do("contributor", model_body((), 0)).number
    for place in range(9):
        model = world.do("creator" if place < 8 else "lab", model_body((), 0, **bases(model, share=10_000))).number
    price = CallPrice(version=1, per_call=1_000_000)
    world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=price))
    session = server.open("app", world.grant("app", "call-model", model=model, budget=1_000_000))
    server.record(server.row(session, model, op=4, units=0))
    assert (purse(world, "creator"), purse(world, "contributor")) == (850_000, 0)


# ---------------------------------------------------------------- squatted keys


def test_a_key_the_network_names_is_bound_only_by_itself() -> None:
    """They are known before they are used; bound elsewhere, there would be no moderator and no deposit for ever."""
    world = World()
    squatter = world.join("squatter")
    for name in ("moderator", "faucet"):
        key = keys.public_key(seed_of(name))
        other = keys.public_key(digest(b"other"))
        creation = CreateAccount(kind="person", roles=(), control_keys=(other, key), device_keys=(), profile=bytes(32))
        envelope = Envelope(domain=domain(CHAIN), account=0, sequence=0, key=other, body=creation)
        (result,) = world.block(sign_transaction(digest(b"other"), envelope))
        assert result.code == "not_permitted"
        world.refused("squatter", ChangeKeys(control_keys=(squatter.key,), device_keys=(key,)), "not_permitted")
        world.join(name)
    moderator = world.people["moderator"]
    device = keys.public_key(digest(b"phone"))
    world.do("moderator", ChangeKeys(control_keys=(moderator.key,), device_keys=(device,)))
    account = world.machine.view().account(moderator.number)
    assert account is not None and account.device_keys == (device,)


# ---------------------------------------------------------------- what validators must agree on


def test_what_a_refusal_says_in_words_is_no_part_of_the_results_hash() -> None:
    world, server = market()
    asset = world.asset("creator", world.license("creator", FREE))
    session = server.open("lab", world.grant("lab", "train-generative", assets=(asset,)))
    batch = server.batch([server.row(session, asset), server.row(session, asset)])
    result = world.attempt("node", RecordAccesses(batch=batch[:-70] + bytes(6) + batch[-64:]))
    assert not result.ok and result.message
    assert replace(result, message="in other words").header_data() == result.header_data()
    assert replace(result, code="other").header_data() != result.header_data()


def test_only_batches_may_be_larger_than_a_transaction() -> None:
    world, _ = market(max_transaction_bytes=2_000)
    large = OpenRun(grants=tuple(range(10**15, 10**15 + 64)))
    terms = tuple(replace(FREE, territories=tuple(f"A{letter}" for letter in "BCDEFGH")) for _ in range(40))
    assert world.attempt("lab", large).code == "unknown_object"
    assert world.attempt("lab", PublishLicense(terms=Terms(rules=terms))).code == "transaction_too_large"


def test_a_model_names_few_media_types() -> None:
    """It is decoded with each call it is paid for; a megabyte of names would make every call dear for validators."""
    world, _ = market()
    many = Interface(task="generation", accepts=("audio/wav",) * 33, returns=("audio/wav",) * 32)
    assert world.attempt("lab", replace(model_body((), 0), interface=many)).code == "record_invalid"


@pytest.mark.parametrize(
    "params",
    [
        Params(network_fee=-1_000, node_fee=1_000),
        Params(network_fee=6_000, node_fee=5_000),
        Params(node_fee=-1),
        Params(dispute_quorum=0),
    ],
)
def test_no_chain_begins_with_fees_below_zero_or_disputes_nobody_decides(params: Params) -> None:
    with pytest.raises(RecordError):
        World(genesis=replace(genesis_of(), params=params))
