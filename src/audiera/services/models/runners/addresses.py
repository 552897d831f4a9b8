"""Which addresses the gateway may call for others: global ones only, resolved once and pinned."""

import ipaddress
import socket
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from audiera.services.models.ports import ModelError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",
        "192.0.0.0/24",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "ff00::/8",
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Target(NamedTuple):
    """Where a call really goes."""

    host: str
    """Name for the Host header and for TLS."""

    port: int
    """Port."""

    address: str
    """The one address connected to."""

    is_tls: bool
    """Whether over TLS."""

    path: str
    """Path and query."""


def unwrap(address: Address) -> Address:
    """The IPv4 address an IPv6 address carries inside, if it carries one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether an address lies on the open network, whatever form it hides in."""
    inner = unwrap(address)
    if any(inner in network for network in _REFUSED if network.version == inner.version):
        return False
    return inner.is_global and not (inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_private)


def resolve(url: str, allowed_local: Sequence[str] = ()) -> Target:
    """Resolve a model's URL once; the result is what is connected to, so a changing answer changes nothing.

    Args:
        url: http or https, no credentials in it.
        allowed_local: ``host:port`` pairs the operator has listed as local endpoints.

    Raises:
        ModelError: not such a URL, unknown, or an address nobody may reach through this node.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ModelError(f"an http or https URL without credentials expected, got {url[:120]!r}", code="url_invalid")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError, UnicodeError) as cause:
        raise ModelError(f"{parts.hostname!r} cannot be resolved: {cause}", code="url_unresolved") from cause
    address = str(found[0][4][0])
    is_listed = f"{parts.hostname}:{port}" in allowed_local
    if not is_listed and not all(is_public(ipaddress.ip_address(str(entry[4][0]).split("%")[0])) for entry in found):
        raise ModelError(
            f"{parts.hostname!r} leads to an address inside a private network; list it as a local endpoint to allow it",
            code="url_not_public",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.hostname, port, address, parts.scheme == "https", path)
