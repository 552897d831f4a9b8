"""Receipts: every delivery is checked against the node's signed word, and a node that lies is refused."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2
import pytest

from audiera.protocol.accesses.receipts import decode_receipt, encode_receipt
from audiera.protocol.api import routes
from audiera.protocol.errors import AccessRefused, AudieraError, EncodingError, ProofError, SignatureError
from audiera.protocol.ids import format_blob_id
from audiera.protocol.keys import parse_key
from audiera.protocol.records import Grant
from audiera.sdk import Client
from audiera.sdk.sessions import Stream
from tests.sdk.house import Between, House

Alter = Callable[[httpx2.Headers, bytes], tuple[Mapping[str, str], bytes]]


@pytest.fixture(scope="module")
def owned(house: House, tmp_path_factory: pytest.TempPathFactory) -> tuple[Client, list[int], Grant]:
    """An account with a grant on two assets."""
    client = house.join()
    assets = house.offer(client, tmp_path_factory.mktemp("sounds"), 2)
    grant = client.search(purpose="train-generative", commercial=True, holders=(client.account,)).license().grant
    assert grant.assets == tuple(assets)
    return client, assets, grant


def lying(house: House, client: Client, alter: Alter) -> Client:
    """The same account, at a node that alters what it delivers."""

    def on_bytes(request: httpx2.Request, headers: httpx2.Headers, body: bytes) -> tuple[Mapping[str, str], bytes]:
        is_delivery = request.url.path.endswith(("/bytes", "/preview"))
        return alter(headers, body) if is_delivery else (headers, body)

    return house.again(client, Between(on_bytes))


def receipt_with(headers: httpx2.Headers, text: str | None) -> Mapping[str, str]:
    kept = without(headers, routes.RECEIPT)
    return kept if text is None else {**kept, routes.RECEIPT: text}


def without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {each: value for each, value in headers.items() if each.lower() != name.lower()}


def turned(headers: httpx2.Headers, bit: int) -> Mapping[str, str]:
    raw = bytearray(base64.b64decode(headers[routes.RECEIPT]))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return receipt_with(headers, base64.b64encode(raw).decode())


def test_a_delivery_comes_with_the_bytes_and_a_receipt_for_them(
    house: House, owned: tuple[Client, list[int], Grant]
) -> None:
    client, assets, grant = owned
    with client.open_stream(grant) as stream:
        whole = stream.fetch(assets[0])
        part = stream.fetch(assets[0], 10, 20)
        rest = stream.fetch(assets[0], 40)
    content = client.asset(assets[0]).asset.content
    assert len(whole.data) == content.size
    assert part.data == whole.data[10:30]
    assert rest.data == whole.data[40:]
    assert whole.node == house.node.parts.account
    assert (part.index, rest.index) == (whole.index + 1, whole.index + 2)
    client.wait_for_record(rest.node, rest.index)
    trail = client.trail(whole.node, whole.index)
    assert (trail.access.asset, trail.access.bytes, trail.access.op) == (assets[0], content.size, "whole")
    assert client.trail(part.node, part.index).access.bytes == 20


def test_a_node_without_a_receipt_is_refused(house: House, owned: tuple[Client, list[int], Grant]) -> None:
    client, assets, grant = owned
    for text, kind in ((None, ProofError), ("", ProofError), ("%%", EncodingError), ("AAAA", EncodingError)):
        liar = lying(house, client, lambda headers, body, text=text: (receipt_with(headers, text), body))
        with pytest.raises(kind), liar.open_stream(grant) as stream:
            stream.fetch(assets[0])


def test_a_receipt_altered_anywhere_is_refused(house: House, owned: tuple[Client, list[int], Grant]) -> None:
    client, assets, grant = owned
    honest: list[bytes] = []

    def note(headers: httpx2.Headers, body: bytes) -> tuple[Mapping[str, str], bytes]:
        honest.append(base64.b64decode(headers[routes.RECEIPT]))
        return headers, body

    with lying(house, client, note).open_stream(grant) as stream:
        stream.fetch(assets[0])
    size, bit = len(honest[0]), [0]
    liar = lying(house, client, lambda headers, body: (turned(headers, bit[0]), body))
    with liar.open_stream(grant) as stream:
        for place in range(0, size, 3):
            bit[0] = place * 8 + place % 8
            with pytest.raises(AudieraError) as refused:
                stream.fetch(assets[0])
            assert isinstance(refused.value, ProofError | EncodingError | SignatureError), refused.value
        stream._rows = 0  # nothing of it was accepted, so nothing is acknowledged


def test_a_receipt_of_another_access_is_refused(house: House, owned: tuple[Client, list[int], Grant]) -> None:
    client, assets, grant = owned
    with client.open_stream(grant) as stream:
        other = stream.fetch(assets[1])
    text = base64.b64encode(encode_receipt(other.receipt)).decode()
    liar = lying(house, client, lambda headers, body: (receipt_with(headers, text), body))
    with pytest.raises(ProofError, match="another access"), liar.open_stream(grant) as stream:
        stream.fetch(assets[0])
    with pytest.raises(ProofError, match="another access"), liar.open_stream(grant) as stream:
        stream.fetch(assets[1])  # the same asset, an earlier session
    with pytest.raises(ProofError, match="another asset"):
        liar.preview(assets[0])


def test_other_bytes_than_the_assets_are_refused(house: House, owned: tuple[Client, list[int], Grant]) -> None:
    client, assets, grant = owned
    blob = client.asset(assets[0]).asset.content.blob
    other = [lambda body: body[:-1] + bytes([body[-1] ^ 1]), lambda body: body[:-1], lambda body: body + b"x"]

    def refused(alter: Alter, *part: int, by: bytes = b"") -> str:
        with pytest.raises(ProofError) as found, lying(house, client, alter).open_stream(grant) as stream:
            stream.fetch(assets[0], *part, blob=by)
        return found.value.message

    for alter in other:
        assert "bytes" in refused(lambda headers, body, alter=alter: (headers, alter(body)))
        assert "bytes" in refused(lambda headers, body, alter=alter: (without(headers, "ETag"), alter(body)))
    named = {"etag": f'"{format_blob_id(hashlib.sha256(b"x" * client.asset(assets[0]).asset.content.size).digest())}"'}
    said = refused(lambda headers, body: (without(headers, "ETag") | named, b"x" * len(body)), by=blob)
    assert "not the asset's bytes" in said
    assert "20 bytes, and 19 came" in refused(lambda headers, body: (headers, body[:-1]), 0, 20)
    with client.open_stream(grant) as stream:
        assert stream.fetch(assets[0], blob=blob).data


def test_a_receipt_signed_by_another_key_is_refused(house: House, owned: tuple[Client, list[int], Grant]) -> None:
    client, assets, grant = owned
    stranger = parse_key(client.account_info().keys[0])
    stream = Stream(client._transport, client.identity, grant, node_key=stranger)
    with pytest.raises(SignatureError):
        stream.fetch(assets[0])


def test_a_preview_is_recorded_before_it_comes(house: House, owned: tuple[Client, list[int], Grant]) -> None:
    client, assets, _ = owned
    heard = client.preview(assets[0])
    assert heard.data.startswith(b"OggS")
    client.wait_for_record(heard.node, heard.index)
    assert client.trail(heard.node, heard.index).access.op == "preview"


def test_watermarks_are_signed_before_the_credit_window_is_used_up(
    house: House, owned: tuple[Client, list[int], Grant]
) -> None:
    client, assets, grant = owned
    with client.open_stream(grant) as stream:
        window = stream._answer.credit_rows
        for _ in range(window + 20):
            last = stream.fetch(assets[0], 0, 16)
        assert stream._acknowledged >= window // 2
        assert stream.flush() <= client.head().height
    assert decode_receipt(encode_receipt(last.receipt)) == last.receipt


def test_who_signs_no_watermark_is_refused_at_the_end_of_the_window(
    house: House, owned: tuple[Client, list[int], Grant], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, assets, grant = owned
    monkeypatch.setattr(Stream, "acknowledge", lambda self: None)
    stream = client.open_stream(grant)
    for _ in range(stream._answer.credit_rows):
        stream.fetch(assets[0], 0, 16)
    with pytest.raises(AccessRefused) as refused:
        stream.fetch(assets[0], 0, 16)
    assert refused.value.values["reasons"] == ("credit-window",)


def test_what_goes_wrong_inside_a_stream_is_told_before_what_goes_wrong_in_closing_it(
    house: House, owned: tuple[Client, list[int], Grant], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client, assets, grant = owned
    other = house.offer(house.person("creator"), tmp_path)[0]

    def fail(self: Stream) -> None:
        raise ProofError("closing failed")

    monkeypatch.setattr(Stream, "acknowledge", fail)

    def fetch_both() -> None:
        with client.open_stream(grant) as stream:
            stream.fetch(assets[0])
            stream.fetch(other)

    with pytest.raises(AccessRefused) as refused:
        fetch_both()
    assert refused.value.values["reasons"] == ("not-covered",)
    with pytest.raises(ProofError, match="closing"), client.open_stream(grant) as stream:
        stream.fetch(assets[0])
