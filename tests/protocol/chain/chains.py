"""Small chains of signed headers, made as validators would make them."""

from collections.abc import Sequence

from audiera.protocol import keys
from audiera.protocol.chain import (
    FOR_BLOCK,
    Block,
    BlockId,
    Commit,
    CommitSignature,
    Header,
    address_of,
    block_id,
    commit_hash,
    data_hash,
    header_hash,
    validators_hash,
    vote_sign_bytes,
)
from audiera.protocol.chain.light import LightBlock
from audiera.protocol.chain.validators import in_order
from audiera.protocol.encoding import digest
from audiera.protocol.records import Validator

CHAIN = "test-chain"
SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS


class Voter:
    """A validator with its secret."""

    def __init__(self, name: str, power: int) -> None:
        self.seed = digest(name.encode())
        self.record = Validator(key=keys.public_key(self.seed), power=power)


def voters(*powers: int, prefix: str = "v") -> list[Voter]:
    """Validators with these powers."""
    return [Voter(f"{prefix}{place}", power) for place, power in enumerate(powers)]


def records(set_: Sequence[Voter]) -> tuple[Validator, ...]:
    """What the ledger knows of them."""
    return tuple(voter.record for voter in set_)


def header_at(
    height: int, set_: Sequence[Voter], following: Sequence[Voter] | None = None, /, **changes: object
) -> Header:
    """A header of a height; one second a block."""
    fields: dict[str, object] = {
        "chain_id": CHAIN,
        "height": height,
        "time_ns": START_NS + height * SECOND_NS,
        "last_block_id": BlockId(hash=digest(b"last"), parts_total=1, parts_hash=digest(b"parts")),
        "last_commit_hash": digest(b"commit"),
        "data_hash": data_hash([]),
        "validators_hash": validators_hash(records(set_)),
        "next_validators_hash": validators_hash(records(following or set_)),
        "consensus_hash": digest(b"consensus"),
        "app_hash": digest(b"app"),
        "last_results_hash": digest(b"results"),
        "proposer_address": address_of(set_[0].record.key),
    }
    return Header(**(fields | changes))  # type: ignore[arg-type]


def commit_of(
    block: BlockId,
    set_: Sequence[Voter],
    *,
    height: int,
    absent: Sequence[Voter] = (),
    nil: Sequence[Voter] = (),
    round_: int = 0,
    chain_id: str = CHAIN,
) -> Commit:
    """A commit in which everybody signs for the block, but those who are absent or vote for nothing."""
    by_key = {voter.record.key: voter for voter in set_}
    signatures = []
    for place, record in enumerate(in_order(records(set_))):
        voter = by_key[record.key]
        if voter in absent:
            signatures.append(CommitSignature(flag=1))
            continue
        time_ns = START_NS + height * SECOND_NS + place
        named = None if voter in nil else block
        message = vote_sign_bytes(chain_id, height, round_, named, time_ns)
        signatures.append(
            CommitSignature(
                flag=3 if voter in nil else FOR_BLOCK,
                address=address_of(record.key),
                time_ns=time_ns,
                signature=keys.sign_bytes(voter.seed, message),
            )
        )
    return Commit(height=height, round=round_, block_id=block, signatures=tuple(signatures))


def light_block(header: Header, set_: Sequence[Voter], **votes: object) -> LightBlock:
    """A header with its commit and set."""
    named = BlockId(hash=header_hash(header), parts_total=1, parts_hash=digest(b"parts"))
    commit = commit_of(named, set_, height=header.height, **votes)  # type: ignore[arg-type]
    return LightBlock(header=header, commit=commit, validators=records(set_))


def whole_block(set_: Sequence[Voter], *transactions: bytes) -> tuple[Block, Commit]:
    """A block that agrees with itself, and the commit over it."""
    last = commit_of(BlockId(hash=digest(b"last"), parts_total=1, parts_hash=digest(b"parts")), set_, height=6)
    header = header_at(7, set_, data_hash=data_hash(transactions), last_commit_hash=commit_hash(last))
    block = Block(header=header, transactions=transactions, last_commit=last)
    return block, commit_of(block_id(block), set_, height=7)
