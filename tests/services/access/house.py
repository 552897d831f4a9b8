"""A node's access rooms over a real ledger, write-ahead file and blobs, with a clock that is set by hand."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.accesses import (
    ROW,
    Row,
    SessionOpen,
    Watermark,
    open_batch,
    session_domain,
    sign_session,
    sign_watermark,
    unpack_row,
    verify_receipt,
    watermark_domain,
)
from audiera.protocol.encoding import digest
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.records import CallPrice, Caps, Content, Interface, Params, Price, Rule, Split, Technical, Terms
from audiera.protocol.results import TransactionResult
from audiera.protocol.transactions import (
    AuthorizeAppKey,
    Body,
    CommitRegistrations,
    DepositCredits,
    IssueGrant,
    PublishEndpoint,
    PublishLicense,
    RecordAccesses,
    RegisterAsset,
    RegisterModel,
    commitment_leaf,
    decode_transaction,
)
from audiera.services.access import Gate, Meter, Recorded, Refusals, Sealer, Session, Stream
from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.ports import WriteAheadFile
from audiera.services.storage.waf import open_write_ahead
from tests.services.ledger.actors import ANSWER_S, CHAIN, GENESIS, START, Actor, opened

SECOND = 1_000_000
HOUR = 3_600 * SECOND
SOUND = bytes(range(256)) * 40
DURATION_MS = 2_000
FREE = Rule(purpose="train-generative", verdict="allow", commercial=True)


def priced(unit: str, amount: int) -> Rule:
    """A rule that asks a price."""
    price = Price(unit=unit, amount=amount)  # type: ignore[arg-type]
    return Rule(purpose="train-generative", verdict="terms", commercial=True, price=price)


def capped(**caps: int) -> Rule:
    """A rule with caps."""
    return Rule(purpose="train-generative", verdict="allow", commercial=True, caps=Caps(**caps))


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at

    def advance(self, by: int) -> None:
        self.at += by


class HeldFile:
    """A write-ahead file whose appends wait until they are let go, or fail: a disk as slow or broken as wanted."""

    def __init__(self, file: WriteAheadFile) -> None:
        self.file = file
        self.appended: list[tuple[int, int]] = []
        self.fault: BaseException | None = None
        self._gate = threading.Event()
        self._gate.set()
        self._reached = threading.Event()

    def hold(self) -> None:
        """Let appends wait from now on."""
        self._reached.clear()
        self._gate.clear()

    def release(self) -> None:
        """Let them go."""
        self._gate.set()

    async def reached(self) -> None:
        """Return once an append waits."""
        assert await asyncio.to_thread(self._reached.wait, ANSWER_S)

    def append(self, first_index: int, rows: bytes, sessions: bytes) -> None:
        self._reached.set()
        assert self._gate.wait(ANSWER_S)
        if self.fault is not None:
            raise self.fault
        self.file.append(first_index, rows, sessions)
        self.appended.append((first_index, len(rows) // 64))

    def groups(self, from_index: int) -> list[tuple[int, bytes, bytes]]:
        return self.file.groups(from_index)

    def forget(self, below_index: int) -> None:
        self.file.forget(below_index)

    def close(self) -> None:
        self._gate.set()
        self.file.close()


class Rooms:
    """One process's rooms: made anew, they find what the last ones left on the disk."""

    def __init__(self, house: "House", *, segment_bytes: int = 2**20, submit: "Submit | None" = None) -> None:
        self.house = house
        state = house.ledger.state().node(house.node.number)
        self.file = HeldFile(
            open_write_ahead(house.folder / "accesses", entropy=os.urandom, segment_bytes=segment_bytes)
        )
        self.signed = 0
        try:
            self.meter = Meter(
                self.file,
                chain_id=CHAIN,
                node=house.node.number,
                clock=house.clock,
                sign=self.sign,
                next_index=state.next_index,
                last_t=state.last_t,
            )
        except BaseException:
            self.file.close()
            raise
        opened_here = [entry.companions.sessions for entry in self.meter.unsealed]
        numbers = [session.number for sessions in opened_here for session in sessions]
        self.gate = Gate(
            house.ledger,
            chain_id=CHAIN,
            node=house.node.number,
            clock=house.clock,
            last_session=max([state.last_session, *numbers]),
        )
        for entry, sessions in zip(self.meter.unsealed, opened_here, strict=True):
            self.gate.restore(np.frombuffer(entry.rows, dtype=ROW), sessions)
        self.refusals = Refusals(self.meter, house.clock)
        self.settled: list[np.ndarray] = []
        self.sealer = Sealer(
            self.meter,
            house.ledger,
            submit or house.post,
            node=house.node.number,
            chain_id=CHAIN,
            clock=house.clock,
            sign=self.sign,
            on_sealed=self._settle,
            interval_s=0.02,
        )
        self.stream = Stream(self.gate, self.meter, self.refusals, house.blobs, house.ledger)

    def sign(self, message: bytes) -> bytes:
        """The node's signature."""
        self.signed += 1
        return keys.sign_bytes(self.house.node.seed, message)

    def _settle(self, rows: np.ndarray) -> None:
        self.settled.append(rows)
        self.gate.settle(rows)

    def opening(self, who: Actor, grant: int, /, **changes: object) -> SessionOpen:
        """An opening, signed by its consumer."""
        fields: dict[str, object] = {
            "domain": session_domain(CHAIN),
            "node": self.house.node.number,
            "number": self.gate.reserve(),
            "grant": grant,
            "consumer": who.number,
            "purpose": "train-generative",
            "policy": 1,
            "opened_at": self.house.clock(),
            "expires_at": self.house.clock() + HOUR,
            "nonce": os.urandom(16),
        }
        opening = SessionOpen(**(fields | changes))  # type: ignore[arg-type]
        return opening if opening.app_key else sign_session(who.seed, opening)

    def session(self, who: Actor, grant: int, /, **changes: object) -> Session:
        """An open session."""
        opening = self.opening(who, grant, **changes)
        session = self.gate.open(opening)
        self.meter.add_session(opening)
        return session

    def watermark(self, who: Actor, session: Session, rows: int, /, **changes: object) -> Watermark:
        """A consumer's word on what a session has received."""
        fields: dict[str, object] = {
            "domain": watermark_domain(CHAIN),
            "node": self.house.node.number,
            "session": session.number,
            "rows": rows,
            "bytes": 0,
            "t": self.house.clock(),
        }
        return sign_watermark(who.seed, Watermark(**(fields | changes)))  # type: ignore[arg-type]

    @asynccontextmanager
    async def sealing(self) -> AsyncIterator[None]:
        """The sealer at work."""
        task = asyncio.create_task(self.sealer.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def row_of(self, recorded: Recorded) -> Row:
        """The row of a receipt, once the receipt has been verified as anybody would."""
        return verify_receipt(recorded.receipt(), keys.public_key(self.house.node.seed), chain_id=CHAIN)

    def durable(self) -> list[Row]:
        """Every row in the write-ahead file, in its order."""
        data = b"".join(rows for _, rows, _ in self.file.groups(0))
        return [unpack_row(data[at : at + 64]) for at in range(0, len(data), 64)]

    def close(self) -> None:
        """End the process."""
        self.meter.close()


Submit = Callable[[RecordAccesses], "Future[TransactionResult]"]


class House:
    """A chain with a creator, two labs and a node, in a folder; rooms are opened over it, one after another."""

    def __init__(self, folder: Path, params: Params) -> None:
        self.folder = folder
        self.clock = Clock(START + HOUR)
        self.ledger = opened(folder / "ledger", now=self.clock, genesis=replace(GENESIS, params=params))
        self.blobs = open_blobs(folder / "blobs", master_key=bytes(32), entropy=os.urandom)
        self.node = Actor("node", kind="node").join(self.ledger)
        self.creator = Actor("creator").join(self.ledger)
        self.lab = Actor("lab").join(self.ledger)
        self.rival = Actor("rival").join(self.ledger)
        self.faucet = Actor("faucet").join(self.ledger)
        self._salts = self._models = 0
        self._open: list[Rooms] = []

    def rooms(self, **options: object) -> Rooms:
        """Open the rooms, as a process does when it starts."""
        rooms = Rooms(self, **options)  # type: ignore[arg-type]
        self._open.append(rooms)
        return rooms

    def restart(self, **options: object) -> Rooms:
        """End the process that has the rooms open, and start another."""
        self._open.pop().close()
        return self.rooms(**options)

    def close(self) -> None:
        """Give everything back."""
        for rooms in self._open:
            rooms.close()
        self.ledger.close()
        self.blobs.close()

    def do(self, who: Actor, body: Body) -> TransactionResult:
        """A transaction that must succeed."""
        result = self.ledger.submit(who.next(body)).result(ANSWER_S)
        assert result.ok, result
        return result

    def post(self, body: RecordAccesses) -> "Future[TransactionResult]":
        """Sign as the node and hand in, as its sealer does."""
        self.node.sequence = self.ledger.state().sequence(self.node.number)
        return self.ledger.submit(self.node.next(body))

    def fund(self, who: Actor, amount: int) -> None:
        """Give an account test credits."""
        reference = digest(self.faucet.sequence.to_bytes(8, "big"))
        self.do(
            self.faucet,
            DepositCredits(account=who.number, amount=amount, rail="test-faucet", reference=reference),
        )

    def license(self, *rules: Rule) -> int:
        """Publish a license of the creator's."""
        return self.do(self.creator, PublishLicense(terms=Terms(rules=rules))).number

    def asset(self, license_: int, *, data: bytes | None = None, size: int | None = None) -> int:
        """Store bytes and register them as an asset of the creator's."""
        self._salts += 1
        salt = digest(b"salt" + self._salts.to_bytes(8, "big"))
        writer = self.blobs.begin()
        writer.write(SOUND + salt if data is None else data)
        blob = writer.finish()
        leaf = leaf_hash(commitment_leaf(salt, blob.id, self.creator.number))
        commitment = self.do(self.creator, CommitRegistrations(root=tree_root([leaf]), count=1)).number
        technical = Technical(
            container="wav",
            codec="pcm_s16le",
            sample_rate=48_000,
            channels=2,
            bit_depth=16,
            samples=48 * DURATION_MS,
            duration_ms=DURATION_MS,
            peak_mdb=-1_000,
        )
        content = Content(
            data_type="recording",
            blob=blob.id,
            size=blob.size if size is None else size,
            manifest_root=blob.manifest_root,
            technical=technical,
            sheet=digest(b"sheet"),
        )
        body = RegisterAsset(
            content=content,
            splits=(Split(account=self.creator.number, share=10_000),),
            license=license_,
            commitment=commitment,
            salt=salt,
            index=0,
        )
        return self.do(self.creator, body).number

    def grant(self, who: Actor, *assets: int, **fields: object) -> int:
        """A grant to train on assets."""
        body = IssueGrant(assets=tuple(sorted(assets)), **({"purpose": "train-generative"} | fields))  # type: ignore[arg-type]
        return self.do(who, body).number

    def model(self, *, per_call: int = 10, per_second: int = 1, weights: bytes = bytes(32)) -> int:
        """A model of the creator's, offered at this node."""
        self._models += 1
        body = RegisterModel(
            name="texture",
            version=str(self._models),
            weights=weights,
            runs=(),
            training_share=0,
            undisclosed_data=True,
            interface=Interface(
                task="generation", accepts=("audio/wav", "application/json", "audio/midi"), returns=("audio/wav",)
            ),
        )
        model = self.do(self.creator, body).number
        price = CallPrice(version=1, per_call=per_call, per_audio_second=per_second)
        self.do(self.creator, PublishEndpoint(model=model, node=self.node.number, price=price))
        return model

    def call_grant(self, who: Actor, model: int, budget: int) -> int:
        """A grant to call a model."""
        return self.do(who, IssueGrant(purpose="call-model", model=model, budget=budget)).number

    def app_key(self, who: Actor, budget: int, *, models: tuple[int, ...] = ()) -> int:
        """An application key."""
        body = AuthorizeAppKey(
            key_hash=digest(os.urandom(8)), budget=budget, expires_at=self.clock() + 100 * HOUR, models=models
        )
        return self.do(who, body).number

    def recorded(self) -> list[Row]:
        """Every row on the ledger, in the order of the batches."""
        rows: list[Row] = []
        for height in range(1, self.ledger.head().height + 1):
            for data in self.ledger.block(height).transactions:
                body = decode_transaction(data, len(data)).envelope.body
                if isinstance(body, RecordAccesses):
                    batch = open_batch(body.batch, chain_id=CHAIN)
                    raw = batch.rows.tobytes()
                    rows += [unpack_row(raw[at : at + 64]) for at in range(0, len(raw), 64)]
        return rows


@contextmanager
def house_in(folder: Path, params: Params = GENESIS.params) -> Iterator[House]:
    """A house that is given back at the end."""
    house = House(folder, params)
    try:
        yield house
    finally:
        house.close()
