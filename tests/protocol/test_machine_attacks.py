"""What somebody would send who wants to stop the validators, or have what is not theirs; the machine's answers."""

import numpy as np
import pytest
from msgspec.structs import replace

from audiera.protocol.accesses import array_of
from audiera.protocol.accesses.totals import USE, merge_uses, unpack_uses, uses_of
from audiera.protocol.encoding import digest, encode
from audiera.protocol.errors import RecordError, TransactionError
from audiera.protocol.records import GrantUsage, Interface, Params, Rule
from audiera.protocol.state import number_key
from audiera.protocol.transactions import (
    AnswerGrant,
    AuthorizeAppKey,
    Body,
    CloseRun,
    DepositCredits,
    Envelope,
    IssueGrant,
    OpenDispute,
    OpenRun,
    RegisterModel,
    ReturnBudget,
    RevokeAppKey,
    RevokeGrant,
    SettlePool,
    TransferAsset,
    VoteDispute,
    WithdrawAsset,
    domain,
    sign_transaction,
)
from tests.protocol.world import CHAIN, Server, World, genesis_of

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
