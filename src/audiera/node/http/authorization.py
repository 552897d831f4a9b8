"""What the asker may do: the only function that decides it for a route. What is not said is denied."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, assert_never

from audiera.node.http.identity import Identity
from audiera.protocol.errors import NotAuthenticated, NotPermitted

Access = Literal["anyone", "account", "own-upload", "own-session", "caller"]
"""Who may call a route: everybody; any account; whoever made the upload the path names; the account of the session
the path names, the application key it was opened under, or the holder of that session's token; whoever calls models:
the holder of any open session's token, or of an application's key."""

_MAX_DIGITS = 20


class Opener(NamedTuple):
    """Who opened a session."""

    account: int
    """Ledger number of the account."""

    app_key: int
    """Ledger number of the application key it was opened under; 0 for none."""


class Owners(NamedTuple):
    """Who owns what a path names."""

    upload: Callable[[str], int]
    """Account that made an upload; NotFound when there is none."""

    session: Callable[[int], Opener]
    """Who opened a session; NotFound when there is none."""


def authorize(
    access: Access,
    identity: Identity,
    places: Mapping[str, str],
    owners: Owners,
    *,
    for_applications: bool,
) -> None:
    """Let the asker through, or raise.

    Args:
        access: what the route says.
        identity: who asks.
        places: the path's places, as text.
        owners: looks owners up.
        for_applications: whether an application key is enough where an account is asked for.

    Raises:
        NotAuthenticated: a visitor asks for what needs an account.
        NotPermitted: the asker may not.
    """
    if access == "anyone":
        return
    if identity.account == 0:
        raise NotAuthenticated("this needs an account: send 'Authorization: Bearer <token>'")
    if identity.app_key and not for_applications:
        raise NotPermitted("an application key cannot do this; use a token of the account", code="app_key_scope")
    if identity.session and access not in ("own-session", "caller"):
        raise NotPermitted("a session's token is good for its session only", code="session_scope")
    if access == "caller" and not (identity.session or identity.app_key):
        raise NotPermitted(
            "a model is called with a session's token or an application's key; open a session under a grant first",
            code="session_needed",
        )
    if not _owns(access, identity, places, owners):
        raise NotPermitted("this belongs to another account", code="other_account")


def _owns(
    access: Literal["account", "own-upload", "own-session", "caller"],
    identity: Identity,
    places: Mapping[str, str],
    owners: Owners,
) -> bool:
    match access:
        case "account" | "caller":
            return True
        case "own-upload":
            return owners.upload(places["id"]) == identity.account
        case "own-session":
            if identity.session:
                return places["session"] == str(identity.session)
            return _opened(identity, places["session"], owners)
        case _:
            assert_never(access)


def _opened(identity: Identity, number: str, owners: Owners) -> bool:
    """Whether the asker opened a session. An application's key is good for sessions under this very key only."""
    if not number.isdecimal() or len(number) > _MAX_DIGITS:
        return False
    opener = owners.session(int(number))
    return opener.account == identity.account and identity.app_key in (0, opener.app_key)
