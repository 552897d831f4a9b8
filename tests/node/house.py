"""A running node of the tests: plugged as the program plugs it, on a loopback port, with a clock that can be set."""

import asyncio
import functools
import io
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec
import numpy as np
import uvicorn
from safetensors.numpy import save

from audiera.audio.compose import render_piece, render_sample, write_audio
from audiera.audio.texture import RATE, Trainer, log_mel
from audiera.node.app import Node, build
from audiera.node.config import Settings
from audiera.node.parts import Parts
from audiera.node.serve import address_of, hosts_of, listen
from audiera.protocol.accesses import SessionOpen, session_domain, sign_session
from audiera.protocol.accesses.receipts import decode_receipt, verify_receipt
from audiera.protocol.accesses.rows import Row
from audiera.protocol.api import routes
from audiera.protocol.api.problems import MEDIA_TYPE, Problem
from audiera.protocol.api.routes import Route
from audiera.protocol.api.transactions import Document, TransactionOutcome, TransactionRequest
from audiera.protocol.encoding import encode
from audiera.protocol.keys import public_key
from audiera.protocol.records import CallPrice, Grant, Interface, Price, Rule, Split, Terms
from audiera.protocol.transactions import (
    Body,
    CreateAccount,
    Envelope,
    IssueGrant,
    PublishEndpoint,
    PublishLicense,
    RegisterModel,
    domain,
    sign_transaction,
)
from audiera.sdk import Client, make_identity
from audiera.sdk.identity import Identity
from audiera.sdk.transport import Transport, mint_token

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DEADLINE_S = 30.0
"""Longest time a test waits for what must come; machines are slow in bursts."""

ANYTHING = Terms(
    rules=(
        Rule(purpose="preview", verdict="allow", commercial=True),
        Rule(purpose="train-generative", verdict="allow", commercial=True),
        Rule(purpose="evaluate", verdict="allow", commercial=True),
    )
)
"""Terms that allow previews and training."""

NOTHING = Terms(rules=(Rule(purpose="train-generative", verdict="deny"),))
"""Terms that allow nothing."""


def priced(amount: int) -> Terms:
    """Terms that ask a price for each access."""
    price = Price(unit="access", amount=amount)
    return Terms(rules=(Rule(purpose="train-generative", verdict="terms", commercial=True, price=price),))


def sound(seed: int, seconds: float = 0.0, container: str = "wav", rate: int = 22_050) -> bytes:
    """A small sound: a one-shot, or a piece of some seconds."""
    samples = render_piece(seed, seconds, rate) if seconds else render_sample(seed, "tone", rate)
    return write_audio(samples, rate, container)


@functools.cache
def trained() -> bytes:
    """A texture model's file."""
    frames = log_mel(np.random.default_rng(1).standard_normal(RATE).astype(np.float32))
    trainer = Trainer(frames.mean(axis=0), frames.std(axis=0))
    trainer.step(frames)
    return save(trainer.weights().arrays())


def until(what: Callable[[], bool], *, every_s: float = 0.005, within_s: float = DEADLINE_S) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < end, f"it did not come within {within_s} s"
        time.sleep(every_s)


class Clock:
    """The machine's clock, moved ahead by hand."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000 + self.ahead

    def advance(self, by: int) -> None:
        """Let time pass."""
        self.ahead += by


class Answer(NamedTuple):
    """What a node answered."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> Problem:
        """The body as a problem document, which it must be."""
        assert self.headers["content-type"] == MEDIA_TYPE, (self.status, self.headers, self.body[:300])
        problem = msgspec.json.decode(self.body, type=Problem)
        assert problem.status == self.status
        assert problem.type == f"urn:audiera:problem:{problem.code}"
        assert problem.instance == f"urn:audiera:request:{self.headers['x-request-id']}"
        return problem

    @property
    def code(self) -> str:
        """``ok``, or the problem's code."""
        return "ok" if self.status < 400 else self.problem.code


class House:
    """A node in this process.

    Args:
        home: its folder.
        settings: settings other than the home.
    """

    def __init__(self, home: Path, *, clock: Clock | None = None, **settings: Any) -> None:
        self.settings = Settings(home=home, **({"batch_after": 20, "analyzers": 1} | settings))
        self.clock = clock or Clock()
        self.node: Node
        self.url = ""
        self._names = itertools.count(1)
        self._clients: list[Client] = []
        self._lock = threading.Lock()

    @property
    def parts(self) -> Parts:
        """The node's rooms."""
        return self.node.parts

    @property
    def home(self) -> Path:
        """Its folder."""
        return self.settings.home

    @property
    def chain(self) -> str:
        """Name of its chain."""
        return self.parts.ledger.genesis.chain_id

    def start(self) -> None:
        """Plug it together and serve on a free port."""
        self.node = build(self.settings, clock=self.clock)
        listener = listen(Settings(port=0))
        self.url = address_of(listener)
        self.hosts = hosts_of(self.settings, listener.getsockname()[1])
        config = uvicorn.Config(
            self.node.surface(self.hosts), lifespan="off", log_config=None, access_log=False, server_header=False,
            ws="none", timeout_graceful_shutdown=5,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(listener,), name="node", daemon=True)
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive())
        assert self._server.started, self._fault
        self.http = httpx2.Client(base_url=self.url, timeout=DEADLINE_S)

    def _run(self, listener: socket.socket) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            await self.node.start()
            try:
                await self._server.serve(sockets=[listener])
            finally:
                await self.node.stop()

        try:
            asyncio.run(serve())
        except BaseException as fault:  # noqa: BLE001 - told to whoever waits for the thread
            self._fault = fault
        finally:
            listener.close()

    def stop(self) -> None:
        """End it as SIGTERM does."""
        self.http.close()
        while self._clients:
            self._clients.pop().close()
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        if self._fault is not None:
            raise self._fault

    def restart(self) -> None:
        """End it and start it anew over the same folder, on another port."""
        self.stop()
        self.start()

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Run something on the node's event loop."""

        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE_S)

    # ------------------------------------------------------------------ requests

    def ask(
        self,
        route: Route | tuple[str, str],
        places: Mapping[str, int | str] | None = None,
        *,
        token: str = "",
        body: object | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send one request as it is."""
        method, url = (route.method, route.url(**(places or {}))) if isinstance(route, Route) else route
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            content, sent["Content-Type"] = msgspec.json.encode(body), "application/json"
        response = self.http.request(method, url, content=content, headers=sent | dict(headers or {}), params=query)
        return Answer(response.status_code, response.headers, response.content)

    def row_of(self, answer: Answer) -> Row:
        """The row of the receipt that came with an answer, verified as anybody would."""
        receipt = decode_receipt(_bytes(answer.headers[routes.RECEIPT]))
        return verify_receipt(receipt, self.parts.keys.device_public, chain_id=self.chain)

    def index_of(self, answer: Answer) -> int:
        """The index of the receipt that came with an answer."""
        return decode_receipt(_bytes(answer.headers[routes.RECEIPT])).index

    def person(self, *, funds: int = 0, device: bytes | None = None) -> "Person":
        """A new account."""
        with self._lock:
            name = next(self._names)
        return Person(self, f"person {name}", funds=funds, device=device)

    def client(self, identity: Identity | None = None, **options: Any) -> Client:
        """The SDK's client; closed with the node."""
        client = Client(Transport(self.url, identity, timeout_s=DEADLINE_S, **options))
        self._clients.append(client)
        return client

    def flush(self) -> int:
        """Wait until everything recorded is on the ledger, and followed."""
        height: int = asyncio.run_coroutine_threadsafe(self.parts.sealer.flush(), self.loop).result(DEADLINE_S)
        until(lambda: self.parts.usage.height >= height and self.parts.catalog.height >= height)
        return height

    def blobs(self) -> list[str]:
        """Names of all stored blobs."""
        return sorted(path.name for path in (self.home / "blobs").rglob("*") if path.is_file() and not _is_own(path))

    def spooled(self) -> list[str]:
        """Names of all files of unfinished uploads."""
        return sorted(path.name for path in (self.home / "uploads").iterdir())


def _is_own(path: Path) -> bool:
    return path.name == "lock" or path.name.startswith("keys.sqlite")


def _bytes(text: str) -> bytes:
    import base64

    return base64.b64decode(text, validate=True)


class Person:
    """An account with its keys, which sends requests by hand or through the SDK."""

    def __init__(self, house: House, name: str, *, funds: int = 0, device: bytes | None = None) -> None:
        self.house = house
        fresh = make_identity()
        body = CreateAccount(
            kind="person",
            roles=("creator",),
            control_keys=(fresh.key,),
            device_keys=() if device is None else (public_key(device),),
            profile=_profile_of(name)[0],
        )
        number = self._hand_in(fresh.seed, 0, 0, body, _profile_of(name)[1]).number
        genesis = house.ask(routes.NODE).json["genesis"]
        self.identity = Identity(seed=fresh.seed, account=number, chain_id=house.chain, genesis=_bytes(genesis))
        self.device = device
        self.number = number
        self._client: tuple[tuple[str, int], Client] | None = None
        if funds:
            answer = house.ask(routes.FAUCET, body={"account": number, "amount": funds}, token=self.token())
            assert answer.status == 200, answer.body

    def token(self, *, seed: bytes | None = None, now_s: int | None = None, **claims: Any) -> str:
        """A fresh token, of the node's time."""
        identity = self.identity if seed is None else msgspec.structs.replace(self.identity, seed=seed)
        lifetime_s = claims.pop("lifetime_s", routes.TOKEN_LIFETIME_S)
        identity = msgspec.structs.replace(identity, **claims)
        now = self.house.clock() // SECOND if now_s is None else now_s
        return mint_token(identity, now_s=now, lifetime_s=lifetime_s)

    def ask(self, route: Route | tuple[str, str], places: Mapping[str, int | str] | None = None, **how: Any) -> Answer:
        """Send a request as this account."""
        return self.house.ask(route, places, token=self.token(), **how)

    @property
    def client(self) -> Client:
        """This account in the SDK."""
        place = (self.house.url, self.house.clock.ahead)
        if self._client is None or self._client[0] != place:
            # The SDK's own tokens are of the machine's time, which a clock moved ahead takes for long ago.
            token = self.token() if self.house.clock.ahead else ""
            self._client = (place, self.house.client(self.identity, api_key=token))
        return self._client[1]

    # ------------------------------------------------------------------ transactions

    def sign(self, body: Body, *, seed: bytes | None = None, account: int | None = None, sequence: int = 0) -> bytes:
        """A signed transaction, next in line."""
        number = self.number if account is None else account
        return self._sign(
            self.identity.seed if seed is None else seed,
            number,
            sequence or self.house.parts.ledger.state().sequence(number) + 1,
            body,
        )

    def _sign(self, seed: bytes, account: int, sequence: int, body: Body) -> bytes:
        envelope = Envelope(
            domain=domain(self.house.chain), account=account, sequence=sequence, key=public_key(seed), body=body
        )
        return sign_transaction(seed, envelope)

    def _hand_in(
        self, seed: bytes, account: int, sequence: int, body: Body, *documents: Document
    ) -> TransactionOutcome:
        request = TransactionRequest(transaction=self._sign(seed, account, sequence, body), documents=documents)
        answer = self.house.ask(routes.SUBMIT_TRANSACTION, body=request)
        assert answer.status == 200, answer.body
        outcome = msgspec.json.decode(answer.body, type=TransactionOutcome)
        assert outcome.code == "ok", outcome
        return outcome

    def do(self, body: Body, *documents: Document) -> TransactionOutcome:
        """A transaction that must succeed."""
        sequence = self.house.parts.ledger.state().sequence(self.number) + 1
        return self._hand_in(self.identity.seed, self.number, sequence, body, *documents)

    # ------------------------------------------------------------------ offering and using

    def offer(self, terms: Terms | int, data: bytes, *, name: str = "piece.wav", **words: Any) -> int:
        """Upload bytes and register them; returns the asset's ledger number."""
        folder = self.house.home.parent / f"files-{self.number}"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_bytes(data)
        number = terms if isinstance(terms, int) else self.do(PublishLicense(terms=terms)).number
        return self.client.offer([path], number, words=words)[0]

    def grant(self, *assets: int, **fields: Any) -> Grant:
        """A grant on assets."""
        body = IssueGrant(assets=tuple(sorted(assets)), **({"purpose": "train-generative"} | fields))
        grant = self.house.parts.ledger.state().grant(self.do(body).number)
        assert grant is not None
        return grant

    def opening(self, grant: Grant, **changes: Any) -> SessionOpen:
        """A signed opening with a number reserved for it."""
        reserved = self.ask(routes.RESERVE_SESSION, body={"grant": grant.number})
        assert reserved.status == 200, reserved.body
        fields: dict[str, Any] = {
            "domain": session_domain(self.house.chain),
            "node": reserved.json["node"],
            "number": reserved.json["number"],
            "grant": grant.number,
            "consumer": self.number,
            "purpose": grant.purpose,
            "policy": max((terms.revision for terms in grant.terms), default=0),
            "opened_at": reserved.json["now"],
            "expires_at": reserved.json["now"] + HOUR,
            "nonce": bytes(16),
        }
        opening = SessionOpen(**(fields | changes))
        return opening if opening.app_key else sign_session(self.identity.seed, opening)

    def session(self, grant: Grant, **changes: Any) -> "Opened":
        """An open session under a grant."""
        opening = self.opening(grant, **changes)
        answer = self.ask(routes.OPEN_SESSION, body={"session": encode(opening)})
        assert answer.status == 200, answer.body
        return Opened(self, answer.json["session"], answer.json["token"])

    def model(self, *, price: CallPrice | None = None) -> int:
        """A model of this account, served from its file."""
        query = {"architecture": "audiera-texture-1", "name": "weights.safetensors"}
        octets = {"Content-Type": "application/octet-stream"}
        stored = self.ask(routes.ADD_PACKAGE, content=trained(), query=query, headers=octets)
        assert stored.status == 200, stored.body
        body = RegisterModel(
            name="texture",
            version="1",
            weights=_bytes(stored.json["weights"]),
            runs=(),
            training_share=0,
            undisclosed_data=True,
            interface=Interface(task="generation", accepts=(), returns=("audio/wav",)),
        )
        model = self.do(body).number
        price = price or CallPrice(version=1, per_call=100, per_audio_second=10)
        self.do(PublishEndpoint(model=model, node=self.house.parts.account, price=price))
        deployed = self.ask(routes.DEPLOY_MODEL, {"number": model}, body={"kind": "embedded", "url": ""})
        assert deployed.status == 200, deployed.body
        return model

    @property
    def split(self) -> tuple[Split, ...]:
        """Everything to this account."""
        return (Split(account=self.number, share=10_000),)


class Opened(NamedTuple):
    """An open session."""

    person: Person
    number: int
    token: str

    def fetch(self, asset: int, span: str = "", **headers: str) -> Answer:
        """Ask for bytes; ``span`` such as ``0-99``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if span:
            sent["Range"] = f"bytes={span}"
        places = {"session": self.number, "asset": asset}
        return self.person.house.ask(routes.SESSION_BYTES, places, token=self.token, headers=sent)


def _profile_of(name: str) -> tuple[bytes, Document]:
    from audiera.protocol.api.documents import Profile, digest_of_document

    profile = Profile(salt=name.encode().ljust(32, b"\0"), display_name=name)
    return digest_of_document(profile), Document(kind="profile", content=encode(profile))


@contextmanager
def house_in(home: Path, **settings: Any) -> Iterator[House]:
    """A node that runs as long as the block."""
    house = House(home, **settings)
    house.start()
    try:
        yield house
    finally:
        house.stop()


def wav_header(size: int, *, rate: int = 44_100) -> bytes:
    """The head of a WAV file that says it has so many bytes of sound."""
    out = io.BytesIO()
    out.write(b"RIFF" + ((size + 36) & 0xFFFFFFFF).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little"))
    out.write((1).to_bytes(2, "little") + (1).to_bytes(2, "little") + rate.to_bytes(4, "little"))
    out.write((rate * 2).to_bytes(4, "little") + (2).to_bytes(2, "little") + (16).to_bytes(2, "little"))
    out.write(b"data" + (size & 0xFFFFFFFF).to_bytes(4, "little"))
    return out.getvalue()
