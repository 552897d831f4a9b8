"""Who is kept out before anything is asked, and what a request may look like."""

import itertools
import socket
from typing import Any

import msgspec
import pytest

from audiera.node.http.surface import OPERATIONS
from audiera.protocol.api import routes
from audiera.protocol.api.problems import MEDIA_TYPE
from audiera.protocol.api.routes import Route
from tests.node.house import Answer, House, house_in
from tests.node.world import World

EVERY = [operation.route for operation in OPERATIONS]
NUMBERS = (-1, 0, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30)
"""Numbers around which programs break."""


def url_of(route: Route, value: object = 1) -> str:
    """A route's path with something in its places."""
    for name in ("id", "ref", "number", "session", "asset", "node", "index", "height"):
        route = Route(route.method, route.path.replace("{" + name + "}", str(value)))
    return route.path


def is_refused(answer: Answer, status: int, code: str, route: Route) -> bool:
    """Whether an answer is this refusal; one to HEAD has no body that could say so."""
    return answer.status == status and (route.method == "HEAD" or answer.code == code)


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "localhost", "", "127.0.0.1:1", "[::1]"])
def test_another_name_is_refused_on_every_route(world: World, name: str) -> None:
    for route in EVERY:
        answer = world.house.ask((route.method, url_of(route)), token=world.lab.token(), headers={"Host": name})
        assert is_refused(answer, 421, "request_invalid_host", route), (route, answer)


def test_the_nodes_own_names_serve(world: World) -> None:
    port = world.house.url.rpartition(":")[2]
    for name in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
        assert world.house.ask(routes.NODE, headers={"Host": name}).status == 200


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_can_use_no_route(world: World, headers: dict[str, str]) -> None:
    before = (world.house.parts.ledger.head().app_hash, world.house.parts.meter.next_index)
    for route in EVERY:
        answer = world.house.ask((route.method, url_of(route)), token=world.lab.token(), headers=headers)
        assert is_refused(answer, 403, "origin_not_allowed", route), (route, answer)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert (world.house.parts.ledger.head().app_hash, world.house.parts.meter.next_index) == before


def test_a_page_of_another_origin_may_link_here(world: World) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert world.house.ask(routes.DOCS, headers=link).status == 200
    assert world.house.ask(routes.SEARCH_BY_BODY, body={}, headers=link).code == "origin_not_allowed"


def test_the_nodes_own_page_may_do_everything(world: World) -> None:
    for own in ({"Origin": world.house.url, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert world.house.ask(routes.SEARCH_BY_BODY, body={}, headers=own).status == 200


def test_a_preflight_gets_no_permission(world: World) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for route in EVERY:
        answer = world.house.ask(("OPTIONS", url_of(route)), headers=headers)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_reading_changes_nothing(world: World) -> None:
    house = world.house
    before = (house.parts.ledger.head().app_hash, house.parts.meter.next_index, house.spooled(), house.blobs())
    reads = [route for route in EVERY if route.method in ("GET", "HEAD", "OPTIONS")]
    recorded = {routes.ASSET_PREVIEW, routes.SESSION_BYTES}  # a use is what they are, and it is on the record
    for route, who in itertools.product([route for route in reads if route not in recorded], ("", world.lab.token())):
        for value in (1, world.free, world.lab.number):
            house.ask((route.method, url_of(route, value)), token=who)
    assert (house.parts.ledger.head().app_hash, house.parts.meter.next_index, house.spooled(), house.blobs()) == before


def test_every_answer_says_how_it_is_to_be_taken(world: World) -> None:
    for route in EVERY:
        answer = world.house.ask((route.method, url_of(route)))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "no-store" in answer.headers["cache-control"]
        assert "server" not in answer.headers


# ---------------------------------------------------------------------- problems


def test_the_request_id_is_given_back_or_made(world: World) -> None:
    answer = world.house.ask(("GET", "/nothing"), headers={"X-Request-Id": "a-b.c_1"})
    assert answer.headers["x-request-id"] == "a-b.c_1"
    assert answer.problem.instance == "urn:audiera:request:a-b.c_1"
    for bad in ("", "a b", "x" * 65, "a\tb", "é"):
        made = world.house.ask(routes.NODE, headers={"X-Request-Id": bad.encode("latin-1")}).headers["x-request-id"]
        assert len(made) == 16 and made != bad


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_another_method_is_refused_with_the_ones_there_are(world: World, method: str) -> None:
    offered: dict[str, set[str]] = {}
    for route in EVERY:
        offered.setdefault(route.path, set()).add(route.method)
    for path, methods in offered.items():
        if method not in methods:
            answer = world.house.ask((method, url_of(Route(method, path))), token=world.lab.token())
            assert is_refused(answer, 405, "method_not_allowed", Route(method, path)), (path, answer)
            assert set(answer.headers["allow"].split(", ")) >= methods


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/node/",
        "//v1/node",
        "/v1//node",
        "/V1/NODE",
        "/v1/node/..",
        "/v1/assets/../node",
        "/v1/assets/%2e%2e/../keys/master.key",
        "/v1/%6eode",
        "/v1/assets/",
        "/v1/assets//history",
        "/v1/node;x=1",
        "/keys/master.key",
        "/docs/../docs",
        "/v1/sessions//assets//bytes",
    ],
)
def test_a_path_that_is_none_leads_nowhere(world: World, path: str) -> None:
    assert raw(world.house, path) in (404, 405)


@pytest.mark.parametrize(
    "ref",
    [
        "%2e%2e%2f%2e%2e%2fkeys%2fmaster.key",
        "%00",
        "%ff%fe",
        "%",
        "%zz",
        "1%2f2",
        "01",
        "+1",
        "1e3",
        "0x1",
        " 1",
        "\u0661",
        "b" * 60,
        "bafkrei" + "a" * 52,
        "did:key:z6Mk",
        "did:key:" + "z" * 5_000,
        "9" * 5_000,
        "-1",
    ],
)
def test_a_name_that_is_none_is_not_found(world: World, ref: str) -> None:
    for route in EVERY:
        if "{" in route.path and route.method == "GET":
            assert raw(world.house, url_of(route, ref.encode().decode("latin-1"))) in (400, 401, 403, 404), route


def raw(house: House, path: str, method: str = "GET") -> int:
    """The status of a request whose path is sent byte for byte."""
    host, port = house.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return int(answer.split(b" ", 2)[1])


def test_numbers_no_ledger_has_are_refused_and_break_nothing(world: World) -> None:
    places = [route for route in EVERY if "{" in route.path]
    for route, number in itertools.product(places, NUMBERS):
        answer = world.house.ask((route.method, url_of(route, number)), token=world.lab.token(), body={})
        assert answer.status < 500, (route, number, answer)
    for number in NUMBERS:
        for query in ("offset", "limit", "holder", "snapshot", "max_price", "shortest_ms"):
            assert world.house.ask(routes.SEARCH, query={query: number}).status in (200, 400)
        for query in ("start", "until", "offset", "limit", "after"):
            for route in (routes.ACCOUNT_STATEMENT, routes.ACCOUNT_HISTORY):
                answer = world.house.ask(route, {"number": world.lab.number}, query={query: number})
                assert answer.status in (200, 400), (query, number, answer)
        license_ = world.grant.terms[0].license
        assert world.house.ask(routes.LICENSE, {"number": license_}, query={"revision": number}).status in (
            200,
            400,
            404,
        )


BODIES: list[tuple[Route, dict[str, Any], str]] = [
    (routes.DECIDE, {"purpose": "evaluate", "assets": [None]}, "assets"),
    (routes.DECIDE, {"purpose": "evaluate", "snapshot": None}, "snapshot"),
    (routes.RESERVE_SESSION, {"grant": None}, "grant"),
    (routes.FAUCET, {"account": None, "amount": 1}, "account"),
    (routes.FAUCET, {"account": 1, "amount": None}, "amount"),
    *((routes.USAGE_TOTALS, {name: None}, name) for name in ("asset", "consumer", "holder", "start", "until")),
    *((routes.USAGE_REFUSALS, {name: None}, name) for name in ("asset", "consumer", "holder", "start", "until")),
    *((routes.USAGE_ASSETS, {name: None}, name) for name in ("asset", "start", "until")),
    *((routes.USAGE_DAYS, {name: None}, name) for name in ("holder", "start", "until")),
    *((routes.SEARCH_BY_BODY, {name: None}, name) for name in ("offset", "limit", "snapshot", "max_price")),
    (routes.SEARCH_BY_BODY, {"holders": [None]}, "holders"),
    (routes.SEARCH_BY_BODY, {"duration_ms": {"low": None}}, "duration_ms"),
]


@pytest.mark.parametrize(("route", "body", "name"), BODIES, ids=lambda value: str(value)[:60])
def test_numbers_in_bodies_break_nothing(world: World, route: Route, body: dict[str, Any], name: str) -> None:
    def filled(value: Any, number: int) -> Any:
        if isinstance(value, dict):
            return {key: filled(each, number) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each, number) for each in value]
        return number if value is None else value

    del name
    for number in NUMBERS:
        answer = world.lab.ask(route, body=filled(body, number))
        assert answer.status < 500, (number, answer)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "body_invalid"),
        (b"{", "body_invalid"),
        (b"[]", "body_invalid"),
        (b"null", "body_invalid"),
        (b'{"purpose": 1}', "body_invalid"),
        (b'{"purpose": "evaluate", "more": 1}', "body_invalid"),
        (b'{"purpose": "evaluate", "assets": [1.5]}', "body_invalid"),
        (b'{"purpose": "evaluate", "assets": [true]}', "body_invalid"),
        (b'{"purpose": "\xff"}', "body_invalid"),
        (b'{"purpose": "evaluate", "assets": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body_invalid"),
        (b'{"purpose": "evaluate"}', "body_invalid"),
        (b'{"purpose": "evaluate", "assets": [1], "snapshot": 1}', "body_invalid"),
        (msgspec.json.encode({"purpose": "evaluate", "assets": list(range(1, 1_002))}), "body_invalid"),
        (b'{"purpose": "evaluate", "snapshot": 999}', "snapshot_not_found"),
    ],
)
def test_a_body_that_is_not_expected_is_refused(world: World, content: bytes, code: str) -> None:
    answer = world.house.ask(routes.DECIDE, content=content, headers={"Content-Type": "application/json"})
    assert answer.code == code
    assert "Traceback" not in answer.body.decode()


def test_asking_about_what_is_not_there_is_answered(world: World) -> None:
    body = {
        "purpose": "train-generative",
        "commercial": True,
        "assets": [world.free, world.closed, world.priced, 9_999],
    }
    decisions = world.lab.ask(routes.DECIDE, body=body).json
    assert [each["allowed"] for each in decisions["decisions"]] == [True, False, True, False]
    assert decisions["decisions"][3]["reasons"] == ["asset-unknown"]
    assert decisions["price"]["once"] == 1_000
    assert not decisions["allowed"]


def test_another_media_type_is_refused(world: World) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = world.house.ask(routes.SEARCH_BY_BODY, content=b"{}", headers={"Content-Type": kind})
        assert (answer.status, answer.code) == (415, "media_type_not_supported")
    kind = "Application/JSON; charset=utf-8"
    assert world.house.ask(routes.SEARCH_BY_BODY, content=b"{}", headers={"Content-Type": kind}).status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("nothing=1", "parameter_unknown"),
        ("limit=1&limit=2", "parameter_invalid"),
        ("limit=x", "parameter_invalid"),
        ("limit=1.0", "parameter_invalid"),
        ("limit=1e2", "parameter_invalid"),
        ("after=-0", "parameter_invalid"),
        ("limit=", "parameter_invalid"),
        ("limit=0", "parameter_invalid"),
        ("limit=1001", "parameter_invalid"),
        ("after=-1", "parameter_invalid"),
    ],
)
def test_a_parameter_that_is_not_expected_is_refused(world: World, query: str, code: str) -> None:
    answer = world.house.ask(("GET", f"/v1/assets/{world.free}/history?{query}"))
    assert (answer.status, answer.code) == (400, code)


def test_a_parameter_of_a_search_that_is_not_expected_is_refused(world: World) -> None:
    for query in (
        "nothing=1",
        "limit=1&limit=2",
        "sort=best",
        "kinds=song",
        "commercial=perhaps",
        "text=" + "x" * 5_000,
    ):
        assert world.house.ask(("GET", f"/v1/search?{query}")).code == "parameter_invalid"
    assert world.house.ask(("GET", "/v1/suggest")).code == "parameter_missing"


def test_a_body_over_the_limit_is_refused_before_it_is_read(house: House) -> None:
    limit = house.settings.body_bytes
    json = {"Content-Type": "application/json"}
    answer = house.ask(routes.SEARCH_BY_BODY, content=b" " * (limit + 1), headers=json)
    assert (answer.status, answer.code) == (413, "too_large")
    assert house.ask(routes.SEARCH_BY_BODY, content=b"{}" + b" " * (limit - 2), headers=json).status == 200

    def endless() -> Any:
        for _ in range(limit // 65_536 + 2):
            yield b" " * 65_536

    response = house.http.request("POST", routes.SEARCH_BY_BODY.path, content=endless(), headers=json)
    assert response.status_code == 413


def test_what_fails_inside_is_named_by_its_request_and_told_to_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(house.parts.catalog, "suggest", broken)
    answer = house.ask(routes.SUGGEST, query={"text": "a"}, headers={"X-Request-Id": "find-me"})
    assert (answer.status, answer.code) == (500, "internal")
    assert b"secret" not in answer.body and b"Zero" not in answer.body
    assert any("find-me" in record.getMessage() for record in caplog.records)
    assert house.ask(routes.NODE).status == 200


def test_names_given_in_the_settings_serve(tmp_path: Any) -> None:
    with house_in(tmp_path / "home", hosts=("Node.example.org:443", "other.example:8080")) as house:
        for name in ("node.example.org", "node.example.org:443", "other.example:8080"):
            assert house.ask(routes.NODE, headers={"Host": name}).status == 200
        assert house.ask(routes.NODE, headers={"Host": "other.example"}).status == 421
        origin = {"Host": "node.example.org", "Origin": "https://node.example.org"}
        assert house.ask(routes.SEARCH_BY_BODY, body={}, headers=origin).status == 200


def test_problems_are_documents_of_one_type(world: World) -> None:
    for path in ("/nothing", "/v1/assets/9999", "/v1/assets/x"):
        answer = world.house.ask(("GET", path))
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.problem.detail
