"""The guard in conftest that keeps tests on this machine."""

import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("10.0.0.1", 9), ("example.invalid", 9)])
def test_connections_beyond_this_machine_are_refused(address):
    with socket.socket() as endpoint, pytest.raises(RuntimeError, match="loopback only"):
        endpoint.connect(address)
    with socket.socket() as endpoint, pytest.raises(RuntimeError, match="loopback only"):
        endpoint.connect_ex(address)


def test_connections_on_this_machine_are_let_through():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        client.sendall(b"x")
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(1) == b"x"
