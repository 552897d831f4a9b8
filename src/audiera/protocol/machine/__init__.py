"""The state machine: what every validator computes from the same blocks, to the same hash.

Pure and synchronous: the store is given, time is the block's, nothing is random. Only :class:`TransactionError`
(and a record that breaks its rules) makes a failed transaction; anything else that is raised is a fault of this
machine and must stop the node before it answers.
"""

from audiera.protocol.machine.calls import call_charge
from audiera.protocol.machine.lineage import model_weights, run_weights, settlement_claims
from audiera.protocol.machine.machine import BlockContext, Execution, Machine, application_hash
from audiera.protocol.machine.step import (
    ISSUED,
    NETWORK,
    account_purse,
    asset_purse,
    grant_purse,
    model_purse,
    settlement_purse,
)

__all__ = [
    "ISSUED",
    "NETWORK",
    "BlockContext",
    "Execution",
    "Machine",
    "account_purse",
    "application_hash",
    "asset_purse",
    "call_charge",
    "grant_purse",
    "model_purse",
    "model_weights",
    "run_weights",
    "settlement_claims",
    "settlement_purse",
]
