"""A node as one account sees it."""

from collections.abc import Sequence

import httpx2

from audiera.protocol.errors import ConfigurationError
from audiera.protocol.records.account import Role
from audiera.sdk.accounting import Accounting
from audiera.sdk.identity import Identity, identity_path, load_identity, make_identity, save_identity
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
) -> "Client":
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
    genesis = client.node().genesis
    known = identity or load_identity(identity_path(name, genesis))
    if known is not None and known.account:
        if known.genesis != genesis:
            raise ConfigurationError(
                f"the identity is account {known.account} of chain {known.chain_id!r}, and {url} serves another; "
                "use the identity of this chain, or one without an account",
                code="identity_of_another_chain",
            )
        client.become(known)
        return client
    if identity is None:
        known = make_identity()
        save_identity(known, identity_path(name, genesis))  # kept before it is used: a lost key cannot be made again
    created = client.create_account(known or make_identity(), roles=roles, display_name=display_name)
    if identity is None:
        save_identity(created, identity_path(name, genesis))
    return client
