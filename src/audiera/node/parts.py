"""What a running node is made of, as the HTTP surface sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from audiera.node.applications import Applications
from audiera.node.clock import Clock
from audiera.node.config import Settings
from audiera.node.following import Followers
from audiera.node.keys import NodeKeys
from audiera.node.proofs import Proofs
from audiera.node.quota import Quota
from audiera.node.sessions import SessionTokens
from audiera.node.signing import Faucet
from audiera.node.submission import Submissions
from audiera.node.threads import Threads
from audiera.services.access import Gate, Meter, Refusals, Sealer, Stream
from audiera.services.catalog import CatalogIndex
from audiera.services.ledger.ports import Ledger
from audiera.services.media.intake import Intake
from audiera.services.media.spool import Spool
from audiera.services.models import Gateway, Registry
from audiera.services.storage.files import Entropy
from audiera.services.storage.ports import BlobStore, Documents
from audiera.services.usage import UsageIndex


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The node's rooms, plugged together once."""

    settings: Settings
    """As the node was started with."""

    version: str
    """Version of the program."""

    clock: Clock
    """Where time comes from."""

    entropy: Entropy
    """Where randomness comes from."""

    keys: NodeKeys
    """The node's secrets."""

    account: int
    """Ledger number of the node's account."""

    ledger: Ledger
    """What is agreed."""

    blobs: BlobStore
    """Bytes, encrypted."""

    documents: Documents
    """Sheets, profiles and cards."""

    spool: Spool
    """Uploads that are not whole."""

    intake: Intake
    """Takes uploads in."""

    submissions: Submissions
    """Takes transactions in."""

    gate: Gate
    """Decides."""

    meter: Meter
    """Makes accesses durable."""

    refusals: Refusals
    """Records what was refused."""

    sealer: Sealer
    """Posts accesses to the ledger."""

    stream: Stream
    """Releases bytes."""

    sessions: SessionTokens
    """Tokens of open sessions."""

    proofs: Proofs
    """Proves accesses."""

    registry: Registry
    """Models served here."""

    gateway: Gateway
    """Calls models."""

    applications: Applications
    """Sessions of application keys."""

    catalog: CatalogIndex
    """Finds things."""

    usage: UsageIndex
    """Knows who used what, and what was paid."""

    followers: Followers
    """Keeps catalog and usage at the ledger's head."""

    previews: Quota
    """How often an address may listen without an account."""

    faucet: Faucet | None
    """Gives test credits; None when the node gives none."""

    threads: Threads
    """Where requests wait for disks."""

    analyses: Threads
    """Where requests wait for the analysis of an upload, so that they keep nobody else waiting."""

    sandbox: Callable[[], tuple[str, ...]]
    """What confines the decoding of uploads here."""

    describe: Callable[[], bytes]
    """The OpenAPI document; made when first asked for."""
