"""Tokens: one accepted form, for one chain, in their time, under a key the account has now."""

import base64
import hashlib
from typing import Any

import msgspec
import pytest

from audiera.node.http.identity import MAX_TOKEN_BYTES
from audiera.protocol.api import routes
from audiera.protocol.keys import format_key, public_key, sign_bytes
from audiera.protocol.transactions import ChangeKeys
from tests.node.house import SECOND, Answer, House, Person
from tests.node.world import World


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_of(person: Person, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token with chosen contents, signed by the account's key."""
    now = person.house.clock() // SECOND
    head = {"alg": "Ed25519", "kid": format_key(person.identity.key), "typ": "JWT"} | (header or {})
    body = {"iss": str(person.number), "aud": person.house.chain, "iat": now, "exp": now + 900, "jti": "x"} | claims
    kept = {name: value for name, value in body.items() if value is not None}
    signed = part(msgspec.json.encode(head)) + "." + part(msgspec.json.encode(kept))
    return signed + "." + part(sign_bytes(person.identity.seed, signed.encode()))


def ask(house: House, token: str) -> Answer:
    """Something only an account may: a look at an upload that is not there."""
    return house.ask(routes.UPLOAD_OPTIONS, token=token)


def test_a_token_in_the_accepted_form_serves(world: World) -> None:
    assert ask(world.house, token_of(world.lab)).status == 204
    assert ask(world.house, token_of(world.lab)).status == 204


@pytest.mark.parametrize(
    ("header", "claims", "code"),
    [
        ({"alg": "none"}, {}, "token_invalid"),
        ({"alg": "EdDSA"}, {}, "token_invalid"),
        ({"alg": "HS256"}, {}, "token_invalid"),
        ({"typ": "at+jwt"}, {}, "token_invalid"),
        ({"crit": []}, {}, "token_invalid"),
        ({"kid": "did:key:z6Mk"}, {}, "token_invalid"),
        ({"kid": 7}, {}, "token_invalid"),
        ({}, {"iss": "01"}, "token_invalid"),
        ({}, {"iss": "-1"}, "token_invalid"),
        ({}, {"iss": "0"}, "token_invalid"),
        ({}, {"iss": "9" * 400}, "token_invalid"),
        ({}, {"iss": "\u0663"}, "token_invalid"),
        ({}, {"iss": "18446744073709551616"}, "key_not_authorized"),
        ({}, {"iss": 3}, "token_invalid"),
        ({}, {"jti": ""}, "token_invalid"),
        ({}, {"jti": "x" * 65}, "token_invalid"),
        ({}, {"jti": None}, "token_invalid"),
        ({}, {"exp": 10**30}, "token_invalid"),
        ({}, {"exp": 1.5}, "token_invalid"),
        ({}, {"more": 1}, "token_invalid"),
        ({}, {"aud": "another"}, "token_wrong_chain"),
        ({}, {"aud": ""}, "token_wrong_chain"),
    ],
)
def test_other_contents_are_refused(world: World, header: dict[str, Any], claims: dict[str, Any], code: str) -> None:
    answer = ask(world.house, token_of(world.lab, header=header, **claims))
    assert (answer.status, answer.code) == (401, code)


@pytest.mark.parametrize(
    ("begin", "end", "code"),
    [
        (0, 901, "token_invalid"),
        (0, 0, "token_invalid"),
        (10, 5, "token_invalid"),
        (-901, -1, "token_expired"),
        (-900, 0, "token_expired"),
        (75, 900, "token_not_yet"),
        (45, 900, "ok"),
    ],
)
def test_times_outside_their_bounds_are_refused(world: World, begin: int, end: int, code: str) -> None:
    now = world.house.clock() // SECOND
    assert ask(world.house, token_of(world.lab, iat=now + begin, exp=now + end)).code == code


def test_another_accounts_name_under_ones_own_key_is_refused(world: World) -> None:
    answer = ask(world.house, token_of(world.rival, iss=str(world.lab.number)))
    assert (answer.status, answer.code) == (401, "key_not_authorized")


def test_a_signature_by_another_key_is_refused(world: World) -> None:
    head, claims, _ = token_of(world.lab).split(".")
    forged = part(sign_bytes(world.rival.identity.seed, f"{head}.{claims}".encode()))
    assert ask(world.house, f"{head}.{claims}.{forged}").code == "token_invalid"


@pytest.mark.parametrize(
    "change", [lambda s: s + "=", lambda s: s + "A", lambda s: s[:-1], lambda s: s.replace("-", "+")]
)
def test_a_signature_has_one_spelling(world: World, change: Any) -> None:
    head, claims, signature = token_of(world.lab).split(".")
    if change(signature) != signature:
        assert ask(world.house, f"{head}.{claims}.{change(signature)}").code == "token_invalid"
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(signature[-1])
    twin = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]  # bits that decode to nothing
    assert ask(world.house, f"{head}.{claims}.{signature[:-1]}{twin}").code == "token_invalid"


@pytest.mark.parametrize(
    "header",
    [
        "Basic dXNlcjpwYXNz",
        "Bearer",
        "bearer  x.y.z",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer ..",
        "Bearer " + "x" * (MAX_TOKEN_BYTES + 1),
        "Bearer aud_",
        "Bearer " + "f" * 64,
        "token",
    ],
)
def test_a_header_that_holds_no_token_is_refused(world: World, header: str) -> None:
    answer = world.house.ask(routes.NODE, headers={"Authorization": header})
    assert answer.status == 401
    assert answer.problem.title == "Authentication is needed"


def test_a_known_token_ends_when_its_key_does(house: House) -> None:
    device = hashlib.sha256(b"device").digest()
    person = house.person(device=device)
    token = person.token(seed=device)
    assert ask(house, token).status == 204
    assert ask(house, token).status == 204
    person.do(ChangeKeys(control_keys=(person.identity.key,), device_keys=()))
    assert ask(house, token).code == "key_not_authorized"
    person.do(ChangeKeys(control_keys=(person.identity.key,), device_keys=(public_key(device),)))
    assert ask(house, token).status == 204


def test_a_known_token_ends_in_time(house: House) -> None:
    person = house.person()
    token = person.token(lifetime_s=60)
    assert ask(house, token).status == 204
    house.clock.advance(61 * SECOND)
    assert ask(house, token).code == "token_expired"
    assert ask(house, token).code == "token_expired"


def test_only_so_many_tokens_are_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiera.node.http.identity._REMEMBERED", 3)
    for number in range(5):
        assert ask(world.house, token_of(world.lab, jti=str(number))).status == 204
