"""Organizations, guardians, works, versions, snapshots, and the machine's memory of what it has verified."""

import pytest
from msgspec.structs import replace

from audiera.protocol import keys
from audiera.protocol.accesses import sign_session
from audiera.protocol.encoding import digest
from audiera.protocol.errors import TransactionError
from audiera.protocol.machine import machine
from audiera.protocol.merkle import leaf_hash, tree_root
from audiera.protocol.records import CallPrice, Clip, Guardians, Interface, Member, Params, Rule, Shard, Split
from audiera.protocol.results import TransactionResult
from audiera.protocol.transactions import (
    ChangeAsset,
    ChangeKeys,
    ChangeProfile,
    CloseRun,
    CommitRegistrations,
    CreateAccount,
    Envelope,
    OpenDispute,
    OpenRun,
    PublishEndpoint,
    PublishSnapshot,
    RegisterAsset,
    RegisterModel,
    RegisterWork,
    UndoKeyChange,
    VoteDispute,
    commitment_leaf,
    domain,
    sign_transaction,
)
from tests.protocol.world import CHAIN, World, content_of, genesis_of, seed_of

FREE = Rule(purpose="train-generative", verdict="allow")


def create(world: World, name: str, **fields: object) -> TransactionResult:
    key = keys.public_key(seed_of(name))
    plain: dict[str, object] = {
        "kind": "person",
        "roles": (),
        "control_keys": (key,),
        "device_keys": (),
        "profile": bytes(32),
    }
    body = CreateAccount(**(plain | fields))  # type: ignore[arg-type]
    envelope = Envelope(domain=domain(CHAIN), account=0, sequence=0, key=key, body=body)
    (result,) = world.block(sign_transaction(seed_of(name), envelope))
    return result


def house() -> World:
    world = World()
    for name in ("moderator", "creator", "lab"):
        world.join(name)
    return world


# ---------------------------------------------------------------- organizations and guardians


def test_an_organization_has_members_that_exist_and_a_threshold_its_owners_can_reach() -> None:
    world = house()
    one, two = world.people["creator"].number, world.people["lab"].number
    owners = (Member(account=one, role="owner"), Member(account=two, role="owner"))
    result = create(world, "label", kind="organization", members=owners, threshold=2)
    account = world.machine.view().account(result.number)
    assert account is not None and (account.members, account.threshold) == (owners, 2)
    stranger = (Member(account=9_999, role="owner"),)
    assert create(world, "x", kind="organization", members=stranger, threshold=1).code == "unknown_object"
    readers = (Member(account=one, role="read-only"),)
    for members, threshold, kind in (
        (owners, 3, "organization"),
        (owners, 0, "organization"),
        (readers, 1, "organization"),
        ((), 0, "organization"),
        ((Member(account=0, role="owner"),), 1, "organization"),
        (owners, 1, "person"),
        ((), 1, "person"),
    ):
        result = create(world, "x", kind=kind, members=members, threshold=threshold)
        assert result.code == "record_invalid", (members, threshold, kind)


def test_guardians_exist_and_can_reach_their_threshold() -> None:
    world = house()
    one, two = world.people["creator"].number, world.people["lab"].number
    guardians = Guardians(accounts=(one, two), threshold=2)
    account = world.machine.view().account(create(world, "guarded", guardians=guardians).number)
    assert account is not None and account.guardians == guardians
    assert create(world, "x", guardians=replace(guardians, accounts=(one, 9_999))).code == "unknown_object"
    for changed in (
        replace(guardians, threshold=3),
        replace(guardians, threshold=0),
        Guardians(accounts=(), threshold=0),
    ):
        assert create(world, "x", guardians=changed).code == "record_invalid"


def test_a_key_that_came_later_does_not_undo_what_was_before_it() -> None:
    world = house()
    high, low, new = (digest(name) for name in (b"high", b"low", b"new"))
    creator = world.people["creator"]
    first = (keys.public_key(high), keys.public_key(low))
    world.do("creator", ChangeKeys(control_keys=first, device_keys=()))
    creator.seed = high
    world.time += 80 * 3_600 * 1_000_000
    rotated = (keys.public_key(new), keys.public_key(high), keys.public_key(low))
    assert world.attempt("creator", ChangeKeys(control_keys=rotated, device_keys=()), key=low).ok
    assert world.attempt("creator", UndoKeyChange(), key=new).code == "nothing_to_undo"
    assert world.attempt("creator", UndoKeyChange(), key=high).ok


# ---------------------------------------------------------------- works, versions, licenses


def registering(world: World, who: str, **content: object) -> RegisterAsset:
    person, salt = world.people[who], digest(bytes([world.salts]))
    world.salts += 1
    described = replace(content_of(digest(salt)), **content)
    leaf = leaf_hash(commitment_leaf(salt, described.blob, person.number))
    return RegisterAsset(
        content=described,
        splits=(Split(account=person.number, share=10_000),),
        license=world.license(who, FREE),
        commitment=world.do(who, CommitRegistrations(root=tree_root([leaf]), count=1)).number,
        salt=salt,
        index=0,
    )


def test_an_asset_embodies_a_work_that_exists() -> None:
    world = house()
    split = Split(account=world.people["creator"].number, share=10_000)
    work = world.do("creator", RegisterWork(work_kind="work", splits=(split,))).number
    number = world.do("creator", registering(world, "creator", embodies=work)).number
    asset = world.machine.view().asset(number)
    assert asset is not None and asset.content.embodies == work
    world.refused("creator", registering(world, "creator", embodies=9_999), "unknown_object")


def test_a_new_version_replaces_an_asset_of_ones_own() -> None:
    world = house()
    first = world.do("creator", registering(world, "creator")).number
    second = world.do("creator", replace(registering(world, "creator"), replaces=first)).number
    asset = world.machine.view().asset(second)
    assert asset is not None and (asset.version, asset.replaces) == (2, first)
    world.refused("lab", replace(registering(world, "lab"), replaces=first), "not_permitted")


def test_an_asset_changes_to_a_license_and_splits_that_exist() -> None:
    world = house()
    asset = world.do("creator", registering(world, "creator")).number
    theirs, mine = world.license("lab", FREE), world.license("creator", FREE)
    lab = Split(account=world.people["lab"].number, share=10_000)
    world.refused("creator", ChangeAsset(asset=asset, license=theirs, splits=(lab,)), "not_permitted")
    nobody = (Split(account=9_999, share=10_000),)
    world.refused("creator", ChangeAsset(asset=asset, license=mine, splits=nobody), "unknown_object")
    world.do("creator", ChangeAsset(asset=asset, license=mine, splits=(lab,)))
    record = world.machine.view().asset(asset)
    assert record is not None and (record.license, record.splits) == (mine, (lab,))


def test_a_license_is_for_named_accounts_that_exist() -> None:
    world = house()
    lab = world.people["lab"].number
    named = replace(FREE, audience="named", named=(lab,))
    asset = world.asset("creator", world.license("creator", named))
    assert world.grant("lab", "train-generative", assets=(asset,))
    with pytest.raises(AssertionError, match="unknown_object"):
        world.license("creator", replace(named, named=(9_999,)))


def test_a_quorum_counts_each_side_for_itself() -> None:
    genesis = replace(genesis_of(("one", "two", "three")), params=Params(dispute_quorum=2))
    world = World(genesis=genesis)
    for name in ("one", "two", "three", "creator", "lab"):
        world.join(name)
    asset = world.do("creator", registering(world, "creator")).number
    dispute = world.do("lab", OpenDispute(asset=asset, evidence=bytes(32))).number
    world.do("one", VoteDispute(dispute=dispute, for_claimant=True))
    world.refused("one", VoteDispute(dispute=dispute, for_claimant=True), "voted_already")
    world.refused("one", VoteDispute(dispute=dispute, for_claimant=False), "voted_already")
    world.do("two", VoteDispute(dispute=dispute, for_claimant=False))
    open_still = world.machine.view().dispute(dispute)
    assert open_still is not None and open_still.outcome == "open"
    world.do("three", VoteDispute(dispute=dispute, for_claimant=False))
    decided = world.machine.view().dispute(dispute)
    assert decided is not None and decided.outcome == "holder"


# ---------------------------------------------------------------- snapshots, runs, models


def snapshot_of(world: World, asset: int, replaces: int = 0) -> PublishSnapshot:
    record = world.machine.view().asset(asset)
    assert record is not None
    clip = Clip(asset=asset, blob=record.content.blob, start_ms=0, duration_ms=1_000)
    return PublishSnapshot(shards=(Shard(clips=(clip,)),), replaces=replaces)


def test_a_snapshot_is_replaced_by_its_publisher_and_named_in_the_certificate() -> None:
    world = house()
    asset = world.do("creator", registering(world, "creator")).number
    first = world.do("creator", snapshot_of(world, asset)).number
    world.refused("lab", snapshot_of(world, asset, replaces=first), "not_permitted")
    second = world.do("creator", snapshot_of(world, asset, replaces=first)).number
    grant = world.grant("lab", "train-generative", snapshot=second)
    run = world.do("lab", OpenRun(grants=(grant,))).number
    world.do("lab", CloseRun(run=run))
    closed, snapshot = world.machine.view().run(run), world.machine.view().snapshot(second)
    assert closed is not None and closed.certificate is not None and snapshot is not None
    assert closed.certificate.snapshots == (snapshot.root,)
    assert (closed.certificate.assets, closed.certificate.total_weight) == (0, 0)


def model_of(world: World, **fields: object) -> RegisterModel:
    plain: dict[str, object] = {
        "name": "m",
        "version": "1",
        "weights": bytes(32),
        "runs": (),
        "training_share": 0,
        "interface": Interface(task="generation", accepts=(), returns=()),
    }
    return RegisterModel(**(plain | fields))  # type: ignore[arg-type]


def test_a_models_splits_are_paid_and_name_accounts_that_exist() -> None:
    world = house()
    world.fund("creator", 1_000_000)
    server = world.serve()
    lab = world.people["lab"].number
    half = Split(account=world.people["moderator"].number, share=5_000)
    with pytest.raises(TransactionError, match="splits sum to"):
        world.machine.check(world.sign(world.people["lab"], model_of(world, splits=(half,)), sequence=1))
    world.refused("lab", model_of(world, splits=(half, Split(account=9_999, share=5_000))), "unknown_object")
    model = world.do("lab", model_of(world, splits=(half, Split(account=lab, share=5_000)))).number
    other = world.join("elsewhere", kind="node")
    price = CallPrice(version=1, per_call=1_000)
    world.do("lab", PublishEndpoint(model=model, node=server.node.number, price=price))
    grant = world.grant("creator", "call-model", model=model, budget=10_000)
    session = server.open("creator", grant)
    calls = server.record(server.row(session, model, op=4, units=0), server.row(session, model + 1, op=4, units=0))
    assert calls.batch is not None and calls.batch.unmatched == 1  # the other row names no model of the grant
    assert world.balance(f"account/{lab}") == world.balance(f"account/{half.account}") == 425
    world.do("lab", PublishEndpoint(model=model, node=other.number, price=price))
    moved = server.record(server.row(session, model, op=4, units=0))
    assert moved.batch is not None and moved.batch.unmatched == 1  # it is served elsewhere by now


# ---------------------------------------------------------------- batches that fit nothing


def test_a_session_of_a_grant_that_is_not_there_covers_nothing() -> None:
    world = house()
    server = world.serve()
    asset = world.do("creator", registering(world, "creator")).number
    session = server.open("lab", world.grant("lab", "train-generative", assets=(asset,)))
    opened = sign_session(seed_of("lab"), replace(server.opened[-1], grant=9_999))
    server.opened[-1] = server.sessions[session] = opened
    result = server.record(server.row(session, asset))
    assert result.batch is not None and result.batch.unmatched == 1


def test_rows_that_state_another_grant_than_their_session_are_not_covered() -> None:
    world = house()
    server = world.serve()
    asset = world.do("creator", registering(world, "creator")).number
    one, two = (world.grant("lab", "train-generative", assets=(asset,)) for _ in range(2))
    session = server.open("lab", one)
    server.record(server.row(session, asset))
    result = server.record(replace(server.row(session, asset), grant=two))
    assert result.batch is not None and result.batch.unmatched == 1
    assert world.machine.view().grant_usage(two).accesses == 0


# ---------------------------------------------------------------- memory


def test_what_is_remembered_of_transactions_and_signers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CACHE", 2)
    world = house()
    assert world.machine.genesis is world.genesis
    profile = ChangeProfile(roles=(), profile=bytes(32))
    queue = [world.sign(world.people[name], profile) for name in ("moderator", "creator", "lab") for _ in range(3)]
    for signed in queue:
        world.machine.check(signed)
    assert [result.code for result in world.block(*queue)] == ["ok"] * 9
    assert world.replay() == world.machine.app_hash
