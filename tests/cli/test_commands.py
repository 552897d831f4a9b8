"""Every command once, as a person types it and as a program reads it, against a running node."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from audiera.protocol.api.assets import AssetAnswer
from audiera.protocol.errors import NotFound
from audiera.protocol.records import Rule, Terms
from audiera.sdk.offering import Offering
from tests.cli.terminal import Terminal, lines_of
from tests.sdk.house import House, sound, sounds
from tests.sdk.test_serving import weights


class Town:
    """A creator, a developer and an application developer, each with a terminal; what they did so far."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder = house, folder
        config = folder / "config"
        self.creator, self.developer, self.caller, self.visitor = (
            Terminal(house.url, config, who) for who in ("creator", "developer", "caller", "nobody")
        )
        for terminal in (self.creator, self.developer, self.caller):
            terminal.document("account", "create")
            terminal.document("account", "credits", 10)
        self.account: int = self.creator.document("account", "show")["account"]["number"]
        self.developer_account: int = self.developer.document("account", "show")["account"]["number"]
        sounds(folder / "free", 2, seconds=1.0)
        sounds(folder / "priced", 1)
        self.free = self._upload("free", "--preset", "open", "--contains-ai", "none")
        self.priced = self._upload("priced", "--preset", "commercial", "--price", "0.05", "--revenue-share", 1_000)
        self.creator_client().wait_for_catalog()

    def creator_client(self) -> Any:
        return self.house.person("onlooker")

    def _upload(self, name: str, *how: object) -> list[int]:
        found = self.creator.document("upload", self.folder / name, *how)
        return [file["asset"] for file in found["files"]]

    def granted(self, *what: object) -> int:
        number: int = self.developer.document("grant", "request", *what)["grant"]["number"]
        return number

    def settle(self) -> None:
        """Wait until the histories know what is on the ledger."""
        self.creator_client().wait_for_histories()


@pytest.fixture(scope="module")
def town(house: House, tmp_path_factory: pytest.TempPathFactory) -> Town:
    return Town(house, tmp_path_factory.mktemp("town"))


def test_an_account_is_made_shown_changed_and_given_test_credits(house: House, config: Path) -> None:
    person = Terminal(house.url, config)
    made = person.document("account", "create", "--name", "Ada", "--role", "creator")
    assert (made["profile"]["display_name"], made["account"]["roles"]) == ("Ada", ["creator"])
    again = person.run("account", "create", "--name", "Grace")
    assert again.exit_code == 0
    assert "Ada" in again.stdout and "audiera account change" in again.stderr
    assert "audiera account change" not in person.run("account", "create").stderr
    assert "Grace" in person.words("account", "change", "--name", "Grace", "--role", "consumer")
    assert person.document("account", "change", "--role", "creator")["profile"]["display_name"] == "Grace"
    assert "balance 2.50 credits" in person.words("account", "credits", "2.5")
    assert person.document("account", "credits", 1)["balance"] == 3_500_000
    assert "3.50 credits" in person.words("account", "show")
    assert person.refusal("account", "credits", 5_000_000)["code"] == "amount_invalid"
    assert person.refusal("account", "show", "999999")["code"] == "account_not_found"
    assert "operator" in person.words("account", "show", 1)


def test_the_node_is_shown(town: Town) -> None:
    chain = town.house.node.parts.ledger.genesis.chain_id
    assert chain in town.visitor.words("account", "node")
    assert town.visitor.document("account", "node")["chain_id"] == chain
    assert "app hash" in town.visitor.words("ledger", "head")
    assert town.visitor.document("ledger", "head")["height"] > 0
    assert town.visitor.document("ledger", "credits")["total"] == 0
    assert "sum at block" in town.visitor.words("ledger", "credits")


def test_terms_are_published_shown_and_revised(town: Town, tmp_path: Path) -> None:
    said = town.creator.run("license", "publish", "--preset", "research")
    assert said.exit_code == 0 and "--license" in said.stderr
    number = int(said.stdout.split()[1])
    assert "yes, not commercially" in town.visitor.words("license", "show", number)
    file = tmp_path / "terms.json"
    terms = Terms(rules=(Rule(purpose="index", verdict="allow", duties=("attribution",)),))
    file.write_text(json.dumps({"rules": [{"purpose": "index", "verdict": "allow", "duties": ["attribution"]}]}))
    assert town.creator.document("license", "publish", "--file", file, "--revise", number) == {"license": number}
    assert town.house.person("onlooker").license(number).license.terms == terms
    assert town.visitor.document("license", "show", number)["license"]["revision"] == 2
    assert "new text" in town.creator.words("license", "publish", "--preset", "open", "--revise", number)
    file.write_text('{"rules": [{"purpose": "sing", "verdict": "allow"}]}')
    assert town.creator.refusal("license", "publish", "--file", file)["code"] == "terms_invalid"
    file.write_text('{"rules": [{"purpose": "index", "verdict": "allow", "audience": "named"}]}')
    assert town.creator.refusal("license", "publish", "--file", file)["code"] == "record_invalid"
    both = ("license", "publish", "--preset", "open", "--file", file)
    assert town.creator.refusal(*both, code=2)["code"] == "usage"
    assert town.visitor.refusal("license", "show", 999_999)["code"] == "license_not_found"


def test_searching_finds_what_may_be_used_and_makes_no_account(town: Town, config: Path) -> None:
    visitor = Terminal(town.house.url, config)
    found = visitor.document("search", "--purpose", "train-generative", "--commercial", "--limit", 100)
    assert {*town.free, *town.priced} <= {hit["number"] for hit in found["hits"]}
    words = visitor.words("search", "--purpose", "train-generative", "--commercial", "--limit", 100)
    assert "0.05/access" in words and "free" in words
    assert "price" not in visitor.words("search")
    assert f"1 to 1 of {found['total']:,}" in visitor.words(
        "search", "--purpose", "train-generative", "--commercial", "--limit", 1
    )
    assert "nothing found" in visitor.words("search", "nothing-is-called-so")
    free = visitor.document("search", "--purpose", "train-generative", "--free", "--limit", 100)
    assert not {hit["number"] for hit in free["hits"]} & set(town.priced)
    short = visitor.document("search", "--longest", 0.9, "--slowest", 10, "--key", "D# minor", "--kind", "sample")
    assert isinstance(short["hits"], list)
    assert not config.exists()


def test_an_asset_is_shown_with_terms_and_uses(town: Town) -> None:
    words = town.visitor.words("show", town.free[0])
    for said in ("sound-00", "8,000 Hz", "may I", "play to an audience", "yes, commercial too", "LUFS"):
        assert said in words, said
    assert town.visitor.document("show", town.free[0])["asset"]["number"] == town.free[0]
    blob = town.visitor.document("show", town.free[0])["blob"]
    assert town.visitor.document("show", blob)["asset"]["number"] == town.free[0]
    assert town.visitor.refusal("show", 999_999)["code"] == "asset_not_found"
    assert town.visitor.refusal("show", "xyz")["code"] == "id_invalid"


def test_what_may_be_done_is_asked_without_a_trace(town: Town, config: Path) -> None:
    visitor = Terminal(town.house.url, config)
    asked = ("grant", "check", *town.free, *town.priced, "--purpose", "train-generative", "--commercial")
    words = visitor.words(*asked)
    assert "0.05 credits each time" in words and "all of it: 0.00 credits at once, 0.05" in words
    assert visitor.document(*asked)["allowed"]
    refused = visitor.words("grant", "check", town.free[0], "--purpose", "imitate")
    assert "the license excludes imitation" in refused and "all of it" not in refused
    assert not config.exists()


def test_grants_are_asked_for_answered_and_revoked(town: Town, tmp_path: Path) -> None:
    asset = town.free[0]
    said = town.developer.run("grant", "request", asset, asset, "--purpose", "index")
    assert said.exit_code == 0 and "audiera fetch" in said.stderr
    number = int(dict(line[:2] for line in lines_of(said.stdout))["grant"])
    assert town.visitor.document("grant", "show", number)["grant"]["assets"] == [asset]
    assert "active" in town.visitor.words("grant", "show", number)
    assert f"grant {number} is revoked" in town.developer.words("grant", "revoke", number)
    refused = town.developer.refusal("grant", "revoke", number)
    assert refused["code"] == "wrong_state"
    denied = town.developer.refusal("grant", "request", asset, "--purpose", "imitate")
    assert denied["code"] == "access_refused" and denied["values"]["reasons"] == ["no-imitation"]

    terms = tmp_path / "terms.json"
    terms.write_text('{"rules": [{"purpose": "evaluate", "verdict": "allow", "audience": "request"}]}')
    (tmp_path / "asked.wav").write_bytes(sound())
    license_ = town.creator.document("license", "publish", "--file", terms)["license"]
    asked = town.creator.document("upload", tmp_path / "asked.wav", "--license", license_)["files"][0]["asset"]
    waiting = town.granted(asked, "--purpose", "evaluate")
    assert f"account {town.account}" in town.visitor.words("grant", "show", waiting)
    assert "agreed" in town.creator.words("grant", "answer", waiting, "--agree")
    declined = town.granted(asked, "--purpose", "evaluate")
    assert town.creator.document("grant", "answer", declined, "--decline") == {"grant": declined, "agreed": False}
    assert town.visitor.document("grant", "show", declined)["grant"]["status"] == "declined"
    assert town.developer.document("grant", "revoke", waiting)["status"] == "revoked"
    assert town.developer.refusal("grant", "return", waiting)["code"] == "too_early"


def test_what_a_grant_covers_is_fetched(town: Town, tmp_path: Path) -> None:
    grant = town.granted(*town.free, "--purpose", "evaluate")
    words = town.developer.words("fetch", grant, "--into", tmp_path / "new" / "deep")
    assert words.count("record ") == 2
    for asset in town.free:
        file = tmp_path / "new" / "deep" / f"{asset}.wav"
        assert file.read_bytes() in [path.read_bytes() for path in (town.folder / "free").glob("*.wav")]
    found = town.developer.document("fetch", grant, town.free[1], "--into", tmp_path)
    assert [file["asset"] for file in found["files"]] == [town.free[1]]
    refused = town.developer.refusal("fetch", grant, town.priced[0], "--into", tmp_path)
    assert refused["values"]["reasons"] == ["not-covered"]
    assert town.developer.refusal("fetch", 999_999)["code"] == "grant_not_found"
    (tmp_path / "file").touch()
    assert town.developer.refusal("fetch", grant, "--into", tmp_path / "file" / "x")["code"] == "file_failed"
    assert town.caller.refusal("fetch", grant, "--into", tmp_path)["code"] == "grant_other_account"


def test_a_snapshot_is_frozen_shown_and_streamed(town: Town, tmp_path: Path) -> None:
    said = town.creator.run("snapshot", "publish", *town.free, town.free[0], "--title", "Two of mine")
    number = int(said.stdout.split()[1])
    assert "of 2 assets" in said.stdout and "--snapshot" in said.stderr
    words = town.visitor.words("snapshot", "show", number)
    assert "Two of mine" in words and "2 in 1 shard," in words
    assert town.visitor.document("snapshot", "show", number)["snapshot"]["clip_count"] == 2
    assert town.developer.document("grant", "check", "--snapshot", number, "--purpose", "index")["allowed"]
    grant = town.granted("--snapshot", number, "--purpose", "index")
    assert f"snapshot {number}" in town.visitor.words("grant", "show", grant)
    assert len(town.developer.document("fetch", grant, "--into", tmp_path)["files"]) == 2
    assert town.creator.document("snapshot", "publish", town.free[0], "--title", "One")["snapshot"] > number
    assert town.visitor.refusal("snapshot", "show", 999_999)["code"] == "snapshot_not_found"


class Trained:
    """A model of the town's developer, and one call of it."""

    def __init__(self, town: Town) -> None:
        self.town = town
        developer = town.developer
        bought = ("--purpose", "train-generative", "--commercial", "--budget", "1")
        self.grant = town.granted(*town.free, *town.priced, *bought)
        self.run: int = developer.document("run", "open", self.grant)["run"]
        into = town.folder / "heard"
        self.fetched = developer.document("fetch", self.grant, "--run", self.run, "--into", into)["files"]
        self.open_words = town.visitor.words("run", "show", self.run)
        self.open = town.visitor.document("run", "show", self.run)
        self.closed = developer.document("run", "close", self.run)
        self.file = town.folder / "small.safetensors"
        self.file.write_bytes(weights())
        share = ("--training-share", 1_000)
        made = ("model", "register", "--name", "small", "--version", "1.0", "--file", self.file, "--run", self.run)
        self.model: int = developer.document(*made, *share)["model"]
        self.published = developer.document("model", "publish", self.model, "--price", "0.04", "--per-second", "0.01")


@pytest.fixture(scope="module")
def trained(town: Town) -> Trained:
    return Trained(town)


def test_a_run_is_opened_streamed_into_and_certified(town: Town, trained: Trained) -> None:
    assert "certificate" not in trained.open
    assert "is open" in trained.open_words
    assert (trained.closed["certificate"]["accesses"], trained.closed["certificate"]["assets"]) == (3, 3)
    words = town.visitor.words("run", "show", trained.run)
    assert "3 accesses of 3 assets" in words and "at least 10 % of a model's revenue" in words
    assert town.visitor.document("run", "show", trained.run) == trained.closed
    opened = town.developer.run("run", "open", trained.grant)
    number = int(opened.stdout.split()[1])
    assert f"--run {number}" in opened.stderr
    assert "0 accesses" in town.developer.words("run", "close", number)
    assert town.developer.refusal("run", "close", number)["code"] == "wrong_state"
    assert town.visitor.refusal("run", "show", 999_999)["code"] == "run_not_found"


def test_a_model_is_registered_published_and_shown(town: Town, trained: Trained) -> None:
    assert trained.published == {"model": trained.model}
    words = town.visitor.words("model", "show", trained.model)
    assert f"3 assets in run {trained.run}" in words
    assert "0.04 credits a call and 0.01 a second of audio" in words
    assert town.visitor.document("model", "show", trained.model)["endpoint"]["price"]["per_call"] == 40_000
    made = ("model", "register", "--name", "derived", "--version", "1", "--file", trained.file)
    based = ("--base", f"{trained.model}:500", "--undisclosed-data")
    said = town.developer.run(*made, *based)
    assert said.exit_code == 0 and "audiera model publish" in said.stderr
    number = int(said.stdout.split()[1])
    words = town.visitor.words("model", "show", number)
    assert "nothing that is recorded here, and other data that is not recorded here" in words
    assert f"{trained.model} (5 %)" in words and "not offered" in words
    said = town.developer.run("model", "publish", number, "--price", "0.01")
    assert "at 0.01 credits a call\n" in said.stdout and "audiera model call" in said.stderr
    assert town.developer.refusal(*made, "--base", "x:y", code=2)["code"] == "usage"
    assert town.developer.refusal(*made, "--architecture", "unknown")["code"] == "architecture_unknown"
    assert town.visitor.refusal("model", "show", 999_999)["code"] == "model_not_found"


def test_a_model_is_called_by_an_account_and_by_a_key(
    town: Town, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = town.caller.document("model", "call", trained.model, "--set", "seconds=1", "--set", "seed=3")
    assert Path(called["file"]).name == f"call-{called['node']}-{called['index']}.wav"
    assert Path(called["file"]).read_bytes().startswith(b"RIFF") and called["price"] == 50_000
    (tmp_path / "nothing.bin").write_bytes(b"")
    words = town.caller.words(
        "model",
        "call",
        trained.model,
        "--input",
        tmp_path / "nothing.bin",
        "-o",
        tmp_path / "mine.wav",
        "--set",
        "seconds=1",
    )
    assert "mine.wav  audio/wav" in words and "0.05 credits" in words

    assert town.caller.document("grant", "request", "--model", trained.model, "--purpose", "call-model", "--budget", 1)
    key = town.caller.document("account", "key", "--budget", "0.06", "--model", trained.model)
    by_key = ("model", "call", trained.model, "--set", "seconds=1", "--api-key", key["secret"])
    assert town.visitor.document(*by_key)["price"] == 50_000
    assert town.visitor.refusal(*by_key)["values"]["reasons"] == ["app-key-budget"]
    assert town.caller.document("account", "revoke", key["number"]) == {"number": key["number"], "revoked": True}
    shown = town.caller.run("account", "key", "--budget", 1, "--days", 1)
    assert "good for 1 day and 1.00 credits" in shown.stdout and "AUDIERA_API_KEY" in shown.stderr
    number = int(shown.stdout.split()[1].rstrip(","))
    assert "is revoked" in town.caller.words("account", "revoke", number)
    assert town.caller.refusal("account", "revoke", 999_999)["code"] == "unknown_object"
    grant = town.caller.document("grant", "request", "--model", trained.model, "--purpose", "call-model")
    number = grant["grant"]["number"]
    assert f"model {trained.model}" in town.visitor.words("grant", "show", number)
    assert town.caller.refusal("fetch", number, code=2)["code"] == "usage"


def test_a_models_pool_is_divided_among_its_recordings(town: Town, trained: Trained, tmp_path: Path) -> None:
    answer = tmp_path / "answer.wav"
    called = town.caller.document("model", "call", trained.model, "--set", "seconds=1", "-o", answer)
    place = f"{called['node']}/{called['index']}"
    end = time.monotonic() + 30.0
    while town.visitor.run("access", "trail", place, "--json").exit_code and time.monotonic() < end:
        time.sleep(0.05)
    settled = town.creator.document("model", "settle", trained.model)
    assert settled["amount"] >= 4_250  # of 50,000: 5 and 10 % of fees go first, then a tenth is the recordings'
    assert settled["paid"] == settled["amount"] and settled["assets"] == len(town.free) + len(town.priced)
    assert town.creator.refusal("model", "settle", trained.model)["code"] == "nothing_to_settle"


def test_histories_name_records_that_can_be_proved(town: Town, trained: Trained, tmp_path: Path) -> None:
    town.settle()
    words = town.visitor.words("history", "asset", town.priced[0])
    found = town.visitor.document("history", "asset", town.priced[0])
    first = next(each for each in found["accesses"] if each["op"] == "whole")
    name = f"{first['node']}/{first['node_index']}"
    assert name in words and f"account {town.developer_account}" in words
    shown = town.visitor.words("show", town.priced[0])
    assert name in shown

    account = town.developer.document("history", "account", "--limit", 2)
    assert len(account["accesses"]) == 2
    assert f"--after {account['next']}" in town.developer.words("history", "account", "--limit", 2)
    further = town.developer.document("history", "account", "--limit", 2, "--after", account["next"])
    assert further["accesses"][0]["index"] < account["accesses"][-1]["index"]
    signed = town.developer.words("history", "signed")
    assert "close-run" in signed and "issue-grant" in signed
    assert town.developer.document("history", "signed", "--limit", 1)["transactions"]

    trail = town.visitor.words("access", "trail", name)
    assert "under grant" in trail and "paid for it" in trail
    assert town.visitor.document("access", "trail", first["node"], first["node_index"])["access"] == first
    file = tmp_path / "proof.json"
    told = town.visitor.words("access", "proof", name, "-o", file)
    assert file.read_text("utf-8") == town.visitor.words("access", "proof", name)
    chain, key = told.split("--chain ")[1].split(" --key ")
    assert town.visitor.document("access", "proof", name, "--output", file)["key"] == key.strip()
    check = ("verify", file, "--chain", chain, "--key", key.strip())
    assert "proved: account" in town.visitor.words(*check)
    assert town.visitor.document(*check)["row"]["asset"] == town.priced[0]
    file.write_text(file.read_text("utf-8").replace('"row": ', '"row": 1'), "utf-8")
    assert town.visitor.refusal(*check)["code"] == "proof_invalid"
    file.write_bytes(b"\xff\xfe")
    assert town.visitor.refusal(*check)["code"] == "encoding_invalid"
    assert town.visitor.refusal("access", "trail", "1/999999")["code"] == "access_not_found"


def test_a_call_leads_back_to_what_the_model_was_trained_on(town: Town, trained: Trained, tmp_path: Path) -> None:
    called = town.caller.document("model", "call", trained.model, "--set", "seconds=1", "-o", tmp_path / "a.wav")
    town.creator_client().wait_for_record(called["node"], called["index"])
    words = town.visitor.words("access", "trail", f"{called['node']}/{called['index']}")
    assert f"called model {trained.model}, small 1.0, trained on:" in words
    for asset in (*town.free, *town.priced):
        assert any(line[:1] == [str(asset)] for line in lines_of(words))
    assert "called the model" in town.visitor.words("history", "asset", trained.model)


def test_uses_are_summed_up_and_money_adds_up(town: Town, trained: Trained) -> None:
    town.settle()
    for by in ("purpose", "day", "asset"):
        words = town.visitor.words("usage", "--by", by)
        assert "train-generative" in words or by == "asset"
        assert town.visitor.document("usage", "--by", by)
    assert str(town.priced[0]) in town.visitor.words("usage", "--by", "asset", "--holder", town.account)
    assert "no accesses" in town.visitor.words("usage", "--asset", 999_999)

    earned = town.creator.document("earnings", town.priced[0])
    assert earned["waiting"] > 0
    assert f"audiera asset claim {town.priced[0]}" in town.visitor.words("earnings", town.priced[0])
    paid = town.creator.document("asset", "claim", town.priced[0], town.priced[0])
    assert paid == {"assets": [{"asset": town.priced[0], "paid": earned["waiting"]}]}
    assert lines_of(town.creator.words("asset", "claim", town.priced[0]))[-1] == [str(town.priced[0]), "0.00"]
    town.settle()
    statement = town.creator.document("statement")
    assert statement["opening"] + statement["credited"] - statement["debited"] == statement["closing"]
    assert "= closing" in town.creator.words("statement")
    assert "go on with --offset 1" in town.creator.words("statement", "--limit", 1)
    assert town.visitor.refusal("earnings", 999_999)["code"] == "asset_not_found"


def test_what_is_offered_is_managed(town: Town, tmp_path: Path) -> None:
    files = sounds(tmp_path / "more", 2)
    one, two = (town.creator.document("upload", file, "--preset", "open")["files"][0]["asset"] for file in files)
    other = town.creator.document("license", "publish", "--preset", "research")["license"]
    assert f"under license {other}" in town.creator.words("asset", "relicense", one, other)
    assert town.creator.document("asset", "relicense", one, other) == {"asset": one, "license": other}
    (tmp_path / "evidence.txt").write_text("mine")
    disputed = town.developer.run("asset", "dispute", two, "--evidence", tmp_path / "evidence.txt")
    assert "is contested" in disputed.stdout
    assert "It is contested" in town.visitor.words("show", two)
    again = town.developer.refusal("asset", "dispute", two, "--evidence", tmp_path / "evidence.txt")
    assert again["code"] == "wrong_state"
    assert town.creator.document("asset", "transfer", one, town.developer_account)["holder"] == town.developer_account
    assert town.creator.refusal("asset", "withdraw", one)["code"] == "not_permitted"
    assert "is managed by" in town.developer.words("asset", "transfer", one, town.account)
    assert "is withdrawn" in town.creator.words("asset", "withdraw", one)
    assert "It was withdrawn" in town.visitor.words("show", one)
    assert town.creator.document("asset", "withdraw", one)["status"] == "withdrawn"


def test_without_an_outline_an_asset_is_shown_all_the_same(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Offering, ref: int | str) -> None:
        raise NotFound("no outline")

    monkeypatch.setattr(Offering, "waveform", missing)
    assert "no outline is kept" in town.visitor.words("show", town.free[0])


def test_bytes_that_are_not_the_ledgers_are_not_written(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Offering.asset

    def lie(self: Offering, ref: int | str) -> AssetAnswer:
        answer = honest(self, ref)
        content = replace(answer.asset.content, blob=bytes(32))
        return replace(answer, asset=replace(answer.asset, content=content))

    grant = town.granted(town.free[0], "--purpose", "evaluate")
    monkeypatch.setattr(Offering, "asset", lie)
    assert town.developer.refusal("fetch", grant, "--into", tmp_path)["code"] == "bytes_differ"
    assert not list(tmp_path.glob("*.wav"))
