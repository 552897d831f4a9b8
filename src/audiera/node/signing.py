"""Accounts of the node's own: they sign and hand in transactions, one after another."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from audiera.protocol.errors import TransactionError
from audiera.protocol.keys import public_key
from audiera.protocol.results import TransactionResult
from audiera.protocol.transactions import (
    Body,
    CreateAccount,
    DepositCredits,
    Envelope,
    domain,
    sign_transaction,
)
from audiera.services.ledger.ports import Ledger
from audiera.services.storage.files import Entropy

FAUCET_RAIL = "test-faucet"


class OwnAccount:
    """An account whose secret is here. Thread-safe.

    Args:
        ledger: where its transactions go.
        number: its ledger number.
        seed: secret of one of its keys.
    """

    def __init__(self, ledger: Ledger, number: int, seed: bytes) -> None:
        self._ledger = ledger
        self.number = number
        self._seed = seed
        self._key = public_key(seed)
        self._sequence = 0
        self._lock = threading.Lock()

    def post(self, body: Body) -> "Future[TransactionResult]":
        """Sign a transaction and hand it in; the future is the ledger's."""
        with self._lock:
            self._sequence = max(self._sequence, self._ledger.state().sequence(self.number)) + 1
            envelope = Envelope(
                domain=domain(self._ledger.genesis.chain_id),
                account=self.number,
                sequence=self._sequence,
                key=self._key,
                body=body,
            )
            future = self._ledger.submit(sign_transaction(self._seed, envelope))
        future.add_done_callback(self._note)
        return future

    def _note(self, future: "Future[TransactionResult]") -> None:
        """A transaction that never reached a block did not use its sequence number up."""
        if future.cancelled() or future.exception() is not None:
            with self._lock:
                self._sequence = 0

    def submit(self, body: Body) -> TransactionResult:
        """Sign a transaction, hand it in, and wait until it is durable and executed.

        Raises:
            TransactionError: it was refused.
            LedgerError: the ledger has stopped.
        """
        result = self.post(body).result()
        if not result.ok:
            raise TransactionError(result.message, code=result.code, reasons=result.reasons)
        return result


def find_or_create_account(
    ledger: Ledger, *, control: bytes, device: bytes | None, profile: Callable[[], bytes]
) -> int:
    """The number of the node account that a control key belongs to; it is created when there is none.

    Args:
        ledger: where accounts are.
        control: secret of its control key.
        device: secret of its daily key, if it has one.
        profile: makes and keeps its profile; returns the digest.

    Raises:
        TransactionError: the account was refused.
    """
    key = public_key(control)
    known = ledger.state().account_of_key(key)
    if known is not None:
        return known
    body = CreateAccount(
        kind="node",
        roles=("operator",),
        control_keys=(key,),
        device_keys=(public_key(device),) if device is not None else (),
        profile=profile(),
    )
    envelope = Envelope(domain=domain(ledger.genesis.chain_id), account=0, sequence=0, key=key, body=body)
    result = ledger.submit(sign_transaction(control, envelope)).result()
    if not result.ok:
        raise TransactionError(f"the node's account was refused: {result.message}", code=result.code)
    return result.number


class Deposit(NamedTuple):
    """Credits that came in."""

    transaction: bytes
    """Transaction id."""

    height: int
    """Block that holds it."""


class Faucet:
    """Gives test credits, which are worth nothing. Thread-safe."""

    def __init__(self, ledger: Ledger, account: OwnAccount, entropy: Entropy) -> None:
        self._ledger = ledger
        self._account = account
        self._entropy = entropy

    def give(self, account: int, amount: int) -> Deposit:
        """Deposit test credits.

        Raises:
            TransactionError: the ledger refused the deposit.
        """
        reference = hashlib.sha256(self._entropy(32)).digest()
        result = self._account.submit(
            DepositCredits(account=account, amount=amount, rail=FAUCET_RAIL, reference=reference)
        )
        place = self._ledger.transaction_at(result.id)
        return Deposit(result.id, place[0] if place is not None else 0)
