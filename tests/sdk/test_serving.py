"""Models: stored, registered, published, called and paid; an application has one key for it."""

import functools
from collections.abc import Mapping
from pathlib import Path

import httpx2
import numpy as np
import pytest
from safetensors.numpy import save

from audiera.audio.texture import ARCHITECTURE, RATE, Trainer, log_mel
from audiera.protocol.api import routes
from audiera.protocol.errors import (
    AccessRefused,
    AudieraError,
    NotAuthenticated,
    ProofError,
    RequestError,
    TransactionError,
)
from audiera.protocol.records import CallPrice, Interface
from audiera.protocol.transactions import IssueGrant, PublishEndpoint, RegisterModel
from audiera.sdk import Client, connect, preset
from audiera.sdk.transport import Transport
from tests.sdk.house import Between, House

PRICE = CallPrice(version=1, per_call=40_000, per_audio_second=0)


@functools.cache
def weights() -> bytes:
    """A model's file."""
    frames = log_mel(np.random.default_rng(1).standard_normal(RATE).astype(np.float32))
    trainer = Trainer(frames.mean(axis=0), frames.std(axis=0))
    trainer.step(frames)
    return save(trainer.weights().arrays())


def small(name: str, stored: bytes, run: int) -> RegisterModel:
    """A model of one run."""
    interface = Interface(task="generation", accepts=("application/octet-stream",), returns=("audio/wav",))
    return RegisterModel(name=name, version="1", weights=stored, runs=(run,), training_share=2_000, interface=interface)


class Service:
    """A model that takes calls, trained on two assets."""

    def __init__(self, house: House, folder: Path) -> None:
        self.creator, self.developer = house.join(), house.join(test_credits=1_000_000)
        self.assets = house.offer(self.creator, folder, 2, preset("commercial", revenue_share=2_000))
        found = self.developer.search(purpose="train-generative", commercial=True, holders=(self.creator.account,))
        run = found.license().open_run()
        list(run)
        run.close_run()
        stored = self.developer.add_package(ARCHITECTURE, weights())
        self.model, self.other = (self.developer.register_model(small(n, stored, run.run)) for n in ("one", "two"))
        node = self.developer.node().account
        for model in (self.model, self.other):
            self.developer.publish_endpoint(PublishEndpoint(model=model, node=node, price=PRICE))


@pytest.fixture(scope="module")
def service(house: House, tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(house, tmp_path_factory.mktemp("trained-on"))


@pytest.fixture
def caller(house: House, service: Service) -> Client:
    """An account that may call the model."""
    client = house.join(test_credits=1_000_000)
    client.grant(IssueGrant(purpose="call-model", model=service.model, budget=500_000))
    return client


def with_key(house: House, secret: str) -> Client:
    return connect(house.url, api_key=secret)


def test_a_call_is_answered_recorded_and_billed(house: House, service: Service) -> None:
    client = house.join(test_credits=1_000_000)
    with client.open_model(service.model, budget=200_000) as session:
        answer = client.call_model(session, service.model, seconds=0.5, seed=1)
        again = client.call_model(session, service.model, seconds=0.5, seed=1)
    assert answer.media_type == "audio/wav" and answer.body == again.body
    assert (answer.price, again.index) == (40_000, answer.index + 1)
    client.wait_for_record(answer.node, answer.index)
    trail = client.trail(answer.node, answer.index)
    assert trail.model is not None and trail.model.number == service.model
    assert sorted(source.asset for source in trail.sources) == service.assets
    shown = client.model(service.model)
    assert shown.assets == 2 and shown.endpoint is not None and shown.endpoint.active


def test_a_receipt_of_another_call_is_refused(house: House, service: Service, caller: Client) -> None:
    kept: list[str] = []

    def alter(request: httpx2.Request, headers: httpx2.Headers, body: bytes) -> tuple[Mapping[str, str], bytes]:
        if request.url.path.endswith("/call"):
            kept.append(headers[routes.RECEIPT])
            return {**headers, routes.RECEIPT.lower(): kept[0]}, body
        return headers, body

    liar = house.again(caller, Between(alter))
    with liar.open_model(service.model, budget=100_000) as session:
        liar.call_model(session, service.model, seconds=0.2)
    with pytest.raises(ProofError, match="another call"), liar.open_model(service.model, budget=100_000) as session:
        liar.call_model(session, service.model, seconds=0.2)
    caller.grant(IssueGrant(purpose="call-model", model=service.other, budget=100_000))
    key = caller.make_api_key(budget=100_000)
    way = httpx2.Client(base_url=house.url, transport=Between(alter))
    with connect(house.url, api_key=key.secret, http=way) as application, pytest.raises(ProofError, match="another"):
        application.call_model(None, service.other, seconds=0.2)


def test_an_application_calls_with_its_key_alone(house: House, service: Service, caller: Client) -> None:
    key = caller.make_api_key(budget=100_000, days=1, models=(service.model,))
    assert key.secret.startswith(routes.API_KEY_PREFIX)
    with with_key(house, key.secret) as application:
        answer = application.call_model(None, service.model, seconds=0.2)
        application.call_model(None, service.model, seconds=0.2)
        with pytest.raises(AccessRefused) as refused:
            application.call_model(None, service.model, seconds=0.2)
    assert answer.price == 40_000
    assert refused.value.values["reasons"] == ("app-key-budget",)


def test_a_key_is_good_for_its_models_only(house: House, service: Service, caller: Client) -> None:
    key = caller.make_api_key(budget=100_000, models=(service.other,))
    with with_key(house, key.secret) as application, pytest.raises(AccessRefused) as refused:
        application.call_model(None, service.model, seconds=0.2)
    assert refused.value.values["reasons"] == ("app-key-scope",)


def test_a_key_that_was_taken_back_or_never_made_is_refused_at_once(
    house: House, service: Service, caller: Client
) -> None:
    key = caller.make_api_key(budget=100_000)
    with with_key(house, key.secret) as application:
        application.call_model(None, service.model, seconds=0.2)
        caller.revoke_api_key(key.number)
        with pytest.raises(AudieraError) as revoked:
            application.call_model(None, service.model, seconds=0.2)
    assert isinstance(revoked.value, NotAuthenticated | AccessRefused)
    with with_key(house, routes.API_KEY_PREFIX + "x" * 43) as application, pytest.raises(NotAuthenticated) as unknown:
        application.call_model(None, service.model, seconds=0.2)
    assert unknown.value.code == "app_key_unknown"


def test_a_key_does_nothing_else(house: House, caller: Client) -> None:
    key = caller.make_api_key(budget=100_000)
    with with_key(house, key.secret) as application:
        with pytest.raises(AudieraError):
            application.take_test_credits(1)
        with pytest.raises(NotAuthenticated):
            application.publish_license(preset("open"))


def test_a_call_that_fails_is_not_billed(house: House, service: Service, caller: Client) -> None:
    with caller.open_model(service.model, budget=100_000) as session:
        with pytest.raises(RequestError) as refused:
            caller.call_model(session, service.model, seconds="many")
        assert refused.value.code == "model_input_invalid"
        grant = session._grant.number
        session.flush()
    caller.wait_for_histories()
    assert caller.grant_info(grant).usage.spent == 0
    caller.revoke_grant(grant)
    with pytest.raises(TransactionError, match="a day after"):
        caller.return_budget(grant)


def test_what_calls_earned_is_settled_and_paid(house: House, service: Service, caller: Client) -> None:
    with caller.open_model(service.model, budget=100_000) as session:
        answer = caller.call_model(session, service.model, seconds=0.2)
    caller.wait_for_record(answer.node, answer.index)
    settlement = service.creator.settle(service.model)
    record = service.creator.settlement(settlement).settlement
    before = service.creator.balance()
    assert service.creator.claim_settlement(settlement) == 2
    assert service.creator.balance() == before + record.amount > before
    service.creator.wait_for_histories()
    statement = service.creator.statement()
    assert statement.closing == service.creator.balance() == statement.opening + statement.credited - statement.debited
    paid = caller.payments()
    assert paid.total == len(paid.lines) > 0
    assert {line.payer for line in paid.lines} == {caller.account}
    assert caller.credits().total == 0


def test_a_model_can_be_served_elsewhere(house: House) -> None:
    developer = house.join()
    number = developer.register_model(
        RegisterModel(
            name="elsewhere",
            version="1",
            weights=bytes(32),
            runs=(),
            training_share=0,
            interface=Interface(task="generation", accepts=("audio/wav",), returns=("audio/wav",)),
            undisclosed_data=True,
        )
    )
    endpoint = PublishEndpoint(model=number, node=developer.node().account, price=PRICE)
    with pytest.raises(RequestError) as refused:
        developer.publish_endpoint(endpoint, url="http://127.0.0.1:9/call")
    assert refused.value.code == "url_not_public"


def test_a_transport_can_be_made_by_hand(house: House) -> None:
    with Client(Transport(house.url)) as visitor:
        assert visitor.node().chain_id == house.node.parts.ledger.genesis.chain_id
