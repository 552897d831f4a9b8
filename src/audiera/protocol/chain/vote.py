"""Votes and commits: what validators sign about a block.

Validators' signatures follow the engine's own Ed25519 rule (ZIP-215), which is not the rule for transactions; the
verifying function is therefore always passed in.
"""

from collections.abc import Sequence
from typing import Final

from audiera.protocol.chain.header import BlockId, decode_block_id
from audiera.protocol.chain.protobuf import (
    Message,
    field_bytes,
    field_fixed64,
    field_int,
    field_message,
    read_timestamp,
    timestamp,
    varint,
)
from audiera.protocol.errors import EncodingError
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.records.base import Record

PREVOTE: Final = 1
PRECOMMIT: Final = 2

ABSENT: Final = 1
FOR_BLOCK: Final = 2
FOR_NOTHING: Final = 3


def vote_sign_bytes(
    chain_id: str, height: int, round_: int, block_id: BlockId | None, time_ns: int, kind: int = PRECOMMIT
) -> bytes:
    """The bytes a validator signs: a length-prefixed CanonicalVote.

    Args:
        chain_id: name of the chain.
        height: number of the block.
        round_: consensus round, 0 for the first.
        block_id: the block voted for; None for a vote for nothing.
        time_ns: the validator's time, nanoseconds since 1970.
        kind: 1 prevote, 2 precommit.
    """
    message = b"".join(
        (
            field_int(1, kind),
            field_fixed64(2, height),
            field_fixed64(3, round_),
            field_message(4, block_id.proto()) if block_id is not None else b"",
            field_message(5, timestamp(time_ns)),
            field_bytes(6, chain_id.encode("ascii")),
        )
    )
    return varint(len(message)) + message


class CommitSignature(Record, frozen=True, kw_only=True):
    """One validator's part of a commit."""

    flag: int
    """1 absent, 2 for the block, 3 for nothing."""

    address: bytes = b""
    """The validator's address; empty when absent."""

    time_ns: int = 0
    """The validator's time."""

    signature: bytes = b""
    """Over :func:`vote_sign_bytes`; empty when absent."""

    def proto(self) -> bytes:
        """As a protocol buffer."""
        return b"".join(
            (
                field_int(1, self.flag),
                field_bytes(2, self.address),
                field_message(3, timestamp(self.time_ns)),
                field_bytes(4, self.signature),
            )
        )


class Commit(Record, frozen=True, kw_only=True):
    """The signatures that made a block final."""

    height: int = 0
    """Number of the block; 0 in the empty commit of the first block."""

    round: int = 0
    """Round it was decided in."""

    block_id: BlockId = BlockId()
    """The block."""

    signatures: tuple[CommitSignature, ...] = ()
    """One entry for each validator, in the set's order."""


def commit_hash(commit: Commit) -> bytes:
    """Root over a commit's signatures."""
    return tree_root([leaf_hash(signature.proto()) for signature in commit.signatures])


def encode_commit(commit: Commit) -> bytes:
    """The commit as a protocol buffer."""
    parts = [
        field_int(1, commit.height),
        field_int(2, commit.round),
        field_message(3, commit.block_id.proto()),
    ]
    parts.extend(field_message(4, signature.proto()) for signature in commit.signatures)
    return b"".join(parts)


def _decode_signature(data: bytes) -> CommitSignature:
    message = Message(data)
    return CommitSignature(
        flag=message.integer(1),
        address=message.octets(2),
        time_ns=read_timestamp(message.octets(3)),
        signature=message.octets(4),
    )


def decode_commit(data: bytes) -> Commit:
    """The commit in a protocol buffer; only the one canonical form is accepted.

    Raises:
        EncodingError: malformed, or not canonical.
    """
    message = Message(data)
    commit = Commit(
        height=message.integer(1),
        round=message.integer(2),
        block_id=decode_block_id(message.octets(3)),
        signatures=tuple(_decode_signature(signature) for signature in message.each(4)),
    )
    if encode_commit(commit) != data:
        raise EncodingError("not the canonical encoding of a commit")
    return commit


def sign_bytes_of(commit: Commit, chain_id: str, index: int) -> bytes:
    """What the validator at a position signed."""
    signature = commit.signatures[index]
    block_id = commit.block_id if signature.flag == FOR_BLOCK else None
    return vote_sign_bytes(chain_id, commit.height, commit.round, block_id, signature.time_ns)


def signed_positions(signatures: Sequence[CommitSignature]) -> list[int]:
    """Positions that signed for the block."""
    return [place for place, signature in enumerate(signatures) if signature.flag == FOR_BLOCK]
