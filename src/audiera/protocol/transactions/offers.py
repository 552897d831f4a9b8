"""Works, assets, licenses, and disputes about them."""

from audiera.protocol.records.asset import Content, Identifiers
from audiera.protocol.records.base import Record, Split
from audiera.protocol.records.license import Terms


class CommitRegistrations(Record, frozen=True, kw_only=True, tag="commit-registrations"):
    """Reserve registrations without showing them, so that nobody can copy a pending one."""

    root: bytes
    """RFC 9162 root over the leaves :func:`commitment_leaf` of what will be registered."""

    count: int
    """How many leaves, 1 to 65,536."""


class RegisterWork(Record, frozen=True, kw_only=True, tag="register-work"):
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


class RegisterAsset(Record, frozen=True, kw_only=True, tag="register-asset"):
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


class ChangeAsset(Record, frozen=True, kw_only=True, tag="change-asset"):
    """Offer an asset under another license, or change its splits."""

    asset: int
    """Which."""

    license: int
    """License from now on; existing grants keep their terms."""

    splits: tuple[Split, ...]
    """Splits from now on."""


class WithdrawAsset(Record, frozen=True, kw_only=True, tag="withdraw-asset"):
    """Take an asset out of the catalog; running grants end."""

    asset: int
    """Which."""


class TransferAsset(Record, frozen=True, kw_only=True, tag="transfer-asset"):
    """Hand the management of an asset to another account; splits stay."""

    asset: int
    """Which."""

    to: int
    """Account that manages it from now on."""


class PublishLicense(Record, frozen=True, kw_only=True, tag="publish-license"):
    """Publish terms under a new number."""

    terms: Terms
    """The text."""


class ReviseLicense(Record, frozen=True, kw_only=True, tag="revise-license"):
    """Publish a new revision; grants already issued keep theirs."""

    license: int
    """Which."""

    terms: Terms
    """The new text."""


class OpenDispute(Record, frozen=True, kw_only=True, tag="open-dispute"):
    """Claim an asset; it becomes contested at once."""

    asset: int
    """Which."""

    evidence: bytes
    """SHA-256 of the evidence."""


class VoteDispute(Record, frozen=True, kw_only=True, tag="vote-dispute"):
    """A moderator's vote."""

    dispute: int
    """Which."""

    for_claimant: bool
    """Whether the claim is right."""
