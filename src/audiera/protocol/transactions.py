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
from audiera.protocol.purposes import Purpose
from audiera.protocol.records.account import AccountKind, Guardians, Member, Role
from audiera.protocol.records.asset import Content, Identifiers
from audiera.protocol.records.base import Record, Split
from audiera.protocol.records.license import Terms
from audiera.protocol.records.model import BaseModel, CallPrice, Interface, Marking
from audiera.protocol.records.snapshot import Shard


class CreateAccount(Record, tag="create-account"):
    """The genesis operation of an account; signed by its highest control key, from account 0, sequence 0."""

    kind: AccountKind
    """Person, organization or node."""

    roles: tuple[Role, ...]
    """What it takes part as."""

    control_keys: tuple[bytes, ...]
    """1 to 5 public keys, highest first."""

    device_keys: tuple[bytes, ...]
    """Public keys for daily signing."""

    profile: bytes
    """Salted digest of the profile."""

    members: tuple[Member, ...] = ()
    """Members, for an organization."""

    threshold: int = 0
    """Owners that must agree, for an organization."""

    guardians: Guardians | None = None
    """Who may restore control."""


class ChangeKeys(Record, tag="change-keys"):
    """Replace the keys; signed by any control key; a higher one may undo it for 72 hours."""

    control_keys: tuple[bytes, ...]
    """The new control keys, highest first."""

    device_keys: tuple[bytes, ...]
    """The new device keys."""


class UndoKeyChange(Record, tag="undo-key-change"):
    """Take back the oldest change of the last 72 hours that a lower key signed, and all after it."""


class ChangeProfile(Record, tag="change-profile"):
    """Replace roles and the profile's commitment."""

    roles: tuple[Role, ...]
    """The roles from now on."""

    profile: bytes
    """Salted digest of the new profile."""


class ChangePayout(Record, tag="change-payout"):
    """Say where withdrawals go; effective after 72 hours."""

    rail: str
    """Settlement rail."""

    commitment: bytes
    """Salted digest of the address."""


class AuthorizeAppKey(Record, tag="authorize-app-key"):
    """Let an application spend up to a budget until a time."""

    key_hash: bytes
    """SHA-256 of the secret."""

    budget: int
    """Microcredits it may spend in all."""

    expires_at: int
    """Block time of its end, microseconds."""

    models: tuple[int, ...] = ()
    """Models it may call; empty means any."""


class RevokeAppKey(Record, tag="revoke-app-key"):
    """Take an application key back."""

    key: int
    """Ledger number of the key."""


class CommitRegistrations(Record, tag="commit-registrations"):
    """Reserve registrations without showing them, so that nobody can copy a pending one."""

    root: bytes
    """RFC 9162 root over the leaves :func:`commitment_leaf` of what will be registered."""

    count: int
    """How many leaves, 1 to 65,536."""


class RegisterWork(Record, tag="register-work"):
    """Register a composition or a fixed performance."""

    work_kind: str
    """``work`` or ``recording``."""

    splits: tuple[Split, ...]
    """Shares of the rights holders."""

    identifiers: Identifiers = Identifiers()
    """Standard identifiers."""

    sheet: bytes = b""
    """Salted digest of title and credits."""

    performs: int = 0
    """For a recording: the work performed."""


class RegisterAsset(Record, tag="register-asset"):
    """Reveal a reserved registration and offer the asset."""

    content: Content
    """What it is."""

    splits: tuple[Split, ...]
    """Who is paid."""

    license: int
    """License it is offered under."""

    commitment: int
    """Ledger number of the commitment."""

    salt: bytes
    """32 random bytes that hid the leaf."""

    index: int
    """Position of the leaf under the commitment's root."""

    path: tuple[bytes, ...] = ()
    """Inclusion path of the leaf."""

    replaces: int = 0
    """Asset it is a new version of."""


class ChangeAsset(Record, tag="change-asset"):
    """Offer an asset under another license, or change its splits."""

    asset: int
    """Which."""

    license: int
    """License from now on; existing grants keep their terms."""

    splits: tuple[Split, ...]
    """Splits from now on."""


class WithdrawAsset(Record, tag="withdraw-asset"):
    """Take an asset out of the catalog; running grants end."""

    asset: int
    """Which."""


class TransferAsset(Record, tag="transfer-asset"):
    """Hand the management of an asset to another account; splits stay."""

    asset: int
    """Which."""

    to: int
    """Account that manages it from now on."""


class PublishLicense(Record, tag="publish-license"):
    """Publish terms under a new number."""

    terms: Terms
    """The text."""


class ReviseLicense(Record, tag="revise-license"):
    """Publish a new revision; grants already issued keep theirs."""

    license: int
    """Which."""

    terms: Terms
    """The new text."""


class IssueGrant(Record, tag="issue-grant"):
    """Ask for a grant; the machine decides by the licenses and issues it, or refuses with reasons."""

    purpose: Purpose
    """What for."""

    assets: tuple[int, ...] = ()
    """Assets, ascending; exactly one of assets, snapshot, model is named."""

    snapshot: int = 0
    """Snapshot."""

    model: int = 0
    """Model to call."""

    commercial: bool = False
    """Whether for commercial use."""

    territory: str = "*"
    """Where."""

    valid_until: int = 0
    """Wanted end, microseconds; 0 for as long as the licenses allow."""

    budget: int = 0
    """Microcredits to set aside for priced uses."""

    max_price: int = 0
    """Most the flat prices may come to, microcredits; more refuses the grant."""


class AnswerGrant(Record, tag="answer-grant"):
    """A holder answers a request under a license that asks on request."""

    grant: int
    """Which."""

    agree: bool
    """Yes or no."""


class RevokeGrant(Record, tag="revoke-grant"):
    """End a grant: the grantee any time; a holder when its license was broken, an asset contested or withdrawn."""

    grant: int
    """Which."""


class ReturnBudget(Record, tag="return-budget"):
    """Give the rest of an ended grant's budget back, once no late access can draw on it any more."""

    grant: int
    """Which."""


class PublishSnapshot(Record, tag="publish-snapshot"):
    """Freeze a dataset version."""

    shards: tuple[Shard, ...]
    """Its clips, in shards."""

    sheet: bytes = b""
    """Salted digest of title and description."""

    replaces: int = 0
    """Snapshot it is a new version of."""


class OpenRun(Record, tag="open-run"):
    """Begin a training run under grants of one purpose."""

    grants: tuple[int, ...]
    """Grants, ascending."""


class CloseRun(Record, tag="close-run"):
    """End a run; the machine computes its certificate."""

    run: int
    """Which."""


class RegisterModel(Record, tag="register-model"):
    """Register a model version with its lineage."""

    name: str
    """A slug."""

    version: str
    """A slug."""

    weights: bytes
    """SHA-256 over its files' digests."""

    runs: tuple[int, ...]
    """Closed runs of the same account, ascending."""

    training_share: int
    """Basis points of revenue for training data."""

    interface: Interface
    """What goes in and out."""

    base_models: tuple[BaseModel, ...] = ()
    """Models it was built on."""

    undisclosed_data: bool = False
    """Whether other data was used too."""

    splits: tuple[Split, ...] = ()
    """Who shares the developer's part."""

    marking: Marking = "none"
    """How output is marked."""

    card: bytes = b""
    """SHA-256 of its card."""


class PublishEndpoint(Record, tag="publish-endpoint"):
    """Offer a model as a service through a node, change its price, or stop it."""

    model: int
    """Which."""

    node: int
    """Node account that serves it."""

    price: CallPrice
    """What a call costs."""

    active: bool = True
    """Whether it takes calls."""


class RecordAccesses(Record, tag="record-accesses"):
    """A node posts a sealed batch of accesses."""

    batch: bytes
    """The batch, see :mod:`audiera.protocol.accesses`."""


class DepositCredits(Record, tag="deposit-credits"):
    """A settlement authority brings credits in."""

    account: int
    """Who receives them."""

    amount: int
    """Microcredits."""

    rail: str
    """Rail they came by."""

    reference: bytes
    """Digest of the rail's own reference; each is accepted once."""


class WithdrawCredits(Record, tag="withdraw-credits"):
    """Take credits out to the account's payout address."""

    amount: int
    """Microcredits."""

    rail: str
    """Rail to leave by."""


class SettlePool(Record, tag="settle-pool"):
    """Close a model's training pool for what it holds now, so that payees can claim; anyone may send it."""

    model: int
    """Which."""


class SettlementClaim(Record):
    """A proof of one asset's part of a settlement."""

    settlement: int
    """Which."""

    asset: int
    """Payee asset."""

    weight: int
    """Its weight."""

    before: int
    """Sum of the weights before it, in the settlement's order."""

    index: int
    """Its position in that order."""

    path: tuple[tuple[bytes, int], ...] = ()
    """Merkle-sum path: sibling hash and sibling weight, from the leaf up."""


class ClaimPayouts(Record, tag="claim-payouts"):
    """Pay out what assets earned, to the accounts in their splits; anyone may send it."""

    assets: tuple[int, ...] = ()
    """Assets whose access earnings are paid out."""

    settlements: tuple[SettlementClaim, ...] = ()
    """Parts of settled pools."""


class OpenDispute(Record, tag="open-dispute"):
    """Claim an asset; it becomes contested at once."""

    asset: int
    """Which."""

    evidence: bytes
    """SHA-256 of the evidence."""


class VoteDispute(Record, tag="vote-dispute"):
    """A moderator's vote."""

    dispute: int
    """Which."""

    for_claimant: bool
    """Whether the claim is right."""


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


class Envelope(Record):
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
