"""The access row: 64 bytes, fixed, little-endian; and the pages of rows that are the leaves of a batch's tree.

====  ========  ====  ============================================================================
at    field     type  meaning
====  ========  ====  ============================================================================
0     asset     u64   ledger number of the asset; of the snapshot for a shard, the model for a call
8     t         u64   microseconds since 1970 UTC by the node's clock, strictly increasing per node
16    consumer  u64   ledger number of the account that uses
24    grant     u64   ledger number of the grant; 0 for previews and refusals without one
32    session   u64   number of the session, counted by the node; 0 for none
40    bytes     u64   payload bytes authorized to be released, never less than were sent
48    units     u32   milliseconds of audio; started seconds of audio for a call; refusals summed up
52    node      u32   ledger number of the serving node
56    policy    u32   revision of the license the decision was taken under
60    purpose   u8    position in :data:`audiera.protocol.purposes.PURPOSES`
61    op        u8    what was done, see :data:`OPS`
62    flags     u16   see the ``FLAG_`` constants
====  ========  ====  ============================================================================

``(node, t)`` is the row's id. No address, no name, nothing personal is in a row.
"""

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from audiera.protocol.errors import BatchError
from audiera.protocol.merkle import inclusion_path, tree_root
from audiera.protocol.purposes import PURPOSES

Array = npt.NDArray[np.void]
"""Rows, dtype :data:`ROW`, shape (count,)."""

ROW_BYTES: Final = 64

ROW: Final = np.dtype(
    [
        ("asset", "<u8"),
        ("t", "<u8"),
        ("consumer", "<u8"),
        ("grant", "<u8"),
        ("session", "<u8"),
        ("bytes", "<u8"),
        ("units", "<u4"),
        ("node", "<u4"),
        ("policy", "<u4"),
        ("purpose", "u1"),
        ("op", "u1"),
        ("flags", "<u2"),
    ]
)

_DENSE: Final = 64
"""Up to so many microseconds for each row, equal times are found by marking instead of sorting."""

_ROW: Final = struct.Struct("<6Q3I2BH")

OP_WHOLE: Final = 1
OP_RANGE: Final = 2
OP_SHARD: Final = 3
OP_CALL: Final = 4
OP_PREVIEW: Final = 5
OP_REFUSAL: Final = 6

OPS: Final = ("", "whole", "range", "shard", "call", "preview", "refusal")
"""Names of the op codes; code 0 is not used."""

FLAG_LATE: Final = 1
"""Recovered after a crash, so older than the window for rows."""

FLAG_CACHED: Final = 2
"""Served from a cache."""

FLAG_ABORTED: Final = 4
"""The peer went away before everything was sent."""

FLAG_FAILED: Final = 8
"""A call that was accepted and gave no answer; nothing is charged."""

ALL_FLAGS: Final = FLAG_LATE | FLAG_CACHED | FLAG_ABORTED | FLAG_FAILED

PAGE_SIZES: Final = (1, 2, 4, 8, 16, 32)
"""How many rows may share a leaf. 16 is the rule; 1 shows no neighbor's row in a proof."""

MAX_ROW_BYTES: Final = 2**40
"""More than any access can release; keeps every sum over a batch within 64 bits."""


_Bytes = bytes


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One access."""

    asset: int
    """Ledger number of the asset, snapshot or model; u64."""

    t: int
    """When, microseconds since 1970 UTC; u64."""

    consumer: int
    """Ledger number of the account that uses; u64."""

    grant: int
    """Ledger number of the grant; u64, 0 for none."""

    session: int
    """The node's number of the session; u64, 0 for none."""

    bytes: int
    """Payload bytes authorized to be released."""

    units: int
    """Milliseconds of audio, or what the op counts; u32."""

    node: int
    """Ledger number of the serving node; u32."""

    policy: int
    """License revision the decision was taken under; u32."""

    purpose: int
    """Purpose code."""

    op: int
    """Op code."""

    flags: int = 0
    """Flag bits."""

    def pack(self) -> _Bytes:
        """The 64 bytes.

        Raises:
            BatchError: a value does not fit its column.
        """
        return pack_row(
            asset=self.asset,
            t=self.t,
            consumer=self.consumer,
            grant=self.grant,
            session=self.session,
            size=self.bytes,
            units=self.units,
            node=self.node,
            policy=self.policy,
            purpose=self.purpose,
            op=self.op,
            flags=self.flags,
        )


def pack_row(
    *,
    asset: int,
    t: int,
    consumer: int,
    grant: int,
    session: int,
    size: int,
    units: int,
    node: int,
    policy: int,
    purpose: int,
    op: int,
    flags: int = 0,
) -> bytes:
    """The 64 bytes of a row, without making a :class:`Row` first.

    Raises:
        BatchError: a value does not fit its column.
    """
    try:
        data = _ROW.pack(asset, t, consumer, grant, session, size, units, node, policy, purpose, op, flags)
    except struct.error as cause:
        raise BatchError(f"a value does not fit its column of the row: {cause}", code="row_invalid") from cause
    if purpose >= len(PURPOSES) or not 1 <= op < len(OPS) or flags > ALL_FLAGS or size >= MAX_ROW_BYTES:
        raise BatchError(f"no row has purpose {purpose}, op {op}, flags {flags} and {size} bytes", code="row_invalid")
    return data


def unpack_row(data: bytes) -> Row:
    """The row in 64 bytes.

    Raises:
        BatchError: not 64 bytes, or a code that means nothing.
    """
    if len(data) != ROW_BYTES:
        raise BatchError(f"a row is {ROW_BYTES} bytes, got {len(data)}", code="row_invalid")
    values = _ROW.unpack(data)
    asset, t, consumer, grant, session, size, units, node, policy, purpose, op, flags = values
    row = Row(
        asset=asset,
        t=t,
        consumer=consumer,
        grant=grant,
        session=session,
        bytes=size,
        units=units,
        node=node,
        policy=policy,
        purpose=purpose,
        op=op,
        flags=flags,
    )
    row.pack()
    return row


def array_of(rows: Iterable[Row] | bytes) -> Array:
    """Rows as one array.

    Args:
        rows: rows, or their bytes one after the other.

    Raises:
        BatchError: the bytes are not whole rows, or a row does not fit.
    """
    data = rows if isinstance(rows, bytes) else b"".join(row.pack() for row in rows)
    if len(data) % ROW_BYTES:
        raise BatchError(f"rows are {ROW_BYTES} bytes each, got {len(data)} in all", code="row_invalid")
    return np.frombuffer(data, dtype=ROW)


def check_rows(rows: Array, node: int) -> None:
    """Refuse rows with codes that mean nothing, of another node, or claiming impossible sizes.

    Raises:
        BatchError: which rule is broken.
    """
    if not len(rows):
        return
    fits = (
        int(rows["purpose"].max()) < len(PURPOSES)
        and int(rows["op"].min()) >= 1
        and int(rows["op"].max()) < len(OPS)
        and int(rows["flags"].max()) <= ALL_FLAGS
        and int(rows["bytes"].max()) < MAX_ROW_BYTES
        and bool((rows["node"] == np.uint32(node)).all())
    )
    if not fits:
        raise BatchError("a row has a code or size that means nothing, or another node's number", code="row_invalid")


def in_order(rows: Array) -> Array:
    """The rows ordered by (asset, t)."""
    return rows.take(np.lexsort((rows["t"], rows["asset"])))


def check_order(rows: Array) -> None:
    """Refuse rows that are not ordered by (asset, t), or two with the same time.

    Raises:
        BatchError: out of order, or a time used twice.
    """
    assets, times = rows["asset"].copy(), rows["t"].copy()
    ascending = (assets[1:] > assets[:-1]) | ((assets[1:] == assets[:-1]) & (times[1:] > times[:-1]))
    if not ascending.all():
        raise BatchError("the rows are not in ascending order of asset and time", code="row_order")
    if not _are_distinct(times):
        raise BatchError("two rows have the same time; a node's times strictly increase", code="row_repeated")


def _are_distinct(times: npt.NDArray[np.uint64]) -> bool:
    """Whether no two values are equal."""
    if len(times) < 2:
        return True
    offsets = times - times.min()
    span = int(offsets.max()) + 1
    if span <= _DENSE * len(times):  # a mark for each microsecond costs a tenth of sorting
        seen = np.zeros(span, dtype=np.bool_)
        seen[offsets] = True
        return int(np.count_nonzero(seen)) == len(times)
    ordered = np.sort(offsets, kind="stable")
    return not bool((ordered[1:] == ordered[:-1]).any())


def page_leaves(data: bytes, k: int) -> list[bytes]:
    """Leaf hashes of the pages of k rows: SHA-256(00 || page). The last page may be shorter.

    Args:
        data: the rows' bytes.
        k: rows in a page.
    """
    sha256, size, rows = hashlib.sha256, k * ROW_BYTES, memoryview(data)
    return [sha256(b"\x00" + rows[at : at + size]).digest() for at in range(0, len(data), size)]


def rows_root(data: bytes, k: int) -> bytes:
    """The RFC 9162 root over the pages of k rows."""
    return tree_root(page_leaves(data, k))


def page_count(count: int, k: int) -> int:
    """How many pages rows fill."""
    return (count + k - 1) // k


def page_of(data: bytes, row: int, k: int) -> bytes:
    """The page that holds a row."""
    size = k * ROW_BYTES
    start = row // k * size
    return data[start : start + size]


def page_path(data: bytes, row: int, k: int) -> tuple[bytes, ...]:
    """Sibling hashes from a row's page up to the rows' root.

    Raises:
        ProofError: no such row.
    """
    return inclusion_path(page_leaves(data, k), row // k)
