"""What is offered is found at once; what was used is told the same by HTTP, by the SDK, and by the ledger itself."""

import itertools
import statistics
import time
from typing import Any

import pytest

from audiera.protocol.accesses import open_batch
from audiera.protocol.accesses.rows import OP_CALL, OP_PREVIEW, OP_RANGE, OP_REFUSAL, OP_WHOLE, Row, unpack_row
from audiera.protocol.api import routes
from audiera.protocol.machine import account_purse
from audiera.protocol.records import Rule, Terms
from audiera.protocol.transactions import PublishLicense, RecordAccesses, WithdrawAsset, decode_transaction
from audiera.sdk.offers import Registration, sheet_of
from tests.node.house import ANYTHING, House, Person, sound, until
from tests.node.world import World

AT_ONCE_S = 1.0
"""What is registered is found within this time of the answer to its registration: the median of several. A single one
may be late on a machine that is busy with something else, so each has the tests' ordinary deadline only."""


def test_what_is_registered_is_found_within_a_second(house: House) -> None:
    person = house.person()
    license_ = person.do(PublishLicense(terms=ANYTHING)).number
    took = []
    for number, title in enumerate(("Zanzibar", "Quicksilver", "Marigold", "Thunderhead", "Obsidian")):
        path = house.home.parent / f"{number}.wav"
        path.write_bytes(sound(600 + number))
        uploaded = person.client.upload(path)
        entry = Registration(uploaded=uploaded, license=license_, sheet=sheet_of(uploaded, title=title))
        (asset,) = person.client.register([entry])
        answered = time.monotonic()
        query: dict[str, Any] = {"text": title}
        until(lambda: house.ask(routes.SEARCH, query=query).json["total"] == 1, every_s=0.002)  # noqa: B023
        took.append(time.monotonic() - answered)
        assert house.ask(routes.SEARCH, query=query).json["hits"][0]["number"] == asset
    assert statistics.median(took) < AT_ONCE_S, took
    person.do(WithdrawAsset(asset=asset))
    until(lambda: house.ask(routes.SEARCH, query=query).json["total"] == 0)


# ---------------------------------------------------------------------- searching


QUERIES: list[dict[str, Any]] = [
    {},
    {"text": "bell"},
    {"text": "copper bell"},
    {"text": "nothing like it"},
    {"purpose": "train-generative"},
    {"purpose": "train-generative", "commercial": "true"},
    {"purpose": "train-generative", "free_only": "true"},
    {"purpose": "train-generative", "max_price": 1_000},
    {"purpose": "train-generative", "max_price": 999},
    {"purpose": "imitate"},
    {"kinds": ["recording", "sample"]},
    {"kinds": "model"},
    {"sort": "oldest", "limit": 2, "offset": 1},
    {"sort": "newest", "limit": 1},
    {"limit": 0},
    {"shortest_ms": 4_000},
    {"longest_ms": 4_000},
    {"facets": ["kind"]},
    {"contains_ai": "undeclared"},
    {"territory": "DE", "purpose": "evaluate"},
    {"isrc": "XX1234567890"},
    {"snapshot": 999_999},
]

RANGES = {"shortest_ms": ("duration_ms", "low"), "longest_ms": ("duration_ms", "high")}
LISTS = ("kinds", "facets", "contains_ai", "keys")


def as_body(query: dict[str, Any]) -> dict[str, Any]:
    """The same search as a body says it."""
    body: dict[str, Any] = {}
    for name, value in query.items():
        if name in RANGES:
            place, end = RANGES[name]
            body.setdefault(place, {})[end] = value
        elif name in LISTS and not isinstance(value, list):
            body[name] = [value]
        else:
            body[name] = value == "true" if value in ("true", "false") else value
    return body


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_search_by_address_and_by_body_find_the_same(world: World, query: dict[str, Any]) -> None:
    for person in (None, world.lab):
        token = person.token() if person else ""
        by_address = world.house.ask(routes.SEARCH, query=query, token=token).json
        by_body = world.house.ask(routes.SEARCH_BY_BODY, body=as_body(query), token=token).json
        for each in (by_address, by_body):
            each.pop("took_us")
            each.pop("height")
        assert by_address == by_body
    if query.get("text") == "copper bell":
        assert [hit["number"] for hit in by_body["hits"]] == [world.free]


def test_every_parameter_of_a_search_has_a_field_in_the_body(world: World) -> None:
    document = world.house.ask(routes.OPENAPI).json
    names = {each["name"] for each in document["paths"]["/v1/search"]["get"]["parameters"]}
    fields = set(document["components"]["schemas"]["SearchRequest"]["properties"])
    renamed = {"shortest_ms", "longest_ms", "slowest_mbpm", "fastest_mbpm", "holder"}
    assert names - fields == renamed


def test_what_is_for_named_accounts_is_found_by_them_alone(house: House) -> None:
    creator, friend, other = house.person(), house.person(), house.person()
    rule = Rule(purpose="train-generative", verdict="allow", audience="named", named=(friend.number,))
    asset = creator.offer(Terms(rules=(rule,)), sound(610), title="Secret bell")
    until(lambda: house.parts.catalog.height >= house.parts.ledger.head().height)
    query = {"purpose": "train-generative", "text": "secret"}

    def found(person: Person | None) -> list[int]:
        answers = [
            house.ask(routes.SEARCH, query=query, token=person.token() if person else ""),
            # who asks is who the token says, whatever the body says
            house.ask(
                routes.SEARCH_BY_BODY,
                body={**query, "account": friend.number},
                token=person.token() if person else "",
            ),
        ]
        numbers = [[hit["number"] for hit in answer.json["hits"]] for answer in answers]
        assert numbers[0] == numbers[1]
        return numbers[0]

    assert found(friend) == [asset]
    assert found(other) == found(None) == []


def test_words_are_completed(world: World) -> None:
    found = world.house.ask(routes.SUGGEST, query={"text": "cop"}).json["suggestions"]
    assert any("copper" in each["text"].lower() for each in found)
    assert world.house.ask(routes.SUGGEST, query={"text": "cop", "limit": "51"}).code == "parameter_invalid"


def test_an_asset_is_found_by_each_of_its_names(world: World) -> None:
    by_number = world.house.ask(routes.ASSET, {"ref": world.free}).json
    for name in (by_number["id"], by_number["blob"]):
        assert world.house.ask(routes.ASSET, {"ref": name}).json == by_number
    assert by_number["sheet"]["title"] == "Copper bell"
    assert by_number["available"] is True
    account = world.house.ask(routes.ACCOUNT, {"ref": world.lab.number}).json
    for name in (account["id"], account["keys"][0]):
        assert world.house.ask(routes.ACCOUNT, {"ref": name}).json == account
    outline = world.house.ask(routes.ASSET_WAVEFORM, {"ref": world.free}).json
    assert len(outline["low"]) == len(outline["high"]) > 0


# ---------------------------------------------------------------------- what was used


def rows_of(house: House) -> list[Row]:
    """Every row on the ledger, read from its blocks."""
    rows = []
    ledger = house.parts.ledger
    for height in range(1, ledger.head().height + 1):
        for data in ledger.block(height).transactions:
            body = decode_transaction(data, len(data)).envelope.body
            if isinstance(body, RecordAccesses):
                raw = open_batch(body.batch, chain_id=house.chain).rows.tobytes()
                rows += [unpack_row(raw[at : at + 64]) for at in range(0, len(raw), 64)]
    return rows


OPS = {OP_WHOLE: "whole", OP_RANGE: "range", OP_PREVIEW: "preview", OP_CALL: "call", OP_REFUSAL: "refusal"}


@pytest.fixture(scope="module")
def used(world: World) -> World:
    """The world after some uses of every kind."""
    session, calls = world.lab.session(world.grant), world.lab.session(world.calls)
    for asset in (world.free, world.priced, world.free):
        assert session.fetch(asset).status == 200
    assert session.fetch(world.free, "0-99").status == 206
    assert session.fetch(world.closed).status == 403
    assert world.house.ask(routes.ASSET_PREVIEW, {"ref": world.free}).status == 200
    octets = {"Content-Type": "application/octet-stream"}
    call = world.house.ask(
        routes.CALL_MODEL, {"number": world.model}, token=calls.token, headers=octets, query={"seconds": "0.3"}
    )
    assert call.status == 200, call.body
    world.house.flush()
    return world


def test_histories_are_the_ledgers_rows(used: World) -> None:
    house, rows = used.house, rows_of(used.house)
    for asset in (used.free, used.closed, used.priced, used.model):
        told = house.ask(routes.ASSET_HISTORY, {"ref": asset}, query={"limit": 1_000}).json
        mine = [row for row in rows if row.asset == asset]
        assert told["total"] == len(mine)
        assert sorted((each["t"], op_of(each), each["bytes"], each["consumer"]) for each in told["accesses"]) == (
            sorted((row.t, row.op, row.bytes, row.consumer) for row in mine)
        )
        by_sdk = used.lab.client.asset_history(asset, limit=1_000)
        assert [each.t for each in by_sdk.accesses] == [each["t"] for each in told["accesses"]]
    told = house.ask(routes.ACCOUNT_HISTORY, {"number": used.lab.number}, query={"limit": 1_000}).json
    assert told["total"] == sum(row.consumer == used.lab.number for row in rows)
    pages, after = [], None
    while True:
        query = {"limit": 2} | ({} if after is None else {"after": after})
        page = house.ask(routes.ACCOUNT_HISTORY, {"number": used.lab.number}, query=query).json
        pages += page["accesses"]
        after = page["next"]
        if after is None:
            break
    assert pages == told["accesses"]


def op_of(access: dict[str, Any]) -> int:
    """The op code of a told access."""
    return next(op for op, name in OPS.items() if name == access["op"])


def test_sums_are_those_of_the_ledgers_rows(used: World) -> None:
    rows = rows_of(used.house)
    told = used.house.ask(routes.USAGE_TOTALS, body={}).json["totals"]
    assert sum(each["bytes"] for each in told) == sum(row.bytes for row in rows)
    for name in set(OPS.values()) - {"refusal"}:
        mine = [row for row in rows if OPS[row.op] == name]
        assert sum(each["accesses"] for each in told if each["op"] == name) == len(mine)
    by_sdk = used.lab.client.usage_totals(asset=used.free)
    assert sum(each.bytes for each in by_sdk.totals) == sum(row.bytes for row in rows if row.asset == used.free)
    most = used.house.ask(routes.USAGE_ASSETS, body={}, query={"limit": 1}).json["assets"]
    assert len(most) == 1
    refused = used.house.ask(routes.USAGE_REFUSALS, body={"consumer": used.lab.number}).json
    assert refused["accesses"] >= 1
    days = used.house.ask(routes.USAGE_DAYS, body={"asset": used.free}).json["days"]
    uses = [row for row in rows if row.asset == used.free and row.op != OP_REFUSAL]
    assert sum(each["accesses"] for each in days) == len(uses)


def test_statements_are_the_ledgers_balances(used: World) -> None:
    state = used.house.parts.ledger.state()
    for person in (used.lab, used.creator, used.rival):
        told = used.house.ask(routes.ACCOUNT_STATEMENT, {"number": person.number}, query={"limit": 1_000}).json
        assert told["closing"] == state.balance(account_purse(person.number))
        assert told["opening"] + told["credited"] - told["debited"] == told["closing"]
        assert told["count"] == len(told["lines"])
        by_sdk = person.client.statement()
        assert (by_sdk.closing, by_sdk.count) == (told["closing"], told["count"])
        payments = used.house.ask(routes.ACCOUNT_PAYMENTS, {"number": person.number}, query={"limit": 1_000}).json
        assert payments["total"] == len(payments["lines"])
    signed = used.house.ask(routes.ACCOUNT_TRANSACTIONS, {"number": used.lab.number}, query={"limit": 1_000}).json
    assert signed["total"] == state.sequence(used.lab.number) + 1  # and the one that made the account


def test_earnings_are_what_the_rows_cost(used: World) -> None:
    paid = [row for row in rows_of(used.house) if row.asset == used.priced and row.op in (OP_WHOLE, OP_RANGE)]
    told = used.house.ask(routes.ASSET_EARNINGS, {"ref": used.priced}).json
    usage = used.house.parts.ledger.state().grant_usage(used.grant.number)
    assert usage.spent == 1_000 * len(paid)
    assert 0 < told["accesses"] <= usage.spent  # less the network's fee and the node's share
    assert told["waiting"] == told["accesses"] - told["paid_out"]
    assert used.creator.client.earnings(used.priced).waiting == told["waiting"]
    assert used.house.ask(routes.ASSET_EARNINGS, {"ref": used.free}).json["accesses"] == 0


def test_a_trail_leads_from_a_row_to_who_is_behind_it(used: World) -> None:
    node = used.house.parts.account
    history = used.house.ask(routes.ASSET_HISTORY, {"ref": used.model}).json["accesses"]
    trail = used.house.ask(routes.ACCESS_TRAIL, {"node": node, "index": history[0]["node_index"]}).json
    assert trail["model"]["number"] == used.model
    assert trail["grant"]["number"] == used.calls.number
    assert trail["session"]["consumer"] == used.lab.number
    assert used.lab.client.trail(node, history[0]["node_index"]).access.asset == used.model
    model = used.house.ask(routes.MODEL, {"number": used.model}).json
    assert (model["assets"], model["endpoint"]["node"]) == (0, node)


def test_blocks_and_entries_are_told_as_they_are(used: World) -> None:
    ledger = used.house.parts.ledger
    head = used.house.ask(routes.LEDGER_HEAD).json
    assert (head["records"], head["log_size"]) == (len(rows_of(used.house)), ledger.head().log_size)
    for height in (1, head["height"]):
        told = used.house.ask(routes.LEDGER_BLOCK, {"height": height}).json
        assert len(told["transactions"]) == len(ledger.block(height).transactions)
    for index in itertools.islice(range(head["log_size"]), 3):
        assert used.house.ask(routes.LEDGER_LOG_ENTRY, {"index": index}).status == 200
    for route, value in ((routes.LEDGER_BLOCK, 10**9), (routes.LEDGER_BLOCK, 0), (routes.LEDGER_LOG_ENTRY, 10**9)):
        assert (
            used.house.ask(
                (route.method, route.path.replace("{height}", str(value)).replace("{index}", str(value)))
            ).status
            == 404
        )
    assert "audiera/" in used.house.ask(routes.LEDGER_CHECKPOINT).json["checkpoint"]
