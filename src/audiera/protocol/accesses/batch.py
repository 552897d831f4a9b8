"""The access batch: the unit of consensus, up to 131,072 rows in one transaction, each row provable by itself.

Layout: ``header (192 bytes) | sessions | watermarks | columns | signature (64 bytes)``; the three sections each
begin with their length, u32 little-endian. Sessions and watermarks are canonical DAG-CBOR arrays; the columns are
described in :mod:`audiera.protocol.accesses.columns`. The node signs ``audiera/<chain>/batch/1``, a newline, and the
header; the header commits to all the rest.

====  ================  =======  ====================================================================
at    field             type     meaning
====  ================  =======  ====================================================================
0     magic             4 bytes  ``ADB1``
4     k                 u16      rows in a page, the leaf of the rows' tree
6     reserved          u16      0
8     node              u32      ledger number of the node
12    count             u32      rows
16    first_index       u64      position of its first row among all the node's rows
24    t_min, t_max      u64 x 2  earliest and latest time, microseconds
40    asset_min, _max   u64 x 2  smallest and largest asset
56    sum_bytes         u64      sum of the rows' bytes
64    rows_root         32       RFC 9162 root over the pages
96    sessions_hash     32       SHA-256 of the sessions and watermarks with their lengths
128   payload_hash      32       SHA-256 of everything between header and signature
160   prev_header_hash  32       SHA-256 of the node's previous header; zeros for its first
====  ================  =======  ====================================================================
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import numpy as np

from audiera.protocol.accesses.columns import MAX_ROWS, decode_columns, encode_columns, exact_sum
from audiera.protocol.accesses.rows import PAGE_SIZES, Array, check_order, check_rows, in_order, rows_root
from audiera.protocol.accesses.session import SessionOpen, Watermark, check_session, check_watermark
from audiera.protocol.encoding import decode, digest, encode
from audiera.protocol.errors import BatchError, EncodingError
from audiera.protocol.keys import verify_bytes
from audiera.protocol.purposes import purpose_code
from audiera.protocol.units import U32_MAX

T = TypeVar("T")

HEADER_BYTES: Final = 192
SIGNATURE_BYTES: Final = 64
MAGIC: Final = b"ADB1"
_HEADER: Final = struct.Struct("<4sHHII6Q32s32s32s32s")
_MAX_SECTION: Final = 4 * 1024 * 1024


class Header(msgspec.Struct, frozen=True):
    """What a batch states about itself and its node signs."""

    k: int
    """Rows in a page."""

    node: int
    """Ledger number of the node."""

    count: int
    """Rows, 1 to 131,072."""

    first_index: int
    """Position of its first row among all the node's rows."""

    t_min: int
    """Earliest time, microseconds."""

    t_max: int
    """Latest time, microseconds."""

    asset_min: int
    """Smallest asset."""

    asset_max: int
    """Largest asset."""

    sum_bytes: int
    """Sum of the rows' bytes."""

    rows_root: bytes
    """Root over the pages."""

    sessions_hash: bytes
    """SHA-256 of the sessions and watermarks."""

    payload_hash: bytes
    """SHA-256 of all between header and signature."""

    prev_header_hash: bytes
    """SHA-256 of the node's previous header."""

    def encode(self) -> bytes:
        """The 192 bytes."""
        return _HEADER.pack(MAGIC, self.k, 0, *[getattr(self, name) for name in self.__struct_fields__[1:]])


def decode_header(data: bytes) -> Header:
    """The header in 192 bytes.

    Raises:
        BatchError: another length, magic or page size, reserved bits set, or no rows.
    """
    if len(data) != HEADER_BYTES:
        raise BatchError(f"a batch header is {HEADER_BYTES} bytes, got {len(data)}", code="header_invalid")
    magic, k, reserved, node, count, *rest = _HEADER.unpack(data)
    if magic != MAGIC or reserved or k not in PAGE_SIZES or not 1 <= count <= MAX_ROWS or node == 0:
        raise BatchError(
            f"not a batch header: magic {magic!r}, {k} rows in a page, {count} rows, node {node}",
            code="header_invalid",
        )
    return Header(k, node, count, *rest)


def signed_bytes(chain_id: str, header: bytes) -> bytes:
    """What a node signs for a batch: the domain, a newline, the header."""
    return f"audiera/{chain_id}/batch/1\n".encode() + header


@dataclass(frozen=True)
class Batch:
    """A batch that agrees with itself; its signature is not checked yet."""

    chain_id: str
    """The chain it was opened for."""

    header: Header
    """What it states."""

    rows: Array
    """Its rows, ordered by (asset, t)."""

    sessions: tuple[SessionOpen, ...]
    """Sessions it opens, ascending by number."""

    watermarks: tuple[Watermark, ...]
    """Watermarks it brings."""

    header_bytes: bytes
    """The 192 bytes."""

    signature: bytes
    """The node's signature."""

    def verify_signature(self, key: bytes) -> None:
        """Refuse the batch unless the key signed it for this chain.

        Raises:
            SignatureError: it does not verify.
        """
        verify_bytes(key, signed_bytes(self.chain_id, self.header_bytes), self.signature)


def seal(
    rows: Array,
    sessions: Sequence[SessionOpen] = (),
    watermarks: Sequence[Watermark] = (),
    *,
    chain_id: str,
    node: int,
    first_index: int,
    prev_header_hash: bytes,
    sign: Callable[[bytes], bytes],
    k: int = 16,
) -> bytes:
    """Make a batch.

    Args:
        rows: the node's rows in any order, 1 to 131,072, with distinct times.
        sessions: sessions opened since the last batch, ascending by number.
        watermarks: watermarks received since the last batch.
        chain_id: the chain it is for.
        node: ledger number of the node.
        first_index: position of the first row among all the node's rows.
        prev_header_hash: SHA-256 of the node's previous header; 32 zeros for its first batch.
        sign: gives the node's 64-byte signature of a message.
        k: rows in a page.

    Raises:
        BatchError: rows, sessions or watermarks that no machine would accept.
    """
    if not 1 <= len(rows) <= MAX_ROWS:
        raise BatchError(f"a batch has 1 to {MAX_ROWS} rows, got {len(rows)}", code="batch_too_many_rows")
    if not 1 <= node <= U32_MAX or k not in PAGE_SIZES or len(prev_header_hash) != 32:
        raise BatchError(f"node {node}, {k} rows in a page, or the previous header's hash cannot be")
    rows = in_order(rows)
    _check_contents(rows, sessions, watermarks, chain_id=chain_id, node=node)
    opened = _section(encode(tuple(sessions))) + _section(encode(tuple(watermarks)))
    body = opened + _section(encode_columns(rows))
    header = Header(
        k=k,
        node=node,
        count=len(rows),
        first_index=first_index,
        t_min=int(rows["t"].min()),
        t_max=int(rows["t"].max()),
        asset_min=int(rows["asset"][0]),
        asset_max=int(rows["asset"][-1]),
        sum_bytes=exact_sum(rows["bytes"]),
        rows_root=rows_root(rows.tobytes(), k),
        sessions_hash=digest(opened),
        payload_hash=digest(body),
        prev_header_hash=prev_header_hash,
    ).encode()
    return header + body + sign(signed_bytes(chain_id, header))


def _section(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def _check_contents(
    rows: Array, sessions: Sequence[SessionOpen], watermarks: Sequence[Watermark], *, chain_id: str, node: int
) -> None:
    """Refuse rows, sessions and watermarks that contradict themselves or one another."""
    check_rows(rows, node)
    check_order(rows)
    last = 0
    for session in sessions:
        check_session(session, chain_id=chain_id)
        if session.number <= last or session.node != node:
            raise BatchError(f"session {session.number} does not follow {last} of node {node}", code="session_invalid")
        last = session.number
    for watermark in watermarks:
        check_watermark(watermark, chain_id=chain_id)
        if watermark.node != node:
            raise BatchError(f"the watermark is for node {watermark.node}, not {node}", code="watermark_invalid")
    _check_cited(rows, sessions)


def _check_cited(rows: Array, sessions: Sequence[SessionOpen]) -> None:
    """Rows of a session opened here carry its consumer, grant and purpose."""
    if not sessions:
        return
    stated = np.array(
        [(session.number, session.consumer, session.grant, purpose_code(session.purpose)) for session in sessions],
        dtype=[("session", "<u8"), ("consumer", "<u8"), ("grant", "<u8"), ("purpose", "u1")],
    )
    places = np.minimum(np.searchsorted(stated["session"], rows["session"]), len(stated) - 1)
    found = stated[places]
    differs = np.zeros(len(rows), dtype=np.bool_)
    for name in ("consumer", "grant", "purpose"):
        differs |= found[name] != rows[name]
    if bool((differs & (found["session"] == rows["session"])).any()):
        raise BatchError("a row contradicts the session it cites", code="session_contradicted")


def open_batch(data: bytes, *, chain_id: str) -> Batch:
    """Open a batch and check everything that can be checked without the ledger's state.

    1. The header is well formed, and the body hashes to what it states.
    2. Sizes are within limits before anything is decompressed.
    3. Sessions and watermarks are canonical, of this chain and node, in order.
    4. Rows have meaningful codes, are ordered by (asset, t), and no time is used twice.
    5. Bounds, sums and root are what the header states; rows agree with the sessions opened here.

    The signature is not checked here: see :meth:`Batch.verify_signature`.

    Raises:
        BatchError: which of these is broken.
    """
    if len(data) < HEADER_BYTES + 12 + SIGNATURE_BYTES:
        raise BatchError(f"a batch of {len(data)} bytes is cut short", code="batch_cut_short")
    header = decode_header(data[:HEADER_BYTES])
    body = data[HEADER_BYTES:-SIGNATURE_BYTES]
    if digest(body) != header.payload_hash:
        raise BatchError("the batch is not the one its header commits to", code="header_differs")
    opened, marked, columns = _sections(body)
    if digest(_section(opened) + _section(marked)) != header.sessions_hash:
        raise BatchError("the sessions are not those the header commits to", code="header_differs")
    if len(columns) > 80 * header.count + 4_096:
        raise BatchError(f"{len(columns)} bytes of columns for {header.count} rows", code="columns_size")
    sessions = _decode_section(opened, tuple[SessionOpen, ...])
    watermarks = _decode_section(marked, tuple[Watermark, ...])
    rows = decode_columns(columns, count=header.count, node=header.node, first_asset=header.asset_min)
    _check_contents(rows, sessions, watermarks, chain_id=chain_id, node=header.node)
    _check_header(header, rows)
    return Batch(
        chain_id=chain_id,
        header=header,
        rows=rows,
        sessions=sessions,
        watermarks=watermarks,
        header_bytes=data[:HEADER_BYTES],
        signature=data[-SIGNATURE_BYTES:],
    )


def _sections(body: bytes) -> tuple[bytes, bytes, bytes]:
    parts: list[bytes] = []
    at = 0
    for _ in range(3):
        length = int.from_bytes(body[at : at + 4], "little")
        parts.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(body):
        raise BatchError("the sections do not fill the batch exactly", code="batch_cut_short")
    return parts[0], parts[1], parts[2]


def _decode_section(data: bytes, kind: type[T]) -> T:
    try:
        return decode(data, kind, max_bytes=_MAX_SECTION)
    except EncodingError as cause:
        raise BatchError(f"a section is malformed: {cause.message}", code="section_invalid") from cause


def _check_header(header: Header, rows: Array) -> None:
    """Step 5: what the header states is what the rows say."""
    times = rows["t"]
    stated = (header.t_min, header.t_max, header.asset_min, header.asset_max, header.sum_bytes)
    found = (
        int(times.min()),
        int(times.max()),
        int(rows["asset"][0]),
        int(rows["asset"][-1]),
        exact_sum(rows["bytes"]),
    )
    if stated != found:
        raise BatchError(f"the header states {stated}, the rows say {found}", code="header_differs")
    if rows_root(rows.tobytes(), header.k) != header.rows_root:
        raise BatchError("the rows do not lead to the root the header states", code="header_differs")
