"""A small chain for the tests of the ledger: its genesis, and accounts that sign for themselves."""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

from audiera.protocol import keys
from audiera.protocol.accesses import Row, array_of, decode_header, seal
from audiera.protocol.accesses.rows import OP_PREVIEW
from audiera.protocol.encoding import digest
from audiera.protocol.records import Authority, Genesis, Validator
from audiera.protocol.transactions import (
    Body,
    ChangeProfile,
    CreateAccount,
    Envelope,
    RecordAccesses,
    domain,
    sign_transaction,
)
from audiera.services.ledger.engines import SoloSettings, open_solo
from audiera.services.ledger.ports import Ledger
from audiera.services.storage.blocklog import nothing_after

CHAIN = "test"
START = 1_700_000_000_000_000
VALIDATOR = digest(b"validator")
GENESIS = Genesis(
    chain_id=CHAIN,
    time=START,
    validators=(Validator(key=keys.public_key(VALIDATOR), power=1),),
    authorities=(Authority(rail="test-faucet", key=keys.public_key(digest(b"faucet"))),),
)
NO_PROOF_BLOCKS = SoloSettings(proof_block_after_s=None)
ANSWER_S = 30.0


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


def opened(
    folder: Path,
    *,
    settings: SoloSettings = NO_PROOF_BLOCKS,
    now: Callable[[], int] = wall_clock,
    after: Callable[[str], None] = nothing_after,
    genesis: Genesis | None = GENESIS,
    seed: bytes = VALIDATOR,
) -> Ledger:
    """The test chain's ledger in a folder."""
    return open_solo(folder, genesis=genesis, seed=seed, now=now, entropy=os.urandom, settings=settings, after=after)


class Actor:
    """An account with its secret."""

    def __init__(self, name: str, *, kind: str = "person", number: int = 0, sequence: int = 0) -> None:
        self.seed = digest(name.encode())
        self.kind = kind
        self.number = number
        self.sequence = sequence
        self.rows = 0
        self.last_header = bytes(32)

    def signed(self, body: Body, account: int, sequence: int) -> bytes:
        """A signed transaction."""
        key = keys.public_key(self.seed)
        envelope = Envelope(domain=domain(CHAIN), account=account, sequence=sequence, key=key, body=body)
        return sign_transaction(self.seed, envelope)

    def creation(self) -> bytes:
        """The transaction that creates the account."""
        body = CreateAccount(
            kind=self.kind,  # type: ignore[arg-type]
            roles=(),
            control_keys=(keys.public_key(self.seed),),
            device_keys=(),
            profile=bytes(32),
        )
        return self.signed(body, 0, 0)

    def join(self, ledger: Ledger) -> "Actor":
        """Create the account and learn its number."""
        result = ledger.submit(self.creation()).result(ANSWER_S)
        assert result.ok, result
        self.number = result.number
        return self

    def next(self, body: Body) -> bytes:
        """The account's next transaction."""
        self.sequence += 1
        return self.signed(body, self.number, self.sequence)

    def change(self) -> bytes:
        """A small transaction that changes the state."""
        profile = digest(self.seed + self.sequence.to_bytes(8, "big"))
        return self.next(ChangeProfile(roles=(), profile=profile))

    def batch(self, count: int = 3, at: int | None = None) -> bytes:
        """A batch of preview rows of a node's account."""
        moment = wall_clock() if at is None else at
        rows = [
            Row(
                asset=1 + place,
                t=moment - count + place,
                consumer=1,
                grant=0,
                session=0,
                bytes=100,
                units=10,
                node=self.number,
                policy=0,
                purpose=0,
                op=OP_PREVIEW,
            )
            for place in range(count)
        ]
        sealed = seal(
            array_of(rows),
            chain_id=CHAIN,
            node=self.number,
            first_index=self.rows,
            prev_header_hash=self.last_header,
            sign=lambda message: keys.sign_bytes(self.seed, message),
        )
        decode_header(sealed[:192])
        self.rows += count
        self.last_header = digest(sealed[:192])
        return self.next(RecordAccesses(batch=sealed))


def ticking(start: int = START + 1) -> Callable[[], int]:
    """A clock that advances by a millisecond at each look."""
    ticks = itertools.count(start, 1_000)
    return lambda: next(ticks)


def grown(folder: Path, *, changes: int = 12, batches: int = 5) -> Ledger:
    """An open ledger whose chain has accounts, changes, a failed transaction and access batches."""
    ledger = opened(folder)
    person = Actor("person").join(ledger)
    node = Actor("node", kind="node").join(ledger)
    for _ in range(changes):
        assert ledger.submit(person.change()).result(ANSWER_S).ok
    for _ in range(batches):
        result = ledger.submit(node.batch()).result(ANSWER_S)
        assert result.ok, result
    refused = ledger.submit(person.next(RecordAccesses(batch=bytes(300)))).result(ANSWER_S)
    assert not refused.ok
    return ledger
