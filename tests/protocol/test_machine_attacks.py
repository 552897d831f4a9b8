"""What somebody would send who wants to stop the validators, or have what is not theirs; the machine's answers."""

import pytest

from audiera.protocol.errors import RecordError, TransactionError
from audiera.protocol.records import Rule
from audiera.protocol.state import number_key
from audiera.protocol.transactions import (
    AnswerGrant,
    AuthorizeAppKey,
    Body,
    CloseRun,
    Envelope,
    IssueGrant,
    OpenDispute,
    OpenRun,
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
from tests.protocol.world import CHAIN, World

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
