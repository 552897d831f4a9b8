"""Whole blocks, as CometBFT encodes them."""

from audiera.protocol.chain.header import (
    BlockId,
    Header,
    data_hash,
    decode_header,
    encode_header,
    header_hash,
    parts_of,
)
from audiera.protocol.chain.protobuf import Message, field_message
from audiera.protocol.chain.vote import Commit, commit_hash, decode_commit, encode_commit
from audiera.protocol.errors import EncodingError, ProofError
from audiera.protocol.records.base import Record


class Block(Record, frozen=True, kw_only=True):
    """A header, the transactions under it, and the signatures over the block before."""

    header: Header
    """What it says of itself."""

    transactions: tuple[bytes, ...]
    """Signed transactions, in order."""

    last_commit: Commit
    """Signatures over the block before; empty in the first block."""


def encode_block(block: Block) -> bytes:
    """The block as a protocol buffer; its evidence list is empty."""
    data = b"".join(field_message(1, transaction) for transaction in block.transactions)
    return b"".join(
        (
            field_message(1, encode_header(block.header)),
            field_message(2, data),
            field_message(3, b""),
            field_message(4, encode_commit(block.last_commit)),
        )
    )


def decode_block(data: bytes) -> Block:
    """The block in a protocol buffer; only the one canonical form is accepted.

    Raises:
        EncodingError: malformed, or not canonical.
    """
    message = Message(data)
    block = Block(
        header=decode_header(message.octets(1)),
        transactions=tuple(Message(message.octets(2)).each(1)),
        last_commit=decode_commit(message.octets(4)),
    )
    if encode_block(block) != data:
        raise EncodingError("not the canonical encoding of a block")
    return block


def block_id(block: Block) -> BlockId:
    """What votes about the block name."""
    total, root = parts_of(encode_block(block))
    return BlockId(hash=header_hash(block.header), parts_total=total, parts_hash=root)


def check_block(block: Block) -> None:
    """Check that a block's header commits to what it holds.

    Raises:
        ProofError: it does not.
    """
    if data_hash(block.transactions) != block.header.data_hash:
        raise ProofError("the header commits to other transactions", height=block.header.height)
    if commit_hash(block.last_commit) != block.header.last_commit_hash:
        raise ProofError("the header commits to other signatures", height=block.header.height)
