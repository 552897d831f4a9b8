"""Checking a proof with nothing but the proof and the validators' keys; no node is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiera.protocol.errors import EncodingError
from audiera.protocol.keys import parse_key

if TYPE_CHECKING:
    from audiera.protocol.accesses.proof import ProvedAccess


def verify_proof(
    proof: Path | str | bytes, keys: Sequence[str], *, chain_id: str, quorum: int | None = None
) -> "ProvedAccess":
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
    from audiera.protocol.accesses.proof import parse_proof, verify_access

    content = proof.read_bytes() if isinstance(proof, Path) else proof
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
    except UnicodeDecodeError as cause:
        raise EncodingError("not an access proof: it is not text") from cause
    needed = len(keys) * 2 // 3 + 1 if quorum is None else quorum
    known = [parse_key(key) for key in keys]
    return verify_access(parse_proof(text), known, needed, origin=f"audiera/{chain_id}/accesses")
