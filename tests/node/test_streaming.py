"""Bytes over HTTP: on the record before they leave, exactly the ones that were asked for, and no others."""

import base64
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audiera.node.http.streaming import Span, parse_range
from audiera.protocol.accesses import Watermark, sign_watermark
from audiera.protocol.accesses.proof import parse_proof, verify_access
from audiera.protocol.accesses.receipts import decode_receipt, verify_receipt
from audiera.protocol.accesses.rows import OP_PREVIEW, OP_RANGE, OP_WHOLE
from audiera.protocol.accesses.session import watermark_domain
from audiera.protocol.api import routes
from audiera.protocol.encoding import encode
from audiera.protocol.errors import AudieraError, RequestError, StorageError
from audiera.protocol.ids import format_blob_id
from audiera.protocol.records import Caps, Rule, Terms
from audiera.protocol.transactions import ReviseLicense, RevokeGrant, WithdrawAsset
from tests.node.house import ANYTHING, NOTHING, SECOND, Answer, House, house_in, priced, sound, until
from tests.node.world import World


def capped(**caps: int) -> Terms:
    """Terms with caps."""
    return Terms(rules=(Rule(purpose="train-generative", verdict="allow", commercial=True, caps=Caps(**caps)),))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A node of this module's own, whose clock may be moved."""
    with house_in(tmp_path_factory.mktemp("own") / "home", batch_after=200) as made:
        yield made


# ---------------------------------------------------------------------- what comes


def test_a_whole_asset_comes_as_it_was_uploaded_with_a_receipt(world: World) -> None:
    session = world.lab.session(world.grant)
    for asset, data in ((world.free, world.free_bytes), (world.large, world.large_bytes)):
        answer = session.fetch(asset)
        assert answer.status == 200
        assert answer.body == data
        assert answer.headers["etag"] == f'"{format_blob_id(hashlib.sha256(data).digest())}"'
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["cache-control"] == "private, no-store"
        assert "content-range" not in answer.headers
        row = world.house.row_of(answer)
        assert (row.asset, row.bytes, row.op) == (asset, len(data), OP_WHOLE)
        assert (row.consumer, row.grant, row.session) == (world.lab.number, world.grant.number, session.number)


@pytest.mark.parametrize("which", ["free", "large"])
def test_a_range_is_exactly_the_bytes_asked_for(world: World, which: str) -> None:
    asset, data = (world.free, world.free_bytes) if which == "free" else (world.large, world.large_bytes)
    session, size = world.lab.session(world.grant), len(data)
    for span, start, end in (
        ("0-0", 0, 1),
        ("0-99", 0, 100),
        (f"{size - 1}-", size - 1, size),
        ("1-", 1, size),
        ("-1", size - 1, size),
        ("-100", size - 100, size),
        (f"10-{size * 2}", 10, size),
        (f"{size // 2}-{size - 1}", size // 2, size),
    ):
        answer = session.fetch(asset, span)
        assert answer.status == 206, span
        assert answer.body == data[start:end], span
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        row = world.house.row_of(answer)
        assert (row.bytes, row.op) == (end - start, OP_RANGE)
    for span in ("0-", f"0-{size - 1}", f"0-{size * 3}", f"-{size}", f"-{size * 3}"):
        answer = session.fetch(asset, span)
        assert (answer.status, answer.body) == (200, data), span


@pytest.mark.parametrize(
    "span",
    [
        "{size}-",
        "{size}-{size}",
        "999999999999999-",
        "-0",
        "5-2",
        "-",
        "",
        "a-b",
        "0-1,3-4",
        "0 - 1",
        "0x0-",
        "\u0663-",
    ],
)
def test_a_range_outside_is_refused_and_no_access(world: World, span: str) -> None:
    session, size = world.lab.session(world.grant), len(world.free_bytes)
    before = world.house.parts.meter.next_index
    text = span.format(size=size)
    headers: Any = {"Range": f"bytes={text}".encode()}
    places = {"session": session.number, "asset": world.free}
    answer = world.house.ask(routes.SESSION_BYTES, places, token=session.token, headers=headers)
    assert (answer.status, answer.problem.title) == (416, "The request cannot be served as it is")
    if text and text[0].isascii() and text[-1] == "-" and text[:-1].isdecimal():
        assert answer.headers["content-range"] == f"bytes */{size}"
    assert world.house.parts.meter.next_index == before


def test_another_unit_is_no_range(world: World) -> None:
    session = world.lab.session(world.grant)
    places = {"session": session.number, "asset": world.free}
    answer = world.house.ask(routes.SESSION_BYTES, places, token=session.token, headers={"Range": "items=0-1"})
    assert answer.status == 416


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_other_method_releases_anything(world: World, method: str) -> None:
    session = world.lab.session(world.grant)
    before = world.house.parts.meter.next_index
    path = routes.SESSION_BYTES.url(session=session.number, asset=world.free)
    answer = world.house.ask((method, path), token=session.token)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert world.house.parts.meter.next_index == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/sessions/{session}/assets/{asset}/bytes/", 404),
        ("/v1/sessions/{session}/assets/0/bytes", 400),
        ("/v1/sessions/{session}/assets/0{asset}/bytes", 400),
        ("/v1/sessions/0{session}/assets/{asset}/bytes", 403),
        ("/v1/sessions/{session}/assets/x/bytes", 400),
        ("/v1/sessions/{session}/assets/99999/bytes", 404),
        ("/v1/sessions/{session}/assets/18446744073709551616/bytes", 400),
        ("/v1/sessions/{session}/assets/99999999999999999999/bytes", 400),
        ("/v1/sessions/99999/assets/{asset}/bytes", 403),
        ("/v1/sessions/99999999999999999999/assets/{asset}/bytes", 403),
        ("/v1/sessions/" + "9" * 5_000 + "/assets/{asset}/bytes", 403),
        ("/v1/sessions/{session}/assets/{asset}/BYTES", 404),
    ],
)
def test_a_path_that_names_nothing_releases_nothing(world: World, path: str, status: int) -> None:
    session = world.lab.session(world.grant)
    before = world.house.parts.meter.next_index
    url = path.format(session=session.number, asset=world.free)
    assert world.house.ask(("GET", url), token=session.token).status == status
    assert world.house.ask(("GET", url), token=world.rival.token()).status in (400, 403, 404)
    assert world.house.parts.meter.next_index == before


def test_bytes_asked_for_again_by_their_name_are_one_access(world: World) -> None:
    session = world.lab.session(world.grant)
    first = session.fetch(world.free, Idempotency_Key="a")
    again = session.fetch(world.free, Idempotency_Key="a")
    assert first.body == again.body == world.free_bytes
    assert world.house.index_of(first) == world.house.index_of(again)
    other = session.fetch(world.free, "0-9", Idempotency_Key="a")
    assert (other.status, other.body) == (206, world.free_bytes[:10])
    assert world.house.index_of(other) != world.house.index_of(first)
    assert world.house.index_of(session.fetch(world.free)) > world.house.index_of(other)


def test_every_receipt_becomes_a_proof_that_verifies_offline(world: World) -> None:
    session = world.lab.session(world.grant)
    answers = [session.fetch(world.free, f"{n}-{n + 9}") for n in range(20)]
    world.house.flush()
    node = world.house.parts.account
    for answer in answers:
        index = world.house.index_of(answer)
        proof = world.house.ask(routes.ACCESS_PROOF, {"node": node, "index": index})
        assert proof.status == 200
        keys, origin = (world.house.parts.keys.validator_public,), f"audiera/{world.house.chain}/accesses"
        checked = verify_access(parse_proof(proof.body.decode()), keys, 1, origin=origin)
        assert checked.row == world.house.row_of(answer)
    assert world.house.ask(routes.ACCESS_PROOF, {"node": node, "index": 10**6}).code == "access_not_found"
    assert world.house.ask(routes.ACCESS_PROOF, {"node": node + 1, "index": 0}).code == "access_not_found"


def test_an_access_that_is_not_on_the_ledger_yet_has_no_proof(tmp_path: Path) -> None:
    with house_in(tmp_path / "home", batch_after=60_000) as house:
        creator = house.person()
        asset = creator.offer(ANYTHING, sound(5))
        answer = house.ask(routes.ASSET_PREVIEW, {"ref": asset})
        places = {"node": house.parts.account, "index": house.index_of(answer)}
        assert house.ask(routes.ACCESS_PROOF, places).code == "access_not_found"
        house.flush()
        assert house.ask(routes.ACCESS_PROOF, places).status == 200


# ---------------------------------------------------------------------- what does not come


def refused(house: House, answer: Answer, reason: str) -> bool:
    """Whether an answer is a refusal for this reason."""
    problem = answer.problem
    return problem.status == 403 and reason in problem.values["reasons"]


def test_a_refusal_is_on_the_record_and_releases_nothing(world: World) -> None:
    session = world.lab.session(world.grant)
    answer = session.fetch(world.closed)
    assert refused(world.house, answer, "not-covered"), answer.body
    assert routes.RECEIPT not in answer.headers
    world.house.flush()
    history = world.house.ask(routes.ASSET_HISTORY, {"ref": world.closed}).json
    assert (history["accesses"][0]["op"], history["accesses"][0]["consumer"]) == ("refusal", world.lab.number)
    assert history["accesses"][0]["bytes"] == 0


@pytest.mark.parametrize(("end", "seed"), [("revoke", 200), ("withdraw", 202), ("expire", 204)])
def test_what_ends_a_right_ends_a_running_session(own: House, end: str, seed: int) -> None:
    creator, lab = own.person(), own.person()
    asset = creator.offer(ANYTHING, sound(seed))
    other = creator.offer(ANYTHING, sound(seed + 1))
    until_moment = own.clock() + 3_600 * SECOND
    grant = lab.grant(asset, other, valid_until=until_moment)
    session = lab.session(grant, expires_at=own.clock() + 2 * 3_600 * SECOND)
    assert session.fetch(asset, Idempotency_Key="before").status == 200
    if end == "revoke":
        lab.do(RevokeGrant(grant=grant.number))
    elif end == "withdraw":
        creator.do(WithdrawAsset(asset=asset))
    else:
        own.clock.advance(3_601 * SECOND)
    reason = {"revoke": "grant-revoked", "withdraw": "asset-withdrawn", "expire": "grant-expired"}[end]
    before = own.parts.meter.next_index
    assert refused(own, session.fetch(asset), reason), session.fetch(asset).body
    assert refused(own, session.fetch(asset, Idempotency_Key="before"), reason)
    assert own.parts.meter.next_index == before + 1  # the refusal, once
    assert session.fetch(other).status == (200 if end == "withdraw" else 403)


def test_a_revised_license_leaves_an_agreed_grant_as_it_is(own: House) -> None:
    creator, lab = own.person(), own.person()
    asset = creator.offer(ANYTHING, sound(8))
    grant = lab.grant(asset)
    session = lab.session(grant)
    creator.do(ReviseLicense(license=grant.terms[0].license, terms=NOTHING))
    assert session.fetch(asset).status == 200
    assert own.ask(routes.DECIDE, body={"purpose": "train-generative", "assets": [asset]}).json["allowed"] is False


@pytest.mark.parametrize("sealed", [True, False], ids=["on the ledger", "in memory"])
def test_a_grants_caps_hold(own: House, sealed: bool) -> None:
    creator, lab = own.person(), own.person(funds=10_000)
    few = creator.offer(capped(accesses=3), sound(9 + 100 * sealed))
    small = creator.offer(capped(bytes=1_000), sound(10 + 100 * sealed))
    paid = creator.offer(priced(100), sound(11 + 100 * sealed))

    def fetches(asset: int, span: str, **fields: Any) -> list[int]:
        session = lab.session(lab.grant(asset, **fields))
        found = []
        for _ in range(5):
            found.append(session.fetch(asset, span).status)
            if sealed:
                own.flush()
        return found

    assert fetches(few, "0-9") == [206, 206, 206, 403, 403]
    assert fetches(small, "0-399") == [206, 206, 403, 403, 403]
    assert fetches(small, "0-999") == [206, 403, 403, 403, 403]
    assert fetches(paid, "0-9", budget=250) == [206, 206, 403, 403, 403]


def test_past_the_credit_window_nothing_comes_without_a_watermark(own: House) -> None:
    creator, lab = own.person(), own.person()
    asset = creator.offer(ANYTHING, sound(12))
    session = lab.session(lab.grant(asset))
    rows = own.parts.ledger.state().params().credit_rows
    answer = None
    for _ in range(rows):
        answer = session.fetch(asset, "0-0")
        assert answer.status == 206
    assert answer is not None
    assert refused(own, session.fetch(asset, "0-0"), "credit-window")
    mark = Watermark(
        domain=watermark_domain(own.chain),
        node=own.parts.account,
        session=session.number,
        rows=rows,
        bytes=rows,
        t=own.row_of(answer).t,
    )
    signed = encode(sign_watermark(lab.identity.seed, mark))
    places = {"session": session.number}
    other = encode(sign_watermark(creator.identity.seed, mark))
    assert own.ask(routes.SIGN_WATERMARK, places, body={"watermark": other}, token=session.token).status == 403
    assert own.ask(routes.SIGN_WATERMARK, places, body={"watermark": signed}, token=session.token).status == 200
    assert session.fetch(asset, "0-0").status == 206


def test_a_session_of_an_earlier_process_is_opened_anew(house: House) -> None:
    creator, lab = house.person(), house.person()
    asset = creator.offer(ANYTHING, sound(13))
    grant = lab.grant(asset)
    session = lab.session(grant)
    first = session.fetch(asset)
    house.restart()
    assert session.fetch(asset).code == "session_unknown"
    again = lab.session(grant).fetch(asset)
    assert again.status == 200
    assert house.index_of(again) == house.index_of(first) + 1


# ---------------------------------------------------------------------- previews


def test_a_preview_is_recorded_and_names_what_was_heard(world: World) -> None:
    answer = world.house.ask(routes.ASSET_PREVIEW, {"ref": world.free})
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/ogg")
    assert answer.body.startswith(b"OggS")
    row = world.house.row_of(answer)
    assert (row.asset, row.consumer, row.grant, row.op, row.bytes) == (world.free, 0, 0, OP_PREVIEW, len(answer.body))
    again = world.house.ask(routes.ASSET_PREVIEW, {"ref": world.free})
    assert world.house.index_of(again) > world.house.index_of(answer)


def test_a_preview_the_license_does_not_allow_is_refused_on_the_record(world: World) -> None:
    before = world.house.parts.meter.next_index
    answer = world.house.ask(routes.ASSET_PREVIEW, {"ref": world.closed})
    assert answer.status == 403 and answer.problem.values["reasons"]
    assert routes.RECEIPT not in answer.headers
    assert world.house.parts.meter.next_index == before + 1


def test_previews_are_limited_for_each_address(tmp_path: Path) -> None:
    with house_in(tmp_path / "home", previews_per_minute=3) as house:
        asset = house.person().offer(ANYTHING, sound(14))
        found = [house.ask(routes.ASSET_PREVIEW, {"ref": asset}) for _ in range(4)]
        assert [answer.status for answer in found] == [200, 200, 200, 429]
        assert found[3].code == "too_many_previews"
        assert found[3].headers["retry-after"] == "1"
        house.clock.advance(61 * SECOND)
        assert house.ask(routes.ASSET_PREVIEW, {"ref": asset}).status == 200


# ---------------------------------------------------------------------- disks and cuts


def test_a_meter_that_cannot_write_releases_nothing_and_ends_the_node(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    creator, lab = house.person(), house.person()
    asset = creator.offer(ANYTHING, sound(15))
    session = lab.session(lab.grant(asset))
    assert session.fetch(asset).status == 200
    house.flush()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(house.parts.meter._file, "append", full)
    for ask in (lambda: session.fetch(asset), lambda: house.ask(routes.ASSET_PREVIEW, {"ref": asset})):
        answer = ask()
        assert (answer.status, answer.code) == (503, "meter_stopped")
        assert routes.RECEIPT not in answer.headers
    until(house.node.workers.failed.is_set)
    assert any("node.watch" in record.getMessage() for record in caplog.records)
    monkeypatch.undo()


def test_a_blob_that_ends_early_ends_the_answer_early(own: House, caplog: pytest.LogCaptureFixture) -> None:
    """The row is recorded and the head of the answer is sent: what is left is to cut the connection."""
    creator, lab = own.person(), own.person()
    asset = creator.offer(ANYTHING, sound(16, 8.0))
    session = lab.session(lab.grant(asset))
    opened = own.parts.blobs.open

    def damaged(blob: bytes) -> Any:
        reader = opened(blob)
        read = reader.read

        def torn(start: int, length: int) -> bytes:
            if start:
                raise StorageError("the sector is gone", code="blob_damaged")
            return bytes(read(start, length))

        return Torn(reader, torn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own.parts.stream._blobs, "open", damaged, raising=False)
        path = routes.SESSION_BYTES.url(session=session.number, asset=asset)
        head, body = raw_get(own, path, session.token)
    assert b"200" in head.split(b"\r\n")[0]
    assert 0 < len(body) < len(sound(16, 8.0))
    assert "access.cut" in caplog.text
    assert session.fetch(asset).status == 200


class Torn:
    """A reader whose disk has a hole."""

    def __init__(self, reader: Any, read: Any) -> None:
        self._reader = reader
        self.read = read
        self.size = reader.size

    def close(self) -> None:
        self._reader.close()


def raw_get(house: House, path: str, token: str) -> tuple[bytes, bytes]:
    """Head and body of an answer, however it ends."""
    host, port = house.url.removeprefix("http://").split(":")
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", f"Authorization: Bearer {token}", "", ""]
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(20)
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def test_nothing_more_is_read_for_whoever_is_gone(own: House) -> None:
    creator, lab = own.person(), own.person()
    asset = creator.offer(ANYTHING, sound(17, 60.0, rate=44_100))  # more than sockets hold
    session = lab.session(lab.grant(asset))
    reads: list[int] = []
    opened = own.parts.blobs.open
    closed: list[bool] = []

    def counted(blob: bytes) -> Any:
        reader = opened(blob)
        read = reader.read

        def count(start: int, length: int) -> bytes:
            reads.append(start)
            return bytes(read(start, length))

        torn = Torn(reader, count)
        torn.close = lambda: (closed.append(True), reader.close())[1]  # type: ignore[method-assign]
        return torn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own.parts.stream._blobs, "open", counted, raising=False)
        host, port = own.url.removeprefix("http://").split(":")
        path = routes.SESSION_BYTES.url(session=session.number, asset=asset)
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", f"Authorization: Bearer {session.token}", "", ""]
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect((host, int(port)))
        connection.sendall("\r\n".join(lines).encode())
        connection.recv(1_024)
        connection.close()
        until(lambda: bool(closed))
    size = own.parts.ledger.state().asset(asset).content.size  # type: ignore[union-attr]
    assert max(reads) < size - 600_000


# ---------------------------------------------------------------------- ranges as text


@pytest.mark.parametrize(
    ("text", "span"),
    [
        (None, None),
        (b"bytes=0-", Span(0, None)),
        (b"bytes=5-9", Span(5, 5)),
        (b"bytes=-3", Span(97, 3)),
        (b"bytes=-300", Span(0, 100)),
    ],
)
def test_a_range_says_where_and_how_much(text: bytes | None, span: Span | None) -> None:
    assert parse_range(text, lambda: 100) == span


@pytest.mark.parametrize(
    "text", [b"bytes=", b"bytes=-", b"bytes=9-5", b"bytes=0-1,2-3", b"lines=0-1", b"bytes=1000000000000000-"]
)
def test_a_range_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(RequestError, match="range"):
        parse_range(text, lambda: 100)


def test_a_receipt_of_another_node_does_not_verify(world: World) -> None:
    answer = world.lab.session(world.grant).fetch(world.free)
    receipt = decode_receipt(base64.b64decode(answer.headers[routes.RECEIPT]))
    with pytest.raises(AudieraError):
        verify_receipt(receipt, world.rival.identity.key, chain_id=world.house.chain)
    with pytest.raises(AudieraError):
        verify_receipt(receipt, world.house.parts.keys.device_public, chain_id="another")


def test_the_whole_surface_is_described(world: World) -> None:
    described = world.house.ask(routes.OPENAPI).json["paths"]
    operation = described[routes.SESSION_BYTES.path]["get"]
    assert set(operation["responses"]) == {"200", "206", "default"}
    assert {each["name"] for each in operation["parameters"]} >= {"session", "asset", "Range", "Idempotency-Key"}
    assert msgspec.json.encode(operation)
