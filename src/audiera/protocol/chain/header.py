"""Block headers, hashed exactly as CometBFT hashes them, so that one verifier serves every engine.

Source: CometBFT v0.39, specification "core/data_structures" and "core/encoding".
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from audiera.protocol.chain.protobuf import (
    Message,
    field_bytes,
    field_int,
    field_message,
    read_timestamp,
    timestamp,
)
from audiera.protocol.errors import EncodingError
from audiera.protocol.merkle import EMPTY_ROOT, leaf_hash, tree_root
from audiera.protocol.records.base import Record

PART_BYTES: Final = 65_536
"""A block is cut into parts of this many bytes."""

BLOCK_VERSION: Final = 11
"""Version of the block format, as in CometBFT v0.38 to v0.40."""

EVIDENCE_HASH: Final = EMPTY_ROOT
"""Hash of an empty list of evidence."""


class BlockId(Record, frozen=True, kw_only=True):
    """What a vote is about: a block's hash and the hash of its parts."""

    hash: bytes = b""
    """Header hash; empty before the first block."""

    parts_total: int = 0
    """Number of parts."""

    parts_hash: bytes = b""
    """Root over the parts."""

    def proto(self) -> bytes:
        """As a protocol buffer."""
        parts = field_int(1, self.parts_total) + field_bytes(2, self.parts_hash)
        return field_bytes(1, self.hash) + field_message(2, parts)


class Header(Record, frozen=True, kw_only=True):
    """What a block says of itself and of the state before it."""

    chain_id: str
    """Name of the chain."""

    height: int
    """Number of the block."""

    time_ns: int
    """Block time, nanoseconds since 1970."""

    last_block_id: BlockId
    """The block before."""

    last_commit_hash: bytes
    """Hash of the signatures over the block before."""

    data_hash: bytes
    """Root over the transactions."""

    validators_hash: bytes
    """Root over the validators of this block."""

    next_validators_hash: bytes
    """Root over the validators of the next block."""

    consensus_hash: bytes
    """Hash of the consensus parameters."""

    app_hash: bytes
    """Application hash after the block before."""

    last_results_hash: bytes
    """Root over the results of the block before."""

    proposer_address: bytes
    """Address of the validator that proposed it, 20 bytes."""

    evidence_hash: bytes = EVIDENCE_HASH
    """Root over the evidence in it."""

    block_version: int = BLOCK_VERSION
    """Version of the block format."""

    app_version: int = 1
    """Version of the rules."""


def _version(header: Header) -> bytes:
    return field_int(1, header.block_version) + field_int(2, header.app_version)


def _hashes(header: Header) -> tuple[bytes, ...]:
    return (
        header.last_commit_hash,
        header.data_hash,
        header.validators_hash,
        header.next_validators_hash,
        header.consensus_hash,
        header.app_hash,
        header.last_results_hash,
        header.evidence_hash,
        header.proposer_address,
    )


def header_hash(header: Header) -> bytes:
    """The block's hash: RFC 6962 root over the header's fourteen fields."""
    fields = [
        _version(header),
        field_bytes(1, header.chain_id.encode("ascii")),
        field_int(1, header.height),
        timestamp(header.time_ns),
        header.last_block_id.proto(),
        *(field_bytes(1, value) for value in _hashes(header)),
    ]
    return tree_root([leaf_hash(value) for value in fields])


def encode_header(header: Header) -> bytes:
    """The header as a protocol buffer."""
    parts = [
        field_message(1, _version(header)),
        field_bytes(2, header.chain_id.encode("ascii")),
        field_int(3, header.height),
        field_message(4, timestamp(header.time_ns)),
        field_message(5, header.last_block_id.proto()),
    ]
    parts.extend(field_bytes(number, value) for number, value in enumerate(_hashes(header), start=6))
    return b"".join(parts)


def decode_block_id(data: bytes) -> BlockId:
    """A block id from its protocol buffer."""
    message = Message(data)
    parts = Message(message.octets(2))
    return BlockId(hash=message.octets(1), parts_total=parts.integer(1), parts_hash=parts.octets(2))


def decode_header(data: bytes) -> Header:
    """The header in a protocol buffer; only the one canonical form is accepted.

    Raises:
        EncodingError: malformed, or not canonical.
    """
    message = Message(data)
    version = Message(message.octets(1))
    header = Header(
        block_version=version.integer(1),
        app_version=version.integer(2),
        chain_id=message.text(2),
        height=message.integer(3),
        time_ns=read_timestamp(message.octets(4)),
        last_block_id=decode_block_id(message.octets(5)),
        last_commit_hash=message.octets(6),
        data_hash=message.octets(7),
        validators_hash=message.octets(8),
        next_validators_hash=message.octets(9),
        consensus_hash=message.octets(10),
        app_hash=message.octets(11),
        last_results_hash=message.octets(12),
        evidence_hash=message.octets(13),
        proposer_address=message.octets(14),
    )
    if encode_header(header) != data:
        raise EncodingError("not the canonical encoding of a header")
    return header


def data_hash(transactions: Sequence[bytes]) -> bytes:
    """Root over a block's transactions; a leaf is the SHA-256 of a transaction."""
    return tree_root([leaf_hash(hashlib.sha256(transaction).digest()) for transaction in transactions])


def results_hash(results: Sequence[tuple[int, bytes]]) -> bytes:
    """Root over (code, data) of a block's transactions; the other fields of a result are 0 here."""
    return tree_root([leaf_hash(field_int(1, code) + field_bytes(2, data)) for code, data in results])


def consensus_hash(max_bytes: int, max_gas: int) -> bytes:
    """Hash of the consensus parameters a header commits to."""
    return hashlib.sha256(field_int(1, max_bytes) + field_int(2, max_gas)).digest()


def parts_of(block: bytes) -> tuple[int, bytes]:
    """Number of parts of an encoded block and the root over them."""
    parts = [block[at : at + PART_BYTES] for at in range(0, len(block), PART_BYTES)]
    return len(parts), tree_root([leaf_hash(part) for part in parts])
