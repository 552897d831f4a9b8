"""What every test gets: bounded examples, no network beyond this machine, the public vectors."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# Shared machines are slow in bursts, so time is no criterion; counts are.
settings.register_profile("default", deadline=None, max_examples=100)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def is_on_this_machine(family: int, address: object) -> bool:
    """Whether a socket address is the loopback, or no internet address at all."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = address[0] if isinstance(address, tuple) else address
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Refuse every connection that would leave this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(endpoint: socket.socket, address: object) -> None:
        if not is_on_this_machine(endpoint.family, address):
            raise RuntimeError(f"tests talk to the loopback only, this one tried {address!r}")

    def checked_connect(self: socket.socket, address: object) -> None:
        check(self, address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: object) -> int:
        check(self, address)
        return connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked_connect)
        patch.setattr(socket.socket, "connect_ex", checked_connect_ex)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of public test vectors (cctv-ed25519, rfc6962, wycheproof); skips where it is absent."""
    named = os.environ.get("AUDIERA_VECTORS")
    folder = Path(named) if named else ROOT.parent / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip(
            "the public vectors are not here: point AUDIERA_VECTORS at a folder that holds cctv-ed25519, "
            "rfc6962 and wycheproof"
        )
    return folder
