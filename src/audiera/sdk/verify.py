"""Checking a proof with nothing but the proof and the validators' keys; no node is asked."""

from collections.abc import Sequence
from pathlib import Path

from audiera.protocol.accesses.proof import ProvedAccess, parse_proof, verify_access
from audiera.protocol.keys import parse_key


def verify_proof(
    proof: Path | str | bytes, keys: Sequence[str], *, chain_id: str, quorum: int | None = None
) -> ProvedAccess:
    """Check an access proof file.

    Args:
        proof: the file, or its text.
        keys: the validators' keys, ``did:key:...``, from a source one trusts.
        chain_id: the chain it must be of.
        quorum: how many of them must have cosigned; more than two thirds when None.

    Returns:
        The access it proves, and where it stands.

    Raises:
        ProofError: it proves nothing; the message says which step fails.
        EncodingError: it is not a proof file.
    """
    if isinstance(proof, Path):
        text = proof.read_text(encoding="utf-8")
    else:
        text = proof.decode("utf-8") if isinstance(proof, bytes) else proof
    needed = len(keys) * 2 // 3 + 1 if quorum is None else quorum
    known = [parse_key(key) for key in keys]
    return verify_access(parse_proof(text), known, needed, origin=f"audiera/{chain_id}/accesses")
