"""Following the ledger: whole blocks, in order, once; and beginning anew gives the same answers."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from audiera.protocol.api.usage import Selection
from audiera.protocol.errors import StorageError
from audiera.services.usage import UsageIndex, open_usage
from tests.services.ledger.actors import grown
from tests.services.usage.chains import MadeUp, Market, Pair, all_facts, follow


def answers(usage: UsageIndex, happened: Market) -> bytes:
    """Everything the index can say of a chain, as bytes."""
    said: list[object] = [usage.height]
    for number in range(1, 40):
        said += [usage.asset_history(number), usage.account_history(number), usage.transactions_of(number)]
        said += [usage.statement(number), usage.payments(number), usage.earnings(number)]
    for selection in (Selection(), Selection(holder=1), Selection(consumer=3, purpose="train-generative")):
        said += [usage.totals(selection), usage.days(selection), usage.top_assets(selection)]
        said += [usage.refusals(selection)]
    for fact in all_facts(happened.chain.pairs[: usage.height]):
        said.append(usage.trail(happened.chain.machine.view(), fact.row.node, fact.node_index))
    return msgspec.json.encode(said)


def test_an_empty_index_says_that_nothing_happened(empty: UsageIndex) -> None:
    assert empty.height == 0
    assert (empty.asset_history(1).total, empty.transactions_of(1).total, empty.payments(1).total) == (0, 0, 0)
    assert (empty.statement(1).closing, empty.statement(1).until, empty.earnings(1).paid_out) == (0, 1, 0)
    assert empty.totals(Selection()) == empty.days(Selection()) == empty.top_assets(Selection()) == ()
    assert empty.refusals(Selection()).accesses == 0


def test_a_block_applied_again_changes_nothing(happened: Market, empty: UsageIndex) -> None:
    for pair in happened.chain.pairs:
        empty.apply(*pair)
        empty.apply(*pair)
    before = answers(empty, happened)
    follow(empty, happened.chain.pairs)
    assert answers(empty, happened) == before


def test_a_gap_is_refused(happened: Market, empty: UsageIndex) -> None:
    pairs = happened.chain.pairs
    with pytest.raises(StorageError) as refusal:
        empty.apply(*pairs[1])
    assert (refusal.value.code, empty.height) == ("follower_gap", 0)
    empty.apply(*pairs[0])
    with pytest.raises(StorageError):
        empty.apply(*pairs[2])
    assert empty.height == 1


def test_a_block_of_another_chain_is_refused(happened: Market, empty: UsageIndex) -> None:
    result, block = happened.chain.pairs[0]
    empty.apply(result, block)
    with pytest.raises(StorageError) as refusal:
        empty.apply(replace(result, app_hash=bytes(32)), block)
    assert refusal.value.code == "follower_of_another_chain"


def test_results_of_another_block_are_refused(happened: Market, empty: UsageIndex) -> None:
    (first, block), (second, other) = happened.chain.pairs[:2]
    longer = replace(block, transactions=(*block.transactions, b"more"))
    for result, wrong in ((first, other), (second, block), (first, longer)):
        with pytest.raises(StorageError) as refusal:
            empty.apply(result, wrong)
        assert refusal.value.code == "usage_pair_differs"
    swapped = replace(first, transactions=(replace(first.transactions[0], id=bytes(32)),))
    with pytest.raises(StorageError):
        empty.apply(swapped, block)
    assert empty.height == 0


def torn(pair: Pair) -> Pair:
    """A block whose taking in fails at its end: its batch is not the one the log's entry names."""
    result, block = pair
    *before, done = result.transactions
    assert done.batch is not None
    entry = done.batch.entry[:-1] + bytes([done.batch.entry[-1] ^ 1])
    broken = replace(done, batch=replace(done.batch, entry=entry))
    return replace(result, transactions=(*before, broken)), block


def test_a_block_interrupted_leaves_the_one_before(happened: Market, empty: UsageIndex) -> None:
    for pair in happened.chain.pairs:
        if pair[0].transactions[-1].batch is not None:
            before = answers(empty, happened)
            with pytest.raises(StorageError) as refusal:
                empty.apply(*torn(pair))
            assert refusal.value.code == "usage_pair_differs"
            assert answers(empty, happened) == before
        empty.apply(*pair)
    assert empty.height == len(happened.chain.pairs)


def test_an_unfinished_block_of_a_killed_process_is_forgotten(happened: Market, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    usage = open_usage(path)
    follow(usage, happened.chain.pairs[:20])
    usage.close()
    killed = sqlite3.connect(path)
    killed.execute("DELETE FROM accesses")
    killed.execute("UPDATE position SET height = 21")
    copy = tmp_path / "after"
    copy.mkdir()
    for name in ("usage.sqlite", "usage.sqlite-wal"):
        if (tmp_path / name).exists():
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    killed.close()
    again = open_usage(copy / "usage.sqlite")
    assert again.height == 20
    follow(again, happened.chain.pairs)
    assert again.asset_history(happened.shared).total == 6
    again.close()


def test_rebuilding_gives_identical_answers(happened: Market, usage: UsageIndex, empty: UsageIndex) -> None:
    chain = MadeUp()
    chain.add(chain.moved([]))
    follow(empty, chain.pairs)
    for _ in range(2):
        empty.rebuild(happened.chain.pairs)
        assert answers(empty, happened) == answers(usage, happened)


def test_an_interrupted_rebuild_goes_on(happened: Market, usage: UsageIndex, empty: UsageIndex) -> None:
    def cut_off():
        yield from happened.chain.pairs[:7]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        empty.rebuild(cut_off())
    assert empty.height == 7
    follow(empty, happened.chain.pairs)
    assert answers(empty, happened) == answers(usage, happened)


def test_a_reopened_index_goes_on_where_it_stood(happened: Market, usage: UsageIndex, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    for pair in happened.chain.pairs:
        once = open_usage(path)
        once.apply(*pair)
        once.close()
    again = open_usage(path)
    assert answers(again, happened) == answers(usage, happened)
    again.close()


def test_a_file_of_another_version_is_begun_anew(happened: Market, tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    usage = open_usage(path)
    follow(usage, happened.chain.pairs[:3])
    usage.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=9999")
    db.close()
    again = open_usage(path)
    assert again.height == 0
    follow(again, happened.chain.pairs[:3])
    assert again.height == 3
    again.close()


def test_answers_while_blocks_come_in_are_of_one_moment(happened: Market, empty: UsageIndex) -> None:
    facts = all_facts(happened.chain.pairs)
    counts = {
        height: sum(fact.row.asset == happened.shared and fact.height <= height for fact in facts)
        for height in range(len(happened.chain.pairs) + 1)
    }
    done = threading.Event()
    wrong: list[object] = []
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            history = empty.asset_history(happened.shared)
            seen.append(history.height)
            if not counts[history.height] == history.total == len(history.accesses):
                wrong.append(history)
            statement = empty.statement(happened.number("lab"))
            if statement.opening + statement.credited - statement.debited != statement.closing:
                wrong.append(statement)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        follow(empty, happened.chain.pairs)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert seen


def test_closing_while_an_answer_is_read_harms_nothing(happened: Market, tmp_path: Path) -> None:
    usage = open_usage(tmp_path / "usage.sqlite")
    follow(usage, happened.chain.pairs[:3])
    with usage._file.reading() as db:  # type: ignore[attr-defined]
        usage.close()
        assert db.execute("SELECT height FROM position").fetchone() == (3,)
    with pytest.raises(sqlite3.ProgrammingError):
        db.execute("SELECT 1")


def test_it_follows_a_ledger(tmp_path: Path, empty: UsageIndex) -> None:
    with closing(grown(tmp_path / "ledger", changes=3, batches=4)) as ledger:
        for result in ledger.follow(1):
            empty.apply(result, ledger.block(result.height))
        head = ledger.head()
    assert empty.height == head.height
    assert sum(total.accesses for total in empty.totals(Selection())) == head.records == 12
    assert [access.log_index for access in empty.asset_history(1).accesses] == [3, 2, 1, 0]
    assert [each.kind for each in empty.refusals(Selection()).transactions] == ["record-accesses"]
