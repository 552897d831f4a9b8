"""Handing in a transaction and hearing what became of it."""

from audiera.protocol.api.base import Message
from audiera.protocol.api.documents import DocumentKind


class Document(Message, frozen=True, kw_only=True):
    """A document whose digest the transaction names; kept off the ledger."""

    kind: DocumentKind
    """sheet, profile or card."""

    content: bytes
    """Its canonical bytes."""


class TransactionRequest(Message, frozen=True, kw_only=True):
    """A signed transaction with the documents it names."""

    transaction: bytes
    """The COSE_Sign1 bytes."""

    documents: tuple[Document, ...] = ()
    """Documents to keep when it succeeds; each one's digest stands in the transaction."""


class TransactionOutcome(Message, frozen=True, kw_only=True):
    """What a transaction did. It is durable and final when this is answered."""

    id: str
    """Transaction id; also the id of what it created."""

    height: int
    """Block that holds it."""

    code: str
    """``ok``, or the stable code of why it was refused."""

    message: str = ""
    """Why it was refused, for a person."""

    reasons: tuple[str, ...] = ()
    """Reason codes of a refused decision."""

    number: int = 0
    """Ledger number of what it created; 0 when it created nothing."""

    kind: str = ""
    """Tag of its body, such as ``issue-grant``."""

    account: int = 0
    """Account that signed it; for a new account its number."""
