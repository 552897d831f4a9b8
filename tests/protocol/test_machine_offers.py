"""Registration, licenses, copies and disputes on the real machine."""

from audiera.protocol.encoding import digest
from audiera.protocol.merkle import inclusion_path, leaf_hash, tree_root
from audiera.protocol.records import Rule, Split, Terms
from audiera.protocol.transactions import (
    ChangeAsset,
    ClaimPayouts,
    CommitRegistrations,
    IssueGrant,
    OpenDispute,
    RegisterAsset,
    ReviseLicense,
    TransferAsset,
    VoteDispute,
    WithdrawAsset,
    commitment_leaf,
)
from tests.protocol.world import World, content_of

FREE = Rule(purpose="evaluate", verdict="allow")


def studio() -> World:
    world = World()
    world.join("creator", "creator")
    world.join("stranger", "creator")
    return world


def test_many_registrations_share_one_commitment() -> None:
    world = studio()
    license_ = world.license("creator", FREE)
    person = world.people["creator"]
    salts = [digest(bytes([place])) for place in range(5)]
    blobs = [digest(salt) for salt in salts]
    leaves = [leaf_hash(commitment_leaf(salt, blob, person.number)) for salt, blob in zip(salts, blobs, strict=True)]
    commitment = world.do("creator", CommitRegistrations(root=tree_root(leaves), count=5)).number
    for index in (4, 0, 2):
        body = RegisterAsset(
            content=content_of(blobs[index]),
            splits=(Split(account=person.number, share=10_000),),
            license=license_,
            commitment=commitment,
            salt=salts[index],
            index=index,
            path=inclusion_path(leaves, index),
        )
        assert world.do("creator", body).number


def test_a_copied_reveal_is_useless_to_anybody_else() -> None:
    world = studio()
    license_ = world.license("stranger", FREE)
    owner = world.people["creator"]
    salt, blob = digest(b"salt"), digest(b"song")
    leaf = leaf_hash(commitment_leaf(salt, blob, owner.number))
    commitment = world.do("creator", CommitRegistrations(root=tree_root([leaf]), count=1)).number
    copied = RegisterAsset(
        content=content_of(blob),
        splits=(Split(account=world.people["stranger"].number, share=10_000),),
        license=license_,
        commitment=commitment,
        salt=salt,
        index=0,
    )
    world.refused("stranger", copied, "not_permitted")
    own = world.do("stranger", CommitRegistrations(root=tree_root([leaf]), count=1)).number
    stolen = RegisterAsset(
        content=content_of(blob),
        splits=(Split(account=world.people["stranger"].number, share=10_000),),
        license=license_,
        commitment=own,
        salt=salt,
        index=0,
    )
    world.refused("stranger", stolen, "commitment_mismatch")


def test_the_earlier_commitment_wins_even_when_revealed_later() -> None:
    world = studio()
    owner, thief = world.people["creator"], world.people["stranger"]
    licenses = {name: world.license(name, FREE) for name in ("creator", "stranger")}
    blob, salt = digest(b"song"), digest(b"salt")
    early = world.do(
        "creator",
        CommitRegistrations(root=tree_root([leaf_hash(commitment_leaf(salt, blob, owner.number))]), count=1),
    ).number
    copy = world.asset("stranger", licenses["stranger"], blob=blob)
    body = RegisterAsset(
        content=content_of(blob),
        splits=(Split(account=owner.number, share=10_000),),
        license=licenses["creator"],
        commitment=early,
        salt=salt,
        index=0,
    )
    original = world.do("creator", body).number
    view = world.machine.view()
    assert view.asset(original).status == "active"  # type: ignore[union-attr]
    assert view.asset(copy).status == "contested"  # type: ignore[union-attr]
    assert view.asset(copy).holder == thief.number  # type: ignore[union-attr]


def test_a_later_copy_is_contested_and_cannot_be_licensed() -> None:
    world = studio()
    licenses = {name: world.license(name, FREE) for name in ("creator", "stranger")}
    world.asset("creator", licenses["creator"], blob=digest(b"song"))
    copy = world.asset("stranger", licenses["stranger"], blob=digest(b"song"))
    world.join("lab", "model-developer")
    result = world.refused("lab", IssueGrant(purpose="evaluate", assets=(copy,)), "access_refused")
    assert result.reasons == ("asset-contested",)


def test_registering_needs_a_license_of_ones_own_and_real_splits() -> None:
    world = studio()
    license_ = world.license("stranger", FREE)
    person = world.people["creator"]
    leaf = leaf_hash(commitment_leaf(bytes(32), bytes(32), person.number))
    commitment = world.do("creator", CommitRegistrations(root=tree_root([leaf]), count=1)).number
    body = RegisterAsset(
        content=content_of(bytes(32)),
        splits=(Split(account=person.number, share=10_000),),
        license=license_,
        commitment=commitment,
        salt=bytes(32),
        index=0,
    )
    world.refused("creator", body, "not_permitted")


def test_a_revised_license_leaves_issued_grants_alone() -> None:
    world = studio()
    license_ = world.license("creator", FREE)
    asset = world.asset("creator", license_)
    world.join("lab", "model-developer")
    grant = world.grant("lab", "evaluate", assets=(asset,))
    world.do("creator", ReviseLicense(license=license_, terms=Terms(rules=())))
    view = world.machine.view()
    assert view.grant(grant).terms[0].revision == 1  # type: ignore[union-attr]
    assert view.license(license_).revision == 2  # type: ignore[union-attr]
    assert view.license(license_, 1).terms.rules == (FREE,)  # type: ignore[union-attr]
    refused = world.refused("lab", IssueGrant(purpose="evaluate", assets=(asset,)), "access_refused")
    assert refused.reasons == ("no-rule",)


def test_only_the_holder_changes_withdraws_or_transfers() -> None:
    world = studio()
    license_ = world.license("creator", FREE)
    asset = world.asset("creator", license_)
    stranger = world.people["stranger"].number
    splits = (Split(account=stranger, share=10_000),)
    world.refused("stranger", WithdrawAsset(asset=asset), "not_permitted")
    world.refused("stranger", TransferAsset(asset=asset, to=stranger), "not_permitted")
    world.refused("stranger", ChangeAsset(asset=asset, license=license_, splits=splits), "not_permitted")
    world.do("creator", TransferAsset(asset=asset, to=stranger))
    world.do("stranger", WithdrawAsset(asset=asset))
    world.join("lab")
    assert world.refused("lab", IssueGrant(purpose="evaluate", assets=(asset,)), "access_refused").reasons == (
        "asset-withdrawn",
    )


def test_a_dispute_freezes_and_moderators_decide() -> None:
    world = studio()
    world.join("moderator")
    asset = world.asset("creator", world.license("creator", FREE))
    dispute = world.do("stranger", OpenDispute(asset=asset, evidence=bytes(32))).number
    assert world.machine.view().asset(asset).status == "contested"  # type: ignore[union-attr]
    world.refused("creator", ClaimPayouts(assets=(asset,)), "wrong_state")
    world.refused("creator", VoteDispute(dispute=dispute, for_claimant=False), "not_permitted")
    world.do("moderator", VoteDispute(dispute=dispute, for_claimant=False))
    assert world.machine.view().asset(asset).status == "active"  # type: ignore[union-attr]
    world.refused("moderator", VoteDispute(dispute=dispute, for_claimant=True), "wrong_state")


def test_a_won_dispute_takes_the_asset_down() -> None:
    world = studio()
    world.join("moderator")
    asset = world.asset("creator", world.license("creator", FREE))
    dispute = world.do("stranger", OpenDispute(asset=asset, evidence=bytes(32))).number
    world.do("moderator", VoteDispute(dispute=dispute, for_claimant=True))
    record = world.machine.view().asset(asset)
    assert record is not None and record.status == "withdrawn"
    assert record.holder == world.people["stranger"].number
