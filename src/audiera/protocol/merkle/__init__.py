"""Trees of hashes: RFC 9162 trees, sum trees, and the text forms in which they leave the system."""

from audiera.protocol.merkle.sums import sum_path, sum_root, verify_sum
from audiera.protocol.merkle.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "consistency_path",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "sum_path",
    "sum_root",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
    "verify_sum",
]
