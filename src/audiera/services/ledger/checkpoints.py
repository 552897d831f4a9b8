"""Checkpoints."""

from audiera.services.ledger.ports import Head


def sign_checkpoint(chain_id: str, seed: bytes, head: Head, root: bytes, now: int) -> str:
    """Sign."""
    return f"audiera/{chain_id}/accesses\n{head.log_size}\n{root.hex()}\n{now} {len(seed)}\n"
