"""The access log: one entry of 208 bytes for each batch, ``height u64 | global_first u64 | header``, little-endian.

The chain, not the node, adds the block's height and the number of the batch's first row among all rows of the
chain, so that counts and periods are provable from entries alone.
"""

import struct
from typing import Final, NamedTuple

from audiera.protocol.accesses.batch import HEADER_BYTES, Header, decode_header
from audiera.protocol.errors import BatchError, ProofError
from audiera.protocol.merkle import leaf_hash

ENTRY_BYTES: Final = 16 + HEADER_BYTES
_PREFIX: Final = struct.Struct("<QQ")


class LogEntry(NamedTuple):
    """One batch in the access log."""

    height: int
    """Block that holds the batch."""

    global_first: int
    """Number of its first row among all rows of the chain."""

    header: Header
    """What the batch states."""


def encode_entry(height: int, global_first: int, header: bytes) -> bytes:
    """The 208 bytes of an entry.

    Raises:
        BatchError: the header is not 192 bytes, or a number does not fit 64 bits.
    """
    if len(header) != HEADER_BYTES:
        raise BatchError(f"a batch header is {HEADER_BYTES} bytes, got {len(header)}", code="header_invalid")
    try:
        return _PREFIX.pack(height, global_first) + header
    except struct.error as cause:
        raise BatchError(f"height {height} or row {global_first} is no u64", code="header_invalid") from cause


def decode_entry(data: bytes) -> LogEntry:
    """The entry in 208 bytes.

    Raises:
        ProofError: it is none.
    """
    if len(data) != ENTRY_BYTES:
        raise ProofError(f"a log entry is {ENTRY_BYTES} bytes, got {len(data)}", length=len(data))
    height, global_first = _PREFIX.unpack_from(data)
    try:
        return LogEntry(height, global_first, decode_header(data[_PREFIX.size :]))
    except BatchError as cause:
        raise ProofError(f"the log entry holds no batch header: {cause.message}") from cause


def entry_leaf(entry: bytes) -> bytes:
    """The entry's leaf hash in the access log's tree."""
    return leaf_hash(entry)


def records_between(first: bytes, after: bytes) -> int:
    """How many rows the log gained from an entry up to, and without, a later one.

    For a day: its first entry and the next day's first entry.

    Raises:
        ProofError: not two entries in the log's order.
    """
    start, end = decode_entry(first), decode_entry(after)
    if end.global_first < start.global_first or end.height < start.height:
        raise ProofError("the entries are not in the order of the log")
    return end.global_first - start.global_first
