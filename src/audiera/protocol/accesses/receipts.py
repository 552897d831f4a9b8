"""Receipts: a node's signed word, before any byte is released, that an access will be on the ledger.

Rows that become durable together form a group. The node signs the group once: its rows' root, in the order in which
they were written. A receipt is one row with its path to that root. Rows keep the positions they have in a receipt: a
batch that holds positions ``first_index`` to ``first_index + count - 1`` and not this row contradicts the receipt.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from audiera.protocol.accesses.rows import PAGE_SIZES, ROW_BYTES, Row, page_count, page_leaves, page_of, unpack_row
from audiera.protocol.encoding import decode, encode, encode_array_head, encode_bytes
from audiera.protocol.errors import BatchError, ProofError
from audiera.protocol.keys import to_sign, verify_bytes
from audiera.protocol.merkle import leaf_hash, node_hash, verify_inclusion
from audiera.protocol.units import U64_MAX

MAX_BYTES: Final = 16_384


class GroupSeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="receipt-group"):
    """What the node signs for a group of rows."""

    domain: str
    """``audiera/<chain>/receipt/1``."""

    node: int
    """Ledger number of the node."""

    first_index: int
    """Position of the group's first row among all the node's rows."""

    count: int
    """Rows in the group."""

    k: int
    """Rows in a leaf; 1 shows nobody another's row."""

    root: bytes
    """RFC 9162 root over the leaves."""

    t: int
    """When it was durable, microseconds since 1970 UTC."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="receipt"):
    """One row of a signed group."""

    group: GroupSeal
    """The group."""

    signature: bytes
    """The node's signature of the COSE_Sign1 over the group."""

    position: int
    """Position of the row in the group."""

    page: bytes
    """The leaf that holds it: up to k rows of 64 bytes."""

    path: tuple[bytes, ...]
    """Sibling hashes from the leaf up to the root."""

    @property
    def index(self) -> int:
        """Position of the row among all the node's rows."""
        return self.group.first_index + self.position


def receipt_domain(chain_id: str) -> str:
    """What a group names, so that its signature means nothing elsewhere."""
    return f"audiera/{chain_id}/receipt/1"


class ReceiptGroup:
    """A group of durable rows: hashed and signed once, then good for a receipt of each row.

    Args:
        rows: the rows' bytes, in the order in which they were written.
        chain_id: the chain.
        node: ledger number of the node.
        first_index: position of the first row among all the node's rows.
        t: when they became durable, microseconds since 1970 UTC.
        sign: gives the node's 64-byte signature of a message.
        k: rows in a leaf.

    Raises:
        BatchError: no rows, or not whole ones.
    """

    def __init__(
        self,
        rows: bytes,
        *,
        chain_id: str,
        node: int,
        first_index: int,
        t: int,
        sign: Callable[[bytes], bytes],
        k: int = 1,
    ) -> None:
        if not rows or len(rows) % ROW_BYTES or k not in PAGE_SIZES:
            raise BatchError(f"a group is 1 or more rows of {ROW_BYTES} bytes, got {len(rows)} bytes")
        self._rows = rows
        self._levels = _levels(page_leaves(rows, k))
        self.seal = GroupSeal(
            domain=receipt_domain(chain_id),
            node=node,
            first_index=first_index,
            count=len(rows) // ROW_BYTES,
            k=k,
            root=self._levels[-1][0],
            t=t,
        )
        sealed = encode(self.seal)
        self.signature = sign(to_sign(sealed))
        # A receipt's map in its canonical order: what is the same for the whole group is encoded once.
        self._before_position = b"\x64type\x67receipt\x65group" + sealed + b"\x68position"
        self._after_position = b"\x69signature" + encode_bytes(self.signature)

    def receipt(self, position: int) -> Receipt:
        """The receipt of the row at a position in the group.

        Raises:
            ProofError: no such row.
        """
        return Receipt(
            group=self.seal,
            signature=self.signature,
            position=position,
            page=self._page(position),
            path=tuple(self._path(position)),
        )

    def encoded(self, position: int) -> bytes:
        """The canonical bytes of a receipt, as :func:`encode_receipt` gives them, in a tenth of the time.

        Raises:
            ProofError: no such row.
        """
        page, path = self._page(position), self._path(position)
        return b"".join(
            (
                b"\xa6\x64page",
                encode_bytes(page),
                b"\x64path",
                encode_array_head(len(path)),
                *map(encode_bytes, path),
                self._before_position,
                encode(position),
                self._after_position,
            )
        )

    def _page(self, position: int) -> bytes:
        if not 0 <= position < self.seal.count:
            raise ProofError(f"row {position} of {self.seal.count} does not exist", position=position)
        return page_of(self._rows, position, self.seal.k)

    def _path(self, position: int) -> list[bytes]:
        path: list[bytes] = []
        place = position // self.seal.k
        for level in self._levels[:-1]:
            if place ^ 1 < len(level):
                path.append(level[place ^ 1])
            place >>= 1
        return path


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        paired = [node_hash(below[place], below[place + 1]) for place in range(0, len(below) - 1, 2)]
        levels.append(paired + below[len(paired) * 2 :])
    return levels


def verify_receipt(receipt: Receipt, key: bytes, *, chain_id: str) -> Row:
    """The row a node gave its word for.

    Args:
        receipt: the receipt.
        key: the node's public key.
        chain_id: the chain it must be for.

    Raises:
        ProofError: of another chain, or the row is not in the signed group.
        SignatureError: the node did not sign the group.
    """
    group = receipt.group
    if group.domain != receipt_domain(chain_id) or group.k not in PAGE_SIZES:
        raise ProofError(f"a receipt of chain {chain_id!r} expected, got {group.domain!r}")
    if not 0 <= receipt.position < group.count or not 0 <= group.first_index <= U64_MAX - group.count:
        raise ProofError(f"row {receipt.position} of {group.count} does not exist")
    page = receipt.position // group.k
    if len(receipt.page) != ROW_BYTES * min(group.k, group.count - page * group.k):
        raise ProofError(f"the page has {len(receipt.page)} bytes, not those of its place in the group")
    verify_inclusion(leaf_hash(receipt.page), page, page_count(group.count, group.k), receipt.path, group.root)
    verify_bytes(key, to_sign(encode(group)), receipt.signature)
    at = receipt.position % group.k * ROW_BYTES
    try:
        row = unpack_row(receipt.page[at : at + ROW_BYTES])
    except BatchError as cause:
        raise ProofError(f"the row means nothing: {cause.message}") from cause
    if row.node != group.node:
        raise ProofError(f"the row is of node {row.node}, its group of node {group.node}")
    return row


def encode_receipt(receipt: Receipt) -> bytes:
    """The canonical bytes of a receipt."""
    return encode(receipt)


def decode_receipt(data: bytes) -> Receipt:
    """The receipt in its canonical bytes.

    Raises:
        EncodingError: it is none.
    """
    return decode(data, Receipt, max_bytes=MAX_BYTES)
