"""The state: rows under keys, read with types, committed to by a tree of hash buckets."""

from audiera.protocol.state.rows import Commitment, LogHead, LogState, NodeState, SessionState
from audiera.protocol.state.tree import (
    BUCKETS,
    LEVELS,
    MemoryStore,
    StateProof,
    StateStore,
    StateTree,
    bucket_of,
    change_bucket,
    changed_buckets,
    verify_state,
)
from audiera.protocol.state.view import Stage, StateView, number_key

__all__ = [
    "BUCKETS",
    "LEVELS",
    "Commitment",
    "LogHead",
    "LogState",
    "MemoryStore",
    "NodeState",
    "SessionState",
    "Stage",
    "StateProof",
    "StateStore",
    "StateTree",
    "StateView",
    "bucket_of",
    "change_bucket",
    "changed_buckets",
    "number_key",
    "verify_state",
]
