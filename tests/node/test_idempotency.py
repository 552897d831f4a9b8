"""The same request twice has one effect: under one key, after a restart, after a crash, from several at once."""

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from audiera.node.app import build
from audiera.node.config import Settings
from audiera.node.http.idempotency import KEPT_US, Answers
from audiera.protocol.api import routes
from audiera.protocol.api.routes import API_KEY_PREFIX, IDEMPOTENCY_KEY, Route
from audiera.protocol.api.transactions import Document
from audiera.protocol.encoding import encode
from audiera.protocol.machine import account_purse
from audiera.protocol.records import Grant
from audiera.protocol.transactions import AuthorizeAppKey, ChangeProfile
from tests.node.house import ANYTHING, SECOND, Answer, House, Person, _profile_of, sound, until
from tests.node.world import World

OCTETS = {"Content-Type": "application/octet-stream"}


def key(name: str) -> dict[str, str]:
    return {IDEMPOTENCY_KEY: name}


@dataclasses.dataclass(frozen=True)
class Shop:
    """A node with a model and an application."""

    house: House
    lab: Person
    model: int
    grant: Grant
    secret: str

    def call(self, name: str, *, secret: str = "", content: bytes = b"", **headers: str) -> Answer:
        """Call the model under an idempotency key."""
        places, sent = {"number": self.model}, {**OCTETS, **key(name), **headers}
        query = {"seconds": "0.2", "seed": "1"}
        token = secret or self.secret
        return self.house.ask(routes.CALL_MODEL, places, token=token, content=content, headers=sent, query=query)

    def key(self, name: str, *, budget: int = 1_000_000) -> str:
        """Another application's key."""
        secret = API_KEY_PREFIX + name
        digest = hashlib.sha256(secret.encode()).digest()
        ends = self.house.clock() + 10**12
        self.lab.do(AuthorizeAppKey(key_hash=digest, budget=budget, expires_at=ends))
        return secret

    @property
    def spent(self) -> int:
        """What the calls on the ledger cost."""
        self.house.flush()
        return self.house.parts.ledger.state().grant_usage(self.grant.number).spent


@pytest.fixture
def shop(house: House) -> Shop:
    lab = house.person(funds=1_000_000)
    model = lab.model()
    grant = lab.grant(model=model, purpose="call-model", budget=500_000)
    made = Shop(house, lab, model, grant, "")
    return dataclasses.replace(made, secret=made.key("first"))


def balance(person: Person) -> int:
    return person.house.parts.ledger.state().balance(account_purse(person.number))


def give(person: Person, name: str, amount: int = 5) -> Answer:
    return person.ask(routes.FAUCET, body={"account": person.number, "amount": amount}, headers=key(name))


# ---------------------------------------------------------------------- the same key


REQUESTS: dict[Route, dict[str, Any]] = {
    routes.DECIDE: {"body": {"purpose": "evaluate", "assets": [1]}},
    routes.SEARCH_BY_BODY: {"body": {}},
    routes.USAGE_TOTALS: {"body": {}},
    routes.USAGE_DAYS: {"body": {}},
    routes.USAGE_ASSETS: {"body": {}},
    routes.USAGE_REFUSALS: {"body": {}},
    routes.CREATE_UPLOAD: {"content": b"", "headers": {"Tus-Resumable": "1.0.0", "Upload-Length": "8"}},
}


@pytest.mark.parametrize("route", REQUESTS, ids=lambda route: route.path)
def test_an_equal_request_has_an_equal_answer_and_another_is_refused(world: World, route: Route) -> None:
    request = dict(REQUESTS[route])
    headers = request.pop("headers", {}) | key(f"equal {route.path}")
    first = world.lab.ask(route, headers=headers, **request)
    again = world.lab.ask(route, headers=headers, **request)
    assert first.status < 300
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers.get("location") == first.headers.get("location")
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    for other in ({"body": {"limit": 1}}, request | {"query": {"x": "1"}}):
        answer = world.lab.ask(route, headers=headers, **other)
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert world.rival.ask(route, headers=headers, **request).status < 300  # another account's keys are its own


@pytest.mark.parametrize("name", ["", "x" * 129, "a\tb", "\xe9"])
def test_a_key_that_is_none_is_refused(world: World, name: str) -> None:
    session = world.lab.session(world.grant)
    before = world.house.parts.meter.next_index
    headers: Any = {IDEMPOTENCY_KEY: name.encode("latin-1")}
    assert world.house.ask(routes.SEARCH_BY_BODY, body={}, headers=headers).code == "idempotency_key_invalid"
    places = {"session": session.number, "asset": world.free}
    answer = world.house.ask(routes.SESSION_BYTES, places, token=session.token, headers=headers)
    assert (answer.status, answer.code) == (400, "idempotency_key_invalid")
    assert world.house.parts.meter.next_index == before


def test_a_refused_request_may_be_sent_again(world: World) -> None:
    body = {"grant": 999_999}
    for _ in range(2):
        answer = world.lab.ask(routes.RESERVE_SESSION, body=body, headers=key("refused"))
        assert answer.code == "grant_other_account"
        assert "idempotent-replayed" not in answer.headers


def test_an_opened_session_is_opened_once(world: World) -> None:
    body = {"session": encode(world.lab.opening(world.grant))}
    first, again = (world.lab.ask(routes.OPEN_SESSION, body=body, headers=key("open")) for _ in range(2))
    assert first.status == 200
    assert first.json["token"] == again.json["token"]


def test_a_gift_is_given_once(house: House) -> None:
    person = house.person()
    first, again = give(person, "k"), give(person, "k")
    assert first.status == 200 and first.body == again.body
    assert balance(person) == 5
    assert give(person, "k", 6).code == "idempotency_key_reused"
    assert give(person, "other").status == 200
    assert balance(person) == 10
    house.restart()
    assert give(person, "k").body == first.body
    assert balance(person) == 10
    house.clock.advance(KEPT_US)
    assert give(person, "k").status == 200
    assert balance(person) == 15


def test_a_gift_that_was_refused_frees_its_key(house: House) -> None:
    person = house.person()
    for _ in range(2):
        assert give(person, "k", 0).code == "amount_invalid"
    assert give(person, "k", 5).status == 200


def test_equal_requests_at_once_have_one_effect(house: House) -> None:
    person = house.person()
    start = threading.Barrier(8)

    def ask(_: int) -> Answer:
        start.wait()
        return give(person, "k")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert balance(person) == 5


# ---------------------------------------------------------------------- calls of a model


def test_a_call_is_charged_once(shop: Shop) -> None:
    first, again = shop.call("k"), shop.call("k")
    assert first.status == 200, first.body
    assert (again.status, again.body) == (200, first.body)
    assert shop.house.index_of(again) == shop.house.index_of(first)
    assert again.headers[routes.RECEIPT] == first.headers[routes.RECEIPT]
    assert shop.spent == int(first.headers[routes.PRICE]) > 0
    assert shop.call("k", content=b"x").code == "idempotency_key_reused"
    shop.house.restart()
    assert shop.call("k").body == first.body
    assert shop.spent == int(first.headers[routes.PRICE])


def test_a_call_whose_answer_was_lost_in_a_crash_is_not_charged_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.call("warm")
    before = shop.spent
    keep = Answers.keep

    def dies(*arguments: Any) -> None:
        """The machine stops between the call's record and its kept answer."""
        if arguments[-1].answer is not None:
            raise RuntimeError("the power is gone")
        keep(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Answers, "keep", dies)
        assert shop.call("k").code == "internal"
    price = shop.spent - before
    assert price > 0
    shop.house.restart()
    answer = shop.call("k")
    assert (answer.status, answer.code) == (409, "outcome_unknown")
    assert shop.spent == before + price
    assert shop.call("another").status == 200


def test_a_call_that_failed_may_be_sent_again_under_its_key(shop: Shop) -> None:
    for _ in range(2):
        assert shop.call("k", **{"Content-Type": "audio/wav"}, content=b"no sound").status in (415, 422)
    assert shop.call("k").status == 200


def test_two_applications_do_not_share_their_keys(shop: Shop) -> None:
    other = shop.key("second")
    first, second = shop.call("1"), shop.call("1", secret=other)
    assert first.status == second.status == 200
    assert shop.house.index_of(first) != shop.house.index_of(second)
    assert shop.call("1", secret=other, content=b"other").code == "idempotency_key_reused"


def test_a_call_on_another_grant_is_another_request(shop: Shop) -> None:
    other = shop.lab.grant(model=shop.model, purpose="call-model", budget=1_000)
    assert shop.call("k", **{routes.GRANT_HEADER: str(shop.grant.number)}).status == 200
    assert shop.call("k", **{routes.GRANT_HEADER: str(other.number)}).code == "idempotency_key_reused"


# ---------------------------------------------------------------------- transactions


def test_a_captured_transaction_has_one_effect(house: House) -> None:
    person = house.person()
    sequence = house.parts.ledger.state().sequence(person.number)
    body = {"transaction": person.sign(ChangeProfile(roles=("creator",), profile=bytes(32))), "documents": []}
    first = house.ask(routes.SUBMIT_TRANSACTION, body=body)
    assert first.json["code"] == "ok"
    other = house.person()
    for again in (
        house.ask(routes.SUBMIT_TRANSACTION, body=body),
        house.ask(routes.SUBMIT_TRANSACTION, body=body, headers=key("a")),
        other.ask(routes.SUBMIT_TRANSACTION, body=body, headers=key("a")),
    ):
        assert again.body == first.body
    house.restart()
    assert house.ask(routes.SUBMIT_TRANSACTION, body=body).body == first.body
    assert house.parts.ledger.state().sequence(person.number) == sequence + 1
    assert house.ask(routes.FETCH_TRANSACTION, {"id": first.json["id"]}).body == first.body
    late = person.sign(ChangeProfile(roles=(), profile=bytes(32)), sequence=sequence + 1)
    answer = house.ask(routes.SUBMIT_TRANSACTION, body={"transaction": late, "documents": []})
    assert (answer.status, answer.code) == (409, "wrong_sequence")


def test_a_transaction_of_another_chain_is_refused(tmp_path: Path, house: House) -> None:
    person = house.person()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(House, "chain", "another")
        foreign = person.sign(ChangeProfile(roles=(), profile=bytes(32)))
    answer = house.ask(routes.SUBMIT_TRANSACTION, body={"transaction": foreign, "documents": []})
    assert answer.status == 422
    del tmp_path


# ---------------------------------------------------------------------- documents


def submit(person: Person, transaction: bytes, *documents: Document) -> Answer:
    body = {"transaction": transaction, "documents": documents}
    return person.house.ask(routes.SUBMIT_TRANSACTION, body=body)


def test_documents_are_the_ones_a_transaction_names(house: House) -> None:
    person = house.person()
    digest, profile = _profile_of("somebody")
    _, other = _profile_of("somebody else")
    named = person.sign(ChangeProfile(roles=(), profile=digest))
    assert submit(person, named, other).code == "document_not_named"
    assert submit(person, named, Document(kind="sheet", content=profile.content)).code == "document_not_named"
    assert submit(person, named, *[profile] * 5).code == "document_invalid"
    assert submit(person, named, Document(kind="profile", content=bytes(200_000))).code == "document_invalid"
    assert submit(person, named, Document(kind="profile", content=b"no profile")).code == "document_not_named"
    assert house.parts.documents.get("profile", digest) is None
    assert submit(person, named, profile).json["code"] == "ok"
    assert house.parts.documents.get("profile", digest) == profile.content


def test_a_refused_transactions_document_is_erased(house: House) -> None:
    person = house.person()
    digest, profile = _profile_of("refused")
    refused = person.sign(ChangeProfile(roles=("moderator",), profile=digest))  # nobody makes himself one
    answer = submit(person, refused, profile)
    assert answer.status == 422 or answer.json["code"] != "ok"
    assert house.parts.documents.get("profile", digest) is None


def test_a_document_two_refused_transactions_brought_at_once_is_erased(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look for it, one stores it, the other finds it stored: it is new all the same."""
    people = [house.person(), house.person()]
    digest, profile = _profile_of("twice refused")
    documents = house.parts.documents
    get, put, gate = documents.get, documents.put, threading.Barrier(2)
    stored = threading.Event()
    first = threading.Lock()

    def slow_get(kind: str, name: bytes) -> bytes | None:
        if name != digest:
            return get(kind, name)
        gate.wait(10)
        if first.acquire(blocking=False):
            return get(kind, name)  # the first one sees none
        stored.wait(10)
        return get(kind, name)

    def noted_put(kind: str, content: bytes) -> bytes:
        found = put(kind, content)
        stored.set()
        return found

    monkeypatch.setattr(type(documents), "get", lambda _, kind, name: slow_get(kind, name))
    monkeypatch.setattr(type(documents), "put", lambda _, kind, content: noted_put(kind, content))
    with ThreadPoolExecutor(2) as pool:
        refused = [person.sign(ChangeProfile(roles=("moderator",), profile=digest)) for person in people]
        answers = list(pool.map(submit, people, refused, [profile] * 2))
    monkeypatch.undo()
    assert all(answer.status == 422 or answer.json["code"] != "ok" for answer in answers)
    until(lambda: documents.get("profile", digest) is None, within_s=5)


# ---------------------------------------------------------------------- budgets after a crash


def test_what_a_key_spent_before_a_crash_counts_after_it(tmp_path: Path) -> None:
    """A session and its calls are durable in different groups and neither is on the ledger when the node dies."""
    home = tmp_path / "home"
    house = House(home)
    house.start()
    lab = house.person(funds=1_000_000)
    model = lab.model()
    grant = lab.grant(model=model, purpose="call-model", budget=500_000)
    shop = Shop(house, lab, model, grant, "")
    shop = dataclasses.replace(shop, secret=shop.key("small", budget=350))
    price = int(shop.call("0").headers[routes.PRICE])
    assert price * 3 <= 350
    house.flush()
    house.stop()
    house = House(home, batch_after=60_000)  # from now on nothing is sealed until it ends
    house.start()
    lab.house = house
    shop = dataclasses.replace(shop, house=house)
    preview = lab.offer(ANYTHING, sound(40), name="p.wav")
    assert shop.call("1").status == 200  # the session is durable with this call,
    assert house.ask(routes.ASSET_PREVIEW, {"ref": preview}).status == 200
    assert shop.call("2").status == 200  # and this one in a later group
    died = copy_of(house, tmp_path / "died")
    house.stop()
    node = build(Settings(home=died))
    try:
        number = node.parts.ledger.state().app_key_by_hash(hashlib.sha256(shop.secret.encode()).digest()).number
        assert node.parts.gate._tallies.of_key(number) == 2 * price
    finally:
        node.close()


def copy_of(house: House, into: Path) -> Path:
    """What a machine that loses its power would find again, as it is now."""
    import shutil

    return Path(shutil.copytree(house.home, into, ignore=shutil.ignore_patterns("lock")))


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    kept = Answers(tmp_path / "answers.sqlite", lambda: SECOND)
    yield kept
    kept.close()
