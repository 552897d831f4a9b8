"""Credits in, out and divided."""

from audiera.protocol.records.base import Record


class DepositCredits(Record, frozen=True, kw_only=True, tag="deposit-credits"):
    """A settlement authority brings credits in."""

    account: int
    """Who receives them."""

    amount: int
    """Microcredits."""

    rail: str
    """Rail they came by."""

    reference: bytes
    """Digest of the rail's own reference; each is accepted once."""


class WithdrawCredits(Record, frozen=True, kw_only=True, tag="withdraw-credits"):
    """Take credits out to the account's payout address."""

    amount: int
    """Microcredits."""

    rail: str
    """Rail to leave by."""


class SettlePool(Record, frozen=True, kw_only=True, tag="settle-pool"):
    """Close a model's training pool for what it holds now, so that payees can claim; anyone may send it."""

    model: int
    """Which."""


class SettlementClaim(Record, frozen=True, kw_only=True):
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


class ClaimPayouts(Record, frozen=True, kw_only=True, tag="claim-payouts"):
    """Pay out what assets earned, to the accounts in their splits; anyone may send it."""

    assets: tuple[int, ...] = ()
    """Assets whose access earnings are paid out."""

    settlements: tuple[SettlementClaim, ...] = ()
    """Parts of settled pools."""
