"""What holders do with what they offer, and what everybody may look up."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from audiera.protocol.errors import AccessRefused, AudieraError, NotFound, TransactionError
from audiera.protocol.records import Rule, Split, Terms
from audiera.protocol.transactions import IssueGrant, PublishLicense
from audiera.sdk import preset
from audiera.sdk.ledger import Signer
from tests.sdk.house import House


def test_terms_are_changed_and_grants_already_issued_keep_theirs(house: House, tmp_path: Path) -> None:
    creator, developer = house.join(), house.person("developer")
    asset = house.offer(creator, tmp_path)[0]
    kept = developer.grant(IssueGrant(purpose="train-generative", assets=(asset,)))
    license_ = creator.asset(asset).asset.license
    creator.revise_license(license_, preset("no-training"))
    assert creator.license(license_).license.revision == 2
    with pytest.raises(AccessRefused):
        developer.grant(IssueGrant(purpose="train-generative", assets=(asset,)))
    with developer.open_stream(kept) as stream:
        assert stream.fetch(asset).data


def test_an_asset_is_relicensed_shared_transferred_disputed_and_withdrawn(house: House, tmp_path: Path) -> None:
    creator, other = house.join(), house.join()
    first, second = house.offer(creator, tmp_path, 2)
    research = creator.publish_license(preset("research"))
    creator.change_asset(first, license_=research)
    splits = (Split(account=creator.account, share=6_000), Split(account=other.account, share=4_000))
    creator.change_asset(first, splits=splits)
    record = creator.asset(first).asset
    assert (record.license, record.splits) == (research, splits)
    creator.transfer(first, other.account)
    assert creator.asset(first).asset.holder == other.account
    with pytest.raises(TransactionError) as refused:
        creator.withdraw(first)
    assert refused.value.code == "not_permitted"
    other.withdraw(first)
    assert creator.asset(first).asset.status == "withdrawn"
    assert other.dispute(second, b"evidence")
    assert creator.asset(second).asset.status == "contested"
    assert creator.waveform(second).duration_ms > 0


def test_a_grant_on_request_waits_for_its_holder(house: House, tmp_path: Path) -> None:
    creator, developer = house.join(), house.join()
    terms = Terms(rules=(Rule(purpose="train-generative", verdict="allow", audience="request"),))
    asset = house.offer(creator, tmp_path, 1, terms)[0]
    asked = developer.grant(IssueGrant(purpose="train-generative", assets=(asset,)))
    assert asked.awaiting == (creator.account,)
    creator.answer_grant(asked.number, agree=True)
    assert developer.grant_info(asked.number).grant.status == "active"
    developer.revoke_grant(asked.number)
    assert developer.grant_info(asked.number).grant.status == "revoked"


def test_uses_are_summed_up(house: House, tmp_path: Path) -> None:
    creator, developer = house.join(), house.person("developer")
    asset = house.offer(creator, tmp_path)[0]
    heard = developer.preview(asset)
    developer.wait_for_record(heard.node, heard.index)
    with pytest.raises(AccessRefused):
        developer.grant(IssueGrant(purpose="imitate", assets=(asset,)))
    developer.wait_for_histories()
    assert [each.op for each in creator.usage_totals(asset=asset).totals] == ["preview"]
    assert [each.purpose for each in creator.usage_days(asset=asset).days] == ["preview"]
    assert [each.accesses for each in creator.most_used(holder=creator.account).assets] == [1]
    assert creator.refusals(asset=asset).accesses == 0
    assert developer.refusals(consumer=developer.account).transactions[0].code == "access_refused"


def test_what_is_not_there_is_said_so(house: House) -> None:
    client = house.person("developer")
    for look, code in (
        (lambda: client.asset(999_999), "asset_not_found"),
        (lambda: client.license(999_999), "license_not_found"),
        (lambda: client.snapshot(999_999), "snapshot_not_found"),
        (lambda: client.run(999_999), "run_not_found"),
        (lambda: client.grant_info(999_999), "grant_not_found"),
        (lambda: client.model(999_999), "model_not_found"),
        (lambda: client.trail(1, 999_999), "access_not_found"),
        (lambda: client.wait_for_record(1, 999_999, timeout_s=0.0), "access_not_found"),
    ):
        with pytest.raises(NotFound) as missing:
            look()
        assert missing.value.code == code


def test_waiting_for_followers_has_an_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = house.join()
    head = client.head()
    monkeypatch.setattr(client, "head", lambda: replace(head, height=10**9))
    for wait, code in ((client.wait_for_catalog, "catalog_behind"), (client.wait_for_histories, "histories_behind")):
        with pytest.raises(AudieraError) as late:
            wait(timeout_s=0.0)
        assert late.value.code == code


def test_two_devices_of_an_account_take_turns(house: House) -> None:
    client = house.join()
    here, there = client.signer(), Signer(client._transport, client.identity)
    assert client.publish_license(preset("open"))
    with pytest.raises(TransactionError):
        client.transfer(client.account, client.account)
    there._sequence = 0
    for pen in (there, here, there, here):
        assert pen.submit(PublishLicense(terms=preset("open"))).number
