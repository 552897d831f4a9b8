"""Accounts, keys and the 72 hours: the key games are played on the real machine."""

import pytest
from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.errors import TransactionError
from audiera.protocol.transactions import (
    AuthorizeAppKey,
    ChangeKeys,
    ChangePayout,
    ChangeProfile,
    CreateAccount,
    Envelope,
    RevokeAppKey,
    UndoKeyChange,
    domain,
    sign_transaction,
)
from tests.protocol.world import CHAIN, SECOND, START, World, seed_of

HOUR = 3_600 * SECOND
HIGH, MIDDLE, LOW, THIEF = (seed_of(name) for name in ("high", "middle", "low", "thief"))


def public(seed: bytes) -> bytes:
    return keys.public_key(seed)


@pytest.fixture
def world() -> World:
    world = World()
    person = world.join("creator", "creator", "consumer")
    world.people["creator"].seed = seed_of("creator")
    world.do("creator", ChangeKeys(control_keys=(public(HIGH), public(MIDDLE), public(LOW)), device_keys=()))
    person.seed = HIGH
    world.time += 80 * HOUR
    return world


def test_an_account_is_the_hash_of_its_signed_creation() -> None:
    world = World()
    number = world.join("creator", "creator").number
    account = world.machine.view().account(number)
    assert account is not None
    assert world.machine.view().number_of(account.id) == number
    assert account.roles == ("creator",)


def test_the_same_creation_is_refused_a_second_time() -> None:
    world = World()
    body = CreateAccount(kind="person", roles=(), control_keys=(public(HIGH),), device_keys=(), profile=bytes(32))
    signed = sign_transaction(HIGH, Envelope(domain=domain(CHAIN), account=0, sequence=0, key=public(HIGH), body=body))
    first, second = world.block(signed, signed)
    assert (first.code, second.code) == ("ok", "repeated")


def test_a_key_belongs_to_one_account_only() -> None:
    world = World()
    world.join("creator")
    body = CreateAccount(
        kind="person",
        roles=("consumer",),
        control_keys=(public(seed_of("creator")),),
        device_keys=(),
        profile=bytes(32),
    )
    envelope = Envelope(domain=domain(CHAIN), account=0, sequence=0, key=public(seed_of("creator")), body=body)
    (result,) = world.block(sign_transaction(seed_of("creator"), envelope))
    assert result.code == "key_taken"


def test_nobody_makes_itself_a_moderator() -> None:
    world = World()
    body = CreateAccount(
        kind="person", roles=("moderator",), control_keys=(public(LOW),), device_keys=(), profile=bytes(32)
    )
    signed = sign_transaction(LOW, Envelope(domain=domain(CHAIN), account=0, sequence=0, key=public(LOW), body=body))
    with pytest.raises(TransactionError, match="moderators are named by the network"):
        world.machine.check(signed)


def test_a_thief_with_the_lowest_key_is_undone_by_a_higher_one(world: World) -> None:
    theft = ChangeKeys(control_keys=(public(THIEF),), device_keys=())
    assert world.attempt("creator", theft, key=LOW).ok
    assert world.attempt("creator", UndoKeyChange(), key=MIDDLE, after=71 * HOUR).ok
    account = world.machine.view().account(world.people["creator"].number)
    assert account is not None and account.control_keys == (public(HIGH), public(MIDDLE), public(LOW))
    assert world.attempt("creator", ChangeProfile(roles=(), profile=bytes(32)), key=THIEF).code == "key_not_authorized"


def test_a_thief_cannot_prevent_the_undo_by_binding_the_removed_keys_elsewhere(world: World) -> None:
    """A new account needs no proof of its further keys, so a removed key must wait for its holder."""
    theft = ChangeKeys(control_keys=(public(THIEF),), device_keys=())
    assert world.attempt("creator", theft, key=LOW).ok
    body = CreateAccount(
        kind="person",
        roles=(),
        control_keys=(public(seed_of("accomplice")), public(HIGH)),
        device_keys=(public(MIDDLE),),
        profile=bytes(32),
    )
    accomplice = Envelope(domain=domain(CHAIN), account=0, sequence=0, key=body.control_keys[0], body=body)
    (result,) = world.block(sign_transaction(seed_of("accomplice"), accomplice))
    assert result.code == "key_taken"
    assert world.attempt("creator", UndoKeyChange(), key=HIGH, after=70 * HOUR).ok
    account = world.machine.view().account(world.people["creator"].number)
    assert account is not None and account.control_keys == (public(HIGH), public(MIDDLE), public(LOW))
    # A key that nothing can bring back any more is free for whoever has it.
    assert world.attempt("creator", ChangeKeys(control_keys=(public(HIGH),), device_keys=()), key=HIGH).ok
    world.block(after=73 * HOUR)
    free = replace(body, control_keys=(public(seed_of("accomplice")), public(LOW)), device_keys=())
    (result,) = world.block(
        sign_transaction(
            seed_of("accomplice"),
            Envelope(domain=domain(CHAIN), account=0, sequence=0, key=free.control_keys[0], body=free),
        )
    )
    assert result.ok, result


def test_after_72_hours_a_change_stands(world: World) -> None:
    assert world.attempt("creator", ChangeKeys(control_keys=(public(THIEF),), device_keys=()), key=LOW).ok
    assert world.attempt("creator", UndoKeyChange(), key=HIGH, after=73 * HOUR).code == "nothing_to_undo"


def test_an_equal_or_lower_key_may_not_undo(world: World) -> None:
    rotation = ChangeKeys(control_keys=(public(HIGH), public(THIEF)), device_keys=())
    assert world.attempt("creator", rotation, key=MIDDLE, after=80 * HOUR).ok
    assert world.attempt("creator", UndoKeyChange(), key=MIDDLE).code in (
        "nothing_to_undo",
        "key_not_authorized",
    )
    assert world.attempt("creator", UndoKeyChange(), key=LOW).code == "nothing_to_undo"
    assert world.attempt("creator", UndoKeyChange(), key=HIGH).ok


def test_a_lower_key_cannot_change_what_a_higher_one_just_set(world: World) -> None:
    fresh = (public(HIGH), public(MIDDLE), public(LOW))
    assert world.attempt("creator", ChangeKeys(control_keys=fresh, device_keys=()), key=HIGH, after=80 * HOUR).ok
    stolen = ChangeKeys(control_keys=(public(THIEF),), device_keys=())
    assert world.attempt("creator", stolen, key=LOW).code == "not_permitted"


def test_a_device_key_signs_daily_things_but_no_keys_and_no_payout(world: World) -> None:
    device = seed_of("laptop")
    everyone = (public(HIGH), public(MIDDLE), public(LOW))
    world.attempt("creator", ChangeKeys(control_keys=everyone, device_keys=(public(device),)), after=80 * HOUR)
    assert world.attempt("creator", ChangeProfile(roles=("creator",), profile=bytes(32)), key=device).ok
    stolen = ChangeKeys(control_keys=(public(THIEF),), device_keys=())
    assert world.attempt("creator", stolen, key=device).code == "not_permitted"
    payout = ChangePayout(rail="test-faucet", commitment=bytes(32))
    assert world.attempt("creator", payout, key=device).code == "not_permitted"
    assert world.attempt("creator", payout).ok


def test_sequence_numbers_refuse_replays_and_gaps(world: World) -> None:
    person = world.people["creator"]
    signed = world.sign(person, ChangeProfile(roles=(), profile=bytes(32)))
    assert [result.code for result in world.block(signed, signed)] == ["ok", "wrong_sequence"]
    gap = world.sign(person, ChangeProfile(roles=(), profile=bytes(32)), sequence=person.sequence + 5)
    with pytest.raises(TransactionError, match="sequence number"):
        world.machine.check(gap)


def test_check_accepts_a_queue_of_one_account_in_order(world: World) -> None:
    person = world.people["creator"]
    queue = [world.sign(person, ChangeProfile(roles=(), profile=bytes(32))) for _ in range(3)]
    for signed in queue:
        world.machine.check(signed)
    with pytest.raises(TransactionError, match="sequence number"):
        world.machine.check(queue[1])
    world.block(queue[0])
    later = world.sign(person, ChangeProfile(roles=(), profile=bytes(32)))
    world.machine.check(later)
    assert [result.code for result in world.block(queue[1], queue[2], later)] == ["ok"] * 3


def test_a_signature_for_another_chain_means_nothing_here(world: World) -> None:
    person = world.people["creator"]
    envelope = Envelope(
        domain=domain("other"),
        account=person.number,
        sequence=person.sequence + 1,
        key=public(HIGH),
        body=ChangeProfile(roles=(), profile=bytes(32)),
    )
    with pytest.raises(TransactionError) as error:
        world.machine.check(sign_transaction(HIGH, envelope))
    assert error.value.code == "wrong_chain"


def test_every_altered_byte_of_a_transaction_is_refused(world: World) -> None:
    signed = world.sign(world.people["creator"], ChangeProfile(roles=(), profile=bytes(32)))
    for place in range(len(signed)):
        altered = signed[:place] + bytes((signed[place] ^ 1,)) + signed[place + 1 :]
        with pytest.raises(TransactionError):
            world.machine.check(altered)


def test_an_application_key_is_scoped_and_revocable(world: World) -> None:
    expires = START + 900 * HOUR
    body = AuthorizeAppKey(key_hash=bytes(32), budget=100, expires_at=expires)
    number = world.do("creator", body).number
    world.refused("creator", body, "key_taken")
    world.refused("creator", AuthorizeAppKey(key_hash=bytes(31) + b"x", budget=1, expires_at=START), "already_expired")
    world.join("stranger")
    world.refused("stranger", RevokeAppKey(key=number), "not_permitted")
    world.do("creator", RevokeAppKey(key=number))
    key = world.machine.view().app_key_by_hash(bytes(32))
    assert key is not None and key.revoked
