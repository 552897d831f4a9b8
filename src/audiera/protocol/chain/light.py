"""The light client: from one trusted block to any later one, by headers and signatures alone.

Source: CometBFT v0.39, specification "light-client/verification".
"""

from typing import Final

from audiera.protocol.chain.header import Header, header_hash
from audiera.protocol.chain.validators import Verify, signed_power, validators_hash, verify_commit
from audiera.protocol.chain.vote import Commit
from audiera.protocol.errors import ProofError
from audiera.protocol.records import Validator
from audiera.protocol.records.base import Record

CLOCK_DRIFT_NS: Final = 10_000_000_000
"""How far ahead of the verifier's clock a header may be: 10 seconds."""


class LightBlock(Record, frozen=True, kw_only=True):
    """A header, its commit, and the validators that signed it."""

    header: Header
    """The header."""

    commit: Commit
    """The signatures over it."""

    validators: tuple[Validator, ...]
    """The set of this height."""


class TrustedState(Record, frozen=True, kw_only=True):
    """What a verifier relies on."""

    header: Header
    """A header believed."""

    next_validators: tuple[Validator, ...]
    """The set of the height after it."""


def _check_form(block: LightBlock, chain_id: str) -> None:
    if block.header.chain_id != chain_id:
        raise ProofError(f"a header of {chain_id} expected, got one of {block.header.chain_id[:60]!r}")
    if validators_hash(block.validators) != block.header.validators_hash:
        raise ProofError("these are not the validators the header names")
    if header_hash(block.header) != block.commit.block_id.hash:
        raise ProofError("the commit is over another header")


def _check_time(trusted: TrustedState, block: LightBlock, now_ns: int, period_ns: int) -> None:
    if trusted.header.time_ns + period_ns <= now_ns:
        raise ProofError("the trusted header is older than the trusting period; get a newer one from the operator")
    if block.header.height <= trusted.header.height:
        raise ProofError(f"a height above {trusted.header.height} expected, got {block.header.height}")
    if block.header.time_ns <= trusted.header.time_ns:
        raise ProofError("time does not go on from the trusted header to this one")
    if block.header.time_ns >= now_ns + CLOCK_DRIFT_NS:
        raise ProofError("the header lies in the future; check this machine's clock")


def _check_signed(block: LightBlock, verify: Verify) -> None:
    verify_commit(
        block.validators,
        block.header.chain_id,
        block.commit.block_id,
        block.header.height,
        block.commit,
        verify,
    )


def verify_light(trusted: TrustedState, block: LightBlock, *, now_ns: int, period_ns: int, verify: Verify) -> None:
    """Check a later block against a trusted one: the next one by its named validators, a further one by overlap.

    Args:
        trusted: the header relied on.
        block: the header to verify.
        now_ns: the verifier's time.
        period_ns: how long a header may be relied on.
        verify: the engine's signature rule.

    Raises:
        ProofError: why the block is not to be trusted.
    """
    _check_form(block, trusted.header.chain_id)
    _check_time(trusted, block, now_ns, period_ns)
    if block.header.height == trusted.header.height + 1:
        if block.header.validators_hash != trusted.header.next_validators_hash:
            raise ProofError("the trusted header names other validators for this height")
    else:
        _check_overlap(trusted, block, verify)
    _check_signed(block, verify)


def _check_overlap(trusted: TrustedState, block: LightBlock, verify: Verify) -> None:
    """More than one third of the power known must have signed: one honest validator among them."""
    known = trusted.next_validators
    if validators_hash(known) != trusted.header.next_validators_hash:
        raise ProofError("the validators relied on are not those the trusted header names")
    power = signed_power(block.validators, block.header.chain_id, block.commit, verify, trusted=known)
    total = sum(validator.power for validator in known)
    if power * 3 <= total:
        raise ProofError(f"more than a third of the known {total} expected, {power} signed; verify a block between")
