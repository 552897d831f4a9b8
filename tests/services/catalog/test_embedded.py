"""The contract of every catalog: what it finds is what looking at each thing in turn would find."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.api.catalog import ASSET_KINDS, Range, SearchRequest
from audiera.protocol.errors import RequestError, StorageError
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.protocol.records import Identifiers, Price, Rule
from audiera.services.catalog import CatalogIndex, open_catalog
from audiera.services.catalog.entries import Text, text_of_model, text_of_sheet
from audiera.services.catalog.words import fold, is_near, words_of
from tests.services.catalog.corpus import KEYS, SECOND, START, WORDS, LookingAtEach, Market, random_market

ALLOW = Rule(purpose="train-generative", verdict="allow")


def opened(path: Path) -> CatalogIndex:
    return open_catalog(path, stopwatch=itertools.count(0, 7).__next__)


def filled(path: Path, market: Market) -> CatalogIndex:
    catalog = opened(path)
    for result in market.results:
        catalog.apply(result, market.sheets)
    return catalog


@pytest.fixture(scope="module")
def market() -> Market:
    return random_market(7)


@pytest.fixture(scope="module")
def catalog(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogIndex]:
    catalog = filled(tmp_path_factory.mktemp("catalog") / "catalog.sqlite", market)
    yield catalog
    catalog.close()


@pytest.fixture(scope="module")
def looking(market: Market) -> LookingAtEach:
    return LookingAtEach(market)


def numbers(catalog: CatalogIndex, request: SearchRequest, *, at: int = 0) -> list[int]:
    """Every hit, fetched page by page."""
    found: list[int] = []
    while True:
        page = catalog.search(replace(request, offset=len(found), limit=7), at=at)
        found += [hit.number for hit in page.hits]
        if not page.hits:
            assert len(found) == page.total
            assert len(set(found)) == len(found)
            return found


# ---------------------------------------------------------------- as looking at each


def ranges(low: int, high: int) -> st.SearchStrategy[Range]:
    bound = st.none() | st.integers(low, high)
    return st.just(Range()) | st.builds(Range, low=bound, high=bound)


def some(values: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.just(()) | st.lists(st.sampled_from(values), max_size=3).map(tuple)


FACETS = ("kind", "purpose", "contains_ai", "key", "sample_rate", "channels", "license", "holder")
TEXTS = st.just("") | st.lists(
    st.sampled_from([*WORDS, "nigt", "amne", "vynil", "brekk", "CAFÉ", "zzz", "-", "generation"]), max_size=2
).map(" ".join)


@st.composite
def requests(draw: st.DrawFn) -> SearchRequest:
    purpose = draw(st.sampled_from(("", "", *ASSET_PURPOSES[:5])))
    priced = purpose != "" and draw(st.booleans())
    sorts = ("relevance", "newest", "oldest", "duration", "title", *(("price",) if purpose else ()))
    return SearchRequest(
        text=draw(TEXTS),
        kinds=draw(some((*ASSET_KINDS, "snapshot", "model"))),
        purpose=purpose,
        commercial=purpose != "" and draw(st.booleans()),
        territory=draw(st.sampled_from(("*", "DE", "US"))) if purpose else "*",
        account=draw(st.sampled_from((0, 7, 99))),
        on_request=draw(st.booleans()),
        free_only=priced and draw(st.booleans()),
        max_price=draw(st.none() | st.integers(0, 900)) if priced else None,
        available=draw(st.booleans()),
        contains_ai=draw(some(("none", "partly", "all", "undeclared"))),
        keys=draw(some(KEYS)),
        sample_rates=draw(some((44_100, 48_000, 96_000))),
        channel_counts=draw(some((1, 2, 3))),
        licenses=draw(some((1, 2, 3, 5, 99))),
        holders=draw(some((1, 2, 3, 99))),
        duration_ms=draw(ranges(0, 9_000)),
        tempo_mbpm=draw(ranges(0, 200_000)),
        sample_rate=draw(ranges(40_000, 100_000)),
        channels=draw(ranges(0, 3)),
        loudness_mlufs=draw(ranges(-20_000, 0)),
        published_at=draw(ranges(START, START + 200 * SECOND)),
        isrc=draw(st.sampled_from(("", "", "", "GBAYE6800003"))),
        snapshot=draw(st.sampled_from((0, 0, 0, 20, 30))),
        sort=draw(st.sampled_from(sorts)),
        facets=FACETS,  # type: ignore[arg-type]
    )


@given(request=requests(), at=st.integers(START, START + 900 * SECOND))
@settings(max_examples=80)
def test_searches_find_what_looking_at_each_finds(
    catalog: CatalogIndex, looking: LookingAtEach, request: SearchRequest, at: int
) -> None:
    at = max(at, looking.market.results[-1].time)
    words, corrected = looking.accepted_words(request, at)
    page = catalog.search(replace(request, limit=100), at=at)
    if words is None:
        assert (page.total, page.hits) == (0, ())
        assert all(facet.values == () for facet in page.facets)
        return
    found = looking.found(request, at, words)
    assert page.corrected == corrected
    assert page.total == len(found)
    hits = [hit.number for hit in page.hits]
    if request.sort == "relevance" and words:
        assert len(hits) == min(len(found), 100)
        assert set(hits) <= {thing.number for thing in found}
    else:
        assert hits == looking.sorted(request, at, found)[:100]
    for facet in page.facets:
        expected = looking.facet(request, at, words, facet.field)
        assert [(value.value, value.count) for value in facet.values] == expected, facet.field


@given(request=requests())
@settings(max_examples=40)
def test_pages_never_overlap_and_leave_nothing_out(
    catalog: CatalogIndex, looking: LookingAtEach, request: SearchRequest
) -> None:
    at = looking.market.results[-1].time
    words, _ = looking.accepted_words(request, at)
    expected = [] if words is None else [thing.number for thing in looking.found(request, at, words)]
    assert sorted(numbers(catalog, replace(request, facets=()), at=at)) == sorted(expected)


@given(request=requests().filter(lambda request: request.purpose != ""), at=st.integers(START, START + 900 * SECOND))
@settings(max_examples=40)
def test_hits_carry_the_decision_of_the_rights(
    catalog: CatalogIndex, looking: LookingAtEach, request: SearchRequest, at: int
) -> None:
    at = max(at, looking.market.results[-1].time)
    by_number = {thing.number: thing for thing in looking.things}
    for hit in catalog.search(request, at=at).hits:
        thing = by_number[hit.number]
        if thing.kind == "snapshot":
            assert (hit.reasons, hit.price) == ((), 0)
            continue
        decision = looking.decision(thing, request, request.purpose, at)
        assert decision is not None
        assert hit.reasons == decision.reasons
        price = decision.rule.price if decision.rule is not None else None
        assert (hit.price, hit.price_unit) == ((price.amount, price.unit) if price is not None else (0, None))
        assert hit.revenue_share == (decision.rule.revenue_share if decision.rule is not None else 0)


def test_hits_carry_the_facts_of_the_ledger(catalog: CatalogIndex, looking: LookingAtEach) -> None:
    request = SearchRequest(available=False, kinds=(*ASSET_KINDS, "snapshot", "model"), limit=100)
    by_number = {thing.number: thing for thing in looking.things}
    for hit in catalog.search(request).hits:
        thing = by_number[hit.number]
        assert (hit.kind, hit.status, hit.holder, hit.license) == (
            thing.kind,
            thing.status,
            thing.holder,
            thing.license,
        )
        assert (hit.title, hit.published_at) == (thing.title, thing.published_at)
        for name in ("duration_ms", "sample_rate", "channels", "loudness_mlufs", "tempo_mbpm"):
            assert getattr(hit, name) == thing.facts.get(name)
        assert (hit.key, hit.contains_ai) == (thing.facts.get("key") or "", thing.facts.get("contains_ai") or "")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_markets_too(tmp_path: Path, seed: int) -> None:
    market = random_market(seed, assets=40)
    catalog = filled(tmp_path / "catalog.sqlite", market)
    looking = LookingAtEach(market)
    at = market.time
    for purpose in ("", *ASSET_PURPOSES):
        for sort in ("newest", "title"):
            request = SearchRequest(purpose=purpose, available=False, sort=sort)  # type: ignore[arg-type]
            assert numbers(catalog, request, at=at) == looking.sorted(request, at, looking.found(request, at, []))
    catalog.close()


def small(*titles: str, **changes: Any) -> tuple[Market, list[int]]:
    """A market of one free license and an asset for each title."""
    market = Market()
    license_ = market.license(ALLOW)
    market.block(license_)
    assets = [market.asset(license_.number, market.sheet(title), **changes) for title in titles]
    market.block(*assets)
    return market, [asset.number for asset in assets]


@pytest.mark.parametrize("name", ["duration_ms", "tempo_mbpm", "sample_rate", "channels", "loudness_mlufs"])
def test_bounds_are_included(catalog: CatalogIndex, looking: LookingAtEach, name: str) -> None:
    for value in {thing.facts[name] for thing in looking.things if thing.facts.get(name) is not None}:
        for bounds in (Range(low=value), Range(high=value), Range(low=value, high=value)):
            request = SearchRequest(kinds=(*ASSET_KINDS, "snapshot"), available=False, limit=0, **{name: bounds})  # type: ignore[arg-type]
            expected = looking.found(request, 0, [])
            assert expected
            assert catalog.search(request).total == len(expected)


def test_a_snapshot_may_be_had_when_all_its_members_may(tmp_path: Path) -> None:
    market, (one, two) = small("one", "two")
    both, first = market.snapshot((one, two), market.sheet("both")), market.snapshot((one,), market.sheet("first"))
    lost = market.snapshot((one, 999), market.sheet("lost"))
    market.block(both, first, lost)
    catalog = filled(tmp_path / "catalog.sqlite", market)
    request = SearchRequest(kinds=("snapshot",), purpose="train-generative", sort="oldest")
    assert numbers(catalog, request) == [both.number, first.number]
    catalog.apply(market.block(replace(market.assets[two], status="contested")), market.sheets)
    assert numbers(catalog, request) == [first.number]
    assert numbers(catalog, replace(request, purpose="index")) == []
    assert numbers(catalog, SearchRequest(snapshot=both.number, available=False)) == [one, two]
    catalog.close()


def test_what_lacks_the_value_sorted_by_comes_last(tmp_path: Path) -> None:
    market, (one, two) = small("b", "a", technical={"duration_ms": 9_000})
    license_ = market.license(replace(ALLOW, verdict="terms", price=Price(unit="access", amount=5)))
    paid = market.asset(license_.number, bytes(32), technical={"duration_ms": 1_000})
    snapshot = market.snapshot((one,), market.sheet("c"), audio_ms=5_000)
    model = market.model("zz")
    market.block(license_, paid, snapshot, model, market.endpoint(model.number, per_call=1))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    request = SearchRequest(kinds=("recording", "snapshot", "model"))
    by_duration = numbers(catalog, replace(request, sort="duration"))
    assert by_duration == [paid.number, snapshot.number, one, two, model.number]
    by_title = numbers(catalog, replace(request, sort="title"))
    assert by_title == [two, one, snapshot.number, model.number, paid.number]
    by_price = numbers(catalog, replace(request, sort="price", purpose="train-generative"))
    assert by_price == [one, two, paid.number, snapshot.number]
    catalog.close()


# ---------------------------------------------------------------- words


def test_what_has_the_words_exactly_comes_first_and_title_outweighs_the_rest(tmp_path: Path) -> None:
    market = Market()
    license_ = market.license(ALLOW)
    market.block(license_)
    texts: list[dict[str, Any]] = [
        {"title": "other", "description": "thunder"},
        {"title": "other", "tags": ("thunder",)},
        {"title": "thunde"},
        {"title": "other", "artist": "thunder"},
        {"title": "thunder"},
        {"title": "unrelated"},
    ]
    for text in texts:
        market.block(market.asset(license_.number, market.sheet(**text)))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    first = license_.number + 1
    page = catalog.search(SearchRequest(text="Thunder"))
    assert [hit.number - first for hit in page.hits] == [4, 3, 1, 0]
    assert not page.corrected
    near = catalog.search(SearchRequest(text="thunde"))
    assert near.corrected
    assert [hit.number - first for hit in near.hits] == [2, 4, 3, 1, 0]
    assert catalog.search(SearchRequest(text="thunder unrelated")).total == 0
    catalog.close()


@pytest.mark.parametrize("text", ["café", "CAFE", "Cafe\u0301", "  café!! ", "cafe'"])
def test_words_are_found_without_case_accents_and_signs(tmp_path: Path, text: str) -> None:
    market = Market()
    license_ = market.license(ALLOW)
    market.block(license_, market.asset(license_.number, market.sheet("Le Café")))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    page = catalog.search(SearchRequest(text=text))
    assert [hit.title for hit in page.hits] == ["Le Café"]
    assert not page.corrected
    catalog.close()


@pytest.mark.parametrize("text", ['"', "AND", "NOT x OR", "title:night", "ni*", "NEAR(a b)", "a^b", "'; DROP", "\0"])
def test_signs_of_the_query_language_mean_nothing(catalog: CatalogIndex, text: str) -> None:
    catalog.search(SearchRequest(text=text))


@given(st.text("abcd", max_size=6), st.text("abcd", max_size=6))
def test_near_is_one_letter_away(one: str, other: str) -> None:
    letters = "abcd"
    away = {one}
    for at in range(len(one) + 1):
        away |= {one[:at] + letter + one[at:] for letter in letters}
        away.add(one[:at] + one[at + 1 :])
        away |= {one[:at] + letter + one[at + 1 :] for letter in letters if at < len(one)}
        away.add(one[:at] + one[at : at + 2][::-1] + one[at + 2 :])
    assert is_near(one, other) == (other in away)


def test_folding_is_done_once() -> None:
    assert fold("  Übër—Straße\t№1 ") == "uber straße 1"
    assert words_of("a b a " + " ".join(map(str, range(20)))) == ["a", "b", *map(str, range(10))]
    for word in WORDS:
        assert fold(fold(word)) == fold(word)


def test_suggestions_complete_any_word_of_available_things(tmp_path: Path) -> None:
    market = Market()
    license_ = market.license(ALLOW)
    market.block(license_)
    for title, status in (("Night Drive", "active"), ("Midnight", "active"), ("Night Bus", "withdrawn")):
        sheet = market.sheet(title, artist="Nightingale", tags=("late night",))
        market.block(market.asset(license_.number, sheet, status=status))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    found = [(each.text, each.field, each.count) for each in catalog.suggest("nig")]
    assert found == [("Nightingale", "artist", 2), ("late night", "tag", 2), ("Night Drive", "title", 1)]
    assert [each.text for each in catalog.suggest("NIGHT dr")] == ["Night Drive"]
    assert [each.text for each in catalog.suggest("nig", 1)] == ["Nightingale"]
    assert catalog.suggest(" -") == ()
    assert catalog.suggest("drive night") == ()
    catalog.close()


def test_suggestions_are_those_of_looking_at_each(catalog: CatalogIndex, market: Market) -> None:
    expected: dict[tuple[str, str], set[int]] = {}
    described: list[tuple[int, Text | None]] = [
        (asset.number, text_of_sheet(asset.content.sheet, market.sheets))
        for asset in market.assets.values()
        if asset.status == "active"
    ]
    described += [(each.number, text_of_sheet(each.sheet, market.sheets)) for each in market.snapshots.values()]
    described += [
        (number, text_of_model(market.models[number])) for number, each in market.endpoints.items() if each.active
    ]
    for number, text in described:
        if text is None:
            continue
        for field, value in (("title", text.title), ("artist", text.artist), *(("tag", tag) for tag in text.tags)):
            words = fold(value).split()
            if any(" ".join(words[at:]).startswith("ca") for at in range(len(words))):
                expected.setdefault((value, field), set()).add(number)
    found = {(each.text, each.field): each.count for each in catalog.suggest("Ca", 50)}
    assert found == {key: len(things) for key, things in expected.items()}
    assert len(found) > 3


# ---------------------------------------------------------------- following the ledger


def test_a_block_is_applied_once_and_in_order(tmp_path: Path, market: Market) -> None:
    catalog = opened(tmp_path / "catalog.sqlite")
    assert catalog.height == 0
    catalog.apply(market.results[0], market.sheets)
    catalog.apply(market.results[1], market.sheets)
    for again in (market.results[1], market.results[0]):
        catalog.apply(again, market.sheets)
        assert catalog.height == 2
    with pytest.raises(StorageError) as gap:
        catalog.apply(market.results[3], market.sheets)
    assert gap.value.code == "follower_gap"
    with pytest.raises(StorageError) as other:
        catalog.apply(replace(market.results[1], app_hash=bytes(32)), market.sheets)
    assert other.value.code == "follower_of_another_chain"
    assert catalog.height == 2
    catalog.close()


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a closed catalog."""
    db = sqlite3.connect(path)
    tables = ("position", "entries", "licenses", "members", "identifiers", "names", "vocabulary")
    found = {table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables}
    found["words"] = sorted(db.execute("SELECT rowid, * FROM words").fetchall())
    db.close()
    return found


def test_a_rebuilt_catalog_is_the_same(tmp_path: Path, market: Market) -> None:
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    filled(one, market).close()
    catalog = filled(two, random_market(99, assets=20))
    catalog.rebuild(market.results[: len(market.results) // 2], market.sheets)
    assert catalog.height == len(market.results) // 2
    for result in market.results:
        catalog.apply(result, market.sheets)
    catalog.close()
    assert everything(one) == everything(two)


def test_a_catalog_comes_back_after_a_restart(tmp_path: Path, market: Market) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = filled(path, market)
    before = catalog.search(SearchRequest(text="night", facets=FACETS))  # type: ignore[arg-type]
    catalog.close()
    catalog = opened(path)
    assert catalog.height == len(market.results)
    assert replace(catalog.search(SearchRequest(text="night", facets=FACETS)), took_us=0) == replace(before, took_us=0)  # type: ignore[arg-type]
    catalog.close()


def test_a_catalog_of_another_version_is_begun_anew(tmp_path: Path, market: Market) -> None:
    path = tmp_path / "catalog.sqlite"
    filled(path, random_market(5, assets=5)).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.commit()
    db.close()
    catalog = opened(path)
    assert (catalog.height, catalog.search(SearchRequest()).total) == (0, 0)
    catalog.close()


def test_a_block_that_cannot_be_read_changes_nothing(tmp_path: Path, market: Market) -> None:
    path = tmp_path / "catalog.sqlite"
    half = market.results[:30]
    catalog = opened(path)
    for result in half:
        catalog.apply(result, market.sheets)
    before = catalog.search(SearchRequest(available=False, limit=100))

    class Broken:
        def get(self, kind: str, digest: bytes) -> bytes | None:
            raise OSError(5, "Input/output error")

    following = next(result for result in market.results[30:] if result.transactions[0].kind == "any")
    merged = replace(following, height=31, transactions=tuple(r.transactions[0] for r in market.results[30:60]))
    with pytest.raises(OSError, match="Input/output"):
        catalog.apply(merged, Broken())
    assert catalog.height == 30
    assert replace(catalog.search(SearchRequest(available=False, limit=100)), took_us=0) == replace(before, took_us=0)
    catalog.apply(market.results[30], market.sheets)
    assert catalog.height == 31
    catalog.close()


def growing_market() -> Market:
    """A market whose last block brings ten things at once."""
    market = random_market(4, assets=20)
    license_ = next(iter(market.licenses))
    market.block(*(market.asset(license_, market.sheet(f"thing {place}")) for place in range(10)))
    return market


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.services.catalog.test_embedded import growing_market, opened
market = growing_market()
catalog = opened(Path(sys.argv[1]))
for result in market.results[:-1]:
    catalog.apply(result, market.sheets)
asked = []
def die():
    asked.append(1)
    if len(asked) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
market.sheets.before_get = die
catalog.apply(market.results[-1], market.sheets)
"""


def test_a_kill_in_the_middle_of_a_block_keeps_the_block_before(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, env=environment, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    market = growing_market()
    catalog = opened(path)
    assert catalog.height == len(market.results) - 1
    assert catalog.search(SearchRequest(text="thing 3", available=False)).total == 0
    catalog.apply(market.results[-1], market.sheets)
    catalog.close()
    whole = tmp_path / "whole.sqlite"
    filled(whole, market).close()
    assert everything(path) == everything(whole)


def test_things_that_change_are_found_as_they_are_now(tmp_path: Path) -> None:
    market = Market()
    license_ = market.license(ALLOW)
    market.block(license_)
    claimed = {"identifiers": Identifiers(isrc="GBAYE6800001")}
    asset = market.asset(license_.number, market.sheet("first title"), content=claimed)
    market.block(asset)
    model = market.model("drumgen")
    market.block(model)
    catalog = filled(tmp_path / "catalog.sqlite", market)
    assert catalog.search(SearchRequest(kinds=("model",))).total == 0
    assert catalog.search(SearchRequest(text="first", purpose="train-generative")).total == 1
    assert catalog.search(SearchRequest(isrc="GBAYE6800001")).total == 1
    changed = replace(
        asset,
        status="contested",
        content=replace(asset.content, sheet=market.sheet("second title"), identifiers=Identifiers()),
    )
    for result in (
        market.block(changed),
        market.block(market.endpoint(model.number, per_call=5)),
        market.block(market.license(number=license_.number, revision=2)),
    ):
        catalog.apply(result, market.sheets)
    assert catalog.search(SearchRequest(text="first", available=False)).total == 0
    assert catalog.search(SearchRequest(text="second")).total == 0
    assert catalog.search(SearchRequest(text="second", available=False)).total == 1
    assert catalog.search(SearchRequest(isrc="GBAYE6800001", available=False)).total == 0
    assert catalog.search(SearchRequest(purpose="train-generative", available=False)).total == 0
    (offered,) = catalog.search(SearchRequest(text="drumgen", kinds=("model",))).hits
    assert (offered.price, offered.status, offered.title) == (5, "active", "drumgen 1")
    catalog.apply(market.block(market.endpoint(model.number, per_call=6, active=False)), market.sheets)
    assert catalog.search(SearchRequest(kinds=("model",))).total == 0
    catalog.close()


def test_rights_are_asked_about_a_moment_but_never_an_earlier_one_than_the_ledgers(tmp_path: Path) -> None:
    market = Market()
    ends = START + 1_000 * SECOND
    license_ = market.license(replace(ALLOW, valid_until=ends))
    market.block(license_, market.asset(license_.number, market.sheet("x")))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    request = SearchRequest(purpose="train-generative")
    assert [catalog.search(request, at=at).total for at in (0, ends - 1, ends, ends + 1)] == [1, 1, 0, 0]
    market.results[-1] = replace(market.results[-1], time=ends)
    catalog.rebuild(market.results, market.sheets)
    assert catalog.search(request, at=0).total == 0
    catalog.close()


def test_one_price_of_several_units(tmp_path: Path) -> None:
    market = Market()
    rules = (
        Rule(purpose="train-generative", verdict="terms", price=Price(unit="minute", amount=7), revenue_share=100),
        Rule(purpose="index", verdict="terms", audience="request"),
    )
    license_ = market.license(*rules)
    market.block(license_, market.asset(license_.number, market.sheet("x")))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    (hit,) = catalog.search(SearchRequest(purpose="train-generative")).hits
    assert (hit.price, hit.price_unit, hit.revenue_share, hit.reasons) == (7, "minute", 100, ("allowed",))
    assert catalog.search(SearchRequest(purpose="index")).total == 0
    (asked,) = catalog.search(SearchRequest(purpose="index", on_request=True)).hits
    assert asked.reasons == ("asks-holder",)
    catalog.close()


# ---------------------------------------------------------------- erasing


SECRETS = ("Xylophonia", "Quetzalcoatl", "zwieback", "Brontosaurus", "Yggdrasil", "Mnemosyne")


def secret_market() -> tuple[Market, bytes]:
    market = random_market(8, assets=30)
    secret = market.sheet(
        f"The {SECRETS[0]}",
        artist=SECRETS[1],
        tags=(SECRETS[2],),
        description=f"about {SECRETS[3]} {SECRETS[3]}",
        album=SECRETS[4],
        moods=(SECRETS[5],),
    )
    license_ = next(iter(market.licenses))
    for _ in range(2):
        market.block(market.asset(license_, secret))
    market.block(market.snapshot(list(market.assets)[:2], secret))
    return market, secret


def traces(folder: Path) -> set[str]:
    """Which secrets are anywhere in the files."""
    data = b"".join(path.read_bytes() for path in folder.iterdir()).lower()
    return {word for word in SECRETS if word.lower().encode() in data}


def test_forgetting_a_sheet_removes_every_word_of_it_from_the_files(tmp_path: Path) -> None:
    market, secret = secret_market()
    catalog = filled(tmp_path / "catalog.sqlite", market)
    assert catalog.search(SearchRequest(text="xylophonia", available=False)).total == 2
    assert catalog.suggest("quetz")
    total = catalog.search(SearchRequest(available=False, kinds=(*ASSET_KINDS, "snapshot"))).total
    assert traces(tmp_path) == set(SECRETS)
    del market.sheets.documents[secret]
    catalog.forget(secret)
    assert traces(tmp_path) == set()
    assert catalog.search(SearchRequest(text="xylophonia", available=False)).total == 0
    assert catalog.suggest("quetz") == ()
    # What it described is still found by its facts, and stays wordless when it changes or the catalog is rebuilt.
    assert catalog.search(SearchRequest(available=False, kinds=(*ASSET_KINDS, "snapshot"))).total == total
    number = max(market.assets)
    catalog.apply(market.block(replace(market.assets[number], status="contested")), market.sheets)
    catalog.rebuild(market.results, market.sheets)
    assert traces(tmp_path) == set()
    (hit,) = [hit for hit in catalog.search(SearchRequest(available=False)).hits if hit.number == number]
    assert (hit.title, hit.artist, hit.status) == ("", "", "contested")
    catalog.close()
    assert traces(tmp_path) == set()


def test_forgetting_also_removes_the_words_of_a_sheet_that_was_replaced(tmp_path: Path) -> None:
    market, secret = secret_market()
    catalog = filled(tmp_path / "catalog.sqlite", market)
    for asset in [asset for asset in market.assets.values() if asset.content.sheet == secret]:
        changed = replace(asset, content=replace(asset.content, sheet=market.sheet("new")))
        catalog.apply(market.block(changed), market.sheets)
    market.sheets.documents.pop(secret)
    catalog.forget(secret)
    assert traces(tmp_path) == set()
    catalog.close()


def test_forgetting_says_so_when_a_reader_keeps_the_old_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open read would keep the words in the write-ahead log: no silent success."""
    monkeypatch.setattr("audiera.services.storage.sqlite.BUSY_TIMEOUT_S", 0.05)
    market, secret = secret_market()
    catalog = filled(tmp_path / "catalog.sqlite", market)
    reader = sqlite3.connect(tmp_path / "catalog.sqlite")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchone()
    with pytest.raises(StorageError) as refused:
        catalog.forget(secret)
    assert refused.value.code == "erasing_delayed"
    reader.close()
    catalog.forget(secret)
    assert traces(tmp_path) == set()
    catalog.close()


def test_a_sheet_that_comes_later_is_read_later(tmp_path: Path) -> None:
    market = Market()
    license_ = market.license(ALLOW)
    late = market.sheet("latecomer")
    content = market.sheets.documents.pop(late)
    market.block(license_, market.asset(license_.number, late))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    catalog.read_sheet(late, market.sheets)
    assert catalog.search(SearchRequest(text="latecomer")).total == 0
    market.sheets.documents[late] = content
    catalog.read_sheet(late, market.sheets)
    catalog.read_sheet(bytes(32), market.sheets)
    assert catalog.search(SearchRequest(text="latecomer")).total == 1
    catalog.close()


def test_a_document_that_is_no_sheet_has_no_words(tmp_path: Path) -> None:
    market = Market()
    license_ = market.license(ALLOW)
    broken = market.sheet("x")
    market.sheets.documents[broken] = b"\xff not a sheet"
    market.block(license_, market.asset(license_.number, broken))
    catalog = filled(tmp_path / "catalog.sqlite", market)
    (hit,) = catalog.search(SearchRequest()).hits
    assert hit.title == ""
    catalog.close()


# ---------------------------------------------------------------- doors


@pytest.mark.parametrize(
    "request_",
    [
        SearchRequest(text="x" * 201),
        SearchRequest(limit=101),
        SearchRequest(limit=-1),
        SearchRequest(offset=100_001),
        SearchRequest(purpose="call-model"),
        SearchRequest(purpose="index", territory="de"),
        SearchRequest(free_only=True),
        SearchRequest(sort="price"),
        SearchRequest(commercial=True),
        SearchRequest(holders=tuple(range(257))),
        SearchRequest(licenses=(2**63,)),
        SearchRequest(duration_ms=Range(low=2**63)),
    ],
)
def test_searches_that_cannot_be_meant_are_refused(catalog: CatalogIndex, request_: SearchRequest) -> None:
    with pytest.raises(RequestError) as refused:
        catalog.search(request_)
    assert refused.value.code == "search_invalid"


def test_a_page_says_how_long_it_took_and_of_what_height_it_is(catalog: CatalogIndex, market: Market) -> None:
    page = catalog.search(SearchRequest(limit=0))
    assert (page.hits, page.took_us, page.height) == ((), 7, len(market.results))


def test_readers_see_one_moment_while_blocks_are_applied(tmp_path: Path, market: Market) -> None:
    """Total, hits and facets of a page agree, and agree with its height, however fast the catalog grows."""
    catalog = opened(tmp_path / "catalog.sqlite")
    counts = {0: 0}
    assets: set[int] = set()
    for result in market.results:
        for transaction in result.transactions:
            if transaction.ok:
                assets |= {r.number for r in transaction.records if type(r).__name__ == "Asset"}
        counts[result.height] = len(assets)
    wrong: list[str] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            page = catalog.search(SearchRequest(available=False, limit=100, facets=("kind",)))
            told = sum(value.count for value in page.facets[0].values if value.value in ASSET_KINDS)
            if not counts[page.height] == page.total == told or len(page.hits) != min(page.total, 100):
                wrong.append(f"{page.height}: {counts[page.height]} {page.total} {told} {len(page.hits)}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for result in market.results:
        catalog.apply(result, market.sheets)
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    catalog.close()
