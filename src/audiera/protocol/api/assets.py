"""What is offered and under which terms; grants, snapshots, runs and settlements as the ledger has them."""

from audiera.protocol.api.base import Message
from audiera.protocol.api.documents import Sheet
from audiera.protocol.records import Asset, Clip, Grant, GrantUsage, License, Run, Settlement, Snapshot
from audiera.protocol.transactions import SettlementClaim


class AssetAnswer(Message, frozen=True, kw_only=True):
    """An asset with its sheet and its license."""

    id: str
    """Its id."""

    blob: str
    """Id of its bytes."""

    asset: Asset
    """The record."""

    license: License
    """The license it is offered under, newest revision."""

    sheet: Sheet | None = None
    """Title, credits, tags; absent when erased."""

    available: bool = True
    """Whether this node holds its bytes."""


class LicenseAnswer(Message, frozen=True, kw_only=True):
    """A license."""

    id: str
    """Its id."""

    license: License
    """The record."""


class GrantAnswer(Message, frozen=True, kw_only=True):
    """A grant and how much of it is used."""

    id: str
    """Its id."""

    grant: Grant
    """The record."""

    usage: GrantUsage
    """How much of it is used."""

    budget_left: int
    """Microcredits of its budget not spent yet."""


class SnapshotAnswer(Message, frozen=True, kw_only=True):
    """A snapshot."""

    id: str
    """Its id."""

    snapshot: Snapshot
    """The record."""

    sheet: Sheet | None = None
    """Title and description; absent when erased or never given."""


class ClipsAnswer(Message, frozen=True, kw_only=True):
    """A part of a snapshot's clips, in order."""

    snapshot: int
    """Ledger number of the snapshot."""

    shard: int
    """Which shard they are of, from 0."""

    shards: int
    """How many shards there are."""

    clips: tuple[Clip, ...]
    """All clips of this shard."""


class RunAnswer(Message, frozen=True, kw_only=True):
    """A training run."""

    id: str
    """Its id."""

    run: Run
    """The record, with its certificate once closed."""


class SettlementAnswer(Message, frozen=True, kw_only=True):
    """A settled pool."""

    settlement: Settlement
    """The record."""


class ClaimsAnswer(Message, frozen=True, kw_only=True):
    """Proofs of assets' parts of a settlement, ready to go into a ClaimPayouts transaction."""

    settlement: int
    """Which."""

    claims: tuple[SettlementClaim, ...]
    """One for each payee asset asked for, in the settlement's order."""
