"""Applying an access batch in the machine: opened, checked, matched with its grants, counted, hashed, committed.

A batch of 100,000 rows over 1,000 assets and 64 sessions of one consumer; all rows are covered by the grant and count
for an open run. Each session is acknowledged by a signed watermark in the same batch: without it, rows past the credit
do not count.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import zstandard

from audiera.protocol.accesses import (
    ROW,
    SessionOpen,
    Watermark,
    seal,
    session_domain,
    sign_session,
    sign_watermark,
    watermark_domain,
)
from audiera.protocol.accesses.rows import OP_WHOLE, Array
from audiera.protocol.encoding import digest
from audiera.protocol.keys import sign_bytes
from audiera.protocol.machine import BlockContext, Machine
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.purposes import purpose_code
from audiera.protocol.records import Content, Rule, Split, Technical, Terms
from audiera.protocol.results import TransactionResult
from audiera.protocol.state import MemoryStore
from audiera.protocol.transactions import (
    Body,
    CommitRegistrations,
    IssueGrant,
    OpenRun,
    PublishLicense,
    RecordAccesses,
    RegisterAsset,
    commitment_leaf,
)
from benchmarks.chains import CHAIN, Account, genesis
from benchmarks.measuring import Benchmark, Detail, Round, Spent, Target, Trial, rate, spending

ASSETS = 1_000
SESSIONS = 64
PURPOSE: Final = "train-generative"
_SECOND = 1_000_000


class Chain:
    """A machine in memory with a creator, a consumer with a grant and a run, and a node."""

    def __init__(self) -> None:
        self.genesis = genesis()
        self.store = MemoryStore()
        self.machine = Machine(self.store, self.genesis, height=0)
        self.time = self.genesis.time
        self.creator, self.consumer, self.node = Account("creator"), Account("consumer"), Account("node", "node")
        for account in (self.creator, self.consumer, self.node):
            account.number = self.block([account.creation()])[0].number
        self.assets = self._register_assets()
        grant = IssueGrant(purpose=PURPOSE, assets=tuple(self.assets))
        self.grant = self.do(self.consumer, grant)
        self.run = self.do(self.consumer, OpenRun(grants=(self.grant,)))

    def block(self, transactions: list[bytes]) -> tuple[TransactionResult, ...]:
        """Execute and commit a block."""
        self.time += _SECOND
        execution = self.machine.execute(BlockContext(self.machine.height + 1, self.time), transactions)
        self.store.apply(execution.writes, execution.buckets)
        self.machine.commit()
        failed = [result for result in execution.result.transactions if not result.ok]
        assert not failed, failed[0]
        return execution.result.transactions

    def do(self, account: Account, body: Body) -> int:
        """One transaction in a block of its own; the number of what it created."""
        return self.block([account.sign(body)])[0].number

    def _register_assets(self) -> list[int]:
        terms = Terms(rules=(Rule(purpose=PURPOSE, verdict="allow"),))
        license_ = self.do(self.creator, PublishLicense(terms=terms))
        salts = [digest(f"salt {number}".encode()) for number in range(ASSETS)]
        owner = self.creator.number
        roots = [tree_root([leaf_hash(commitment_leaf(salt, digest(salt), owner))]) for salt in salts]
        commits = [self.creator.sign(CommitRegistrations(root=root, count=1)) for root in roots]
        commitments = [result.number for result in self.block(commits)]
        bodies = [
            RegisterAsset(
                content=_content(digest(salt)),
                splits=(Split(account=owner, share=10_000),),
                license=license_,
                commitment=commitment,
                salt=salt,
                index=0,
            )
            for salt, commitment in zip(salts, commitments, strict=True)
        ]
        return [result.number for result in self.block([self.creator.sign(body) for body in bodies])]


def _content(blob: bytes) -> Content:
    technical = Technical(
        container="wav",
        codec="pcm_s16le",
        sample_rate=48_000,
        channels=2,
        bit_depth=16,
        samples=96_000,
        duration_ms=2_000,
        peak_mdb=-1_000,
    )
    return Content(
        data_type="recording",
        blob=blob,
        size=100_000,
        manifest_root=digest(blob),
        technical=technical,
        sheet=digest(b"sheet"),
    )


class Maker:
    """Makes the node's next batches: a few assets are popular, most are not."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._random = np.random.default_rng(1)
        self._received = np.zeros(SESSIONS + 1, dtype=np.int64)
        self._popularity = 1.0 / np.arange(1, ASSETS + 1)
        self._popularity /= self._popularity.sum()

    def rows(self, count: int) -> Array:
        """Rows just before the next block, in order of time."""
        chain, random = self._chain, self._random
        rows = np.zeros(count, dtype=ROW)
        rows["asset"] = random.choice(np.array(chain.assets, dtype=np.uint64), count, p=self._popularity)
        rows["t"] = np.uint64(chain.time) + np.cumsum(random.integers(1, 15, count)).astype(np.uint64)
        rows["consumer"], rows["grant"], rows["node"] = chain.consumer.number, chain.grant, chain.node.number
        rows["session"] = random.integers(1, SESSIONS + 1, count)
        rows["bytes"] = random.integers(50_000, 400_000, count)
        rows["units"] = random.integers(500, 2_001, count)
        rows["policy"], rows["purpose"], rows["op"] = 1, purpose_code(PURPOSE), OP_WHOLE
        return rows

    def sessions(self) -> list[SessionOpen]:
        """The openings, for the first batch."""
        chain = self._chain
        return [
            sign_session(
                chain.consumer.seed,
                SessionOpen(
                    domain=session_domain(CHAIN),
                    node=chain.node.number,
                    number=number,
                    grant=chain.grant,
                    consumer=chain.consumer.number,
                    purpose=PURPOSE,
                    policy=1,
                    opened_at=chain.time,
                    expires_at=chain.time + 3_600 * _SECOND,
                    nonce=bytes(16),
                    run=chain.run,
                ),
            )
            for number in range(1, SESSIONS + 1)
        ]

    def watermarks(self, rows: Array) -> list[Watermark]:
        """The newest watermark of each session: the consumer has received all these rows as well."""
        chain = self._chain
        counts = np.bincount(rows["session"].astype(np.int64), minlength=SESSIONS + 1)
        self._received += counts
        return [
            sign_watermark(
                chain.consumer.seed,
                Watermark(
                    domain=watermark_domain(CHAIN),
                    node=chain.node.number,
                    session=number,
                    rows=int(self._received[number]),
                    bytes=0,
                    t=int(rows["t"][-1]),
                ),
            )
            for number in range(1, SESSIONS + 1)
        ]

    def batch(self, rows: Array, sessions: list[SessionOpen]) -> bytes:
        """The rows sealed as the node's next batch."""
        chain = self._chain
        state = chain.machine.view().node(chain.node.number)
        return seal(
            rows,
            sessions,
            self.watermarks(rows),
            chain_id=CHAIN,
            node=chain.node.number,
            first_index=state.next_index,
            prev_header_hash=state.last_header_hash,
            sign=lambda message: sign_bytes(chain.node.seed, message),
        )


def _least_work(compressed: bytes, size: int, pages: bytes, k: int) -> Spent:
    """The columns decompressed and the pages hashed, nothing else."""
    sha256, page = hashlib.sha256, k * ROW.itemsize
    with spending() as spent:
        zstandard.ZstdDecompressor().decompress(compressed, max_output_size=size)
        for at in range(0, len(pages), page):
            sha256(pages[at : at + page]).digest()
    return spent


def _frame_of(batch: bytes) -> bytes:
    """The zstd frame in a batch: behind header, sessions, watermarks and the columns' head."""
    at = batch.find(b"\x28\xb5\x2f\xfd", 192)
    return batch[at:-64]


def measure(trial: Trial) -> Iterator[Round]:
    """Rounds on one growing chain."""
    count = 20_000 if trial.quick else 100_000
    chain = Chain()
    maker = Maker(chain)
    chain.block([chain.node.sign(RecordAccesses(batch=maker.batch(maker.rows(1_000), maker.sessions())))])
    for _ in range(trial.rounds):
        rows = maker.rows(count)
        batch = maker.batch(rows, [])
        transaction = chain.node.sign(RecordAccesses(batch=batch))
        with spending() as candidate:
            (result,) = chain.block([transaction])
        assert result.batch is not None
        assert (result.batch.count, result.batch.unmatched) == (count, 0)
        frame = _frame_of(batch)
        baseline = _least_work(frame, zstandard.frame_content_size(frame), rows.tobytes(), 16)
        yield rate(count, candidate, baseline, row_bytes=len(transaction) / count)


BENCHMARK = Benchmark(
    figure="rows of 100,000-row access batches applied in the machine: opened, checked, matched, counted, committed",
    unit="rows/CPU-s",
    wall_unit="rows/s",
    target=Target("at least", 2_000_000),
    baseline="the same columns decompressed and the same pages hashed, nothing else",
    measure=measure,
    rounds=9,
    details={"row_bytes": Detail("signed transaction", "bytes/row", Target("at most", 8.0))},
)
