import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from tests.services.ledger.actors import (
    ANSWER_S,
    CHAIN,
    GENESIS,
    NO_PROOF_BLOCKS,
    START,
    Actor,
    grown,
    opened,
    ticking,
)

from audiera.protocol import keys
from audiera.protocol.accesses import entry_leaf
from audiera.protocol.chain import (
    LightBlock,
    TrustedState,
    block_id,
    data_hash,
    header_hash,
    results_hash,
    verify_light,
)
from audiera.protocol.encoding import digest, encode
from audiera.protocol.errors import LedgerError, NotFound, StorageError, TransactionError
from audiera.protocol.machine import Machine
from audiera.protocol.merkle import verify_consistency, verify_cosigned, verify_inclusion
from audiera.protocol.records import Genesis
from audiera.protocol.records.params import Params, Validator
from audiera.protocol.results import TransactionResult
from audiera.protocol.transactions import ChangeProfile, WithdrawAsset, transaction_id
from audiera.services.ledger.engines import SoloSettings
from audiera.services.ledger.ports import Ledger


def answer(future: "Future[TransactionResult]") -> TransactionResult:
    return future.result(ANSWER_S)


def test_new_chain_begins_with_one_block_that_holds_the_genesis(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    head = ledger.head()
    assert head.height == 1
    assert ledger.state().params() == Params()
    assert ledger.block(1).transactions == ()
    assert ledger.block(1).header.app_hash == digest(encode(GENESIS))
    assert ledger.genesis == GENESIS
    ledger.close()


def test_answer_comes_when_the_block_is_committed_and_readable(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    person = Actor("person")
    creation = person.creation()
    result = answer(ledger.submit(creation))
    assert result.ok
    height, position = ledger.transaction_at(transaction_id(creation)) or (0, 0)
    assert height == ledger.head().height == 2
    assert ledger.results(height).transactions[position] == result
    assert ledger.block(height).transactions == (creation,)
    assert ledger.state().account(result.number) is not None
    assert ledger.transaction_at(bytes(32)) is None
    ledger.close()


def test_state_results_and_blocks_are_there_after_reopening(tmp_path: Path) -> None:
    ledger = grown(tmp_path)
    head, results = ledger.head(), list(ledger.follow(1))
    checkpoint_size = ledger.head().log_size
    ledger.close()
    again = opened(tmp_path, genesis=None)
    assert again.head() == head
    assert list(again.follow(1)) == results
    assert checkpoint_size == 5
    assert answer(again.submit(Actor("another").creation())).ok
    again.close()


def test_every_header_is_signed_linked_and_commits_to_results_and_state(tmp_path: Path) -> None:
    ledger = grown(tmp_path)
    validators = GENESIS.validators
    trusted = TrustedState(header=ledger.header_and_commit(1)[0], next_validators=validators)
    for height in range(2, ledger.head().height + 1):
        header, commit = ledger.header_and_commit(height)
        block = ledger.block(height)
        verify_light(
            trusted,
            LightBlock(header=header, commit=commit, validators=validators),
            now_ns=header.time_ns + 1,
            period_ns=10**18,
            verify=keys.is_signature_valid,
        )
        before = ledger.results(height - 1)
        assert header.app_hash == before.app_hash
        outcomes = [(0 if each.ok else 1, each.header_data()) for each in before.transactions]
        assert header.last_results_hash == results_hash(outcomes)
        assert header.data_hash == data_hash(block.transactions)
        assert header.last_block_id == block_id(ledger.block(height - 1))
        assert commit.block_id.hash == header_hash(header)
        trusted = TrustedState(header=header, next_validators=validators)
    ledger.close()


def test_malformed_wrongly_signed_or_repeated_transactions_enter_no_block(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    person = Actor("person").join(ledger)
    height = ledger.head().height
    wrong = bytearray(person.change())
    wrong[-1] ^= 1
    for bad in (
        b"",
        b"nonsense",
        bytes(wrong),
        person.signed(ChangeProfile(roles=(), profile=bytes(32)), person.number, 7),
    ):
        with pytest.raises(TransactionError):
            answer(ledger.submit(bad))
    assert ledger.head().height == height
    ledger.close()


def test_transaction_the_machine_refuses_is_answered_with_its_reason(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    person = Actor("person").join(ledger)
    refused = answer(ledger.submit(person.next(WithdrawAsset(asset=999))))
    assert not refused.ok
    assert refused.message
    assert answer(ledger.submit(person.change())).ok
    ledger.close()


def test_same_transaction_submitted_again_gets_the_same_answer_and_enters_once(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    person = Actor("person").join(ledger)
    change = person.change()
    futures = [ledger.submit(change) for _ in range(5)]
    first = answer(futures[0])
    assert first.ok
    assert [answer(future) for future in futures] == [first] * 5
    assert answer(ledger.submit(change)) == first
    assert answer(ledger.submit(Actor("person").creation())).ok
    holding = [result for block in ledger.follow(1) for result in block.transactions if result.id == first.id]
    assert holding == [first]
    ledger.close()


def test_many_threads_get_every_answer_and_blocks_hold_many_transactions(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    people = [Actor(f"person {number}").join(ledger) for number in range(8)]
    before = ledger.head().height
    results: list[TransactionResult] = []

    def work(person: Actor) -> None:
        futures = [ledger.submit(person.change()) for _ in range(40)]
        results.extend(answer(future) for future in futures)

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 320
    assert all(result.ok for result in results)
    assert ledger.head().height - before < 320
    assert all(ledger.state().sequence(person.number) == 40 for person in people)
    ledger.close()


def test_idle_ledger_makes_one_proof_block_and_then_none(tmp_path: Path) -> None:
    ledger = opened(tmp_path, settings=SoloSettings(proof_block_after_s=0.05))
    person = Actor("person").join(ledger)
    height = ledger.head().height
    assert ledger.wait(height + 1, ANSWER_S)
    header, _ = ledger.header_and_commit(height + 1)
    assert ledger.block(height + 1).transactions == ()
    assert header.app_hash == ledger.head().app_hash == ledger.results(height).app_hash
    assert not ledger.wait(height + 2, 0.5)
    assert answer(ledger.submit(person.change())).ok
    assert ledger.wait(height + 3, ANSWER_S)
    assert not ledger.wait(height + 4, 0.5)
    ledger.close()


def test_proof_blocks_can_be_turned_off(tmp_path: Path) -> None:
    ledger = opened(tmp_path, settings=NO_PROOF_BLOCKS)
    Actor("person").join(ledger)
    assert not ledger.wait(3, 0.7)
    ledger.close()


def test_block_begins_within_200_ms_of_the_first_waiting_transaction(tmp_path: Path) -> None:
    begun: list[float] = []

    def note(step: str) -> None:
        if step == "block-built":
            begun.append(time.monotonic())

    ledger = opened(tmp_path, after=note)
    person = Actor("person").join(ledger)
    delays = []
    for _ in range(10):
        transaction, count = person.change(), len(begun)
        started = time.monotonic()
        answer(ledger.submit(transaction))
        delays.append(begun[count] - started)
    assert sorted(delays)[5] < 0.2
    ledger.close()


def test_block_time_strictly_increases_even_when_the_clock_goes_back(tmp_path: Path) -> None:
    moments = iter([START + 50, START + 40, START + 40, START - 10**12, START + 60])
    ledger = opened(tmp_path, now=lambda: next(moments))
    person = Actor("person").join(ledger)
    for _ in range(3):
        answer(ledger.submit(person.change()))
    times = [result.time for result in ledger.follow(1)]
    assert times == [START + 50, START + 51, START + 52, START + 53, START + 60]
    assert ledger.header_and_commit(2)[0].time_ns == (START + 51) * 1_000
    ledger.close()


def test_chain_begins_after_its_genesis_time(tmp_path: Path) -> None:
    ledger = opened(tmp_path, now=lambda: 5)
    assert ledger.head().time == START + 1
    ledger.close()


def test_access_log_entries_prove_themselves_against_every_later_size(tmp_path: Path) -> None:
    ledger = grown(tmp_path)
    size = ledger.head().log_size
    root = ledger.state().log().root
    assert size == 5
    assert ledger.head().records == 15
    for index in range(size):
        leaf = entry_leaf(ledger.log_entry(index))
        verify_inclusion(leaf, index, size, ledger.log_path(index, size), root)
    node = Actor("node", kind="node")
    entry = ledger.log_entry(size - 1)
    assert len(entry) == 208
    assert node.rows == 0
    with pytest.raises(NotFound):
        ledger.log_entry(size)
    ledger.close()


def test_log_grows_consistently(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    node = Actor("node", kind="node").join(ledger)
    roots = {}
    for _ in range(6):
        assert answer(ledger.submit(node.batch())).ok
        log = ledger.state().log()
        roots[log.size] = log.root
    for first in range(1, 7):
        for second in range(first, 7):
            verify_consistency(first, second, roots[first], roots[second], ledger.log_consistency(first, second))
    ledger.close()


def test_checkpoint_is_signed_once_for_each_head_and_holds_log_and_state(tmp_path: Path) -> None:
    ledger = opened(tmp_path, now=ticking())
    node = Actor("node", kind="node").join(ledger)
    key = GENESIS.validators[0].key
    seen = []
    for number in range(3):
        assert answer(ledger.submit(node.batch(at=START + 100 * (number + 1)))).ok
        text = ledger.checkpoint()
        assert ledger.checkpoint() == text
        checkpoint, (cosigned,) = verify_cosigned(text, origin="audiera/test/accesses", keys=[key], quorum=1)
        head, log = ledger.head(), ledger.state().log()
        assert (checkpoint.size, checkpoint.root) == (log.size, log.root)
        assert checkpoint.extensions == (f"height {head.height}", f"app-hash {head.app_hash.hex()}")
        assert cosigned.time_s == START // 1_000_000
        seen.append(text)
    assert len(set(seen)) == 3
    ledger.close()


def test_tiles_of_the_log_hold_its_leaf_hashes(tmp_path: Path) -> None:
    ledger = grown(tmp_path)
    leaves = [entry_leaf(ledger.log_entry(index)) for index in range(ledger.head().log_size)]
    assert ledger.log_tile(0, 0) == b"".join(leaves)
    assert ledger.log_tile(1, 0) == b""
    ledger.close()


def test_what_is_beyond_the_head_is_not_found(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for read in (ledger.block, ledger.header_and_commit, ledger.results):
        with pytest.raises(NotFound):
            read(2)
    assert list(ledger.follow(2)) == []
    ledger.close()


def test_waiting_ends_with_the_block_or_with_the_time(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    assert not ledger.wait(2, 0.05)
    person = Actor("person")
    future = ledger.submit(person.creation())
    assert ledger.wait(2, ANSWER_S)
    answer(future)
    ledger.close()


def test_close_answers_what_was_accepted_and_refuses_what_comes_after(tmp_path: Path) -> None:
    ledger = opened(tmp_path, settings=SoloSettings(gather_s=0.2, quiet_s=0.2, proof_block_after_s=None))
    person = Actor("person").join(ledger)
    futures = [ledger.submit(person.change()) for _ in range(20)]
    ledger.close()
    assert all(answer(future).ok for future in futures)
    with pytest.raises(LedgerError) as refused:
        answer(ledger.submit(person.change()))
    assert refused.value.code == "ledger_closed"


def test_two_openers_of_one_folder_are_refused(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    with pytest.raises(StorageError) as refused:
        opened(tmp_path)
    assert refused.value.code == "folder_in_use"
    ledger.close()
    opened(tmp_path).close()


def test_another_genesis_another_seed_and_no_chain_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as missing:
        opened(tmp_path / "nowhere", genesis=None)
    assert missing.value.code == "no_ledger"
    opened(tmp_path / "home").close()
    other = Genesis(
        chain_id="other",
        time=START,
        validators=(Validator(key=GENESIS.validators[0].key, power=1),),
        authorities=GENESIS.authorities,
    )
    with pytest.raises(LedgerError) as differs:
        opened(tmp_path / "home", genesis=other)
    assert differs.value.code == "genesis_differs"
    with pytest.raises(LedgerError) as stranger:
        opened(tmp_path / "home", seed=bytes(32))
    assert stranger.value.code == "not_the_validator"
    opened(tmp_path / "home").close()


class MachineFault(Exception):
    """Something no rule foresees."""


def test_fault_in_the_machine_stops_the_engine_and_fails_every_waiting_future(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(tmp_path, settings=SoloSettings(gather_s=0.1, quiet_s=0.1, proof_block_after_s=None))
    person = Actor("person").join(ledger)
    height = ledger.head().height

    def broken(*_: object) -> None:
        raise MachineFault("a bug")

    monkeypatch.setattr(Machine, "execute", broken)
    futures = [ledger.submit(person.change()) for _ in range(3)]
    for future in futures:
        with pytest.raises(LedgerError, match="a bug"):
            answer(future)
    with pytest.raises(LedgerError, match="stopped"):
        answer(ledger.submit(person.change()))
    with pytest.raises(LedgerError, match="stopped"):
        ledger.wait(height + 1, ANSWER_S)
    assert ledger.failure is not None
    assert isinstance(ledger.failure.__cause__, MachineFault)
    ledger.close()
    monkeypatch.undo()
    again = opened(tmp_path)
    assert again.head().height == height + 1  # the block was final; it is executed now
    again.close()


def test_fault_while_checking_stops_the_engine_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened(tmp_path)

    def broken(*_: object) -> None:
        raise MachineFault("a bug")

    monkeypatch.setattr(Machine, "check", broken)
    with pytest.raises(LedgerError, match="a bug"):
        ledger.submit(Actor("person").creation())
    assert ledger.failure is not None
    ledger.close()


def test_disk_that_fails_stops_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened(tmp_path)
    person = Actor("person").join(ledger)

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fdatasync", failing)
    with pytest.raises(LedgerError, match="Input/output error"):
        answer(ledger.submit(person.change()))
    monkeypatch.undo()
    with pytest.raises(LedgerError):
        answer(ledger.submit(person.change()))
    ledger.close()


def test_block_holds_no_more_than_the_limits_allow(tmp_path: Path) -> None:
    settings = SoloSettings(gather_s=0.2, quiet_s=0.1, max_transactions=7, proof_block_after_s=None)
    ledger = opened(tmp_path, settings=settings)
    person = Actor("person").join(ledger)
    futures = [ledger.submit(person.change()) for _ in range(30)]
    assert all(answer(future).ok for future in futures)
    sizes = [len(result.transactions) for result in ledger.follow(3)]
    assert max(sizes) <= 7
    assert sum(sizes) == 30
    ledger.close()


def test_same_transactions_at_the_same_times_give_the_same_chain(tmp_path: Path) -> None:
    heads = []
    for name in ("one", "two"):
        ledger: Ledger = opened(tmp_path / name, now=ticking())
        person = Actor("person").join(ledger)
        for _ in range(5):
            answer(ledger.submit(person.change()))
        header, commit = ledger.header_and_commit(ledger.head().height)
        heads.append((ledger.head(), header, commit))
        ledger.close()
    assert heads[0] == heads[1]
    assert heads[0][1].chain_id == CHAIN
