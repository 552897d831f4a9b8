"""Signing and handing in transactions, one account at a time, with the right sequence numbers."""

import threading
from collections.abc import Sequence

from audiera.protocol.api import routes
from audiera.protocol.api.accounts import AccountAnswer
from audiera.protocol.api.transactions import Document, TransactionOutcome, TransactionRequest
from audiera.protocol.errors import AccessRefused, AudieraError, TransactionError
from audiera.protocol.transactions import Body, Envelope, domain, sign_transaction
from audiera.sdk.identity import Identity
from audiera.sdk.transport import Transport


class Signer:
    """An account's pen. Thread-safe: transactions of one account go in one after another.

    Args:
        transport: to the node.
        identity: whose account.
    """

    def __init__(self, transport: Transport, identity: Identity) -> None:
        self._transport = transport
        self._identity = identity
        self._lock = threading.Lock()
        self._sequence: int | None = None

    def submit(self, body: Body, documents: Sequence[Document] = ()) -> TransactionOutcome:
        """Sign a request and hand it in; returns when it is durable and final.

        Raises:
            AccessRefused: the licenses refused it; ``values["reasons"]`` says why.
            TransactionError: refused for another reason.
        """
        with self._lock:
            outcome = self._attempt(body, documents)
        if outcome.code == "ok":
            return outcome
        if outcome.code == "access_refused":
            raise AccessRefused(outcome.message, reasons=outcome.reasons)
        raise TransactionError(outcome.message, code=outcome.code, reasons=outcome.reasons)

    def _attempt(self, body: Body, documents: Sequence[Document]) -> TransactionOutcome:
        """Hand in; when another device of the account was faster, read the number again, once."""
        try:
            return self._send(body, documents)
        except AudieraError as error:
            self._sequence = None
            if error.code != "wrong_sequence":
                raise
        return self._send(body, documents)

    def _send(self, body: Body, documents: Sequence[Document]) -> TransactionOutcome:
        if self._sequence is None:
            answer = self._transport.ask(routes.ACCOUNT, AccountAnswer, {"ref": self._identity.account})
            self._sequence = answer.sequence
        envelope = Envelope(
            domain=domain(self._identity.chain_id),
            account=self._identity.account,
            sequence=self._sequence + 1,
            key=self._identity.key,
            body=body,
        )
        outcome = hand_in(self._transport, sign_transaction(self._identity.seed, envelope), documents)
        self._sequence += 1
        return outcome


def hand_in(transport: Transport, transaction: bytes, documents: Sequence[Document] = ()) -> TransactionOutcome:
    """Hand in a signed transaction."""
    request = TransactionRequest(transaction=transaction, documents=tuple(documents))
    return transport.ask(routes.SUBMIT_TRANSACTION, TransactionOutcome, body=request)
