"""The HTTP contract: what is sent round-trips, documents are strict, routes are unambiguous."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.api import routes
from audiera.protocol.api.access import DecisionRequest
from audiera.protocol.api.documents import (
    MAX_DOCUMENT_BYTES,
    Profile,
    Sheet,
    digest_of_document,
    read_profile,
    read_sheet,
)
from audiera.protocol.api.transactions import Document, TransactionRequest
from audiera.protocol.encoding import digest, encode
from audiera.protocol.errors import EncodingError, RecordError

SALT = bytes(range(32))


def _routes() -> list[routes.Route]:
    return [value for value in vars(routes).values() if isinstance(value, routes.Route)]


def test_no_two_names_mean_the_same_route() -> None:
    every = [(route.method, route.path) for route in _routes()]
    assert len(set(every)) == len(every) >= 39


def test_a_routes_places_are_filled_in_and_escaped() -> None:
    assert routes.SESSION_BYTES.url(session=3, asset=9) == "/v1/sessions/3/assets/9/bytes"
    assert routes.ACCOUNT.url(ref="did:key:z6Mk") == "/v1/accounts/did:key:z6Mk"
    assert routes.ACCOUNT.url(ref="../node?x") == "/v1/accounts/..%2Fnode%3Fx"


@given(st.binary(max_size=200), st.lists(st.binary(max_size=50), max_size=3))
def test_bytes_survive_the_way_through_json(transaction: bytes, documents: list[bytes]) -> None:
    sent = TransactionRequest(
        transaction=transaction,
        documents=tuple(Document(kind="sheet", content=content) for content in documents),
    )
    assert msgspec.json.decode(msgspec.json.encode(sent), type=TransactionRequest) == sent


@pytest.mark.parametrize("body", [b"{}", b'{"purpose": 3}', b'{"purpose": "evaluate", "purposes": []}'])
def test_a_body_that_is_not_exactly_a_request_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=DecisionRequest)


def test_a_document_is_named_by_the_digest_of_its_bytes() -> None:
    sheet = Sheet(salt=SALT, title="Harbor", tags=("calm",))
    assert read_sheet(encode(sheet)) == sheet
    assert digest_of_document(sheet) == digest(encode(sheet))
    profile = Profile(salt=SALT, display_name="Studio One")
    assert read_profile(encode(profile)) == profile


@pytest.mark.parametrize(
    "sheet",
    [
        Sheet(salt=SALT, title=""),
        Sheet(salt=b"short", title="x"),
        Sheet(salt=SALT, title="x" * 301),
        Sheet(salt=SALT, title="x", tags=("",)),
        Sheet(salt=SALT, title="x", moods=tuple(f"m{i}" for i in range(65))),
        Sheet(salt=SALT, title="x", description="d" * 10_001),
    ],
)
def test_a_sheet_out_of_bounds_is_refused(sheet: Sheet) -> None:
    with pytest.raises(RecordError):
        read_sheet(encode(sheet))


@pytest.mark.parametrize(
    "profile",
    [
        Profile(salt=SALT, display_name=""),
        Profile(salt=b"", display_name="x"),
        Profile(salt=SALT, display_name="x" * 101),
    ],
)
def test_a_profile_out_of_bounds_is_refused(profile: Profile) -> None:
    with pytest.raises(RecordError):
        read_profile(encode(profile))


def test_a_document_of_another_kind_or_too_long_is_refused() -> None:
    with pytest.raises(EncodingError):
        read_profile(encode(Sheet(salt=SALT, title="x")))
    with pytest.raises(EncodingError):
        read_sheet(bytes(MAX_DOCUMENT_BYTES + 1))
