"""The state root: one for each set of rows however it came about, and every row, or none, provable against it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.errors import LedgerError, ProofError
from audiera.protocol.state import MemoryStore, StateView
from audiera.protocol.state.tree import (
    BUCKETS,
    LEVELS,
    StateProof,
    StateTree,
    bucket_of,
    change_bucket,
    changed_buckets,
    verify_state,
)
from audiera.protocol.state.view import Stage

KEYS = st.sampled_from([b"key/%d" % place for place in range(40)])
WRITES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=8)), max_size=12)


def applied(*blocks: list[tuple[bytes, bytes | None]]) -> tuple[MemoryStore, StateTree]:
    """A store and a tree that followed it block by block."""
    store = MemoryStore()
    tree = StateTree(store)
    for block in blocks:
        writes = tuple(dict(block).items())
        buckets = changed_buckets(store, writes)
        before = tree.root
        expected = tree.root_after(buckets)
        assert tree.root == before
        store.apply(writes, buckets)
        tree.update(buckets)
        assert tree.root == expected
    return store, tree


def proof_of(store: MemoryStore, tree: StateTree, key: bytes) -> StateProof:
    index = bucket_of(key)
    return StateProof(bucket=store.bucket(index), path=tree.path(index))


def neighbours(count: int) -> list[bytes]:
    """Keys that share a bucket."""
    found: dict[int, list[bytes]] = {}
    place = 0
    while True:
        key = b"n%d" % place
        several = found.setdefault(bucket_of(key), [])
        several.append(key)
        if len(several) == count:
            return several
        place += 1


def test_the_empty_root_is_a_tree_of_empty_buckets() -> None:
    node = bytes(32)
    for _ in range(LEVELS):
        node = hashlib.sha256(b"\x01" + node + node).digest()
    assert StateTree(MemoryStore()).root == node
    assert 1 << LEVELS == BUCKETS


@given(st.lists(WRITES, max_size=5))
def test_the_root_depends_on_the_rows_alone(blocks: list[list[tuple[bytes, bytes | None]]]) -> None:
    store, tree = applied(*blocks)
    rows = dict(store.scan(b""))
    assert StateTree(store).root == tree.root
    _, at_once = applied(list(rows.items()))
    assert at_once.root == tree.root
    _, one_by_one = applied(*[[row] for row in reversed(rows.items())])
    assert one_by_one.root == tree.root
    assert sum(len(content) // 64 for _, content in store.buckets()) == len(rows)


@given(WRITES, WRITES)
def test_other_rows_have_another_root(
    one: list[tuple[bytes, bytes | None]], two: list[tuple[bytes, bytes | None]]
) -> None:
    first, one_tree = applied(one)
    second, two_tree = applied(two)
    assert (dict(first.scan(b"")) == dict(second.scan(b""))) == (one_tree.root == two_tree.root)


@given(st.lists(WRITES, max_size=3), KEYS, st.binary(max_size=8))
def test_a_row_or_its_absence_is_proved_and_nothing_else(
    blocks: list[list[tuple[bytes, bytes | None]]], key: bytes, other: bytes
) -> None:
    store, tree = applied(*blocks)
    proof, value = proof_of(store, tree, key), store.get(key)
    verify_state(proof, key, value, tree.root)
    for wrong in {None, other} - {value}:
        with pytest.raises(ProofError):
            verify_state(proof, key, wrong, tree.root)
    with pytest.raises(ProofError):
        verify_state(proof, key, value, hashlib.sha256(tree.root).digest())


def test_rows_that_share_a_bucket_are_sorted_found_and_removed() -> None:
    keys = neighbours(3)
    content = b""
    for key in reversed(keys):
        content = change_bucket(content, key, key)
    names = [content[at : at + 32] for at in range(0, len(content), 64)]
    assert names == sorted(names)
    assert change_bucket(content, keys[1], b"new") != content
    for key in keys:
        content = change_bucket(content, key, None)
    assert content == b""
    assert change_bucket(b"", keys[0], None) == b""
    store, tree = applied([(key, key) for key in keys])
    for key in keys:
        verify_state(proof_of(store, tree, key), key, key, tree.root)


def test_a_malformed_proof_is_refused() -> None:
    keys = neighbours(2)
    store, tree = applied([(key, b"v") for key in keys])
    good = proof_of(store, tree, keys[0])
    one, two = good.bucket[:64], good.bucket[64:]
    for bad in (
        replace(good, bucket=two + one),
        replace(good, bucket=one + one),
        replace(good, bucket=good.bucket[:-1]),
        replace(good, bucket=b""),
        replace(good, path=good.path[:-1]),
        replace(good, path=(*good.path, bytes(32))),
        replace(good, path=good.path[::-1]),
    ):
        with pytest.raises(ProofError):
            verify_state(bad, keys[0], b"v", tree.root)


def test_a_bucket_proves_nothing_about_keys_of_another() -> None:
    """A true bucket without the key is no proof of its absence when the key belongs elsewhere."""
    store, tree = applied([(b"here", b"v")])
    assert bucket_of(b"elsewhere") != bucket_of(b"here")
    with pytest.raises(ProofError, match="does not lead"):
        verify_state(proof_of(store, tree, b"here"), b"elsewhere", None, tree.root)


@given(
    st.lists(st.tuples(st.sampled_from(("put", "keep", "drop")), KEYS, st.none() | st.binary(max_size=4)), max_size=30)
)
def test_a_stage_reads_what_it_wrote_and_forgets_what_failed(steps: list[tuple[str, bytes, bytes | None]]) -> None:
    store, _ = applied([(b"key/1", b"old"), (b"key/2", b"old")])
    stage = Stage(store)
    kept: dict[bytes, bytes | None] = {}
    open_: dict[bytes, bytes | None] = {}
    for what, key, value in steps:
        if what == "put":
            stage.put(key, value)
            open_[key] = value
        elif what == "keep":
            stage.keep()
            kept |= open_
            open_ = {}
        else:
            stage.drop()
            open_ = {}
        expected = {**dict(store.scan(b"")), **kept, **open_}
        shown = {name: row for name, row in expected.items() if row is not None}
        assert dict(stage.scan(b"key/")) == shown
        assert list(stage.scan(b"key/")) == sorted(shown.items())
        assert stage.get(key) == expected.get(key)
    assert stage.writes() == tuple(sorted(kept.items()))


def test_a_state_without_parameters_is_damaged() -> None:
    with pytest.raises(LedgerError):
        StateView(MemoryStore()).params()
