"""Accounts, their credits, and the test faucet."""

from audiera.protocol.api.base import Message
from audiera.protocol.api.documents import Profile
from audiera.protocol.records import Account


class AccountAnswer(Message, frozen=True, kw_only=True):
    """An account as the ledger has it."""

    id: str
    """Its id."""

    account: Account
    """The record."""

    sequence: int
    """Sequence number of its last transaction; the next one carries one more."""

    balance: int
    """What it may spend, microcredits."""

    keys: tuple[str, ...]
    """Its keys as text: control keys, highest first, then device keys."""

    profile: Profile | None = None
    """How it presents itself, unless erased or never given."""


class FaucetRequest(Message, frozen=True, kw_only=True):
    """Ask for test credits; they are worth nothing."""

    account: int
    """Who receives them; the asker."""

    amount: int
    """Microcredits, 1 to the node's limit."""


class FaucetAnswer(Message, frozen=True, kw_only=True):
    """A deposit of test credits."""

    transaction: str
    """Transaction id of the deposit."""

    height: int
    """Block that holds it."""

    balance: int
    """What the account may spend now, microcredits."""

    note: str
    """Says that these credits are worth nothing."""
