"""One secret is enough to call a model: the grant and the session are found, and every bound of the key holds."""

import dataclasses
import hashlib
import threading
from typing import Any

import msgspec
import pytest

from audiera.protocol.api import routes
from audiera.protocol.api.routes import API_KEY_PREFIX
from audiera.protocol.records import Grant
from audiera.protocol.transactions import AuthorizeAppKey, RevokeAppKey, RevokeGrant
from tests.node.house import DEADLINE_S, HOUR, SECOND, Answer, House, Person, trained

OCTETS = {"Content-Type": "application/octet-stream"}


@dataclasses.dataclass(frozen=True)
class Shop:
    """A node with a developer's model, and an account whose applications call it."""

    house: House
    developer: Person
    lab: Person
    model: int

    def key(self, name: str, *, budget: int = 1_000_000, hours: int = 24, models: tuple[int, ...] = ()) -> str:
        secret = API_KEY_PREFIX + name
        body = AuthorizeAppKey(
            key_hash=hashlib.sha256(secret.encode()).digest(),
            budget=budget,
            expires_at=self.house.clock() + hours * HOUR,
            models=models,
        )
        self.lab.do(body)
        return secret

    def number(self, secret: str) -> int:
        found = self.house.parts.ledger.state().app_key_by_hash(hashlib.sha256(secret.encode()).digest())
        assert found is not None
        return found.number

    def grant(self, budget: int = 100_000) -> Grant:
        return self.lab.grant(model=self.model, purpose="call-model", budget=budget)

    def call(self, secret: str, *, model: int = 0, seconds: str = "0.2", **headers: str) -> Answer:
        sent = OCTETS | {name.replace("_", "-"): value for name, value in headers.items()}
        places = {"number": model or self.model}
        return self.house.ask(routes.CALL_MODEL, places, token=secret, headers=sent, query={"seconds": seconds})


@pytest.fixture
def shop(house: House) -> Shop:
    developer, lab = house.person(), house.person(funds=10_000_000)
    return Shop(house, developer, lab, developer.model())


def test_a_key_calls_on_the_newest_active_grant(shop: Shop) -> None:
    secret = shop.key("k")
    assert shop.call(secret).code == "grant_not_found"
    first, second = shop.grant(), shop.grant()
    answer = shop.call(secret)
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/wav")
    row = shop.house.row_of(answer)
    assert (row.grant, row.consumer, row.asset) == (second.number, shop.lab.number, shop.model)
    assert int(answer.headers[routes.PRICE]) == 110
    assert answer.headers[routes.PRICE_VERSION] == "1"
    assert shop.house.row_of(shop.call(secret)).session == row.session
    assert shop.house.row_of(shop.call(secret, Audiera_Grant=str(first.number))).grant == first.number
    shop.lab.do(RevokeGrant(grant=second.number))
    assert shop.house.row_of(shop.call(secret)).grant == first.number
    shop.house.restart()
    assert shop.house.row_of(shop.call(secret)).grant == first.number


def test_a_grant_serves_from_its_answer_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the thread is that follows the ledger."""
    secret = shop.key("k")
    go = threading.Event()
    apply = shop.house.parts.catalog.apply

    def late(*arguments: Any) -> None:
        assert go.wait(DEADLINE_S)
        apply(*arguments)

    monkeypatch.setattr(shop.house.parts.catalog, "apply", late)
    for _ in range(3):
        grant = shop.grant()
        answer = shop.call(secret)
        assert answer.status == 200, answer.body
        assert shop.house.row_of(answer).grant == grant.number
    go.set()


def test_a_grant_that_is_none_or_anothers_is_refused(shop: Shop) -> None:
    shop.grant()
    secret = shop.key("k")
    other = shop.house.person(funds=1_000_000)
    foreign = other.grant(model=shop.model, purpose="call-model", budget=1_000)
    assert shop.call(secret, Audiera_Grant=str(foreign.number)).code == "grant_other_account"
    assert shop.call(secret, Audiera_Grant="999999").code == "grant_not_found"
    for text in ("x", "-1", "9" * 20, "1.0", ""):
        assert shop.call(secret, Audiera_Grant=text).code == "header_invalid"


@pytest.mark.parametrize("text", ["\u0663", "9" * 19])
def test_a_grants_number_no_ledger_has_is_refused(shop: Shop, text: str) -> None:
    shop.grant()
    headers: Any = OCTETS | {routes.GRANT_HEADER: text.encode()}
    secret = shop.key("k")
    answer = shop.house.ask(routes.CALL_MODEL, {"number": shop.model}, token=secret, headers=headers)
    assert answer.status in (400, 404)


def test_a_keys_budget_models_and_end_hold(shop: Shop) -> None:
    shop.grant()
    small = shop.key("small", budget=250)
    assert [shop.call(small).status for _ in range(4)] == [200, 200, 403, 403]
    elsewhere = shop.key("elsewhere", models=(shop.lab.model(),))
    answer = shop.call(elsewhere)
    assert answer.status == 403 and answer.problem.values["reasons"]
    short = shop.key("short", hours=2)
    taken = shop.key("taken")
    assert shop.call(short).status == shop.call(taken).status == 200
    shop.lab.do(RevokeAppKey(key=shop.number(taken)))
    assert shop.call(taken).code == "app_key_ended"
    shop.house.clock.advance(61 * 60 * SECOND)  # past the session, before the key's end
    assert shop.call(short).status == 200
    shop.house.clock.advance(HOUR)
    assert shop.call(short).code == "app_key_ended"


def test_sessions_of_applications_are_made_anew_when_there_are_many(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.grant()
    monkeypatch.setattr("audiera.node.applications._MOST", 1)
    first, second = shop.key("1"), shop.key("2")
    found = [shop.house.row_of(shop.call(secret)).session for secret in (first, second, first)]
    assert len(set(found)) == 3


def test_a_session_calls_as_its_account_does(shop: Shop) -> None:
    session = shop.lab.session(shop.grant())
    answer = shop.call(session.token)
    assert (answer.status, shop.house.row_of(answer).session) == (200, session.number)
    assert shop.call(shop.lab.token()).code == "session_needed"
    assert shop.call(session.token, model=999_999).code == "unknown_object"


def test_a_model_is_deployed_by_its_developer_in_a_way_it_can_be(shop: Shop) -> None:
    def deploy(person: Person, **body: str) -> Answer:
        return person.ask(routes.DEPLOY_MODEL, {"number": shop.model}, body={"kind": "embedded", "url": ""} | body)

    assert deploy(shop.lab).code == "other_account"
    assert deploy(shop.developer, url="http://127.0.0.1:1/").code == "body_invalid"
    assert deploy(shop.developer, kind="http").code == "body_invalid"
    assert deploy(shop.developer, kind="other").status in (400, 422)
    for url in ("http://127.0.0.1:1/", "http://169.254.169.254/", "http://localhost/", "file:///etc/passwd", "x"):
        answer = deploy(shop.developer, kind="http", url=url)
        assert answer.status in (403, 422), (url, answer)
    assert deploy(shop.developer).status == 200
    assert shop.developer.ask(routes.DEPLOY_MODEL, {"number": 999_999}, body={"kind": "embedded"}).status == 404


def test_a_file_that_is_no_model_is_refused_and_not_kept(shop: Shop) -> None:
    before = shop.house.blobs()
    query = {"architecture": "audiera-texture-1", "name": "weights.safetensors"}
    for data in (b"", b"no model", trained()[:-10], bytes(5_000)):
        answer = shop.lab.ask(routes.ADD_PACKAGE, content=data, query=query, headers=OCTETS)
        assert answer.status == 422, answer.body
    unknown = shop.lab.ask(routes.ADD_PACKAGE, content=trained(), query=query | {"architecture": "x"}, headers=OCTETS)
    assert unknown.code == "architecture_unknown"
    assert shop.house.blobs() == before


def test_the_same_file_is_kept_once(shop: Shop) -> None:
    query = {"architecture": "audiera-texture-1"}
    first, again = (
        shop.lab.ask(routes.ADD_PACKAGE, content=trained(), query=query, headers=OCTETS).json for _ in range(2)
    )
    assert first == again
    assert msgspec.json.encode(first)
