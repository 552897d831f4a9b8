"""An access proof as a node gives it out, and as a network of four validators would: a full batch, many batches."""

import hashlib
from dataclasses import dataclass

import numpy as np

from audiera.protocol.accesses import ROW, AccessProof, encode_entry, entry_leaf, open_batch, prove, seal
from audiera.protocol.accesses.rows import OP_WHOLE
from audiera.protocol.encoding import digest
from audiera.protocol.keys import format_key, public_key, sign_bytes
from audiera.protocol.merkle import (
    SignedCheckpoint,
    access_log_origin,
    cosign,
    format_signed,
    inclusion_path,
    parse_signed,
    tree_root,
)
from audiera.services.ledger.checkpoints import signed_checkpoint
from audiera.services.ledger.ports import Head
from benchmarks.chains import CHAIN, now_us

ROWS = 65_536
COSIGNERS = 4
ORIGIN = access_log_origin(CHAIN)
SEEDS = tuple(digest(f"validator {number}".encode()) for number in range(COSIGNERS))
KEYS = tuple(public_key(seed) for seed in SEEDS)
_NODE = 7
_NODE_SEED = digest(b"node")


@dataclass(frozen=True)
class Log:
    """A log of many batches, one of them real."""

    leaves: list[bytes]
    """Leaf hashes of all entries."""

    batch: bytes
    """The real batch."""

    entry: bytes
    """Its entry."""

    index: int
    """Its position."""

    note: str
    """The checkpoint as the solo engine signs it: by the log and by its one validator."""

    cosigned: str
    """The checkpoint as four validators sign it."""

    def prove(self, row: int, note: str) -> AccessProof:
        """The proof of a row of the real batch under one of the checkpoints."""
        return prove(
            open_batch(self.batch, chain_id=CHAIN),
            row,
            entry=self.entry,
            log_index=self.index,
            log_path=inclusion_path(self.leaves, self.index),
            checkpoint=note,
        )


def make_log(batches: int) -> Log:
    """A log of so many batches."""
    random = np.random.default_rng(batches)
    start = now_us()
    rows = np.zeros(ROWS, dtype=ROW)
    rows["asset"] = random.integers(1, 1_000_000, ROWS)
    rows["t"] = start + np.cumsum(random.integers(1, 15, ROWS))
    rows["consumer"], rows["grant"], rows["session"], rows["node"] = 70_001, 80_001, 9, _NODE
    rows["bytes"], rows["units"] = random.integers(1, 400_000, ROWS), random.integers(1, 300_000, ROWS)
    rows["policy"], rows["purpose"], rows["op"] = 1, 4, OP_WHOLE
    batch = seal(
        rows,
        chain_id=CHAIN,
        node=_NODE,
        first_index=0,
        prev_header_hash=bytes(32),
        sign=lambda message: sign_bytes(_NODE_SEED, message),
    )
    entry = encode_entry(batches, batches * ROWS, batch[:192])
    index = batches // 3
    leaves = [hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(batches)]
    leaves[index] = entry_leaf(entry)
    root = tree_root(leaves)
    head = Head(height=batches, time=start, app_hash=digest(root), log_size=batches, records=batches * ROWS)
    note = signed_checkpoint(CHAIN, head, root, seed=SEEDS[0], now=start)
    checkpoint = parse_signed(note).checkpoint
    lines = tuple(
        cosign(seed, format_key(key), checkpoint, time_s=start // 1_000_000)
        for seed, key in zip(SEEDS, KEYS, strict=True)
    )
    return Log(leaves, batch, entry, index, note, format_signed(SignedCheckpoint(checkpoint, lines)))
