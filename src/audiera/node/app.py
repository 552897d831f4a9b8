"""Plugging a node together: the one place that knows every part. Tests plug the same way."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from audiera.audio import AnalyzerPool, Limits
from audiera.node.applications import Applications, CallGrants
from audiera.node.clock import Clock, system_clock, system_stopwatch
from audiera.node.config import Settings
from audiera.node.entropy import system_entropy
from audiera.node.following import Followers
from audiera.node.http.idempotency import Answers
from audiera.node.http.server import HttpNode, Table
from audiera.node.http.surface import OPERATIONS, build_surface, description_of
from audiera.node.keys import NodeKeys, load_keys
from audiera.node.parts import Parts
from audiera.node.proofs import Proofs
from audiera.node.quota import Quota
from audiera.node.sessions import SessionTokens
from audiera.node.signing import FAUCET_RAIL, Faucet, OwnAccount, find_or_create_account
from audiera.node.submission import Submissions
from audiera.node.threads import Threads
from audiera.node.workers import Workers
from audiera.protocol.accesses import ROW
from audiera.protocol.api.documents import Profile
from audiera.protocol.encoding import encode
from audiera.protocol.errors import ConfigurationError, StorageError
from audiera.protocol.keys import public_key, self_test, sign_bytes
from audiera.protocol.records import Authority, Genesis, Validator
from audiera.protocol.units import DAY_US
from audiera.services.access import Gate, Meter, Refusals, Sealer, Stream
from audiera.services.catalog import CatalogIndex, open_catalog
from audiera.services.ledger.engines import open_solo
from audiera.services.ledger.home import GENESIS
from audiera.services.ledger.ports import Ledger
from audiera.services.media.drafts import Drafts
from audiera.services.media.intake import Intake
from audiera.services.media.spool import Spool
from audiera.services.models import Gateway, Registry
from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.documents import open_documents
from audiera.services.storage.files import Entropy
from audiera.services.storage.lock import FolderLock
from audiera.services.storage.ports import BlobStore, Documents
from audiera.services.storage.waf import open_write_ahead
from audiera.services.usage import UsageIndex, open_usage

_WRITE_DOWN_S = 5.0
_COLLECT_S = 600.0
_WATCH_S = 0.5

_log = logging.getLogger(__name__)


class _Base(NamedTuple):
    """What everything else stands on."""

    settings: Settings
    clock: Clock
    entropy: Entropy
    keys: NodeKeys
    ledger: Ledger
    blobs: BlobStore
    documents: Documents
    account: int


class _Access(NamedTuple):
    """The rooms an access goes through."""

    gate: Gate
    meter: Meter
    refusals: Refusals
    sealer: Sealer
    stream: Stream


class _Derived(NamedTuple):
    """What follows from the ledger and can be dropped."""

    catalog: CatalogIndex
    usage: UsageIndex
    grants: CallGrants
    followers: Followers


class Node:
    """A node that is plugged together.

    Args:
        parts: its rooms.
        answers: kept answers of POSTs.
        table: its operations.
        closing: gives everything back, the last opened first.
    """

    def __init__(self, parts: Parts, answers: Answers, table: Table, closing: ExitStack) -> None:
        self.parts = parts
        self.workers = Workers()
        self._answers = answers
        self._table = table
        self._closing = closing

    def surface(self, hosts: frozenset[str]) -> HttpNode:
        """The ASGI application, which answers to these host names only."""
        return build_surface(self.parts, self._table, self._answers, hosts)

    async def start(self) -> None:
        """Begin the node's own work."""
        parts = self.parts
        self.workers.start("access.seal", parts.sealer.run)
        self.workers.repeat("access.write_down", _WRITE_DOWN_S, parts.refusals.write_down)
        collect = partial(parts.intake.collect, parts.settings.upload_days * DAY_US)

        async def collect_drafts() -> None:
            count = await parts.threads.run(collect)
            if count:
                _log.info("media.collected count=%d", count)

        self.workers.repeat("media.collect", _COLLECT_S, collect_drafts)
        # Begun last and so ended first: it must not take the end of the others for a failure.
        self.workers.repeat("node.watch", _WATCH_S, self._check)

    async def _check(self) -> None:
        """End the node when a part has failed that nothing mends but a new start.

        Until then nothing leaves: a meter that has stopped refuses every access.
        """
        for failure in (self.parts.ledger.failure, self.parts.followers.failure):
            if failure is not None:
                raise failure
        if self.parts.meter.failure is not None:
            raise StorageError(self.parts.meter.failure, code="meter_stopped")

    async def stop(self) -> None:
        """Post what is recorded to the ledger, end the node's work, and give everything back.

        Raises:
            AudieraError: not everything could be posted; it is on the disk, and the next start takes it up.
        """
        try:
            if self.parts.meter.failure is None:
                await self.parts.refusals.write_down(older_than_us=0)
                await self.parts.sealer.flush()
        finally:
            await self.workers.stop()
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Give everything back; what was acknowledged is on the disk already."""
        self._closing.close()


def build(settings: Settings, *, clock: Clock = system_clock, entropy: Entropy = system_entropy) -> Node:
    """Plug a node together; at the first start its keys, its chain and its account are made.

    Args:
        settings: what is set.
        clock: where time comes from.
        entropy: where randomness comes from.

    Raises:
        AudieraError: the folder is open elsewhere, or what is in it is damaged.
    """
    self_test()
    with ExitStack() as opened:
        base = _open_base(settings, clock, entropy, opened)
        access = _open_access(base, opened)
        table = Table(OPERATIONS)
        answers = Answers(settings.home / "answers.sqlite", clock)
        opened.callback(answers.close)
        derived = _open_derived(base, opened)
        parts = _open_parts(base, access, derived, table, opened)
        derived.followers.start()
        return Node(parts, answers, table, opened.pop_all())


def _open_base(settings: Settings, clock: Clock, entropy: Entropy, opened: ExitStack) -> _Base:
    home = settings.home
    try:
        opened.enter_context(FolderLock(home))
        keys = load_keys(home, entropy)
    except OSError as cause:
        raise ConfigurationError(
            f"the folder {home} cannot be used: {cause.strerror}: {cause.filename}; give the node a folder of its own",
            code="home_unusable",
        ) from cause
    folder = home / "ledger"
    is_new = not (folder / GENESIS).exists()
    genesis = _genesis(settings, keys, clock, entropy) if is_new else None
    ledger = open_solo(folder, genesis=genesis, seed=keys.validator, now=clock, entropy=entropy)
    opened.callback(ledger.close)
    blobs = open_blobs(home / "blobs", master_key=keys.master, entropy=entropy)
    opened.callback(blobs.close)
    documents = open_documents(home / "documents.sqlite")
    opened.callback(documents.close)
    account = find_or_create_account(
        ledger,
        control=keys.control,
        device=keys.device,
        profile=partial(_keep_profile, documents, entropy, "Node"),
    )
    return _Base(settings, clock, entropy, keys, ledger, blobs, documents, account)


def _genesis(settings: Settings, keys: NodeKeys, clock: Clock, entropy: Entropy) -> Genesis:
    """A chain with this node as its only validator; its operator moderates disputes."""
    return Genesis(
        chain_id=settings.chain or f"local-{entropy(4).hex()}",
        time=clock(),
        validators=(Validator(key=keys.validator_public, power=1),),
        authorities=(Authority(rail=FAUCET_RAIL, key=keys.authority_public),) if settings.faucet else (),
        moderators=(public_key(keys.control),),
    )


def _keep_profile(documents: Documents, entropy: Entropy, name: str) -> bytes:
    return documents.put("profile", encode(Profile(salt=entropy(32), display_name=name)))


def _open_access(base: _Base, opened: ExitStack) -> _Access:
    """Take up the accesses an earlier process made durable, then open the way for new ones."""
    chain_id, state = base.ledger.genesis.chain_id, base.ledger.state().node(base.account)
    sign = partial(sign_bytes, base.keys.device)
    meter = Meter(
        open_write_ahead(base.settings.home / "accesses", entropy=base.entropy),
        chain_id=chain_id,
        node=base.account,
        clock=base.clock,
        sign=sign,
        next_index=state.next_index,
        last_t=state.last_t,
    )
    opened.callback(meter.close)
    waiting = [session for entry in meter.unsealed for session in entry.companions.sessions]
    last_session = max([state.last_session, *(session.number for session in waiting)])
    gate = Gate(base.ledger, chain_id=chain_id, node=base.account, clock=base.clock, last_session=last_session)
    for entry in meter.unsealed:
        gate.restore(np.frombuffer(entry.rows, dtype=ROW), waiting)
    refusals = Refusals(meter, base.clock)
    sealer = Sealer(
        meter,
        base.ledger,
        OwnAccount(base.ledger, base.account, base.keys.device).post,
        node=base.account,
        chain_id=chain_id,
        clock=base.clock,
        sign=sign,
        on_sealed=gate.settle,
        interval_s=base.settings.batch_after / 1_000,
    )
    stream = Stream(gate, meter, refusals, base.blobs, base.ledger)
    return _Access(gate, meter, refusals, sealer, stream)


def _open_faucet(base: _Base) -> Faucet | None:
    """The faucet, where the chain knows it and the settings want it."""
    rails = {authority.rail: authority.key for authority in base.ledger.genesis.authorities}
    if not base.settings.faucet or rails.get(FAUCET_RAIL) != base.keys.authority_public:
        return None
    number = find_or_create_account(
        base.ledger,
        control=base.keys.authority,
        device=None,
        profile=partial(_keep_profile, base.documents, base.entropy, "Test faucet"),
    )
    return Faucet(base.ledger, OwnAccount(base.ledger, number, base.keys.authority), base.entropy)


def _open_intake(base: _Base, spool: Spool, analyzer: AnalyzerPool, opened: ExitStack) -> Intake:
    drafts = Drafts(base.settings.home / "drafts.sqlite")
    opened.callback(drafts.close)
    return Intake(
        blobs=base.blobs,
        spool=spool,
        drafts=drafts,
        analyzer=analyzer,
        limits=Limits(max_bytes=base.settings.upload_bytes, wall_s=base.settings.analysis_time),
        state=base.ledger.state,
        now=base.clock,
    )


def _open_derived(base: _Base, opened: ExitStack) -> _Derived:
    catalog = open_catalog(base.settings.home / "catalog.sqlite", stopwatch=system_stopwatch)
    opened.callback(catalog.close)
    usage = open_usage(base.settings.home / "usage.sqlite")
    opened.callback(usage.close)
    grants = CallGrants(base.ledger)
    followers = Followers(base.ledger, catalog, usage, grants, base.documents)
    opened.callback(followers.close)
    return _Derived(catalog, usage, grants, followers)


def _open_parts(base: _Base, access: _Access, derived: _Derived, table: Table, opened: ExitStack) -> Parts:
    settings, home = base.settings, base.settings.home
    threads, analyses = Threads(settings.threads), Threads(settings.analyzers)
    analyzer = AnalyzerPool(settings.analyzers)
    for part in (analyses, threads, analyzer):
        opened.callback(part.close)
    spool = Spool(
        home / "uploads",
        entropy=base.entropy,
        limit=settings.upload_bytes,
        per_account=settings.uploads_per_account,
    )
    intake = _open_intake(base, spool, analyzer, opened)
    registry = Registry(home / "models.sqlite", base.blobs, base.documents, allowed_local=settings.model_addresses)
    opened.callback(registry.close)
    gateway = Gateway(registry, base.ledger, access.gate, access.meter, access.refusals, node=base.account)
    opened.callback(gateway.close)
    return Parts(
        settings=settings,
        version=version("audiera"),
        clock=base.clock,
        entropy=base.entropy,
        keys=base.keys,
        account=base.account,
        ledger=base.ledger,
        blobs=base.blobs,
        documents=base.documents,
        spool=spool,
        intake=intake,
        submissions=Submissions(base.ledger, base.documents, intake, threads),
        gate=access.gate,
        meter=access.meter,
        refusals=access.refusals,
        sealer=access.sealer,
        stream=access.stream,
        sessions=SessionTokens(base.clock, base.entropy),
        proofs=Proofs(base.ledger),
        registry=registry,
        gateway=gateway,
        applications=Applications(
            ledger=base.ledger,
            grants=derived.grants,
            gate=access.gate,
            meter=access.meter,
            node=base.account,
            clock=base.clock,
            entropy=base.entropy,
        ),
        catalog=derived.catalog,
        usage=derived.usage,
        followers=derived.followers,
        previews=Quota(base.clock, settings.previews_per_minute),
        faucet=_open_faucet(base),
        threads=threads,
        analyses=analyses,
        sandbox=_sandbox_of(analyzer),
        describe=description_of(table, version("audiera")),
    )


def _sandbox_of(analyzer: AnalyzerPool) -> Callable[[], tuple[str, ...]]:
    """Names the walls around the decoding of uploads, once a first upload has shown them."""

    def walls() -> tuple[str, ...]:
        found = analyzer.sandbox
        names = ("rlimits", "landlock", "seccomp")
        return tuple(name for name in names if found is not None and getattr(found, name))

    return walls
