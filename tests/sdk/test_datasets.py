"""From a search to decoded sound: in order, each access recorded, ended cleanly."""

from pathlib import Path

import numpy as np
import pytest

from audiera.protocol.errors import AccessRefused, NotFound, RequestError
from audiera.sdk import Client, Selection, preset
from audiera.sdk.offering import CLIPS
from tests.sdk.house import House, sounds


@pytest.fixture(scope="module")
def offered(house: House, tmp_path_factory: pytest.TempPathFactory) -> tuple[Client, list[int]]:
    """A creator with three free assets."""
    creator = house.join()
    return creator, house.offer(creator, tmp_path_factory.mktemp("offered"), 3)


def selected(house: House, creator: Client, purpose: str = "train-generative", **fields: object) -> Selection:
    return house.person("developer").search(purpose=purpose, holders=(creator.account,), **fields)  # type: ignore[arg-type]


def test_a_selection_is_what_was_found_in_its_order(house: House, offered: tuple[Client, list[int]]) -> None:
    creator, assets = offered
    newest = selected(house, creator, sort="newest")
    assert [hit.number for hit in newest] == assets[::-1]
    assert [hit.number for hit in selected(house, creator, sort="oldest")] == assets
    assert newest.assets == tuple(assets)
    assert len(newest) == 3
    assert (newest.purpose, newest.commercial) == ("train-generative", False)


def test_nothing_found_cannot_be_licensed(house: House, offered: tuple[Client, list[int]]) -> None:
    nothing = selected(house, offered[0], purpose="imitate")
    assert len(nothing) == 0
    with pytest.raises(NotFound, match="nothing was found"):
        nothing.license()


def test_what_the_license_refuses_is_told_with_its_reasons(house: House, tmp_path: Path) -> None:
    creator = house.join()
    house.offer(creator, tmp_path, 1, preset("research"))
    found = selected(house, creator)
    with pytest.raises(AccessRefused) as refused:
        Selection(house.person("developer"), found.hits, purpose="train-generative", commercial=True).license()
    assert refused.value.values["reasons"] == ("not-commercial",)


def test_amounts_are_credits(house: House, tmp_path: Path) -> None:
    creator = house.join()
    house.offer(creator, tmp_path, 1, preset("commercial", price=50_000))
    found = selected(house, creator)
    with pytest.raises(RequestError):
        found.license(budget="twenty")
    with pytest.raises(AccessRefused) as refused:
        found.license()
    assert refused.value.values["reasons"] == ("needs-budget",)
    dataset = found.license(budget="0.10")
    info = house.person("developer").grant_info(dataset.grant.number)
    assert info.budget_left == 100_000
    assert [clip.asset for clip in dataset] == list(dataset.assets)
    house.person("developer").wait_for_histories()
    assert house.person("developer").grant_info(dataset.grant.number).usage.spent == 50_000
    creator.claim_assets(dataset.assets * 2)
    creator.wait_for_histories()
    earned = creator.earnings(dataset.assets[0])
    assert (earned.waiting, earned.paid_out) == (0, earned.accesses)
    assert 0 < creator.balance() == earned.paid_out <= 50_000


def test_iterating_streams_every_asset_once_and_keeps_the_receipts(
    house: House, offered: tuple[Client, list[int]]
) -> None:
    creator, assets = offered
    dataset = selected(house, creator).license()
    clips = list(dataset)
    assert [clip.asset for clip in clips] == assets == list(dataset.assets)
    assert len(dataset) == 3
    assert dataset.receipts == [clip.receipt for clip in clips]
    client = house.person("developer")
    client.wait_for_histories()
    for clip in clips:
        group = clip.receipt.group
        access = client.trail(group.node, clip.receipt.index).access
        assert (access.asset, access.bytes, access.grant) == (clip.asset, len(clip.data), dataset.grant.number)


def test_an_order_may_repeat_and_leave_out_and_progress_is_told_before_each(
    house: House, offered: tuple[Client, list[int]]
) -> None:
    creator, assets = offered
    dataset = selected(house, creator).license()
    told: list[tuple[int, int]] = []
    order = [assets[2], assets[0], assets[2]]
    for done, clip in enumerate(dataset.stream(order, progress=lambda *far: told.append(far)), start=1):
        assert clip.asset == order[done - 1]
        assert told[-1] == (done, 3)
    assert len(told) == 3
    assert list(dataset.stream([])) == []


def test_who_leaves_in_the_middle_has_acknowledged_what_came(house: House, offered: tuple[Client, list[int]]) -> None:
    creator, assets = offered
    client = house.person("developer")
    dataset = selected(house, creator).license()
    stream = dataset.stream()
    first = next(stream)
    stream.close()  # type: ignore[attr-defined]
    client.wait_for_histories()
    assert client.trail(first.receipt.group.node, first.receipt.index).access.asset == assets[0]
    assert client.grant_info(dataset.grant.number).usage.accesses == 1


def test_sound_is_decoded_as_asked(house: House, offered: tuple[Client, list[int]]) -> None:
    clip = next(iter(selected(house, offered[0]).license()))
    samples, rate = clip.samples()
    assert (samples.dtype, samples.ndim, rate) == (np.float32, 2, 8_000)
    other, other_rate = clip.samples(rate=16_000, mono=True)
    assert (other.shape[0], other_rate) == (1, 16_000)
    assert abs(other.shape[1] - 2 * samples.shape[1]) < 100


def test_a_run_certifies_what_was_streamed_in_it(house: House, offered: tuple[Client, list[int]]) -> None:
    creator, assets = offered
    dataset = selected(house, creator).license()
    run = dataset.open_run()
    for _ in range(2):
        assert [clip.asset for clip in run] == assets
    certificate = run.close_run()
    assert (certificate.accesses, certificate.assets, certificate.purpose) == (6, 3, "train-generative")
    assert len(dataset.receipts) == 6
    assert house.person("developer").run(run.run).certificate == certificate


def test_a_snapshot_is_licensed_as_a_whole(house: House, offered: tuple[Client, list[int]]) -> None:
    creator, assets = offered
    number = creator.publish_snapshot(assets, title="Three")
    answer = creator.snapshot(number)
    assert answer.sheet is not None and answer.sheet.title == "Three"
    assert answer.snapshot.clip_count == 3 <= CLIPS
    dataset = house.person("developer").license_snapshot(number, purpose="evaluate")
    assert [clip.asset for clip in dataset] == assets


def test_what_may_be_done_is_answered_without_a_record(house: House, offered: tuple[Client, list[int]]) -> None:
    _, assets = offered
    client = house.person("developer")
    number = house.node.parts.ledger.state().next_number()
    answer = client.may_i(assets, purpose="imitate")
    assert not answer.allowed
    assert {decision.reasons for decision in answer.decisions} == {("no-imitation",)}
    assert client.may_i(assets, purpose="perform", commercial=True).allowed
    assert house.node.parts.ledger.state().next_number() == number


def test_words_are_completed(house: House, tmp_path: Path) -> None:
    creator = house.join()
    sound = sounds(tmp_path, 1)
    creator.offer(sound, preset("open"), words={"title": "Zwischenspiel"})
    creator.wait_for_catalog()
    assert [each.text for each in creator.suggest("zwisch")] == ["Zwischenspiel"]
