"""A node as one account sees it."""

import base64
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx2

from audiera.protocol.accesses.receipts import decode_receipt, verify_receipt
from audiera.protocol.api import routes
from audiera.protocol.api.accounts import AccountAnswer, FaucetAnswer, FaucetRequest
from audiera.protocol.api.assets import (
    AssetAnswer,
    ClaimsAnswer,
    GrantAnswer,
    LicenseAnswer,
    RunAnswer,
    SettlementAnswer,
    SnapshotAnswer,
)
from audiera.protocol.api.catalog import Page, SearchRequest
from audiera.protocol.api.documents import Profile, Sheet, digest_of_document
from audiera.protocol.api.models import (
    DeploymentAnswer,
    DeploymentRequest,
    ModelAnswer,
    PackageAnswer,
)
from audiera.protocol.api.node import HeadAnswer, NodeAnswer
from audiera.protocol.api.transactions import Document, TransactionOutcome
from audiera.protocol.api.usage import AccessHistory, Earnings, Statement, Trail
from audiera.protocol.encoding import encode
from audiera.protocol.errors import AudieraError, Conflict, NotAuthenticated
from audiera.protocol.keys import parse_key
from audiera.protocol.records import Certificate, Grant, Shard, Terms
from audiera.protocol.records import Clip as ClipRecord
from audiera.protocol.records.account import AccountKind, Role
from audiera.protocol.transactions import (
    Body,
    ClaimPayouts,
    CloseRun,
    CreateAccount,
    Envelope,
    IssueGrant,
    OpenRun,
    PublishEndpoint,
    PublishLicense,
    PublishSnapshot,
    RegisterModel,
    SettlePool,
    domain,
    sign_transaction,
)
from audiera.sdk.datasets import Dataset, Selection
from audiera.sdk.identity import Identity, identity_path, load_identity, make_identity, save_identity
from audiera.sdk.ledger import Signer, hand_in
from audiera.sdk.models import CallAnswer
from audiera.sdk.offers import Progress, Registration, Uploaded, Uploads, register, sheet_of
from audiera.sdk.sessions import Stream
from audiera.sdk.transport import Transport

DEFAULT_URL = "http://127.0.0.1:7170"


def connect(
    url: str = DEFAULT_URL,
    *,
    identity: Identity | None = None,
    name: str = "default",
    roles: Sequence[Role] = ("model-developer",),
    api_key: str = "",
    http: httpx2.Client | None = None,
) -> "Client":
    """Connect to a node. The first time, a key is made and an account created; nothing is asked.

    Args:
        url: address of the node.
        identity: who to be; by default the identity kept under ``name``.
        name: name of a kept identity.
        roles: roles of an account that has to be created.
        api_key: an application's opaque key, instead of an identity.
        http: another way to send requests, for tests and proxies.

    Raises:
        Unavailable: no node answers there.
        ConfigurationError: the kept identity is damaged or can be read by others.
    """
    if api_key:
        return Client(Transport(url, api_key=api_key, http=http))
    known = identity or load_identity(identity_path(name))
    client = Client(Transport(url, known, http=http))
    node = client.node()
    is_here = known is not None and known.account and known.genesis == node.genesis
    if is_here:
        return client
    created = client.create_account(known if known is not None and not known.account else make_identity(), roles=roles)
    if identity is None:
        save_identity(created, identity_path(name))
    return client


class Client:
    """One account at one node. Thread-safe.

    Args:
        transport: to the node.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._signer: Signer | None = None
        self._node: NodeAnswer | None = None
        self.uploads = Uploads(transport)

    # ------------------------------------------------------------------ who and where

    @property
    def identity(self) -> Identity:
        """Who this is.

        Raises:
            NotAuthenticated: a visitor, or an application with an opaque key.
        """
        identity = self._transport.identity
        if identity is None or not identity.account:
            raise NotAuthenticated("this needs an account; connect with an identity")
        return identity

    @property
    def account(self) -> int:
        """Ledger number of the account."""
        return self.identity.account

    def node(self) -> NodeAnswer:
        """Which node this is and which chain it serves."""
        self._node = self._transport.ask(routes.NODE, NodeAnswer)
        return self._node

    def head(self) -> HeadAnswer:
        """The newest block."""
        return self._transport.ask(routes.LEDGER_HEAD, HeadAnswer)

    def create_account(
        self,
        identity: Identity,
        *,
        roles: Sequence[Role],
        display_name: str = "",
        kind: AccountKind = "person",
    ) -> Identity:
        """Create an account for an identity and be it from now on."""
        node = self._node or self.node()
        profile = Profile(salt=secrets.token_bytes(32), display_name=display_name or "unnamed")
        body = CreateAccount(
            kind=kind,
            roles=tuple(roles),
            control_keys=(identity.key,),
            device_keys=(),
            profile=digest_of_document(profile),
        )
        envelope = Envelope(domain=domain(node.chain_id), account=0, sequence=0, key=identity.key, body=body)
        documents = [Document(kind="profile", content=encode(profile))]
        outcome = hand_in(self._transport, sign_transaction(identity.seed, envelope), documents)
        if outcome.code != "ok":
            raise AudieraError(outcome.message, code=outcome.code)
        created = Identity(
            seed=identity.seed,
            account=outcome.number,
            chain_id=node.chain_id,
            genesis=node.genesis,
            node=self._transport.url,
        )
        self._transport.identity = created
        self._signer = None
        return created

    def submit(self, body: Body, documents: Sequence[Document] = ()) -> TransactionOutcome:
        """Sign any transaction and hand it in; durable and final when this returns."""
        with self._lock:
            if self._signer is None:
                self._signer = Signer(self._transport, self.identity)
            signer = self._signer
        return signer.submit(body, documents)

    def account_info(self, ref: int | str | None = None) -> AccountAnswer:
        """An account by number, id or key; one's own by default."""
        return self._transport.ask(routes.ACCOUNT, AccountAnswer, {"ref": ref or self.account})

    def balance(self) -> int:
        """What one may spend, microcredits."""
        return self.account_info().balance

    def take_test_credits(self, microcredits: int) -> FaucetAnswer:
        """Ask the node's faucet; such credits are worth nothing."""
        request = FaucetRequest(account=self.account, amount=microcredits)
        return self._transport.ask(routes.FAUCET, FaucetAnswer, body=request)

    # ------------------------------------------------------------------ offering

    def publish_license(self, terms: Terms) -> int:
        """Publish terms; returns their ledger number."""
        return self.submit(PublishLicense(terms=terms)).number

    def upload(self, path: Path | str, *, progress: Progress | None = None) -> Uploaded:
        """Upload a file, resuming after cuts, and hear what the node found."""
        return self.uploads.send(Path(path), progress=progress)

    def offer(
        self,
        files: Iterable[Path | str],
        license_: int | Terms,
        *,
        progress: Progress | None = None,
        words: dict[str, Any] | None = None,
        **registration: Any,
    ) -> list[int]:
        """Upload files and register them under a license; returns the assets' ledger numbers.

        Args:
            files: what to upload.
            license_: a published license, or terms to publish.
            progress: told of each file's bytes.
            words: what the sheets say beyond the files' tags.
            registration: data_type, splits, contains_ai, identifiers for all of them.
        """
        number = license_ if isinstance(license_, int) else self.publish_license(license_)
        uploaded = [self.upload(path, progress=progress) for path in files]
        entries = [
            Registration(uploaded=one, license=number, sheet=sheet_of(one, **(words or {})), **registration)
            for one in uploaded
        ]
        return self.register(entries)

    def register(self, registrations: list[Registration]) -> list[int]:
        """Commit to and register uploads; returns the assets' ledger numbers."""
        with self._lock:
            if self._signer is None:
                self._signer = Signer(self._transport, self.identity)
            signer = self._signer
        return register(signer, self.account, registrations)

    def asset(self, ref: int | str) -> AssetAnswer:
        """An asset with its sheet and license."""
        return self._transport.ask(routes.ASSET, AssetAnswer, {"ref": ref})

    def license(self, number: int) -> LicenseAnswer:
        """A license."""
        return self._transport.ask(routes.LICENSE, LicenseAnswer, {"number": number})

    def publish_snapshot(self, assets: Sequence[int], *, title: str) -> int:
        """Freeze whole assets as a dataset version; returns its ledger number."""
        records = [self.asset(number).asset for number in assets]
        clips = [
            ClipRecord(
                asset=record.number,
                blob=record.content.blob,
                start_ms=0,
                duration_ms=max(1, record.content.technical.duration_ms),
            )
            for record in records
        ]
        shards = tuple(Shard(clips=tuple(clips[at : at + 1_000])) for at in range(0, len(clips), 1_000))
        sheet = Sheet(salt=secrets.token_bytes(32), title=title)
        body = PublishSnapshot(shards=shards, sheet=digest_of_document(sheet))
        return self.submit(body, [Document(kind="sheet", content=encode(sheet))]).number

    def snapshot(self, number: int) -> SnapshotAnswer:
        """A snapshot."""
        return self._transport.ask(routes.SNAPSHOT, SnapshotAnswer, {"number": number})

    # ------------------------------------------------------------------ finding and licensing

    def search(
        self, text: str = "", *, purpose: str = "evaluate", commercial: bool = False, **fields: Any
    ) -> Selection:
        """Find what may be used for a purpose.

        Args:
            text: words that must occur.
            purpose: what for; only what may be used so is found.
            commercial: whether for commercial use.
            fields: any other field of :class:`SearchRequest`.
        """
        page = self.search_page(text=text, purpose=purpose, commercial=commercial, **fields)
        return Selection(self, page.hits, purpose=purpose, commercial=commercial)

    def search_page(self, **fields: Any) -> Page:
        """One page of a search, with totals and facets as asked for."""
        fields.setdefault("limit", 100)
        identity = self._transport.identity
        if identity is not None and identity.account:
            fields.setdefault("account", identity.account)
        return self._transport.ask(routes.SEARCH_BY_BODY, Page, body=SearchRequest(**fields))

    def wait_for_catalog(self, timeout_s: float = 10.0) -> None:
        """Wait until the catalog knows everything that is on the ledger now."""
        height = self.head().height
        end = time.monotonic() + timeout_s
        while self.search_page(limit=0).height < height:
            if time.monotonic() > end:
                raise AudieraError(f"the catalog did not reach block {height}", code="catalog_behind")
            time.sleep(0.05)

    def grant(self, body: IssueGrant) -> Grant:
        """Ask for a grant; refused with every reason, or returned as issued."""
        return self.grant_info(self.submit(body).number).grant

    def grant_info(self, number: int) -> GrantAnswer:
        """A grant and how much of it is used."""
        return self._transport.ask(routes.GRANT, GrantAnswer, {"number": number})

    def license_snapshot(self, snapshot: int, *, purpose: str, budget: int = 0, max_price: int = 0) -> Dataset:
        """Get a grant for a snapshot; amounts in microcredits."""
        body = IssueGrant(
            purpose=purpose,  # type: ignore[arg-type]  # the ledger checks it
            snapshot=snapshot,
            budget=budget,
            max_price=max_price,
        )
        return Dataset(self, self.grant(body), self.snapshot(snapshot).snapshot.assets)

    # ------------------------------------------------------------------ streaming and training

    def open_stream(self, grant: Grant, *, run: int = 0) -> Stream:
        """Open a session under a grant."""
        node = self._node or self.node()
        return Stream(self._transport, self.identity, grant, node_key=parse_key(node.key), run=run)

    def open_run(self, grants: Sequence[int]) -> int:
        """Begin a training run; returns its ledger number."""
        return self.submit(OpenRun(grants=tuple(sorted(grants)))).number

    def close_run(self, run: int) -> Certificate:
        """End a run; returns what the ledger certifies it streamed."""
        self.submit(CloseRun(run=run))
        certificate = self._transport.ask(routes.RUN, RunAnswer, {"number": run}).run.certificate
        if certificate is None:
            raise Conflict(f"run {run} has no certificate", code="wrong_state")
        return certificate

    # ------------------------------------------------------------------ models

    def add_package(self, architecture: str, data: bytes, *, name: str = "weights.safetensors") -> bytes:
        """Store a model's file at the node; returns the digest its record names as weights."""
        headers = {"Content-Type": "application/octet-stream"}
        query = {"architecture": architecture, "name": name}
        response = self._transport.send(routes.ADD_PACKAGE, query=query, content=data, headers=headers)
        return _decoded(response, PackageAnswer).weights

    def register_model(self, body: RegisterModel) -> int:
        """Register a model with its lineage; returns its ledger number."""
        return self.submit(body).number

    def publish_endpoint(self, body: PublishEndpoint, *, url: str = "") -> None:
        """Offer a model as a service: from its package, or at a URL."""
        self.submit(body)
        request = DeploymentRequest(kind="http" if url else "embedded", url=url)
        self._transport.ask(routes.DEPLOY_MODEL, DeploymentAnswer, {"number": body.model}, body=request)

    def model(self, ref: int) -> ModelAnswer:
        """A model with its endpoint and lineage."""
        return self._transport.ask(routes.MODEL, ModelAnswer, {"number": ref})

    def open_model(self, model: int, *, budget: int) -> Stream:
        """Get a grant on a model and open a session for calls; the budget in microcredits is the most it can cost."""
        grant = self.grant(IssueGrant(purpose="call-model", model=model, budget=budget))
        return self.open_stream(grant)

    def call_model(
        self,
        session: Stream,
        model: int,
        body: bytes = b"",
        *,
        media_type: str = "application/octet-stream",
        **parameters: str | float,
    ) -> CallAnswer:
        """Call a model within a session; recorded and billed when it succeeds.

        Raises:
            AccessRefused: the decision was no.
            AudieraError: the model failed; not billed.
        """
        response = self._transport.send(
            routes.CALL_MODEL,
            {"number": model},
            query={name: str(value) for name, value in parameters.items()},
            content=body,
            headers={"Content-Type": media_type},
            token=session.token,
        )
        node = self._node or self.node()
        receipt = decode_receipt(base64.b64decode(response.headers[routes.RECEIPT]))
        row = verify_receipt(receipt, parse_key(node.key), chain_id=node.chain_id)
        session.count(row.bytes, row.t)
        return CallAnswer(
            body=response.content,
            media_type=response.headers["Content-Type"].partition(";")[0],
            price=int(response.headers[routes.PRICE]),
            node=row.node,
            index=receipt.index,
        )

    # ------------------------------------------------------------------ money and records

    def settle(self, model: int) -> int:
        """Close a model's training pool for what it holds; returns the settlement's ledger number."""
        return self.submit(SettlePool(model=model)).number

    def settlement(self, number: int) -> SettlementAnswer:
        """A settlement."""
        return self._transport.ask(routes.SETTLEMENT, SettlementAnswer, {"number": number})

    def claim_settlement(self, settlement: int) -> int:
        """Pay every payee of a settlement its part; returns how many were paid."""
        paid = 0
        while True:
            answer = self._transport.ask(
                routes.SETTLEMENT_CLAIMS, ClaimsAnswer, {"number": settlement}, query={"after": paid}
            )
            if not answer.claims:
                return paid
            self.submit(ClaimPayouts(settlements=answer.claims))
            paid += len(answer.claims)

    def claim_assets(self, assets: Sequence[int]) -> None:
        """Pay out what assets' accesses earned, to the accounts in their splits."""
        self.submit(ClaimPayouts(assets=tuple(sorted(assets))))

    def asset_history(self, ref: int | str, *, limit: int = 100, after: int | None = None) -> AccessHistory:
        """Who used an asset, for what, when, newest first."""
        query = {"limit": limit} | ({} if after is None else {"after": after})
        return self._transport.ask(routes.ASSET_HISTORY, AccessHistory, {"ref": ref}, query=query)

    def account_history(self, *, limit: int = 100, after: int | None = None) -> AccessHistory:
        """What one's account used, newest first."""
        query = {"limit": limit} | ({} if after is None else {"after": after})
        return self._transport.ask(routes.ACCOUNT_HISTORY, AccessHistory, {"number": self.account}, query=query)

    def statement(self) -> Statement:
        """One's credits: what came, what went, what is there, each with its place on the ledger."""
        return self._transport.ask(routes.ACCOUNT_STATEMENT, Statement, {"number": self.account})

    def earnings(self, ref: int | str) -> Earnings:
        """What an asset earned."""
        return self._transport.ask(routes.ASSET_EARNINGS, Earnings, {"ref": ref})

    def trail(self, node: int, index: int) -> Trail:
        """From one access back to everything and everyone behind it."""
        return self._transport.ask(routes.ACCESS_TRAIL, Trail, {"node": node, "index": index})

    def proof(self, node: int, index: int) -> str:
        """The proof file of one access; it verifies offline."""
        return self._transport.send(routes.ACCESS_PROOF, {"node": node, "index": index}).text

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _decoded(response: httpx2.Response, kind: type[PackageAnswer]) -> PackageAnswer:
    import msgspec

    return msgspec.json.decode(response.content, type=kind)
