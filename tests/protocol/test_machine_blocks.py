"""Blocks: executed as often as need be, committed once; signers as the state has them at that moment."""

import pytest

from audiera.protocol import keys
from audiera.protocol.errors import TransactionError
from audiera.protocol.machine import BlockContext, Machine
from audiera.protocol.state import MemoryStore
from audiera.protocol.transactions import ChangeKeys, ChangeProfile, CreateAccount, Envelope, domain, sign_transaction
from tests.protocol.world import CHAIN, SECOND, World, genesis_of, seed_of


def creation(name: str) -> bytes:
    """The transaction that creates an account."""
    key = keys.public_key(seed_of(name))
    body = CreateAccount(kind="person", roles=(), control_keys=(key,), device_keys=(), profile=bytes(32))
    return sign_transaction(seed_of(name), Envelope(domain=domain(CHAIN), account=0, sequence=0, key=key, body=body))


def executed(*blocks: list[bytes]) -> tuple[Machine, MemoryStore]:
    """A machine that executed and committed blocks and nothing else."""
    genesis, store = genesis_of(), MemoryStore()
    machine = Machine(store, genesis, height=0)
    for height, transactions in enumerate(blocks, start=1):
        execution = machine.execute(BlockContext(height, genesis.time + height * SECOND), transactions)
        store.apply(execution.writes, execution.buckets)
        machine.commit()
    return machine, store


def test_block_executed_again_or_in_another_s_place_leaves_no_trace() -> None:
    first, one, other = [creation("first")], [creation("a"), creation("b")], [creation("c")]
    straight, _ = executed(first, other)
    machine, store = executed(first)
    context = BlockContext(2, genesis_of().time + 2 * SECOND)
    once = machine.execute(context, one)
    assert machine.execute(context, one) == once
    assert machine.execute(context, other).result.app_hash == straight.app_hash
    assert machine.execute(context, []).result.app_hash == machine.app_hash
    execution = machine.execute(context, other)
    store.apply(execution.writes, execution.buckets)
    machine.commit()
    assert machine.app_hash == straight.app_hash
    assert Machine(store, genesis_of(), height=2).app_hash == straight.app_hash


def test_account_that_exists_is_not_created_again() -> None:
    machine, _ = executed([creation("a")])
    with pytest.raises(TransactionError) as refused:
        machine.check(creation("a"))
    assert refused.value.code == "repeated"
    machine.check(creation("b"))


def test_replaced_key_signs_nothing_more_not_even_in_the_same_block() -> None:
    world = World()
    person = world.join("person")
    assert world.attempt("person", ChangeProfile(roles=(), profile=bytes(32))).ok  # the machine has seen the signer
    new = seed_of("new")
    change = world.sign(person, ChangeKeys(control_keys=(keys.public_key(new),), device_keys=()))
    late = world.sign(person, ChangeProfile(roles=(), profile=bytes(32)))
    changed, refused = world.block(change, late)
    assert changed.ok
    assert refused.code == "key_not_authorized"
    person.sequence -= 1  # a refused signer uses no sequence number up
    with pytest.raises(TransactionError, match="not one of account"):
        world.machine.check(late)
    assert world.attempt("person", ChangeProfile(roles=(), profile=bytes(32)), key=new).ok
