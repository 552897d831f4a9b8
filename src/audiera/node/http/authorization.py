"""What the asker may do: the only function that decides it for a route. What is not said is denied."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, assert_never

from audiera.node.http.identity import Identity
from audiera.protocol.errors import NotAuthenticated, NotPermitted

Access = Literal["anyone", "account", "own-account", "own-upload", "own-session", "caller"]
"""Who may call a route: everybody; any account; the account the path names; whoever made the upload the path names;
the account of the session the path names, or the holder of that session's token; whoever calls models: the holder of
any open session's token, or of an application's key."""


class Owners(NamedTuple):
    """Who owns what a path names."""

    upload: Callable[[str], int]
    """Account that made an upload; NotFound when there is none."""

    session: Callable[[int], int]
    """Account that opened a session; NotFound when there is none."""


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
    access: Literal["account", "own-account", "own-upload", "own-session", "caller"],
    identity: Identity,
    places: Mapping[str, str],
    owners: Owners,
) -> bool:
    match access:
        case "account" | "caller":
            return True
        case "own-account":
            return places["number"] == str(identity.account)
        case "own-upload":
            return owners.upload(places["id"]) == identity.account
        case "own-session":
            if identity.session:
                return places["session"] == str(identity.session)
            number = places["session"]
            return number.isdecimal() and owners.session(int(number)) == identity.account
        case _:
            assert_never(access)
