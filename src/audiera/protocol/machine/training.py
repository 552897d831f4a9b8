"""Snapshots, runs and models: what was streamed becomes a certificate, certificates become a lineage."""

from msgspec.structs import replace

from audiera.protocol.machine.lineage import model_weights, run_weights
from audiera.protocol.machine.step import Step, expect, found, permit
from audiera.protocol.merkle import leaf_hash, sum_root, tree_root
from audiera.protocol.purposes import TRAINING_PURPOSES
from audiera.protocol.records import Certificate, Endpoint, Grant, Model, PriceList, Run, Snapshot
from audiera.protocol.records.base import (
    require,
    require_digest,
    require_number,
    require_range,
    require_slug,
    require_splits,
)
from audiera.protocol.records.snapshot import Shard, check_shards, clip_leaf
from audiera.protocol.state import number_key
from audiera.protocol.transactions import CloseRun, OpenRun, PublishEndpoint, PublishSnapshot, RegisterModel
from audiera.protocol.units import I64_MAX, U64_MAX, WHOLE

MAX_BASES = 64
"""How many models one may stand on in all: each of its calls pays every one of them."""


def check_publish_snapshot(body: PublishSnapshot) -> None:
    """What can be said of a snapshot without the state."""
    check_shards(body.shards)
    require(len(body.sheet) in (0, 32), "sheet is empty or 32 bytes")


def publish_snapshot(step: Step, body: PublishSnapshot) -> None:
    """Freeze a dataset version; every clip must lie inside a registered asset with the stated bytes."""
    audio_ms = 0
    assets: list[int] = []
    for shard in body.shards:
        for clip in shard.clips:
            asset = step.asset(clip.asset)
            expect(asset.content.blob == clip.blob, f"asset {clip.asset} holds other bytes than the clip says")
            expect(asset.status == "active", f"asset {clip.asset} is {asset.status}")
            end = clip.start_ms + clip.duration_ms
            inside = end <= asset.content.technical.duration_ms + 1
            expect(inside, f"a clip of asset {clip.asset} ends after the asset does")
            audio_ms += clip.duration_ms
            assets.append(clip.asset)
    if body.replaces:
        older = found(step.stage.snapshot(body.replaces), "snapshot", body.replaces)
        permit(older.publisher == step.signer, f"snapshot {body.replaces} was published by another account")
    roots = tuple(shard_root(shard) for shard in body.shards)
    number = step.assign_number()
    snapshot = Snapshot(
        number=number,
        id=step.transaction,
        publisher=step.signer,
        root=tree_root([leaf_hash(root) for root in roots]),
        shard_roots=roots,
        clip_count=len(assets),
        audio_ms=audio_ms,
        assets=tuple(sorted(dict.fromkeys(assets))),
        sheet=body.sheet,
        replaces=body.replaces,
        published_at=step.time,
    )
    step.save(b"d", number, snapshot)


def shard_root(shard: Shard) -> bytes:
    """The RFC 9162 root over a shard's clips."""
    return tree_root([leaf_hash(clip_leaf(clip)) for clip in shard.clips])


def check_open_run(body: OpenRun) -> None:
    """What can be said of a run without the state."""
    require(1 <= len(body.grants) <= 64, f"1 to 64 grants, got {len(body.grants)}")
    require(list(body.grants) == sorted(dict.fromkeys(body.grants)), "grants are ascending, each once")


def open_run(step: Step, body: OpenRun) -> None:
    """Begin a run; all its grants are the signer's, active and of one training purpose."""
    grants: list[Grant] = []
    for number in body.grants:
        grant = found(step.stage.grant(number), "grant", number)
        permit(grant.grantee == step.signer, f"grant {number} belongs to account {grant.grantee}")
        expect(grant.status == "active", f"grant {number} is {grant.status}")
        grants.append(grant)
    purpose, commercial = grants[0].purpose, grants[0].commercial
    expect(purpose in TRAINING_PURPOSES, f"a run trains; {purpose} is no training purpose", "wrong_purpose")
    for grant in grants:
        same = grant.purpose == purpose and grant.commercial == commercial
        expect(same, "all grants of a run have one purpose, commercial or not", "wrong_purpose")
    number = step.assign_number()
    run = Run(
        number=number,
        id=step.transaction,
        account=step.signer,
        grants=body.grants,
        purpose=purpose,
        commercial=commercial,
        opened_at=step.time,
    )
    step.save(b"r", number, run)


def close_run(step: Step, body: CloseRun) -> None:
    """End a run and attest what the access log shows it streamed."""
    run = found(step.stage.run(body.run), "run", body.run)
    permit(run.account == step.signer, f"run {body.run} belongs to account {run.account}")
    expect(run.status == "open", f"run {body.run} is closed already")
    step.save(b"r", run.number, replace(run, status="closed", certificate=_certify(step, run), closed_at=step.time))


def _certify(step: Step, run: Run) -> Certificate:
    roots: list[bytes] = []
    share = 0
    for number in run.grants:
        grant = found(step.stage.grant(number), "grant", number)
        if grant.snapshot:
            roots.append(found(step.stage.snapshot(grant.snapshot), "snapshot", grant.snapshot).root)
        share = max([share, *(terms.revenue_share for terms in grant.terms)])
    uses = [use for _, use in step.stage.run_uses(run.number)]
    weights = [(asset.to_bytes(8, "big"), weight) for asset, weight in run_weights(step.stage, run) if weight]
    root, total = sum_root(weights)
    expect(total <= U64_MAX, f"the weights of run {run.number} sum to more than 64 bits hold", "weights_too_large")
    heights = step.stage.get(number_key(b"H", run.number)) or bytes(16)
    return Certificate(
        snapshots=tuple(roots),
        purpose=run.purpose,
        commercial=run.commercial,
        assets=len(uses),
        accesses=sum(use.accesses for use in uses),
        audio_ms=min(sum(use.audio_ms for use in uses), I64_MAX),
        bytes=min(sum(use.bytes for use in uses), I64_MAX),
        first_height=int.from_bytes(heights[:8], "big"),
        last_height=int.from_bytes(heights[8:], "big"),
        weights_root=root,
        total_weight=total,
        revenue_share=share,
    )


def check_register_model(body: RegisterModel) -> None:
    """What can be said of a model without the state."""
    require_slug(body.name, "name")
    require_slug(body.version, "version")
    require_digest(body.weights, "weights")
    require(len(body.card) in (0, 32), "card is empty or 32 bytes")
    require(len(body.runs) <= 256, f"at most 256 runs, got {len(body.runs)}")
    require(list(body.runs) == sorted(dict.fromkeys(body.runs)), "runs are ascending, each once")
    require(len(body.base_models) <= 16, "at most 16 base models")
    bases = [base.model for base in body.base_models]
    require(bases == sorted(dict.fromkeys(bases)), "base models are ascending, each once")
    for base in body.base_models:
        require_number(base.model, "a base model")
        require_range(base.share, 0, WHOLE, "a base model's share")
    owed = sum(base.share for base in body.base_models) + body.training_share
    require_range(body.training_share, 0, WHOLE, "training_share")
    require(owed <= WHOLE, f"base models and training data are owed at most 10000 basis points, got {owed}")
    if body.splits:
        require_splits(body.splits)
    interface = body.interface
    require_slug(interface.task, "task")
    require(len(interface.schema) in (0, 32), "schema is empty or 32 bytes")
    count = len(interface.accepts) + len(interface.returns)
    require(count <= 64, f"at most 64 media types, got {count}; the model is read with each of its calls")
    for media in interface.accepts + interface.returns:
        short = 3 <= len(media) <= 64 and media.isascii() and media.isprintable() and "/" in media
        require(short, f"a media type such as audio/flac expected, got {media[:64]!r}")


def register_model(step: Step, body: RegisterModel) -> None:
    """Register a model; its lineage is what its runs' certificates say.

    1. Every run is the signer's and closed; a grant's cap on models holds.
    2. The share for training data is at least what any license it used asks for.
    """
    owed = 0
    for number in body.runs:
        run = found(step.stage.run(number), "run", number)
        permit(run.account == step.signer, f"run {number} belongs to account {run.account}")
        expect(run.certificate is not None, f"run {number} is open; close it first")
        owed = max(owed, run.certificate.revenue_share if run.certificate is not None else 0)
        _count_model(step, run)
    expect(
        body.training_share >= owed,
        f"the licenses used ask for {owed} basis points for training data, training_share is {body.training_share}",
        "share_too_small",
    )
    expect(bool(body.runs) or body.training_share == 0, "a training share needs runs to be paid to", "no_lineage")
    _check_bases(step, [base.model for base in body.base_models])
    for split in body.splits:
        step.account(split.account)
    _save_model(step, body)


def _check_bases(step: Step, bases: list[int]) -> None:
    """Every base model exists, and all that each call's payment has to reach are few enough for a block."""
    reached: dict[int, None] = {}
    waiting = list(bases)
    while waiting and len(reached) <= MAX_BASES:
        number = waiting.pop()
        if number not in reached:
            reached[number] = None
            waiting += [base.model for base in found(step.stage.model(number), "model", number).base_models]
    expect(
        len(reached) <= MAX_BASES,
        f"a model stands on at most {MAX_BASES} models, those of its base models counted",
        "lineage_too_large",
    )


def _count_model(step: Step, run: Run) -> None:
    for number in run.grants:
        grant = found(step.stage.grant(number), "grant", number)
        usage = step.stage.grant_usage(number)
        room = not grant.caps.models or usage.models < grant.caps.models
        expect(room, f"grant {number} allows {grant.caps.models} models", "cap_models")
        step.put(number_key(b"u", number), replace(usage, models=usage.models + 1))


def _save_model(step: Step, body: RegisterModel) -> None:
    number = step.assign_number()
    model = Model(
        number=number,
        id=step.transaction,
        developer=step.signer,
        name=body.name,
        version=body.version,
        weights=body.weights,
        runs=body.runs,
        weights_root=bytes(32),
        total_weight=0,
        training_share=body.training_share,
        base_models=body.base_models,
        undisclosed_data=body.undisclosed_data,
        interface=body.interface,
        splits=body.splits,
        marking=body.marking,
        card=body.card,
        registered_at=step.time,
    )
    root, total = sum_root([(asset.to_bytes(8, "big"), weight) for asset, weight in model_weights(step.stage, model)])
    expect(total <= U64_MAX, "the weights of the runs sum to more than 64 bits hold", "weights_too_large")
    expect(
        total > 0 or body.training_share == 0,
        "the runs opened no audio, so nobody could be paid",
        "no_lineage",
    )
    step.save(b"m", number, replace(model, weights_root=root, total_weight=total))


def check_publish_endpoint(body: PublishEndpoint) -> None:
    """What can be said of an endpoint without the state."""
    require_number(body.model, "model")
    require_number(body.node, "node")
    require_range(body.price.version, 1, 2**32 - 1, "a price list's version")
    require_range(body.price.per_call, 0, 10**15, "per_call")
    require_range(body.price.per_audio_second, 0, 10**15, "per_audio_second")


def publish_endpoint(step: Step, body: PublishEndpoint) -> None:
    """Offer a model through a node; a changed price is a new version of the list."""
    model = found(step.stage.model(body.model), "model", body.model)
    permit(model.developer == step.signer, f"model {body.model} belongs to account {model.developer}")
    node = step.account(body.node)
    expect(node.kind == "node", f"account {body.node} is no node", "wrong_kind")
    older = step.stage.endpoint(body.model)
    if older is not None and older.price != body.price:
        wanted = older.price.version + 1
        expect(body.price.version == wanted, f"a changed price list is version {wanted}", "price_version")
        ended = PriceList(price=older.price, ended_at=step.time)
        step.put(number_key(b"E", body.model, older.price.version), ended)
    step.put(number_key(b"E", body.model, body.price.version), PriceList(price=body.price))
    endpoint = Endpoint(model=body.model, node=body.node, price=body.price, active=body.active)
    step.save(b"e", body.model, endpoint)
