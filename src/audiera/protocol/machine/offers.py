"""Works, licenses and assets: reserve, register, change, withdraw, transfer; and disputes about them."""

from typing import Literal, cast

from msgspec.structs import replace

from audiera.protocol.errors import ProofError, TransactionError
from audiera.protocol.machine.step import Step, expect, found, permit
from audiera.protocol.merkle import leaf_hash, verify_inclusion
from audiera.protocol.records import Asset, Dispute, License, Split, Work
from audiera.protocol.records.asset import check_asset_terms, check_content, check_identifiers
from audiera.protocol.records.base import (
    require,
    require_digest,
    require_number,
    require_range,
    require_splits,
)
from audiera.protocol.records.license import check_terms
from audiera.protocol.state import Commitment, number_key
from audiera.protocol.transactions import (
    ChangeAsset,
    CommitRegistrations,
    OpenDispute,
    PublishLicense,
    RegisterAsset,
    RegisterWork,
    ReviseLicense,
    TransferAsset,
    VoteDispute,
    WithdrawAsset,
    commitment_leaf,
)
from audiera.protocol.units import WHOLE


def check_commit_registrations(body: CommitRegistrations) -> None:
    """What can be said of a commitment without the state."""
    require_digest(body.root, "root")
    require_range(body.count, 1, 65_536, "count")


def commit_registrations(step: Step, body: CommitRegistrations) -> None:
    """Reserve registrations; the block's height decides who was first."""
    number = step.assign_number()
    commitment = Commitment(account=step.signer, root=body.root, count=body.count, height=step.height)
    step.put(number_key(b"C", number), commitment)


def check_register_work(body: RegisterWork) -> None:
    """What can be said of a work without the state."""
    require(
        body.work_kind in ("work", "recording"),
        f"work_kind is work or recording, got {body.work_kind[:20]!r}",
    )
    require_splits(body.splits)
    check_identifiers(body.identifiers)
    require(len(body.sheet) in (0, 32), "sheet is empty or 32 bytes")
    require(body.performs == 0 or body.work_kind == "recording", "only a recording performs a work")


def register_work(step: Step, body: RegisterWork) -> None:
    """Register a composition or a performance."""
    for split in body.splits:
        step.account(split.account)
    if body.performs:
        found(step.stage.work(body.performs), "work", body.performs)
    number = step.assign_number()
    work = Work(
        number=number,
        id=step.transaction,
        kind=cast(Literal["work", "recording"], body.work_kind),
        holder=step.signer,
        splits=body.splits,
        identifiers=body.identifiers,
        sheet=body.sheet,
        performs=body.performs,
    )
    step.save(b"w", number, work)


def check_register_asset(body: RegisterAsset) -> None:
    """What can be said of an asset without the state."""
    check_content(body.content)
    check_asset_terms(body.splits, body.license)
    require_number(body.commitment, "commitment")
    require_digest(body.salt, "salt")
    require_range(body.index, 0, 65_535, "index")
    require(len(body.path) <= 16, "a path has at most 16 hashes")


def register_asset(step: Step, body: RegisterAsset) -> None:
    """Reveal a reserved registration.

    1. The commitment is the signer's, from an earlier block, and the leaf lies under its root.
    2. The license is the signer's; the splits name real accounts.
    3. The same bytes registered by somebody else: the later commitment becomes contested.
    """
    commitment = _revealed(step, body)
    _own_license(step, body.license)
    for split in body.splits:
        step.account(split.account)
    if body.content.embodies:
        found(step.stage.work(body.content.embodies), "work or recording", body.content.embodies)
    version = 1
    if body.replaces:
        version = step.own_asset(body.replaces).version + 1
    number = step.assign_number()
    asset = Asset(
        number=number,
        id=step.transaction,
        holder=step.signer,
        content=body.content,
        splits=body.splits,
        license=body.license,
        version=version,
        replaces=body.replaces,
        committed_at=commitment.height,
        registered_at=step.time,
    )
    step.save(b"s", number, _contest_copies(step, asset))


def _revealed(step: Step, body: RegisterAsset) -> Commitment:
    commitment = found(step.stage.commitment(body.commitment), "commitment", body.commitment)
    permit(commitment.account == step.signer, f"commitment {body.commitment} belongs to another account")
    expect(
        commitment.height < step.height,
        "reveal a registration in a later block than its commitment",
        "too_early",
    )
    leaf = leaf_hash(commitment_leaf(body.salt, body.content.blob, step.signer))
    try:
        verify_inclusion(leaf, body.index, commitment.count, body.path, commitment.root)
    except ProofError as cause:
        raise TransactionError(f"not what was committed to: {cause.message}", code="commitment_mismatch") from cause
    return commitment


def _own_license(step: Step, number: int) -> License:
    license_ = step.license(number)
    permit(
        license_.holder == step.signer,
        f"license {number} is published by account {license_.holder}; publish your own",
    )
    return license_


def _contest_copies(step: Step, asset: Asset) -> Asset:
    """Among equal bytes of different holders, whoever committed first stays; the other is contested.

    Bytes that a dispute gave to an account stay contested for all others, also once the disputed asset is out.
    """
    awarded = step.stage.awarded_account(asset.content.blob)
    if awarded not in (None, asset.holder):
        return replace(asset, status="contested")
    first_number = step.stage.asset_of_blob(asset.content.blob)
    first = step.stage.asset(first_number) if first_number is not None else None
    if first is None or first.holder == asset.holder or first.status == "withdrawn":
        step.stage.put_u64(b"B" + asset.content.blob, asset.number)
        return asset
    if first.committed_at <= asset.committed_at:
        return replace(asset, status="contested")
    step.stage.put_u64(b"B" + asset.content.blob, asset.number)
    step.save(b"s", first.number, replace(first, status="contested"))
    return asset


def check_change_asset(body: ChangeAsset) -> None:
    """What can be said of a change without the state."""
    check_asset_terms(body.splits, body.license)


def change_asset(step: Step, body: ChangeAsset) -> None:
    """Offer an asset under other terms; what was granted stays granted."""
    asset = step.own_asset(body.asset)
    expect(asset.status != "withdrawn", f"asset {asset.number} was withdrawn")
    _own_license(step, body.license)
    for split in body.splits:
        step.account(split.account)
    step.save(b"s", asset.number, replace(asset, license=body.license, splits=body.splits))


def withdraw_asset(step: Step, body: WithdrawAsset) -> None:
    """Take an asset out; from here on every gate refuses it. What a copy earned waits for a dispute's decision."""
    asset = step.own_asset(body.asset)
    expect(
        asset.status != "contested" or step.stage.open_dispute(asset.number) is not None,
        f"asset {asset.number} is contested as a copy; it cannot be used, and its earnings wait for a decision",
    )
    step.save(b"s", asset.number, replace(asset, status="withdrawn"))


def transfer_asset(step: Step, body: TransferAsset) -> None:
    """Hand the management over; the new holder brings a license with the next change."""
    asset = step.own_asset(body.asset)
    expect(asset.status == "active", f"asset {asset.number} is {asset.status} and cannot change hands")
    step.account(body.to)
    step.save(b"s", asset.number, replace(asset, holder=body.to))


def check_publish_license(body: PublishLicense) -> None:
    """What can be said of terms without the state."""
    check_terms(body.terms)


def publish_license(step: Step, body: PublishLicense) -> None:
    """Publish terms under a new number."""
    _check_named(step, body)
    _save_license(
        step,
        License(
            number=step.assign_number(),
            id=step.transaction,
            holder=step.signer,
            revision=1,
            terms=body.terms,
            published_at=step.time,
        ),
    )


def check_revise_license(body: ReviseLicense) -> None:
    """What can be said of terms without the state."""
    check_terms(body.terms)


def revise_license(step: Step, body: ReviseLicense) -> None:
    """Publish a new revision; the old ones are kept for the grants issued under them."""
    _check_named(step, body)
    license_ = _own_license(step, body.license)
    _save_license(step, replace(license_, revision=license_.revision + 1, terms=body.terms, published_at=step.time))


def _check_named(step: Step, body: PublishLicense | ReviseLicense) -> None:
    for rule in body.terms.rules:
        for account in rule.named:
            step.account(account)


def _save_license(step: Step, license_: License) -> None:
    step.stage.put_u64(number_key(b"L", license_.number), license_.revision)
    step.stage.put_record(number_key(b"l", license_.number, license_.revision), license_)
    step.records.append(license_)


def check_open_dispute(body: OpenDispute) -> None:
    """What can be said of a claim without the state."""
    require_digest(body.evidence, "evidence")


def open_dispute(step: Step, body: OpenDispute) -> None:
    """Claim an asset; it is contested at once and earns into escrow only."""
    asset = step.asset(body.asset)
    permit(asset.holder != step.signer, "an asset's holder does not dispute it; withdraw or transfer it")
    expect(asset.status != "withdrawn", f"asset {asset.number} was withdrawn")
    expect(step.stage.open_dispute(asset.number) is None, "a dispute about this asset is open already")
    number = step.assign_number()
    step.stage.put_u64(number_key(b"D", asset.number), number)
    dispute = Dispute(
        number=number, asset=asset.number, claimant=step.signer, evidence=body.evidence, opened_at=step.time
    )
    step.save(b"x", number, dispute)
    step.save(b"s", asset.number, replace(asset, status="contested"))


def vote_dispute(step: Step, body: VoteDispute) -> None:
    """A moderator's vote; the quorum decides: the claimant takes the asset over, or the holder keeps it."""
    permit("moderator" in step.account(step.signer).roles, "only moderators vote on disputes")
    dispute = found(step.stage.dispute(body.dispute), "dispute", body.dispute)
    expect(dispute.outcome == "open", f"dispute {dispute.number} is decided")
    asset = step.asset(dispute.asset)
    parties = (dispute.claimant, asset.holder, *(split.account for split in asset.splits))
    permit(step.signer not in parties, "nobody votes on a dispute about what they claim, hold or are paid for")
    voted = dispute.votes + dispute.against
    expect(step.signer not in voted, "this moderator has voted", "voted_already")
    if body.for_claimant:
        dispute = replace(dispute, votes=tuple(sorted((*dispute.votes, step.signer))))
    else:
        dispute = replace(dispute, against=tuple(sorted((*dispute.against, step.signer))))
    quorum = step.params().dispute_quorum
    if len(dispute.votes) >= quorum:
        dispute = replace(dispute, outcome="claimant")
    elif len(dispute.against) >= quorum:
        dispute = replace(dispute, outcome="holder")
    if dispute.outcome != "open":
        _end_dispute(step, dispute)
    step.save(b"x", dispute.number, dispute)


def _end_dispute(step: Step, dispute: Dispute) -> None:
    """The holder keeps the asset; or the claimant takes over what it earned, and its bytes are nobody else's."""
    asset = step.asset(dispute.asset)
    step.stage.put(number_key(b"D", asset.number), None)
    if dispute.outcome == "holder":
        if asset.status == "contested":
            step.save(b"s", asset.number, replace(asset, status="active"))
        return
    splits = (Split(account=dispute.claimant, share=WHOLE),)
    step.stage.put_u64(b"A" + asset.content.blob, dispute.claimant)
    step.save(b"s", asset.number, replace(asset, status="withdrawn", holder=dispute.claimant, splits=splits))
