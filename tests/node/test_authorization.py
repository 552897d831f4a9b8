"""Who may call what: a row for every route there is, and a column for every way to ask."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audiera.node.http.surface import OPERATIONS
from audiera.protocol.accesses import Watermark, sign_watermark
from audiera.protocol.accesses.session import watermark_domain
from audiera.protocol.api import routes
from audiera.protocol.api.routes import API_KEY_PREFIX, Route
from audiera.protocol.encoding import encode
from audiera.protocol.ids import format_id
from audiera.protocol.records import Grant
from audiera.protocol.transactions import AuthorizeAppKey, ChangeKeys, ChangeProfile, OpenRun, RevokeAppKey
from tests.node.house import SECOND, Answer, Opened, Person, house_in, trained
from tests.node.world import World, made

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/octet-stream"}


@dataclasses.dataclass(frozen=True)
class Door:
    """What the rows ask for, and everybody who asks."""

    world: World
    lab: Person
    model: int
    calls: Grant
    session: Opened
    call_session: Opened
    upload: str
    run: int
    snapshot: int
    transaction: bytes
    index: int
    tokens: dict[str, str]
    numbers: Iterator[int]


def key_of(person: Person, name: str, *, seconds: int, budget: int = 1_000_000) -> tuple[str, int]:
    """An application's key of an account, and its ledger number."""
    secret = f"{API_KEY_PREFIX}{name}"
    body = AuthorizeAppKey(
        key_hash=hashlib.sha256(secret.encode()).digest(),
        budget=budget,
        expires_at=person.house.clock() + seconds * SECOND,
    )
    return secret, person.do(body).number


def begin_upload(person: Person, length: int = 8) -> str:
    """An upload without bytes; returns its id."""
    answer = person.ask(routes.CREATE_UPLOAD, headers={**TUS, "Upload-Length": str(length)})
    assert answer.status == 201, answer.body
    return answer.headers["location"].rpartition("/")[2]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with house_in(tmp_path_factory.mktemp("door") / "home", uploads_per_account=1_000) as house:
        world = made(house)
        lab, clock = world.lab, house.clock
        device = bytes(range(32))
        holder = house.person(device=device)
        of_device = holder.token(seed=device)
        assert house.ask(routes.NODE, token=of_device).status == 200
        old, _ = key_of(lab, "ends-soon", seconds=60)
        taken_back, number = key_of(lab, "taken-back", seconds=3_600)
        good, _ = key_of(lab, "good", seconds=36_000)
        for secret in (old, taken_back, good):
            assert house.ask(routes.NODE, token=secret).status == 200
        snapshot = lab.client.publish_snapshot([world.free], title="one")
        run = lab.do(OpenRun(grants=(world.grant.number,))).number
        model = lab.model()
        expired = lab.token()
        lab.do(RevokeAppKey(key=number))
        holder.do(ChangeKeys(control_keys=(holder.identity.key,), device_keys=()))
        clock.advance(1_000 * SECOND)  # tokens live 900 s, the first key 60 s
        calls = lab.grant(model=model, purpose="call-model", budget=10_000_000)
        session, call_session = lab.session(world.grant), lab.session(calls)
        first = session.fetch(world.free)
        assert first.status == 200
        house.flush()
        yield Door(
            world=world,
            lab=lab,
            model=model,
            calls=calls,
            session=session,
            call_session=call_session,
            upload=begin_upload(lab),
            run=run,
            snapshot=snapshot,
            transaction=lab.sign(ChangeProfile(roles=("creator",), profile=bytes(32))),
            index=house.index_of(first),
            tokens={
                "anonymous": "",
                "account": lab.token(),
                "other account": world.rival.token(),
                "application key": good,
                "session token": session.token,
                "expired key": old,
                "revoked key": taken_back,
                "expired token": expired,
                "token for another chain": lab.token(chain_id="another"),
                "revoked device key": of_device,
                "unknown key": f"{API_KEY_PREFIX}nobody",
                "unknown session": "00" * 32,
            },
            numbers=itertools.count(1),
        )


Request = dict[str, Any]
"""Keyword arguments of :meth:`House.ask`."""

NO_GOOD = {
    "expired key": "app_key_ended",
    "revoked key": "app_key_ended",
    "expired token": "token_expired",
    "token for another chain": "token_wrong_chain",
    "revoked device key": "key_not_authorized",
    "unknown key": "app_key_unknown",
    "unknown session": "session_unknown",
}
"""Credentials that are no good, whatever is asked for."""

COLUMNS = ("anonymous", "account", "other account", "application key", "session token")


@dataclasses.dataclass(frozen=True)
class Row:
    """A route, a request its rightful caller would make, and what each gets."""

    route: Route
    expected: tuple[int, int, int, int, int]
    request: Callable[[Door], Request] = lambda _: {}
    session: Callable[[Door], str] = lambda door: door.session.token


def public(route: Route, request: Callable[[Door], Request] = lambda _: {}, status: int = 200) -> Row:
    """A row for what anyone may."""
    return Row(route, (status,) * 5, request)


def at(**places: Any) -> Callable[[Door], Request]:
    """A request that names places by what the door knows."""
    return lambda door: {"places": {name: find(door) if callable(find) else find for name, find in places.items()}}


def of_lab(door: Door) -> int:
    return door.lab.number


def free(door: Door) -> int:
    return door.world.free


def watermark(door: Door) -> Request:
    mark = Watermark(
        domain=watermark_domain(door.world.house.chain),
        node=door.world.house.parts.account,
        session=door.session.number,
        rows=1,
        bytes=len(door.world.free_bytes),
        t=door.world.house.clock(),
    )
    signed = sign_watermark(door.lab.identity.seed, mark)
    return {"places": {"session": door.session.number}, "body": {"watermark": encode(signed)}}


def opening(door: Door) -> Request:
    return {
        "body": {"session": encode(door.lab.opening(door.world.grant, nonce=next(door.numbers).to_bytes(16, "big")))}
    }


def an_upload(door: Door, *more: str, **headers: str) -> Request:
    """An upload of its own, for what ends or changes it."""
    return {"places": {"id": begin_upload(door.lab)}, "headers": {**TUS, **headers}}


ACCESS = at(node=lambda door: door.world.house.parts.account, index=lambda door: door.index)
PATCHED = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}

ROWS = (
    public(routes.NODE),
    public(routes.LEDGER_HEAD),
    public(routes.LEDGER_BLOCK, at(height=1)),
    public(routes.LEDGER_CREDITS),
    public(routes.LEDGER_CHECKPOINT),
    public(routes.LEDGER_LOG_ENTRY, at(index=0)),
    public(routes.SUBMIT_TRANSACTION, lambda door: {"body": {"transaction": door.transaction, "documents": []}}),
    public(routes.FETCH_TRANSACTION, at(id=lambda door: format_id(door.world.grant.id))),
    public(routes.ACCOUNT, at(ref=of_lab)),
    public(routes.ACCOUNT_HISTORY, at(number=of_lab)),
    public(routes.ACCOUNT_TRANSACTIONS, at(number=of_lab)),
    public(routes.ACCOUNT_STATEMENT, at(number=of_lab)),
    public(routes.ACCOUNT_PAYMENTS, at(number=of_lab)),
    Row(routes.FAUCET, (401, 200, 403, 403, 403), lambda door: {"body": {"account": door.lab.number, "amount": 1}}),
    public(routes.UPLOAD_OPTIONS, status=204),
    Row(routes.CREATE_UPLOAD, (401, 201, 201, 403, 403), lambda _: {"headers": {**TUS, "Upload-Length": "8"}}),
    Row(
        routes.UPLOAD_STATE,
        (401, 200, 403, 403, 403),
        lambda door: {"places": {"id": door.upload}, "headers": TUS},
    ),
    Row(
        routes.APPEND_UPLOAD, (401, 204, 403, 403, 403), lambda door: an_upload(door, **PATCHED) | {"content": b"RIFF"}
    ),
    Row(routes.DELETE_UPLOAD, (401, 204, 403, 403, 403), an_upload),
    Row(routes.ANALYZE_UPLOAD, (401, 409, 403, 403, 403), an_upload),  # it has no bytes yet
    public(routes.ASSET, at(ref=free)),
    public(routes.ASSET_WAVEFORM, at(ref=free)),
    public(routes.ASSET_PREVIEW, at(ref=free)),
    public(routes.ASSET_HISTORY, at(ref=free)),
    public(routes.ASSET_EARNINGS, at(ref=free)),
    public(routes.LICENSE, at(number=lambda door: door.world.grant.terms[0].license)),
    public(routes.GRANT, at(number=lambda door: door.world.grant.number)),
    public(routes.SNAPSHOT, at(number=lambda door: door.snapshot)),
    public(routes.SNAPSHOT_CLIPS, at(number=lambda door: door.snapshot)),
    public(routes.RUN, at(number=lambda door: door.run)),
    public(routes.SETTLEMENT, at(number=1), 404),  # nothing was settled
    public(routes.SETTLEMENT_CLAIMS, at(number=1), 404),
    public(routes.DECIDE, lambda door: {"body": {"purpose": "evaluate", "assets": [door.world.free]}}),
    Row(
        routes.RESERVE_SESSION,
        (401, 200, 403, 200, 403),
        lambda door: {"body": {"grant": door.calls.number}},
    ),
    Row(routes.OPEN_SESSION, (401, 200, 403, 403, 403), opening),  # the account signed it, not the application
    Row(
        routes.SESSION_BYTES,
        (401, 200, 403, 403, 200),
        lambda door: {"places": {"session": door.session.number, "asset": door.world.free}},
    ),
    Row(routes.SIGN_WATERMARK, (401, 200, 403, 403, 200), watermark),
    Row(
        routes.FLUSH_SESSION,
        (401, 200, 403, 403, 200),
        lambda door: {"places": {"session": door.session.number}},
    ),
    public(routes.ACCESS_PROOF, ACCESS),
    public(routes.ACCESS_TRAIL, ACCESS),
    public(routes.SEARCH),
    public(routes.SEARCH_BY_BODY, lambda _: {"body": {}}),
    public(routes.SUGGEST, lambda _: {"query": {"text": "bell"}}),
    Row(
        routes.ADD_PACKAGE,
        (401, 200, 200, 403, 403),
        lambda _: {"content": trained(), "headers": OCTETS, "query": {"architecture": "audiera-texture-1"}},
    ),
    public(routes.MODEL, at(number=lambda door: door.model)),
    Row(
        routes.DEPLOY_MODEL,
        (401, 200, 403, 403, 403),
        lambda door: {"places": {"number": door.model}, "body": {"kind": "embedded", "url": ""}},
    ),
    Row(
        routes.CALL_MODEL,
        (401, 403, 403, 200, 200),
        lambda door: {"places": {"number": door.model}, "query": {"seconds": "0.5"}, "headers": OCTETS},
        session=lambda door: door.call_session.token,
    ),
    public(routes.USAGE_TOTALS, lambda _: {"body": {}}),
    public(routes.USAGE_DAYS, lambda _: {"body": {}}),
    public(routes.USAGE_ASSETS, lambda _: {"body": {}}),
    public(routes.USAGE_REFUSALS, lambda _: {"body": {}}),
    public(routes.OPENAPI),
    public(routes.DOCS),
)


def ask(door: Door, row: Row, token: str, **more: Any) -> Answer:
    """Make a row's request with a token."""
    request = row.request(door)
    headers = {**request.get("headers", {}), **more.pop("headers", {})}
    return door.world.house.ask(row.route, token=token, **{**request, **more, "headers": headers})


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert sorted(row.route for row in ROWS) == sorted(operation.route for operation in OPERATIONS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.route))
def test_a_route_serves_whom_it_should_and_nobody_else(door: Door, row: Row) -> None:
    tokens = door.tokens | {"session token": row.session(door)}
    found = {name: ask(door, row, tokens[name]) for name in (*COLUMNS, *NO_GOOD)}
    expected = dict(zip(COLUMNS, row.expected, strict=True)) | dict.fromkeys(NO_GOOD, 401)
    assert {name: answer.status for name, answer in found.items()} == expected
    for answer in found.values():
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        if answer.status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
    if row.route.method != "HEAD":
        assert {name: found[name].code for name in NO_GOOD} == NO_GOOD


def test_an_application_key_reads_in_its_own_sessions_only(door: Door) -> None:
    house, lab = door.world.house, door.lab
    secret, number = key_of(lab, "calls", seconds=3_600)
    opened = lab.opening(door.calls, app_key=number)
    answer = house.ask(routes.OPEN_SESSION, body={"session": encode(opened)}, token=secret)
    assert answer.status == 200, answer.body
    places = {"session": answer.json["session"]}
    assert house.ask(routes.FLUSH_SESSION, places, token=secret).status == 200
    assert house.ask(routes.FLUSH_SESSION, places, token=door.tokens["application key"]).code == "other_account"
    assert house.ask(routes.FLUSH_SESSION, places, token=lab.token()).status == 200
    asset = {"session": door.session.number, "asset": door.world.free}
    before = house.parts.meter.next_index
    assert house.ask(routes.SESSION_BYTES, asset, token=secret).code == "other_account"
    assert house.parts.meter.next_index == before


def test_the_opening_of_another_key_is_refused(door: Door) -> None:
    house, lab = door.world.house, door.lab
    secret, number = key_of(lab, "one", seconds=3_600)
    other, _ = key_of(lab, "two", seconds=3_600)
    body = {"session": encode(lab.opening(door.calls, app_key=number))}
    assert house.ask(routes.OPEN_SESSION, body=body, token=other).code == "other_account"
    assert house.ask(routes.OPEN_SESSION, body=body, token=lab.token()).code == "other_account"
    assert house.ask(routes.OPEN_SESSION, body=body, token=secret).status == 200
    assert house.ask(routes.OPEN_SESSION, body=body, token=secret).code == "session_number_stale"


def test_a_session_token_ends_with_its_session(door: Door) -> None:
    house = door.world.house
    short = door.lab.session(door.world.grant, expires_at=house.clock() + 2 * SECOND)
    assert short.fetch(door.world.free).status == 200
    ahead = house.clock.ahead
    house.clock.advance(3 * SECOND)
    assert short.fetch(door.world.free).code == "session_unknown"
    assert house.clock.ahead == ahead + 3 * SECOND


def test_a_watermark_is_for_the_session_of_its_path(door: Door) -> None:
    request = watermark(door) | {"places": {"session": door.call_session.number}}
    answer = door.world.house.ask(routes.SIGN_WATERMARK, token=door.lab.token(), **request)
    assert (answer.status, answer.code) == (403, "watermark_invalid")


def test_the_faucet_gives_within_its_limit_only(door: Door) -> None:
    limit = door.world.house.settings.faucet_limit
    for amount in (0, -1, limit + 1):
        answer = door.lab.ask(routes.FAUCET, body={"account": door.lab.number, "amount": amount})
        assert answer.code == "amount_invalid"
