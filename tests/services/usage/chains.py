"""Chains for the tests of usage: the real machine's blocks kept with their results, and blocks made up of anything."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from audiera.protocol import keys
from audiera.protocol.accesses import Row, SessionOpen, array_of, encode_entry, open_batch, seal
from audiera.protocol.accesses.rows import OPS
from audiera.protocol.chain import Block, Commit, Header
from audiera.protocol.encoding import digest
from audiera.protocol.ids import format_id
from audiera.protocol.machine import BlockContext, Execution, Machine, settlement_claims
from audiera.protocol.purposes import PURPOSES
from audiera.protocol.records import (
    BaseModel,
    CallPrice,
    Interface,
    Movement,
    Price,
    Rule,
)
from audiera.protocol.results import AppliedBatch, BlockResult, TransactionResult
from audiera.protocol.state import MemoryStore
from audiera.protocol.transactions import (
    ClaimPayouts,
    CloseRun,
    Envelope,
    IssueGrant,
    OpenRun,
    PublishEndpoint,
    RecordAccesses,
    RegisterModel,
    SettlePool,
    TransferAsset,
    WithdrawAsset,
    decode_transaction,
    domain,
    sign_transaction,
)
from audiera.services.usage import UsageIndex
from tests.protocol.world import CHAIN, SECOND, START, Server, World

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
PER_ACCESS = Rule(purpose="train-generative", verdict="terms", price=Price(unit="access", amount=1_000_003))
FLAT = Rule(purpose="evaluate", verdict="terms", price=Price(unit="flat", amount=777_777))
NO_SNAPSHOT = 10**7
NEVER = Rule(purpose="train-generative", verdict="deny")

Pair = tuple[BlockResult, Block]


def block_of(height: int, time: int, transactions: Sequence[bytes]) -> Block:
    """A block around transactions; what its header says of other blocks is nobody's."""
    header = Header(
        chain_id=CHAIN,
        height=height,
        time_ns=time * 1_000,
        last_block_id=Commit().block_id,
        last_commit_hash=b"",
        data_hash=b"",
        validators_hash=b"",
        next_validators_hash=b"",
        consensus_hash=b"",
        app_hash=b"",
        last_results_hash=b"",
        proposer_address=b"",
    )
    return Block(header=header, transactions=tuple(transactions), last_commit=Commit())


@dataclass
class Chain(World):
    """A world that keeps every block with its result, and the purses after it."""

    pairs: list[Pair] = field(default_factory=list)
    purses: list[dict[str, int]] = field(default_factory=list)

    def _execute(self, machine: Machine, store: MemoryStore, transactions: list[bytes]) -> Execution:
        context = BlockContext(machine.height + 1, self.time)
        execution = super()._execute(machine, store, transactions)
        if machine is self.machine:
            self.pairs.append((execution.result, block_of(context.height, context.time, transactions)))
            self.purses.append(dict(machine.view().balances()))
        return execution


class Market(NamedTuple):
    """A chain on which much has happened, and the numbers of what is on it."""

    chain: Chain
    server: Server
    priced: int
    shared: int
    other: int
    model: int
    base: int

    def number(self, name: str) -> int:
        """The ledger number of a person."""
        return self.chain.people[name].number


def market() -> Market:
    """Accesses, refusals, previews, calls, settlements, payouts and refused transactions over two days."""
    chain = Chain()
    for name in ("creator", "contributor", "lab", "app"):
        chain.join(name)
    for name in ("lab", "app"):
        chain.fund(name, 200_000_000)
    server = chain.serve()
    priced = chain.asset("creator", chain.license("creator", PER_ACCESS))
    shared = chain.asset("contributor", chain.license("contributor", PER_ACCESS, FLAT), duration_ms=5_000)
    other = chain.asset("contributor", chain.license("contributor", NEVER))
    chain.grant("lab", "evaluate", assets=(shared,), max_price=1_000_000)
    base_run = _train(chain, server, (priced, shared))
    run = _train(chain, server, (shared,))
    base = register(chain, "base", (base_run,), 5_000)
    model = register(chain, "grown", (run,), 2_000, base_models=(BaseModel(model=base, share=4_000),))
    chain.refused("lab", IssueGrant(purpose="call-model", model=model), "unknown_object")
    offer(chain, server, model)
    chain.refused("app", IssueGrant(purpose="index", snapshot=NO_SNAPSHOT), "unknown_object")
    chain.refused("lab", IssueGrant(purpose="train-generative", assets=(other,)), "access_refused")
    chain.refused("app", ClaimPayouts(assets=(10**6,)), "unknown_object")
    chain.time += DAY
    call_grant = chain.grant("app", "call-model", model=model, budget=50_000_000)
    call(chain, server, call_grant, model)
    _refusals(chain, server, other)
    settlement = chain.do("app", SettlePool(model=base)).number
    _claim(chain, settlement, (priced, shared))
    chain.do("creator", ClaimPayouts(assets=(priced,)))
    chain.do("contributor", TransferAsset(asset=other, to=chain.people["creator"].number))
    chain.do("creator", WithdrawAsset(asset=priced))
    return Market(chain, server, priced, shared, other, model, base)


def _train(chain: Chain, server: Server, assets: tuple[int, ...]) -> int:
    grant = chain.grant("lab", "train-generative", assets=tuple(sorted(assets)), budget=20_000_000)
    run = chain.do("lab", OpenRun(grants=(grant,))).number
    session = server.open("lab", grant, run=run)
    rows = [server.row(session, asset) for asset in (*assets, assets[0])]
    server.record(*reversed(rows))
    server.record(server.row(session, assets[-1], flags=2), server.row(session, assets[0], op=2, size=5))
    chain.do("lab", CloseRun(run=run))
    return run


def register(chain: Chain, name: str, runs: tuple[int, ...], share: int, **fields: object) -> int:
    """Register a model of the lab's."""
    body = RegisterModel(
        name=name,
        version="1.0",
        weights=bytes(32),
        runs=runs,
        training_share=share,
        interface=Interface(task="generation", accepts=("application/json",), returns=("audio/wav",)),
        **fields,  # type: ignore[arg-type]
    )
    return chain.do("lab", body).number


def offer(chain: Chain, server: Server, model: int) -> None:
    """Let a model be called."""
    price = CallPrice(version=1, per_call=1_000_007, per_audio_second=7)
    chain.do("lab", PublishEndpoint(model=model, node=server.node.number, price=price))


def call(chain: Chain, server: Server, grant: int, model: int) -> None:
    """Four calls that answer and one that fails."""
    session = server.open("app", grant)
    calls = [server.row(session, model, op=4, units=3) for _ in range(4)]
    server.record(*calls, server.row(session, model, op=4, units=3, flags=8))


def _refusals(chain: Chain, server: Server, other: int) -> None:
    """Uses refused at the gate, some summed up, and a preview without grant or session."""
    consumer = chain.people["app"].number
    asked = {"t": 0, "consumer": consumer, "grant": 0, "session": 0, "node": server.node.number, "policy": 1}
    refused = Row(asset=other, bytes=0, units=7, purpose=PURPOSES.index("evaluate"), op=6, **asked)
    trained = Row(asset=other, bytes=0, units=1, purpose=PURPOSES.index("train-generative"), op=6, **asked)
    preview = Row(asset=other, bytes=99, units=30, purpose=0, op=5, **asked)
    server.record(refused, preview, trained)


def _claim(chain: Chain, settlement: int, assets: tuple[int, ...]) -> None:
    record = chain.machine.view().settlement(settlement)
    assert record is not None
    claims = settlement_claims(chain.machine.view(), record)
    assert {claim.asset for claim in claims} == set(assets)
    for claim in claims:
        chain.do("contributor", ClaimPayouts(settlements=(claim,)))


class Facts(NamedTuple):
    """A row read straight from a block, by the simplest code there is."""

    index: int
    height: int
    time: int
    log_index: int
    place: int
    node_index: int
    row: Row
    transaction: str

    @property
    def purpose(self) -> str:
        """What for."""
        return PURPOSES[self.row.purpose]

    @property
    def op(self) -> str:
        """What was done."""
        return OPS[self.row.op]

    @property
    def is_use(self) -> bool:
        """Whether anything was used."""
        return self.op != "refusal"


def all_facts(pairs: Sequence[Pair]) -> list[Facts]:
    """Every row of a chain in its order."""
    found: list[Facts] = []
    log_index = 0
    for result, block in pairs:
        for done, data in zip(result.transactions, block.transactions, strict=True):
            if done.batch is None:
                continue
            body = decode_transaction(data, len(data)).envelope.body
            assert isinstance(body, RecordAccesses)
            batch = open_batch(body.batch, chain_id=CHAIN)
            rows = [Row(**dict(zip(batch.rows.dtype.names, row, strict=True))) for row in batch.rows.tolist()]
            times = sorted(row.t for row in rows)
            for place, row in enumerate(rows):
                node_index = batch.header.first_index + times.index(row.t)
                where = (len(found), result.height, result.time, log_index, place, node_index)
                found.append(Facts(*where, row, format_id(done.id)))
            log_index += 1
    return found


def follow(usage: UsageIndex, pairs: Sequence[Pair]) -> None:
    """Apply blocks one after the other."""
    for result, block in pairs:
        usage.apply(result, block)


@dataclass
class MadeUp:
    """Blocks that no machine made: movements and rows of any content."""

    pairs: list[Pair] = field(default_factory=list)
    rows: int = 0
    batches: int = 0
    node_rows: dict[int, int] = field(default_factory=dict)
    made: int = 0

    def add(self, *transactions: tuple[TransactionResult, bytes], after: int = SECOND) -> None:
        """Make a block."""
        height = len(self.pairs) + 1
        time = (self.pairs[-1][0].time if self.pairs else START) + after
        results = tuple(done for done, _ in transactions)
        result = BlockResult(height=height, time=time, app_hash=digest(bytes([height % 251])), transactions=results)
        self.pairs.append((result, block_of(height, time, [data for _, data in transactions])))

    def moved(self, movements: Sequence[Movement], *, account: int = 1) -> tuple[TransactionResult, bytes]:
        """A transaction that moved credits."""
        self.made += 1
        data = b"moved" + self.made.to_bytes(8, "big")
        done = TransactionResult(id=digest(data), account=account, kind="moved", movements=tuple(movements))
        return done, data

    def refused(self, code: str, account: int) -> tuple[TransactionResult, bytes]:
        """A transaction that was refused."""
        self.made += 1
        data = b"refused" + self.made.to_bytes(8, "big")
        return TransactionResult(id=digest(data), account=account, kind="open-run", code=code, message="no"), data

    def batch(
        self, node: int, rows: Sequence[Row], sessions: Sequence[SessionOpen] = ()
    ) -> tuple[TransactionResult, bytes]:
        """A transaction that brought a batch."""
        first = self.node_rows.get(node, 0)
        seed = digest(b"node")
        sealed = seal(
            array_of(rows),
            sessions,
            chain_id=CHAIN,
            node=node,
            first_index=first,
            prev_header_hash=bytes(32),
            sign=lambda message: keys.sign_bytes(seed, message),
        )
        envelope = Envelope(
            domain=domain(CHAIN),
            account=node,
            sequence=self.batches + 1,
            key=keys.public_key(seed),
            body=RecordAccesses(batch=sealed),
        )
        data = sign_transaction(seed, envelope)
        entry = encode_entry(len(self.pairs) + 1, self.rows, sealed[:192])
        applied = AppliedBatch(
            node=node, first_index=first, count=len(rows), log_index=self.batches, entry=entry, unmatched=0
        )
        self.rows += len(rows)
        self.batches += 1
        self.node_rows[node] = first + len(rows)
        return TransactionResult(id=digest(data), account=node, kind="record-accesses", batch=applied), data
