"""Reading the committed state: decoded once, never out of date, never more than was allowed."""

import threading
from dataclasses import dataclass, field

from audiera.protocol.encoding import encode
from audiera.protocol.records import GrantUsage, Params
from audiera.protocol.state import MemoryStore, StateView, number_key
from audiera.protocol.state.rows import NodeState
from audiera.services.ledger.reading import CommittedState


@dataclass
class Store(MemoryStore):
    """A store whose rows a test sets."""

    rows: dict[bytes, bytes] = field(default_factory=dict)

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def put(self, key: bytes, record: Params | NodeState | GrantUsage) -> None:
        self.rows[key] = encode(record)


def test_record_is_decoded_once_for_all_readers() -> None:
    store = Store()
    store.put(b"p", Params(network_fee=7))
    state = CommittedState(store)
    assert state.params() is state.params()
    assert state.params() == StateView(store).params()


def test_row_that_changed_is_read_anew_and_one_that_went_is_gone() -> None:
    store = Store()
    state = CommittedState(store)
    key = number_key(b"n", 3)
    assert state.node(3) == NodeState()
    for index in (1, 2, 1):
        store.put(key, NodeState(next_index=index))
        assert state.node(3).next_index == index
    del store.rows[key]
    assert state.node(3) == NodeState()


def test_same_bytes_under_another_kind_are_another_record() -> None:
    store = Store()
    store.put(number_key(b"n", 1), NodeState())
    store.put(number_key(b"u", 1), GrantUsage())
    assert len(set(store.rows.values())) == 1
    state = CommittedState(store)
    assert (state.node(1), state.grant_usage(1)) == (NodeState(), GrantUsage())


def test_no_more_is_remembered_than_allowed() -> None:
    store = Store()
    for number in range(1, 200):
        store.put(number_key(b"n", number), NodeState(next_index=number, last_t=2**40 + number))
    size = len(store.rows[number_key(b"n", 199)])
    state = CommittedState(store, remembered_bytes=10 * size)
    for _ in range(2):
        assert [state.node(number).next_index for number in range(1, 200)] == list(range(1, 200))
    assert state.node(199) is state.node(199)
    first = state.node(1)
    assert [state.node(number).next_index for number in range(2, 30)] == list(range(2, 30))
    assert state.node(1) == first
    assert state.node(1) is not first


def test_record_larger_than_all_that_may_be_remembered_is_still_read() -> None:
    store = Store()
    store.put(b"p", Params(network_fee=7))
    state = CommittedState(store, remembered_bytes=1)
    assert state.params() == state.params() == Params(network_fee=7)


def test_many_threads_read_while_little_is_remembered() -> None:
    store = Store()
    for number in range(1, 60):
        store.put(number_key(b"n", number), NodeState(next_index=number))
    state = CommittedState(store, remembered_bytes=200)
    wrong: list[int] = []

    def read() -> None:
        for turn in range(40):
            wrong.extend(number for number in range(1 + turn % 5, 60) if state.node(number).next_index != number)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
