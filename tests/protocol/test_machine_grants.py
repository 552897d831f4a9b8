"""Grants that wait for an answer, and works: what is paid, to whom, and when it comes back."""

import pytest

from audiera.protocol.encoding import digest
from audiera.protocol.records import Identifiers, Price, Rule, Split
from audiera.protocol.transactions import (
    AnswerGrant,
    ChangeAsset,
    IssueGrant,
    OpenDispute,
    RegisterWork,
    RevokeGrant,
    TransferAsset,
    VoteDispute,
    WithdrawAsset,
)
from tests.protocol.world import SECOND, World

FLAT = Price(unit="flat", amount=100_000)
ASKED = Rule(purpose="train-generative", verdict="terms", commercial=True, audience="request", price=FLAT)
FREE = Rule(purpose="train-generative", verdict="allow", commercial=True)


def market() -> World:
    world = World()
    world.join("moderator")
    for name in ("creator", "contributor", "lab"):
        world.join(name)
    world.fund("lab", 1_000_000)
    return world


def purse(world: World, name: str) -> int:
    return world.balance(f"account/{world.people[name].number}")


def requested(world: World, **fields: object) -> tuple[int, int, int]:
    """A grant over two holders' assets, both of whom are asked."""
    one = world.asset("creator", world.license("creator", ASKED))
    two = world.asset("contributor", world.license("contributor", ASKED))
    body = IssueGrant(
        purpose="train-generative",
        assets=tuple(sorted((one, two))),
        commercial=True,
        max_price=200_000,
        budget=50_000,
        **fields,  # type: ignore[arg-type]
    )
    return world.do("lab", body).number, one, two


def status(world: World, grant: int) -> str:
    record = world.machine.view().grant(grant)
    assert record is not None
    return record.status


def test_a_grant_is_active_once_every_holder_has_agreed() -> None:
    world = market()
    grant, one, two = requested(world)
    assert status(world, grant) == "requested"
    assert purse(world, "lab") == 750_000
    assert world.balance(f"grant/{grant}") == 250_000
    world.refused("lab", AnswerGrant(grant=grant, agree=True), "not_permitted")
    world.do("creator", AnswerGrant(grant=grant, agree=True))
    assert status(world, grant) == "requested"
    assert world.balance(f"asset/{one}") == 0
    world.refused("creator", AnswerGrant(grant=grant, agree=True), "not_permitted")
    world.do("contributor", AnswerGrant(grant=grant, agree=True))
    assert status(world, grant) == "active"
    assert world.balance(f"asset/{one}") == world.balance(f"asset/{two}") == 95_000
    assert world.balance("network") == 10_000
    assert world.balance(f"grant/{grant}") == 50_000
    world.refused("contributor", AnswerGrant(grant=grant, agree=False), "wrong_state")


def test_one_no_declines_a_grant_and_gives_everything_back() -> None:
    world = market()
    grant, one, two = requested(world)
    world.do("creator", AnswerGrant(grant=grant, agree=True))
    world.do("contributor", AnswerGrant(grant=grant, agree=False))
    assert status(world, grant) == "declined"
    assert purse(world, "lab") == 1_000_000
    assert [world.balance(f"asset/{asset}") for asset in (one, two)] == [0, 0]
    world.refused("creator", AnswerGrant(grant=grant, agree=True), "wrong_state")


def test_a_request_taken_back_gives_everything_back() -> None:
    world = market()
    grant, _, _ = requested(world)
    world.refused("creator", RevokeGrant(grant=grant), "not_permitted")
    world.do("lab", RevokeGrant(grant=grant))
    assert status(world, grant) == "revoked"
    assert purse(world, "lab") == 1_000_000
    world.refused("creator", AnswerGrant(grant=grant, agree=True), "wrong_state")


def test_a_yes_after_the_grants_end_is_paid_by_nobody() -> None:
    """The grantee would pay a flat price for a grant that covers nothing any more."""
    world = market()
    ends = world.time + 10 * SECOND
    grant, one, _ = requested(world, valid_until=ends)
    world.do("creator", AnswerGrant(grant=grant, agree=True))
    world.time = ends
    world.refused("contributor", AnswerGrant(grant=grant, agree=True), "already_expired")
    assert world.balance(f"asset/{one}") == 0
    world.do("lab", RevokeGrant(grant=grant))
    assert purse(world, "lab") == 1_000_000


def test_a_no_after_the_grants_end_still_gives_everything_back() -> None:
    world = market()
    ends = world.time + 10 * SECOND
    grant, _, _ = requested(world, valid_until=ends)
    world.time = ends
    world.do("creator", AnswerGrant(grant=grant, agree=False))
    assert purse(world, "lab") == 1_000_000


def test_a_holder_ends_a_grant_only_after_taking_the_asset_out() -> None:
    world = market()
    asset = world.asset("creator", world.license("creator", FREE))
    grant = world.grant("lab", "train-generative", assets=(asset,))
    world.refused("creator", RevokeGrant(grant=grant), "not_permitted")
    world.refused("contributor", RevokeGrant(grant=grant), "not_permitted")
    world.do("creator", WithdrawAsset(asset=asset))
    world.do("creator", RevokeGrant(grant=grant))
    assert status(world, grant) == "revoked"
    world.refused("lab", RevokeGrant(grant=grant), "wrong_state")


# ---------------------------------------------------------------- disputes and withdrawals


def disputed(world: World) -> tuple[int, int]:
    asset = world.asset("creator", world.license("creator", FREE))
    dispute = world.do("contributor", OpenDispute(asset=asset, evidence=bytes(32))).number
    return asset, dispute


def asset_status(world: World, asset: int) -> str:
    record = world.machine.view().asset(asset)
    assert record is not None
    return record.status


def test_a_withdrawn_asset_stays_withdrawn_when_its_dispute_ends() -> None:
    """Its holder's no is not undone by a moderator's yes to the holder."""
    world = market()
    asset, dispute = disputed(world)
    world.do("creator", WithdrawAsset(asset=asset))
    world.do("moderator", VoteDispute(dispute=dispute, for_claimant=False))
    assert asset_status(world, asset) == "withdrawn"
    world.refused(
        "creator", ChangeAsset(asset=asset, license=1, splits=(Split(account=1, share=10_000),)), "wrong_state"
    )


def test_a_dispute_decided_for_its_holder_gives_the_asset_back() -> None:
    world = market()
    asset, dispute = disputed(world)
    world.refused("creator", TransferAsset(asset=asset, to=1), "wrong_state")
    world.do("moderator", VoteDispute(dispute=dispute, for_claimant=False))
    assert asset_status(world, asset) == "active"


# ---------------------------------------------------------------- works


def work(world: World, who: str, **changes: object) -> RegisterWork:
    fields: dict[str, object] = {
        "work_kind": "work",
        "splits": (Split(account=world.people[who].number, share=10_000),),
    }
    return RegisterWork(**(fields | changes))  # type: ignore[arg-type]


def test_a_recording_performs_a_work() -> None:
    world = market()
    composed = world.do("creator", work(world, "creator", identifiers=Identifiers(iswc="T0345246801"))).number
    performed = world.do(
        "contributor", work(world, "contributor", work_kind="recording", performs=composed, sheet=digest(b"sheet"))
    ).number
    record = world.machine.view().work(performed)
    assert record is not None
    assert (record.kind, record.holder, record.performs) == ("recording", world.people["contributor"].number, composed)
    first = world.machine.view().work(composed)
    assert first is not None
    assert (first.kind, first.identifiers.iswc, first.performs) == ("work", "T0345246801", 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"work_kind": "song"}, "record_invalid"),
        ({"sheet": b"short"}, "record_invalid"),
        ({"performs": 1}, "record_invalid"),
        ({"identifiers": Identifiers(iswc="T0345246802")}, "record_invalid"),
        ({"splits": ()}, "record_invalid"),
        ({"splits": (Split(account=9_999, share=10_000),)}, "unknown_object"),
        ({"work_kind": "recording", "performs": 9_999}, "unknown_object"),
    ],
)
def test_works_that_cannot_be_are_refused(changes: dict[str, object], code: str) -> None:
    world = market()
    world.refused("creator", work(world, "creator", **changes), code)
