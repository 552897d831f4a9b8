"""A node's beginning and end: what it makes, what it refuses to start with, how it stops."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from audiera.node import serve as serving
from audiera.node.app import build
from audiera.node.config import Settings
from audiera.node.quota import Quota
from audiera.node.serve import READY_FILE, Ready, address_of, hosts_of, listen, serve
from audiera.node.sessions import SessionTokens
from audiera.node.workers import Workers
from audiera.protocol.api import routes
from audiera.protocol.errors import AudieraError, ConfigurationError, StorageError
from tests.node.house import ANYTHING, House, house_in, sound, until


def files_of(home: Path) -> dict[str, int]:
    return {str(path.relative_to(home)): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}


# ---------------------------------------------------------------------- the first and every other start


def test_everything_a_node_keeps_is_its_owners_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        with house_in(tmp_path / "a" / "home") as house:
            person = house.person()
            asset = person.offer(ANYTHING, sound(400))
            house.ask(routes.ASSET_PREVIEW, {"ref": asset})
            person.ask(routes.CREATE_UPLOAD, headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
            house.flush()
            modes = files_of(house.home)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a" / "home").stat().st_mode) == 0o700
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    assert len(modes) > 20


def test_a_second_start_is_the_same_node(house: House) -> None:
    before, genesis = house.ask(routes.NODE).json, house.parts.ledger.genesis
    house.restart()
    after = house.ask(routes.NODE).json
    assert house.parts.ledger.genesis == genesis
    for name in ("chain_id", "genesis", "account", "key", "log_key"):
        assert after[name] == before[name]
    assert after["head"]["height"] >= before["head"]["height"]


def test_the_chain_has_the_name_it_is_given(tmp_path: Path) -> None:
    with house_in(tmp_path / "home", chain="music") as house:
        assert house.ask(routes.NODE).json["chain_id"] == "music"


def test_without_a_faucet_nobody_is_given_anything(tmp_path: Path) -> None:
    with house_in(tmp_path / "home", faucet=False) as house:
        person = house.person()
        told = house.ask(routes.NODE).json
        assert (told["faucet"], told["rails"]) == (False, [])
        answer = person.ask(routes.FAUCET, body={"account": person.number, "amount": 1})
        assert answer.status == 403
        house.stop()
        house.settings = msgspec.structs.replace(house.settings, faucet=True)
        house.start()  # the chain was made without it
        assert not house.ask(routes.NODE).json["faucet"]


def test_credits_of_the_chain_add_up_to_nothing(house: House) -> None:
    house.person(funds=1_000)
    found = house.ask(routes.LEDGER_CREDITS).json
    assert found["total"] == 0
    assert {each["kind"]: each["balance"] for each in found["kinds"]}["issued"] == -1_000


# ---------------------------------------------------------------------- what it does not start with


def made(home: Path) -> None:
    build(Settings(home=home)).close()


def refusal(home: Path) -> AudieraError:
    """Why a node does not start; and that it gives everything back, so that it can once the cause is gone."""
    with pytest.raises(AudieraError) as caught:
        build(Settings(home=home))
    return caught.value


def test_a_damaged_secret_stops_the_start_and_is_named(tmp_path: Path) -> None:
    made(tmp_path)
    for name in ("control", "device", "validator", "authority", "master"):
        path = tmp_path / "keys" / f"{name}.key"
        secret = path.read_bytes()
        path.write_bytes(secret[:31])
        fault = refusal(tmp_path)
        assert fault.code == "secret_damaged" and str(path) in fault.message
        path.write_bytes(secret)
        path.chmod(0o640)
        fault = refusal(tmp_path)
        assert fault.code == "secret_exposed" and "chmod 600" in fault.message
        path.chmod(0o600)
    made(tmp_path)


def test_two_equal_secrets_stop_the_start(tmp_path: Path) -> None:
    made(tmp_path)
    path = tmp_path / "keys" / "validator.key"
    secret = path.read_bytes()
    path.write_bytes((tmp_path / "keys" / "device.key").read_bytes())
    assert refusal(tmp_path).code == "keys_not_distinct"
    path.write_bytes(secret)
    made(tmp_path)


def test_another_validators_secret_stops_the_start(tmp_path: Path) -> None:
    made(tmp_path)
    path = tmp_path / "keys" / "validator.key"
    secret = path.read_bytes()
    path.write_bytes(bytes(reversed(secret)))
    assert isinstance(refusal(tmp_path), AudieraError)
    path.write_bytes(secret)
    made(tmp_path)


def test_a_secret_is_shown_nowhere(house: House, caplog: pytest.LogCaptureFixture) -> None:
    secrets = [path.read_bytes() for path in (house.home / "keys").iterdir()]
    text = repr(house.parts.keys) + repr(house.parts.settings) + caplog.text
    for secret in secrets:
        assert secret.hex() not in text and repr(secret)[2:-1] not in text


def test_a_home_that_is_open_elsewhere_is_refused(house: House) -> None:
    fault = refusal(house.home)
    assert fault.code == "folder_in_use"
    assert str(os.getpid()) in fault.message
    assert house.ask(routes.NODE).status == 200


def test_a_home_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file").code == "home_unusable"
    assert refusal(tmp_path / "file" / "home").code == "home_unusable"
    (tmp_path / "odd" / "keys" / "device.key").mkdir(parents=True)
    (tmp_path / "odd" / "keys" / "device.key").chmod(0o700)
    assert refusal(tmp_path / "odd").code == "home_unusable"


def test_what_a_killed_process_recorded_is_posted_by_the_next(tmp_path: Path) -> None:
    with house_in(tmp_path / "home", batch_after=60_000) as house:
        asset = house.person().offer(ANYTHING, sound(401))
        heard = [house.index_of(house.ask(routes.ASSET_PREVIEW, {"ref": asset})) for _ in range(3)]
        died = tmp_path / "died"
        shutil.copytree(house.home, died, ignore=shutil.ignore_patterns("lock"))
    with house_in(died) as house:
        house.flush()
        history = house.ask(routes.ASSET_HISTORY, {"ref": asset}).json
        assert sorted(each["node_index"] for each in history["accesses"]) == heard


# ---------------------------------------------------------------------- what follows the ledger


def facts(house: House, asset: int) -> list[Any]:
    """What catalog and usage say, but for how long it took."""
    page = house.ask(routes.SEARCH, query={"text": "Copper"}).json
    page.pop("took_us")
    history = house.ask(routes.ASSET_HISTORY, {"ref": asset}).json
    totals = house.ask(routes.USAGE_TOTALS, body={}).json
    return [page["hits"], page["total"], history["accesses"], totals]


def test_what_follows_the_ledger_is_made_anew_when_it_is_gone_or_ahead(house: House, tmp_path: Path) -> None:
    person = house.person()
    asset = person.offer(ANYTHING, sound(402), title="Copper bell")
    house.ask(routes.ASSET_PREVIEW, {"ref": asset})
    house.flush()
    before = facts(house, asset)
    assert before[1] == 1 and before[2]
    house.stop()
    shutil.copytree(house.home, tmp_path / "older")
    for path in house.home.glob("*.sqlite*"):
        if path.name.startswith(("catalog", "usage")):
            path.unlink()
    house.start()
    assert facts(house, asset) == before
    person.offer(ANYTHING, sound(403), title="Later")
    house.flush()
    house.stop()
    for name in ("catalog.sqlite", "usage.sqlite"):  # a ledger restored from a backup, beside what has seen more
        shutil.copy(house.home / name, tmp_path / "older" / name)
    older = House(tmp_path / "older")
    older.start()
    try:
        assert facts(older, asset) == before
        assert older.ask(routes.SEARCH, query={"text": "Later"}).json["total"] == 0
    finally:
        older.stop()
    house.start()


@pytest.mark.parametrize("part", ["catalog", "usage"])
def test_a_follower_that_fails_ends_the_node(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    def broken(*_: object) -> None:
        raise StorageError("the disk is gone", code="disk_gone")

    monkeypatch.setattr(getattr(house.parts, part), "apply", broken)
    house.person()
    until(house.node.workers.failed.is_set)
    assert "followers.failed" in caplog.text


def test_a_node_that_cannot_post_gives_everything_back(house: House) -> None:
    """The ledger has stopped while accesses wait to be posted: the end says so, and the folder is free again."""
    asset = house.person().offer(ANYTHING, sound(404))
    house.parts.sealer._interval_s = 60.0
    house.flush()
    house.ask(routes.ASSET_PREVIEW, {"ref": asset})
    waiting = house.parts.meter.next_index
    house.parts.ledger.close()
    with pytest.raises(AudieraError):
        house.stop()
    node = build(Settings(home=house.home))
    assert node.parts.meter.next_index == waiting
    node.close()
    house.start()
    house.flush()
    assert house.parts.sealer.next_index == waiting


# ---------------------------------------------------------------------- the process


def during(work: Callable[[Ready], None]) -> Callable[[Ready], None]:
    """Do something while a node runs, then ask it to end as a system does."""

    def begun(ready: Ready) -> None:
        def run() -> None:
            try:
                work(ready)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=run).start()

    return begun


@pytest.mark.parametrize("has_uvloop", [True, False])
def test_a_process_tells_where_it_answers_and_ends_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_uvloop: bool
) -> None:
    if not has_uvloop:
        monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    seen: list[Any] = []

    def look(ready: Ready) -> None:
        told = msgspec.json.decode((tmp_path / READY_FILE).read_bytes(), type=Ready)
        answer = httpx2.get(f"{ready.address}/v1/node")
        seen.extend([told == ready, ready.process == os.getpid(), answer.json()["chain_id"] == ready.chain_id])

    (tmp_path / READY_FILE).write_bytes(b"of a killed process")
    serve(Settings(home=tmp_path, port=0), on_ready=during(look))
    assert seen == [True, True, True]
    assert not (tmp_path / READY_FILE).exists()
    made(tmp_path)


def test_an_address_of_a_killed_process_is_not_taken_for_this_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    (tmp_path / READY_FILE).write_bytes(b"of a killed process")

    async def run(node: Any, *_: object) -> None:
        assert not (tmp_path / READY_FILE).exists()
        await asyncio.to_thread(node.close)

    monkeypatch.setattr(serving, "_run", run)
    serve(Settings(home=tmp_path, port=0))


def test_a_process_ends_with_an_error_when_a_part_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: list[Any] = []
    monkeypatch.setattr(serving, "build", lambda settings: nodes.append(build(settings)) or nodes[0])

    def fail(_: Ready) -> None:
        nodes[0].parts.followers.failure = StorageError("the disk is gone")

    with pytest.raises(ConfigurationError) as caught:
        serve(Settings(home=tmp_path, port=0), on_ready=fail)
    assert caught.value.code == "node_failed"
    made(tmp_path)


def test_a_small_answer_is_sent_at_once_whatever_the_loop(tmp_path: Path) -> None:
    """Event loops switch the waiting of small packets off for sockets that say they are TCP's."""
    del tmp_path
    listener = listen(Settings(port=0))
    assert listener.proto == socket.IPPROTO_TCP
    listener.close()


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    first = listen(Settings(port=0))
    port = first.getsockname()[1]
    with pytest.raises(ConfigurationError, match="choose another port") as caught:
        listen(Settings(port=port))
    assert caught.value.code == "port_taken"
    with pytest.raises(ConfigurationError):
        serve(Settings(home=tmp_path / "home", port=port))
    assert not (tmp_path / "home").exists()
    first.close()


@pytest.mark.parametrize("host", ["256.0.0.1", "a" * 70, "no such host", "192.0.2.1", "2001:db8::1"])
def test_an_address_that_is_none_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listen(Settings(host=host, port=0))
    assert caught.value.code == "address_unusable"


def test_a_node_may_listen_on_the_other_loopback() -> None:
    try:
        listener = listen(Settings(host="::1", port=0))
    except ConfigurationError:
        pytest.skip("this machine has no IPv6")
    assert address_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
    listener.close()


@pytest.mark.parametrize(
    ("settings", "port", "names"),
    [
        ({}, 7170, {"localhost:7170", "127.0.0.1:7170", "[::1]:7170"}),
        ({}, 80, {"localhost:80", "localhost", "127.0.0.1", "[::1]"}),
        ({"host": "2001:db8::1"}, 7170, {"[2001:db8::1]:7170"}),
        ({"host": "192.0.2.1"}, 7170, {"192.0.2.1:7170"}),
        (
            {"hosts": ("Node.Example:443", "b.example:8080")},
            7170,
            {"node.example", "b.example:8080"},
        ),
    ],
)
def test_a_node_answers_to_its_names(settings: dict[str, Any], port: int, names: set[str]) -> None:
    found = hosts_of(Settings(**settings), port)
    assert names <= found
    assert "b.example" not in found
    if port != 80:
        assert "localhost" not in found


# ---------------------------------------------------------------------- small parts


def test_a_loop_that_fails_is_told_and_the_others_end(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def work() -> None:
        raise ZeroDivisionError

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    async def run() -> None:
        workers = Workers()
        workers.start("a.wait", wait)
        workers.repeat("a.fault", 0.0, work)
        await asyncio.wait_for(workers.failed.wait(), 10)
        await workers.stop()

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert ended == ["wait"]
    assert "worker.failed name=a.fault" in caplog.text


def test_a_quota_fills_evenly_and_remembers_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10**15]
    quota = Quota(lambda: now[0], 60)
    assert [quota.take("a") for _ in range(61)] == [True] * 60 + [False]
    assert quota.take("b")
    now[0] += 1_000_000
    assert [quota.take("a") for _ in range(2)] == [True, False]
    now[0] += 3_600_000_000
    assert [quota.take("a") for _ in range(61)] == [True] * 60 + [False]
    monkeypatch.setattr("audiera.node.quota._MOST", 2)
    for address in ("c", "d", "e"):
        quota.take(address)
    assert set(quota._free_at) == {"d", "e"}


def test_tokens_of_sessions_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    class Opening:
        expires_at = 100

    class Session:
        opening = Opening()

    now, count = [0], iter(range(100))
    tokens = SessionTokens(lambda: now[0], lambda size: next(count).to_bytes(size, "big"))
    monkeypatch.setattr("audiera.node.sessions._MOST", 2)
    given = [tokens.issue(Session()) for _ in range(2)]  # type: ignore[arg-type]
    assert all(tokens.find(token) is not None for token in given)
    assert tokens.find("another") is None
    now[0] = 100
    assert tokens.find(given[0]) is None
    last = [tokens.issue(Session()) for _ in range(2)]  # type: ignore[arg-type]
    assert set(tokens._tickets) == {last[1]}  # with each new one, what is over goes once there are many
