"""Models: registered with a lineage the ledger certifies, published as a service, paid per call."""

from typing import Literal

from audiera.protocol.records.base import Record, Split

Marking = Literal["c2pa", "watermark", "none"]


class BaseModel(Record, frozen=True, kw_only=True):
    """A model this one was built on, and its share of the generation pool."""

    model: int
    """Ledger number of the base model."""

    share: int
    """Basis points of each call's revenue that go to it, before the training data's."""


class Interface(Record, frozen=True, kw_only=True):
    """What goes in and what comes out."""

    task: str
    """Kind of service: generation, recognition, recommendation, transcription, ..."""

    accepts: tuple[str, ...]
    """Media types of a request body."""

    returns: tuple[str, ...]
    """Media types of an answer."""

    schema: bytes = b""
    """SHA-256 of the published input and output schema; empty for none."""


class CallPrice(Record, frozen=True, kw_only=True):
    """An integer price list; the version is named in every receipt."""

    version: int
    """1 for the first list."""

    per_call: int
    """Microcredits for each call that succeeds."""

    per_audio_second: int = 0
    """Microcredits for each started second of audio, in and out."""


class PriceList(Record, frozen=True, kw_only=True):
    """A price list of an endpoint, kept so that a call is charged by the list it was quoted by."""

    price: CallPrice
    """The list."""

    ended_at: int = 0
    """Block time from which another one is in force, microseconds; 0 while it is in force."""


class Model(Record, frozen=True, kw_only=True, tag="model"):
    """A model version."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the registering transaction."""

    developer: int
    """Ledger number of the account that registered it."""

    name: str
    """A slug: a-z 0-9 - . _"""

    version: str
    """A slug."""

    weights: bytes
    """SHA-256 over its files' digests."""

    runs: tuple[int, ...]
    """Runs whose certificates are its lineage, ascending."""

    weights_root: bytes
    """Merkle-sum root of (asset, weight) over all its runs."""

    total_weight: int
    """Sum of these weights."""

    training_share: int
    """Basis points of each call's revenue that go to its training data."""

    base_models: tuple[BaseModel, ...] = ()
    """Models it was built on."""

    undisclosed_data: bool = False
    """Whether it was also trained on data not recorded here."""

    interface: Interface | None = None
    """What goes in and out."""

    splits: tuple[Split, ...] = ()
    """Who shares the developer's part; the developer alone when empty."""

    marking: Marking = "none"
    """How its output is marked."""

    card: bytes = b""
    """SHA-256 of its card, off the ledger."""

    registered_at: int = 0
    """Block time, microseconds."""


class Endpoint(Record, frozen=True, kw_only=True, tag="endpoint"):
    """A model offered as a service through a node's gateway."""

    model: int
    """Ledger number of the model."""

    node: int
    """Ledger number of the node account that serves it."""

    price: CallPrice
    """What a call costs."""

    active: bool = True
    """Whether it takes calls."""
