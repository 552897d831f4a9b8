"""A node as one account sees it."""

from collections.abc import Sequence

import httpx2

from audiera.protocol.errors import ConfigurationError
from audiera.protocol.records.account import Role
from audiera.sdk.accounting import Accounting
from audiera.sdk.identity import (
    Identity,
    identity_path,
    keep_identity,
    load_identity,
    make_identity,
    save_identity,
)
from audiera.sdk.transport import Transport

DEFAULT_URL = "http://127.0.0.1:7170"


class Client(Accounting):
    """Everything an account can do at a node. Thread-safe.

    What it can do is said where it belongs: :class:`~audiera.sdk.connection.Connection` (who one is),
    :class:`~audiera.sdk.offering.Offering`, :class:`~audiera.sdk.using.Using`,
    :class:`~audiera.sdk.serving.Serving`, :class:`~audiera.sdk.accounting.Accounting`.
    """


def connect(
    url: str = DEFAULT_URL,
    *,
    identity: Identity | None = None,
    name: str = "default",
    roles: Sequence[Role] = ("model-developer",),
    display_name: str = "",
    api_key: str = "",
    http: httpx2.Client | None = None,
) -> Client:
    """Connect to a node. The first time, a key is made and an account created; nothing is asked.

    Args:
        url: address of the node.
        identity: who to be; by default the identity kept under ``name``.
        name: name of a kept identity.
        roles: roles of an account that has to be created.
        display_name: its name as others see it; it is kept off the ledger and can be erased.
        api_key: an application's opaque key, instead of an identity.
        http: another way to send requests, for tests and proxies.

    Raises:
        Unavailable: no node answers there.
        ConfigurationError: the kept identity is damaged or can be read by others, or is another chain's.
    """
    if api_key:
        return Client(Transport(url, api_key=api_key, http=http))
    client = Client(Transport(url, http=http))
    try:
        genesis = client.node().genesis
        if identity is not None:
            _be(client, identity, genesis, roles, display_name)
            return client
        path = identity_path(name, genesis)
        # Kept before it is used: a lost key cannot be made again.
        kept = load_identity(path) or keep_identity(make_identity(), path)
        became = _be(client, kept, genesis, roles, display_name)
        if became != kept:
            save_identity(became, path)
    except BaseException:
        client.close()
        raise
    return client


def _be(client: Client, identity: Identity, genesis: bytes, roles: Sequence[Role], display_name: str) -> Identity:
    """Be an identity; an account is made when it has none yet.

    Raises:
        ConfigurationError: its account is another chain's.
    """
    if not identity.account:
        return client.create_account(identity, roles=roles, display_name=display_name)
    if identity.genesis != genesis:
        raise ConfigurationError(
            f"the identity is account {identity.account} of chain {identity.chain_id!r}, and the node serves another "
            "chain; use the identity of this chain, or one without an account",
            code="identity_of_another_chain",
        )
    client.become(identity)
    return identity


def visit(url: str = DEFAULT_URL, *, name: str = "default", http: httpx2.Client | None = None) -> Client:
    """Connect to a node as the kept identity, and as a visitor where there is none; nothing is made or recorded.

    Args:
        url: address of the node.
        name: name of a kept identity.
        http: another way to send requests, for tests and proxies.

    Raises:
        Unavailable: no node answers there.
        ConfigurationError: the kept identity is damaged or can be read by others.
    """
    client = Client(Transport(url, http=http))
    try:
        kept = load_identity(identity_path(name, client.node().genesis))
        if kept is not None and kept.account:
            client.become(kept)
    except BaseException:
        client.close()
        raise
    return client
