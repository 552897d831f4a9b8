"""One file for each kind of thing on the ledger; this door names them all."""

from audiera.protocol.records.account import (
    ROLES,
    Account,
    AccountKind,
    AppKey,
    Guardians,
    KeyChange,
    Member,
    PayoutAddress,
    Role,
)
from audiera.protocol.records.asset import (
    DATA_TYPES,
    Asset,
    ContainsAi,
    Content,
    DataType,
    Estimate,
    Identifiers,
    Technical,
    Work,
)
from audiera.protocol.records.base import Record, Split
from audiera.protocol.records.dispute import Dispute
from audiera.protocol.records.grant import AgreedTerms, Grant, GrantUsage
from audiera.protocol.records.license import Caps, Duty, License, Price, Rule, Terms
from audiera.protocol.records.model import BaseModel, CallPrice, Endpoint, Interface, Model, PriceList
from audiera.protocol.records.money import Movement, Settlement
from audiera.protocol.records.params import Authority, Genesis, Params, Validator
from audiera.protocol.records.run import Certificate, Run, RunUse
from audiera.protocol.records.snapshot import Clip, Shard, Snapshot

__all__ = [
    "DATA_TYPES",
    "ROLES",
    "Account",
    "AccountKind",
    "AgreedTerms",
    "AppKey",
    "Asset",
    "Authority",
    "BaseModel",
    "CallPrice",
    "Caps",
    "Certificate",
    "Clip",
    "ContainsAi",
    "Content",
    "DataType",
    "Dispute",
    "Duty",
    "Endpoint",
    "Estimate",
    "Genesis",
    "Grant",
    "GrantUsage",
    "Guardians",
    "Identifiers",
    "Interface",
    "KeyChange",
    "License",
    "Member",
    "Model",
    "Movement",
    "Params",
    "PayoutAddress",
    "Price",
    "PriceList",
    "Record",
    "Role",
    "Rule",
    "Run",
    "RunUse",
    "Settlement",
    "Shard",
    "Snapshot",
    "Split",
    "Technical",
    "Terms",
    "Validator",
    "Work",
]
