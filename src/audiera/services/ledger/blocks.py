"""Building, signing and checking the blocks of a chain, in the formats every engine shares."""

from typing import NamedTuple

from audiera.protocol.chain import (
    FOR_BLOCK,
    Block,
    BlockId,
    Commit,
    CommitSignature,
    Header,
    address_of,
    block_id,
    check_block,
    commit_hash,
    consensus_hash,
    data_hash,
    decode_block,
    decode_commit,
    results_hash,
    validators_hash,
    verify_commit,
    vote_sign_bytes,
)
from audiera.protocol.errors import AudieraError, LedgerError
from audiera.protocol.keys import is_signature_valid, public_key, sign_bytes
from audiera.protocol.records import Genesis
from audiera.protocol.results import BlockResult
from audiera.services.storage.blocklog import LoggedBlock

NS_IN_US = 1_000
UNLIMITED_GAS = -1
_FAILED = 1


class Parent(NamedTuple):
    """What the next block builds upon."""

    height: int
    """Its number; 0 for the genesis."""

    time: int
    """Its time, microseconds."""

    block_id: BlockId
    """What its commit is about."""

    commit: Commit
    """The signatures over it."""

    results_hash: bytes
    """Root over its results."""

    app_hash: bytes
    """The application hash its header holds: that of the state before it."""

    transactions: int
    """How many transactions it holds."""


class LedgerBlock(NamedTuple):
    """A record of the block log, decoded."""

    block: Block
    """The block."""

    commit: Commit
    """The signatures over it."""

    time: int
    """Block time, microseconds."""


def first_parent(genesis: Genesis) -> Parent:
    """What the first block builds upon."""
    return Parent(0, genesis.time, BlockId(), Commit(), results_hash([]), b"", 0)


def parent_of(block: Block, commit: Commit, result: BlockResult) -> Parent:
    """What the block after this one builds upon."""
    outcomes = [(0 if each.ok else _FAILED, each.header_data()) for each in result.transactions]
    return Parent(
        height=block.header.height,
        time=result.time,
        block_id=commit.block_id,
        commit=commit,
        results_hash=results_hash(outcomes),
        app_hash=block.header.app_hash,
        transactions=len(block.transactions),
    )


def build_block(
    genesis: Genesis, parent: Parent, *, time: int, app_hash: bytes, transactions: tuple[bytes, ...]
) -> Block:
    """The next block.

    Args:
        genesis: what the chain began with.
        parent: the block before.
        time: block time, microseconds; later than the parent's.
        app_hash: application hash after the parent.
        transactions: signed transactions, in order.
    """
    validators = validators_hash(genesis.validators)
    header = Header(
        chain_id=genesis.chain_id,
        height=parent.height + 1,
        time_ns=time * NS_IN_US,
        last_block_id=parent.block_id,
        last_commit_hash=commit_hash(parent.commit),
        data_hash=data_hash(transactions),
        validators_hash=validators,
        next_validators_hash=validators,
        consensus_hash=consensus_hash(genesis.params.max_block_bytes, UNLIMITED_GAS),
        app_hash=app_hash,
        last_results_hash=parent.results_hash,
        proposer_address=address_of(genesis.validators[0].key),
        app_version=genesis.params.rules_version,
    )
    return Block(header=header, transactions=transactions, last_commit=parent.commit)


def sign_block(seed: bytes, block: Block) -> Commit:
    """The commit of a block by a chain's only validator."""
    name = block_id(block)
    header = block.header
    signature = sign_bytes(seed, vote_sign_bytes(header.chain_id, header.height, 0, name, header.time_ns))
    signed = CommitSignature(
        flag=FOR_BLOCK, address=address_of(public_key(seed)), time_ns=header.time_ns, signature=signature
    )
    return Commit(height=header.height, block_id=name, signatures=(signed,))


def decode_record(record: LoggedBlock) -> LedgerBlock:
    """The block and commit in a record of the block log.

    Raises:
        LedgerError: they are no such thing.
    """
    try:
        block, commit = decode_block(record.block), decode_commit(record.commit)
    except AudieraError as cause:
        raise LedgerError(
            f"the record at byte {record.start} of the block log is no block: {cause.message}",
            code="block_invalid",
            offset=record.start,
        ) from cause
    microseconds, rest = divmod(block.header.time_ns, NS_IN_US)
    if rest:
        raise LedgerError(
            f"block {block.header.height} has a time of {block.header.time_ns} ns; whole microseconds expected",
            code="block_invalid",
        )
    return LedgerBlock(block, commit, microseconds)


def check_final(genesis: Genesis, block: Block, commit: Commit) -> None:
    """Check that a block holds what its header says, and that the validators signed it.

    Raises:
        LedgerError: it does not, or they did not.
    """
    header = block.header
    try:
        check_block(block)
        verify_commit(genesis.validators, genesis.chain_id, block_id(block), header.height, commit, is_signature_valid)
    except AudieraError as cause:
        raise LedgerError(
            f"block {header.height} is not final: {cause.message}", code="block_invalid", height=header.height
        ) from cause


def check_next(genesis: Genesis, parent: Parent, app_hash: bytes, found: LedgerBlock) -> None:
    """Check that a block is the one next upon its parent, in every field of its header.

    Args:
        genesis: what the chain began with.
        parent: the block before.
        app_hash: application hash after the parent, as executed here.
        found: the block.

    Raises:
        LedgerError: which field says otherwise.
    """
    block = found.block
    expected = build_block(genesis, parent, time=found.time, app_hash=app_hash, transactions=block.transactions)
    for name in Header.__struct_fields__:
        wanted, got = getattr(expected.header, name), getattr(block.header, name)
        if wanted != got:
            raise LedgerError(
                f"block {block.header.height} upon block {parent.height}: {name} {_shown(wanted)} expected, "
                f"got {_shown(got)}; the block log is damaged or was written by other rules",
                code="block_invalid",
                height=block.header.height,
                field=name,
            )
    if found.time <= parent.time:
        raise LedgerError(f"block {block.header.height} is not later than the one before it", code="block_invalid")
    check_final(genesis, block, found.commit)


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)
