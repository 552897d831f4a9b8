"""Grants, snapshots, runs, models, and the accesses that fill them."""

from audiera.protocol.purposes import Purpose
from audiera.protocol.records.base import Record, Split
from audiera.protocol.records.model import BaseModel, CallPrice, Interface, Marking
from audiera.protocol.records.snapshot import Shard


class IssueGrant(Record, frozen=True, kw_only=True, tag="issue-grant"):
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


class AnswerGrant(Record, frozen=True, kw_only=True, tag="answer-grant"):
    """A holder answers a request under a license that asks on request."""

    grant: int
    """Which."""

    agree: bool
    """Yes or no."""


class RevokeGrant(Record, frozen=True, kw_only=True, tag="revoke-grant"):
    """End a grant: the grantee any time; a holder when its license was broken, an asset contested or withdrawn."""

    grant: int
    """Which."""


class ReturnBudget(Record, frozen=True, kw_only=True, tag="return-budget"):
    """Give the rest of an ended grant's budget back, once no late access can draw on it any more."""

    grant: int
    """Which."""


class PublishSnapshot(Record, frozen=True, kw_only=True, tag="publish-snapshot"):
    """Freeze a dataset version."""

    shards: tuple[Shard, ...]
    """Its clips, in shards."""

    sheet: bytes = b""
    """Salted digest of title and description."""

    replaces: int = 0
    """Snapshot it is a new version of."""


class OpenRun(Record, frozen=True, kw_only=True, tag="open-run"):
    """Begin a training run under grants of one purpose."""

    grants: tuple[int, ...]
    """Grants, ascending."""


class CloseRun(Record, frozen=True, kw_only=True, tag="close-run"):
    """End a run; the machine computes its certificate."""

    run: int
    """Which."""


class RegisterModel(Record, frozen=True, kw_only=True, tag="register-model"):
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


class PublishEndpoint(Record, frozen=True, kw_only=True, tag="publish-endpoint"):
    """Offer a model as a service through a node, change its price, or stop it."""

    model: int
    """Which."""

    node: int
    """Node account that serves it."""

    price: CallPrice
    """What a call costs."""

    active: bool = True
    """Whether it takes calls."""


class RecordAccesses(Record, frozen=True, kw_only=True, tag="record-accesses"):
    """A node posts a sealed batch of accesses."""

    batch: bytes
    """The batch, see :mod:`audiera.protocol.accesses`."""
