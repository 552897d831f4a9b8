"""Every transaction there is: one tagged union, one envelope, one way to sign it.

A signed transaction is a COSE_Sign1 whose payload is the canonical encoding of an :class:`Envelope`. The
envelope names chain and type, so that no signature means anything elsewhere, and carries the account's next
sequence number, so that none means anything twice. The transaction's id is the SHA-256 of its signed bytes;
what it creates carries that id and the u64 number the ledger assigns.
"""

from typing import NamedTuple

from audiera.protocol.encoding import decode, digest, encode
from audiera.protocol.errors import EncodingError, SignatureError, TransactionError
from audiera.protocol.ids import TransactionId
from audiera.protocol.keys import Signed, sign, split_signed, verify_signed
from audiera.protocol.records.base import Record
from audiera.protocol.transactions.money import (
    ClaimPayouts,
    DepositCredits,
    SettlePool,
    WithdrawCredits,
)
from audiera.protocol.transactions.offers import (
    ChangeAsset,
    CommitRegistrations,
    OpenDispute,
    PublishLicense,
    RegisterAsset,
    RegisterWork,
    ReviseLicense,
    TransferAsset,
    VoteDispute,
    WithdrawAsset,
)
from audiera.protocol.transactions.people import (
    AuthorizeAppKey,
    ChangeKeys,
    ChangePayout,
    ChangeProfile,
    CreateAccount,
    RevokeAppKey,
    UndoKeyChange,
)
from audiera.protocol.transactions.training import (
    AnswerGrant,
    CloseRun,
    IssueGrant,
    OpenRun,
    PublishEndpoint,
    PublishSnapshot,
    RecordAccesses,
    RegisterModel,
    ReturnBudget,
    RevokeGrant,
)

Body = (
    CreateAccount
    | ChangeKeys
    | UndoKeyChange
    | ChangeProfile
    | ChangePayout
    | AuthorizeAppKey
    | RevokeAppKey
    | CommitRegistrations
    | RegisterWork
    | RegisterAsset
    | ChangeAsset
    | WithdrawAsset
    | TransferAsset
    | PublishLicense
    | ReviseLicense
    | IssueGrant
    | AnswerGrant
    | RevokeGrant
    | ReturnBudget
    | PublishSnapshot
    | OpenRun
    | CloseRun
    | RegisterModel
    | PublishEndpoint
    | RecordAccesses
    | DepositCredits
    | WithdrawCredits
    | SettlePool
    | ClaimPayouts
    | OpenDispute
    | VoteDispute
)


class Envelope(Record, frozen=True, kw_only=True):
    """What is signed: who asks the chain for what, for the how-manieth time."""

    domain: str
    """``audiera/<chain-id>/transaction/1``."""

    account: int
    """Ledger number of the signing account; 0 for the creation of one."""

    sequence: int
    """One more than the account's last; 0 for the creation of one."""

    key: bytes
    """Public key that signs."""

    body: Body
    """The request."""


class Transaction(NamedTuple):
    """A signed transaction, decoded; its signature is good only if :func:`verify_transaction` said so."""

    id: TransactionId
    """SHA-256 of the signed bytes."""

    envelope: Envelope
    """What was signed."""

    signed: Signed
    """Payload and signature as sent."""


def domain(chain_id: str) -> str:
    """What every envelope on a chain begins with."""
    return f"audiera/{chain_id}/transaction/1"


def sign_transaction(seed: bytes, envelope: Envelope) -> bytes:
    """The signed bytes of an envelope; the seed must be that of ``envelope.key``."""
    return sign(seed, encode(envelope))


def transaction_id(data: bytes) -> TransactionId:
    """The id of a signed transaction."""
    return TransactionId(digest(data))


def decode_transaction(data: bytes, max_bytes: int) -> Transaction:
    """Decode a signed transaction strictly; its signature is not verified here.

    Raises:
        TransactionError: too long, malformed, not canonical.
    """
    if len(data) > max_bytes:
        raise TransactionError(
            f"a transaction has at most {max_bytes} bytes, got {len(data)}", code="transaction_too_large"
        )
    try:
        signed = split_signed(data)
        envelope = decode(signed.payload, Envelope, max_bytes=max_bytes)
    except (EncodingError, SignatureError) as cause:
        raise TransactionError(f"not a signed transaction: {cause.message}", code="transaction_malformed") from cause
    return Transaction(transaction_id(data), envelope, signed)


def verify_transaction(transaction: Transaction) -> None:
    """Refuse a transaction that its stated key did not sign.

    Raises:
        TransactionError: the signature does not verify.
    """
    try:
        verify_signed(transaction.envelope.key, transaction.signed)
    except SignatureError as cause:
        raise TransactionError(cause.message, code="signature_invalid") from cause


def commitment_leaf(salt: bytes, blob: bytes, account: int) -> bytes:
    """The bytes a registration contributes to a commitment's tree; the salt hides them until the reveal."""
    return digest(b"audiera/registration/1" + salt + blob + account.to_bytes(8, "big"))
