"""What is offered and under which terms; grants, snapshots, runs and settlements: read by anyone."""

from typing import Annotated

from msgspec import Meta

from audiera.node.http.lookup import asset_at, found, sheet_of
from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.assets import (
    AssetAnswer,
    ClaimsAnswer,
    ClipsAnswer,
    GrantAnswer,
    LicenseAnswer,
    RunAnswer,
    SettlementAnswer,
    SnapshotAnswer,
)
from audiera.protocol.api.uploads import Waveform
from audiera.protocol.errors import NotFound
from audiera.protocol.ids import format_blob_id, format_id
from audiera.protocol.machine import grant_purse, settlement_claims
from audiera.protocol.transactions import PublishSnapshot, decode_transaction
from audiera.protocol.units import I64_MAX

Numbered = Annotated[int, Meta(ge=1, le=I64_MAX)]
"""A ledger number in a path."""


def asset(call: Call, ref: str) -> AssetAnswer:
    """An asset by number, id, or the id of its bytes, with its sheet and the license it is offered under."""
    record = asset_at(call, ref)
    license_ = found(call.parts.ledger.state().license(record.license), "license", record.license)
    return AssetAnswer(
        id=format_id(record.id),
        blob=format_blob_id(record.content.blob),
        asset=record,
        license=license_,
        sheet=sheet_of(call, record.content.sheet),
        available=call.parts.blobs.info(record.content.blob) is not None,
    )


def asset_waveform(call: Call, ref: str) -> Waveform:
    """The outline of an asset's sound, for drawing."""
    return call.parts.intake.waveform(asset_at(call, ref).content.blob)


# The handler is named as the API names the operation.
def license(call: Call, number: Numbered, revision: Annotated[int, Meta(ge=0, le=I64_MAX)] = 0) -> LicenseAnswer:  # noqa: A001
    """A license, in its newest or in a stated revision."""
    record = found(call.parts.ledger.state().license(number, revision), "license", number)
    return LicenseAnswer(id=format_id(record.id), license=record)


def grant(call: Call, number: Numbered) -> GrantAnswer:
    """A grant and how much of it is used."""
    state = call.parts.ledger.state()
    record = found(state.grant(number), "grant", number)
    return GrantAnswer(
        id=format_id(record.id),
        grant=record,
        usage=state.grant_usage(number),
        budget_left=state.balance(grant_purse(number)),
    )


def snapshot(call: Call, number: Numbered) -> SnapshotAnswer:
    """A snapshot: roots, counts, and its description."""
    record = found(call.parts.ledger.state().snapshot(number), "snapshot", number)
    return SnapshotAnswer(id=format_id(record.id), snapshot=record, sheet=sheet_of(call, record.sheet))


def snapshot_clips(call: Call, number: Numbered, shard: Annotated[int, Meta(ge=0, le=I64_MAX)] = 0) -> ClipsAnswer:
    """The clips of one shard of a snapshot, in order; they lead to the shard's root."""
    ledger = call.parts.ledger
    record = found(ledger.state().snapshot(number), "snapshot", number)
    height, position = found(ledger.transaction_at(record.id), "transaction", format_id(record.id))
    data = ledger.block(height).transactions[position]
    body = decode_transaction(data, len(data)).envelope.body
    shards = body.shards if isinstance(body, PublishSnapshot) else ()
    if shard >= len(shards):
        raise NotFound(f"snapshot {number} has shards 0 to {len(shards) - 1}, not {shard}", code="shard_not_found")
    return ClipsAnswer(snapshot=number, shard=shard, shards=len(shards), clips=shards[shard].clips)


def run(call: Call, number: Numbered) -> RunAnswer:
    """A training run, with the certificate the machine computed once it was closed."""
    record = found(call.parts.ledger.state().run(number), "run", number)
    return RunAnswer(id=format_id(record.id), run=record)


def settlement(call: Call, number: Numbered) -> SettlementAnswer:
    """A settled pool."""
    record = found(call.parts.ledger.state().settlement(number), "settlement", number)
    return SettlementAnswer(settlement=record)


def settlement_payees(
    call: Call,
    number: Numbered,
    asset: Annotated[int, Meta(ge=0, le=I64_MAX)] = 0,
    after: Annotated[int, Meta(ge=0, le=I64_MAX)] = 0,
) -> ClaimsAnswer:
    """Claims on a settlement with their proofs: of one asset, or 100 at a time, from the position ``after`` on."""
    state = call.parts.ledger.state()
    claims = settlement_claims(state, found(state.settlement(number), "settlement", number))
    chosen = [claim for claim in claims if claim.asset == asset] if asset else claims[after : after + 100]
    return ClaimsAnswer(settlement=number, claims=tuple(chosen))


OPERATIONS = (
    Operation(routes.ASSET, asset, "anyone"),
    Operation(routes.ASSET_WAVEFORM, asset_waveform, "anyone"),
    Operation(routes.LICENSE, license, "anyone"),
    Operation(routes.GRANT, grant, "anyone"),
    Operation(routes.SNAPSHOT, snapshot, "anyone"),
    Operation(routes.SNAPSHOT_CLIPS, snapshot_clips, "anyone"),
    Operation(routes.RUN, run, "anyone"),
    Operation(routes.SETTLEMENT, settlement, "anyone"),
    Operation(routes.SETTLEMENT_CLAIMS, settlement_payees, "anyone"),
)
