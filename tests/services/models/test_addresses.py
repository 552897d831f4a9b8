"""No spelling of an inside address gets through."""

import ipaddress
import socket

import pytest

from audiera.services.models import ModelError
from audiera.services.models.runners import is_public, resolve

INSIDE = [
    "127.0.0.1",
    "127.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_inside_address_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_an_open_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_tricky_spellings_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises(ModelError) as error:
        resolve(f"http://{host}:8080/call")
    assert error.value.code in ("url_not_public", "url_unresolved", "url_invalid")


@pytest.mark.parametrize(
    "url", ["ftp://1.1.1.1/", "file:///etc/passwd", "http://", "http://user:pw@1.1.1.1/", "not a url", ""]
)
def test_only_plain_http_urls_are_accepted(url: str) -> None:
    with pytest.raises(ModelError) as error:
        resolve(url)
    assert error.value.code == "url_invalid"


def test_a_listed_local_endpoint_is_allowed_and_pinned() -> None:
    target = resolve("http://127.0.0.1:8080/call?x=1", allowed_local=("127.0.0.1:8080",))
    assert (target.address, target.port, target.path, target.is_tls) == ("127.0.0.1", 8080, "/call?x=1", False)


def test_one_inside_answer_among_many_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: object, **__: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 80)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(ModelError):
        resolve("http://models.example/call")
