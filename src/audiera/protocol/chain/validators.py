"""The validator set: its hash, and what makes a commit final."""

import hashlib
from collections.abc import Callable, Sequence

from audiera.protocol.chain.header import BlockId
from audiera.protocol.chain.protobuf import field_bytes, field_int, field_message
from audiera.protocol.chain.vote import FOR_BLOCK, Commit, sign_bytes_of
from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.records import Validator

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether the engine's rule accepts it."""


def address_of(key: bytes) -> bytes:
    """A validator's address: the first 20 bytes of the SHA-256 of its public key."""
    return hashlib.sha256(key).digest()[:20]


def in_order(validators: Sequence[Validator]) -> list[Validator]:
    """The set's order: more power first, then by address."""
    return sorted(validators, key=lambda validator: (-validator.power, address_of(validator.key)))


def validators_hash(validators: Sequence[Validator]) -> bytes:
    """Root over the set, in its order."""
    leaves = [
        field_message(1, field_bytes(1, validator.key)) + field_int(2, validator.power)
        for validator in in_order(validators)
    ]
    return tree_root([leaf_hash(leaf) for leaf in leaves])


def signed_power(
    validators: Sequence[Validator],
    chain_id: str,
    commit: Commit,
    verify: Verify,
    trusted: Sequence[Validator] = (),
) -> int:
    """Power of the validators that signed for a commit's block.

    Args:
        validators: the set the commit's entries are in the order of.
        chain_id: name of the chain.
        commit: the signatures.
        verify: the engine's signature rule.
        trusted: count only these validators, with the power they have here; empty counts all.

    Raises:
        ProofError: an entry does not fit its validator, a signature is wrong, or a validator counts more than once.
    """
    ordered = in_order(validators)
    if len(dict.fromkeys(validator.key for validator in ordered)) != len(ordered):
        raise ProofError("a validator appears twice in the set; its one signature would count twice")
    if len(commit.signatures) != len(ordered):
        raise ProofError(f"{len(ordered)} commit entries expected, got {len(commit.signatures)}")
    powers = {validator.key: validator.power for validator in trusted or ordered}
    total = 0
    for place, (validator, signature) in enumerate(zip(ordered, commit.signatures, strict=True)):
        if signature.flag != FOR_BLOCK or validator.key not in powers:
            continue
        if signature.address != address_of(validator.key):
            raise ProofError(f"commit entry {place} names another validator", place=place)
        if not verify(validator.key, sign_bytes_of(commit, chain_id, place), signature.signature):
            raise ProofError(f"the signature of commit entry {place} does not verify", place=place)
        total += powers[validator.key]
    return total


def verify_commit(
    validators: Sequence[Validator],
    chain_id: str,
    block_id: BlockId,
    height: int,
    commit: Commit,
    verify: Verify,
) -> None:
    """Check that more than two thirds of the power signed for a block.

    Raises:
        ProofError: another block or height, a wrong signature, or too little power.
    """
    if commit.height != height or commit.block_id != block_id:
        raise ProofError(f"the commit is for another block than {height}", height=commit.height)
    power = signed_power(validators, chain_id, commit, verify)
    total = sum(validator.power for validator in validators)
    if power * 3 <= total * 2:
        raise ProofError(f"more than two thirds of {total} expected, {power} signed", power=power, total=total)
