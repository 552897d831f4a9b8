"""What the machine lets in: transactions in their order, blocks that hold nothing wrong, batches of their own node."""

import pytest
from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.accesses import Watermark, sign_watermark, watermark_domain
from audiera.protocol.errors import LedgerError, TransactionError
from audiera.protocol.machine import BlockContext
from audiera.protocol.records import Params, Rule
from audiera.protocol.transactions import (
    ChangePayout,
    ChangeProfile,
    Envelope,
    RecordAccesses,
    WithdrawCredits,
    domain,
    sign_transaction,
)
from tests.protocol.world import CHAIN, SECOND, Server, World, genesis_of, seed_of

PROFILE = ChangeProfile(roles=(), profile=bytes(32))
FREE = Rule(purpose="train-generative", verdict="allow")
HOUR = 3_600 * SECOND


def refusal(world: World, transaction: bytes) -> str:
    with pytest.raises(TransactionError) as refused:
        world.machine.check(transaction)
    return refused.value.code


@pytest.fixture
def world() -> World:
    world = World()
    world.join("a")
    world.join("b")
    return world


def signed(world: World, who: str, sequence: int, **changes: object) -> bytes:
    person = world.people[who]
    fields: dict[str, object] = {
        "domain": domain(CHAIN),
        "account": person.number,
        "sequence": sequence,
        "key": person.key,
        "body": PROFILE,
    }
    return sign_transaction(person.seed, Envelope(**(fields | changes)))  # type: ignore[arg-type]


def test_transactions_of_an_account_are_let_in_one_after_another(world: World) -> None:
    first, second, third = (signed(world, "a", place) for place in (1, 2, 3))
    assert refusal(world, second) == "wrong_sequence"
    world.machine.check(first)
    assert refusal(world, first) == "wrong_sequence"
    world.machine.check(second)
    world.machine.check(signed(world, "b", 1))
    assert [result.code for result in world.block(first)] == ["ok"]
    world.machine.check(third)
    world.machine.forget(world.people["a"].number)
    world.machine.check(second)
    assert [result.code for result in world.block(second, third, second)] == ["ok", "ok", "wrong_sequence"]


def test_strangers_foreign_chains_and_altered_signatures_are_not_let_in(world: World) -> None:
    assert refusal(world, signed(world, "a", 1, account=9_999)) == "unknown_account"
    assert refusal(world, signed(world, "a", 1, domain=domain("other"))) == "wrong_chain"
    assert refusal(world, signed(world, "a", 1, account=world.people["b"].number)) == "key_not_authorized"
    assert refusal(world, signed(world, "a", 0, account=0)) == "wrong_sequence"
    good = signed(world, "a", 1)
    assert refusal(world, good[:-1] + bytes([good[-1] ^ 1])) == "signature_invalid"
    assert refusal(world, signed(world, "a", 1, body=replace(PROFILE, profile=b"short"))) == "record_invalid"


def test_a_proposed_block_holds_nothing_wrong_and_fits(world: World) -> None:
    good = [signed(world, "a", place) for place in (1, 2, 3)]
    bad = good[0][:-1] + bytes([good[0][-1] ^ 1])
    assert world.machine.process(good)
    assert not world.machine.process([*good, bad])
    size = len(good[0])
    assert world.machine.prepare([good[0], bad, *good[1:]], 10 * size) == good
    assert world.machine.prepare(good, 2 * size + 1) == good[:2]
    assert world.machine.prepare(good, size - 1) == []
    (result,) = world.block(bad)
    assert (result.kind, result.code, result.account) == ("unreadable", "signature_invalid", 0)


def test_blocks_are_executed_one_after_another(world: World) -> None:
    height = world.machine.height
    for wrong in (height, height + 2):
        with pytest.raises(LedgerError):
            world.machine.execute(BlockContext(wrong, world.time + SECOND), [])
    with pytest.raises(LedgerError, match="without an executed block"):
        world.machine.commit()


# ---------------------------------------------------------------- credits out


def test_credits_leave_to_an_address_that_has_waited(world: World) -> None:
    world.fund("a", 1_000)
    leave = WithdrawCredits(amount=400, rail="test-faucet")
    world.refused("a", leave, "no_payout_address")
    world.do("a", ChangePayout(rail="test-faucet", commitment=bytes(32)))
    world.refused("a", leave, "too_early")
    world.refused("a", replace(leave, rail="other"), "no_payout_address")
    world.time += 72 * HOUR
    world.do("a", leave)
    assert world.balance(f"account/{world.people['a'].number}") == 600
    world.refused("a", replace(leave, amount=601), "insufficient_credits")


# ---------------------------------------------------------------- batches


def serving(genesis: Params | None = None) -> tuple[World, Server, int, int]:
    world = World(genesis=replace(genesis_of(), params=genesis) if genesis is not None else genesis_of())
    world.join("creator")
    world.join("lab")
    server = world.serve()
    asset = world.asset("creator", world.license("creator", FREE))
    return world, server, asset, world.grant("lab", "train-generative", assets=(asset,))


def test_a_batch_is_its_nodes_own_and_signed_by_it() -> None:
    world, server, asset, grant = serving()
    session = server.open("lab", grant)
    batch = server.batch([server.row(session, asset)])
    world.refused("lab", RecordAccesses(batch=batch), "not_permitted")
    other = world.join("other", kind="node")
    stranger = {"sign": lambda message: keys.sign_bytes(other.seed, message)}
    world.refused("other", RecordAccesses(batch=batch), "not_permitted")
    forged = server.batch([server.row(session, asset)], **stranger)
    world.refused("node", RecordAccesses(batch=forged), "batch_signature_invalid")
    assert world.do("node", RecordAccesses(batch=batch)).batch is not None
    world.refused("node", RecordAccesses(batch=batch), "batch_out_of_order")


def test_a_batch_larger_than_allowed_is_refused_unopened() -> None:
    world, server, asset, grant = serving(Params(max_batch_bytes=700))
    session = server.open("lab", grant)
    assert server.record(server.row(session, asset)).ok
    server.open("lab", grant)
    server.open("lab", grant)
    large = RecordAccesses(batch=server.batch([server.row(session, asset)]))
    assert len(large.batch) > 700
    world.refused("node", large, "batch_too_large")


def test_sessions_nobody_stands_behind_cover_nothing() -> None:
    """Recorded all the same: what happened is on the ledger, and counts against the node."""
    world, server, asset, grant = serving()
    forged = server.open("lab", grant, signer="creator")
    altered = server.open("lab", grant)
    server.opened[-1] = replace(server.opened[-1], nonce=b"another nonce!!!")
    unknown = server.open("lab", grant)
    server.opened[-1] = replace(server.opened[-1], consumer=9_999)
    rows = [server.row(forged, asset), server.row(altered, asset)]
    rows.append(replace(server.row(unknown, asset), consumer=9_999))
    result = server.record(*rows)
    assert result.batch is not None
    assert (result.batch.count, result.batch.unmatched) == (3, 3)
    assert world.machine.view().grant_usage(grant).accesses == 0


def test_session_numbers_only_rise() -> None:
    world, server, asset, grant = serving()
    session = server.open("lab", grant)
    server.record(server.row(session, asset))
    server.last_session = 0
    server.open("lab", grant)
    world.refused("node", RecordAccesses(batch=server.batch([server.row(session, asset)])), "session_out_of_order")


def test_only_the_consumers_word_moves_a_watermark() -> None:
    world, server, asset, grant = serving()
    session = server.open("lab", grant)
    server.record(server.row(session, asset), server.row(session, asset))
    node = server.node.number

    def mark(rows: int, signer: str = "lab", number: int = session) -> Watermark:
        watermark = Watermark(
            domain=watermark_domain(CHAIN), node=node, session=number, rows=rows, bytes=0, t=world.time
        )
        return sign_watermark(seed_of(signer), watermark)

    def acknowledged(*marks: Watermark) -> int:
        server.marks.extend(marks)
        server.record(server.row(session, asset))
        state = world.machine.view().session(node, session)
        assert state is not None
        return state.acknowledged

    assert acknowledged(mark(9, signer="creator"), replace(mark(1), rows=9), mark(9, number=99)) == 0
    assert acknowledged(mark(2)) == 2
    assert acknowledged(mark(1)) == 2
