"""The ledger's checkpoints: how many entries the access log has, under which root, at which block."""

from audiera.protocol.keys import format_key, public_key
from audiera.protocol.merkle import (
    Checkpoint,
    SignedCheckpoint,
    access_log_origin,
    cosign,
    format_signed,
    sign_checkpoint,
)
from audiera.services.ledger.ports import Head

_SECOND_US = 1_000_000


def signed_checkpoint(chain_id: str, head: Head, root: bytes, *, seed: bytes, now: int) -> str:
    """A checkpoint as a signed note: the log's own signature, and its validator's cosignature with the time.

    Two further lines, ``height`` and ``app-hash``, name the block after which the log stood so, and the
    state.

    Args:
        chain_id: the chain.
        head: a committed block.
        root: root of the access log's tree of ``head.log_size`` entries.
        seed: secret of the validator, 32 bytes.
        now: the time, microseconds since 1970.
    """
    origin = access_log_origin(chain_id)
    lines = (f"height {head.height}", f"app-hash {head.app_hash.hex()}")
    checkpoint = Checkpoint(origin, head.log_size, root, lines)
    signatures = (
        sign_checkpoint(seed, origin, checkpoint),
        cosign(seed, format_key(public_key(seed)), checkpoint, time_s=now // _SECOND_US),
    )
    return format_signed(SignedCheckpoint(checkpoint, signatures))
