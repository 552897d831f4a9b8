"""Requests: refusals become typed errors with the node's code, cut answers are asked for again, tokens are renewed."""

import base64
import socket
from collections.abc import Callable, Iterator

import httpx2
import msgspec
import pytest

from audiera.protocol.api import routes
from audiera.protocol.api.node import HeadAnswer
from audiera.protocol.api.problems import MEDIA_TYPE
from audiera.protocol.errors import (
    AccessRefused,
    AudieraError,
    ConfigurationError,
    Conflict,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RequestError,
    TooLarge,
    TooMany,
    Unavailable,
)
from audiera.protocol.keys import parse_key, verify_bytes
from audiera.sdk import connect, make_identity, transport
from audiera.sdk.identity import Identity
from audiera.sdk.transport import Transport, mint_token
from tests.sdk.house import House, lose_answers

URL = "http://127.0.0.1:7170"
Handler = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture
def answering() -> Iterator[Callable[..., Transport]]:
    """Transports to a node that answers what a test says."""
    made: list[Transport] = []

    def make(handler: Handler, identity: Identity | None = None, **given: str) -> Transport:
        http = httpx2.Client(base_url=URL, transport=httpx2.MockTransport(handler))
        made.append(Transport(URL, identity, http=http, **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_PAUSE_S", 0.0)


def problem(status: int, code: str, values: dict[str, object]) -> httpx2.Response:
    document = {
        "type": f"urn:audiera:problem:{code}",
        "title": "A title",
        "status": status,
        "code": code,
        "detail": "what was expected",
        "values": values,
    }
    return httpx2.Response(status, content=msgspec.json.encode(document), headers={"Content-Type": MEDIA_TYPE})


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "parameter_invalid", RequestError),
        (401, "token_expired", NotAuthenticated),
        (403, "not_permitted", NotPermitted),
        (403, "access_refused", AccessRefused),
        (404, "asset_not_found", NotFound),
        (409, "wrong_sequence", Conflict),
        (413, "too_large", TooLarge),
        (422, "too_short", RequestError),
        (429, "too_many", TooMany),
        (503, "unavailable", Unavailable),
        (500, "error", RequestError),
    ],
)
def test_a_problem_becomes_an_error_of_its_kind(
    answering: Callable[..., Transport], status: int, code: str, kind: type[AudieraError]
) -> None:
    values = {"reasons": ["denied"], "limit": 3, "code": "other", "message": "other"}
    there = answering(lambda _: problem(status, code, values))
    with pytest.raises(kind) as raised:
        there.send(routes.NODE)
    assert type(raised.value) is kind
    assert raised.value.code == code
    assert raised.value.message == "what was expected"
    assert raised.value.values == {"reasons": ("denied",), "limit": 3}


def test_an_answer_that_is_no_problem_is_told_by_its_status(answering: Callable[..., Transport]) -> None:
    there = answering(lambda _: httpx2.Response(404, content=b"<html>nothing here</html>"))
    with pytest.raises(NotFound, match="404") as raised:
        there.send(routes.NODE)
    assert raised.value.values == {"status": 404}
    there = answering(lambda _: httpx2.Response(418))
    with pytest.raises(RequestError, match="418"):
        there.send(routes.NODE)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"height":"1"}', b"\xff"])
def test_an_answer_that_is_not_what_the_api_says_is_refused(answering: Callable[..., Transport], body: bytes) -> None:
    there = answering(lambda _: httpx2.Response(200, content=body))
    with pytest.raises(AudieraError, match="one version") as raised:
        there.ask(routes.LEDGER_HEAD, HeadAnswer)
    assert raised.value.code == "answer_invalid"


def test_a_node_that_is_not_there_is_said_to_be_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="audiera node") as raised:
        connect(f"http://127.0.0.1:{port}")
    assert raised.value.code == "node_unreachable"
    assert f"127.0.0.1:{port}" in raised.value.message
    assert "Errno" not in raised.value.message


@pytest.mark.parametrize(
    ("fault", "said", "times"),
    [
        (httpx2.ConnectError("[Errno 111] Connection refused"), "connection refused", 1),
        (httpx2.ConnectTimeout(""), "in time", 1),
        (httpx2.ReadTimeout(""), "in time", 1),
        (httpx2.ReadError(""), "ended the connection", 4),
        (httpx2.WriteError("[Errno 32] Broken pipe"), "ended the connection", 4),
        (httpx2.RemoteProtocolError("Server disconnected"), "ended the connection", 4),
    ],
)
@pytest.mark.usefixtures("no_pause")
def test_only_cut_requests_are_sent_again_and_all_under_one_key(
    answering: Callable[..., Transport], fault: httpx2.TransportError, said: str, times: int
) -> None:
    keys: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        raise fault

    there = answering(handler)
    with pytest.raises(Unavailable, match=said) as raised:
        there.send(routes.SUBMIT_TRANSACTION, content=b"x")
    assert raised.value.code == "node_unreachable"
    assert len(keys) == times
    assert len(set(keys)) == 1


@pytest.mark.usefixtures("no_pause")
def test_a_piece_of_an_upload_is_not_sent_again_blindly(answering: Callable[..., Transport]) -> None:
    count = [0]

    def handler(request: httpx2.Request) -> httpx2.Response:
        assert "Idempotency-Key" not in request.headers
        count[0] += 1
        raise httpx2.ReadError("cut")

    there = answering(handler)
    with pytest.raises(Unavailable):
        there.send(routes.APPEND_UPLOAD, {"id": "x"}, content=b"x")
    assert count == [1]


@pytest.mark.usefixtures("no_pause")
def test_different_requests_have_different_keys(answering: Callable[..., Transport]) -> None:
    keys: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        return httpx2.Response(200)

    there = answering(handler)
    for _ in range(8):
        there.send(routes.FAUCET, content=b"{}")
    assert len(set(keys)) == 8


@pytest.mark.parametrize(
    "url", ["", "nonsense", "127.0.0.1:7170", "ftp://127.0.0.1", "http://", "http://[::1", "http://h:x", "http://h?q=1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="such as http://") as raised:
        Transport(url)
    assert raised.value.code == "address_invalid"


def test_a_slash_at_the_end_of_an_address_makes_no_difference(house: House) -> None:
    there = Transport(house.url + "/")
    assert there.url == house.url
    assert there.ask(routes.LEDGER_HEAD, HeadAnswer).height
    there.close()


def claims_of(token: str) -> tuple[dict[str, object], dict[str, object], bytes, bytes]:
    head, claims, signature = token.split(".")
    raw = [base64.urlsafe_b64decode(part + "==") for part in (head, claims, signature)]
    return msgspec.json.decode(raw[0]), msgspec.json.decode(raw[1]), f"{head}.{claims}".encode(), raw[2]


def test_a_token_is_a_signed_claim_of_one_account_for_one_chain() -> None:
    identity = msgspec.structs.replace(make_identity(), account=7, chain_id="chain-a")
    header, claims, signed, signature = claims_of(mint_token(identity, now_s=1_000))
    assert header["alg"] == "Ed25519"
    assert (claims["iss"], claims["aud"], claims["iat"], claims["exp"]) == ("7", "chain-a", 1_000, 1_900)
    verify_bytes(parse_key(str(header["kid"])), signed, signature)
    assert claims["jti"] != claims_of(mint_token(identity, now_s=1_000))[1]["jti"]


def test_a_token_is_used_until_shortly_before_its_end_and_then_renewed(
    answering: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10_000.0]
    monkeypatch.setattr(transport.time, "time", lambda: now[0])
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["Authorization"])
        return httpx2.Response(200)

    there = answering(handler, msgspec.structs.replace(make_identity(), account=7, chain_id="c"))
    ends: list[float] = []
    for _ in range(40):
        there.send(routes.NODE)
        claims = claims_of(seen[-1].removeprefix("Bearer "))[1]
        assert claims["exp"] - now[0] >= 60  # type: ignore[operator]
        ends.append(claims["exp"])  # type: ignore[arg-type]
        now[0] += 60
    assert 2 <= len(set(ends)) <= 4
    there.identity = msgspec.structs.replace(make_identity(), account=8, chain_id="c")
    there.send(routes.NODE)
    assert claims_of(seen[-1].removeprefix("Bearer "))[1]["iss"] == "8"


def test_a_node_takes_the_renewed_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = house.join()
    assert client.account_history().total == 0
    monkeypatch.setattr(transport, "_EARLY_S", 10_000)
    first = client._transport._authorization()
    assert client._transport._authorization() != first
    assert client.account_history().total == 0


def test_who_asks_is_said_by_key_token_or_not_at_all(answering: Callable[..., Transport]) -> None:
    seen: list[str | None] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx2.Response(200)

    answering(handler).send(routes.NODE)
    answering(handler, make_identity()).send(routes.NODE)
    answering(handler, api_key="aud_x").send(routes.NODE)
    answering(handler, api_key="aud_x").send(routes.NODE, token="session")
    assert seen == [None, None, "Bearer aud_x", "Bearer session"]


def test_an_access_whose_bytes_were_lost_on_the_way_is_recorded_once(house: House) -> None:
    client = house.person("developer")
    asset = house.offer(client, house.settings.home / "lost")[0]
    way = lose_answers("GET /v1/sessions/", 2)
    other = house.again(client, way)
    dataset = other.search(holders=(client.account,), purpose="evaluate").license()
    assert asset in dataset.assets
    with other.open_stream(dataset.grant) as stream:
        stream.fetch(asset)
    assert len([each for each in way.requests if each.url.path.endswith("/bytes")]) == 3
    client.wait_for_histories()
    assert client.asset_history(asset).total == 1
