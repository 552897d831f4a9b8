"""Connecting: a key and an account are made once, kept for each chain, and never lost or replaced."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from msgspec.structs import replace

import audiera
from audiera.protocol.errors import AudieraError, ConfigurationError, NotAuthenticated, TransactionError, Unavailable
from audiera.protocol.keys import public_key
from audiera.sdk import Client, connect, load_identity, make_identity, save_identity
from audiera.sdk.client import visit
from audiera.sdk.identity import config_folder, identity_path, keep_identity
from audiera.sdk.transport import Transport
from tests.sdk.house import House, lose_answers, running_house


def path_of(client: Client, name: str = "default") -> Path:
    return identity_path(name, client.identity.genesis)


def next_number(house: House) -> int:
    """The number the next thing on the ledger gets: what is made counts, not blocks, for empty ones come too."""
    return house.node.parts.ledger.state().next_number()


def test_a_first_connection_makes_a_key_and_an_account_and_a_second_one_is_the_same(house: House) -> None:
    with connect(house.url, roles=("creator",), display_name="Ada") as first:
        account = first.account
        info = first.account_info()
        assert info.account.roles == ("creator",)
        assert info.profile is not None and info.profile.display_name == "Ada"
        number = next_number(house)
    with connect(house.url) as second:
        assert second.account == account
        assert second.identity == load_identity(path_of(second))
        assert next_number(house) == number
        assert second.balance() == 0


def test_the_key_is_readable_by_its_owner_only(house: House, config: Path) -> None:
    with connect(house.url) as client:
        file = path_of(client)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) & 0o077 == 0
    assert [path.name for path in config.rglob("*") if path.is_file()] == ["default.identity"]


def test_names_are_different_identities(house: House) -> None:
    with connect(house.url, name="ann") as ann, connect(house.url, name="bob") as bob:
        assert ann.account != bob.account
    with connect(house.url, name="ann") as again:
        assert again.account == ann.account


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "a\n"])
def test_a_name_that_is_no_name_is_refused(house: House, name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        connect(house.url, name=name)
    assert refused.value.code == "identity_name_invalid"


def test_each_chain_has_an_identity_of_its_own(house: House, tmp_path: Path) -> None:
    with connect(house.url) as here:
        kept = path_of(here).read_bytes()
        identity = here.identity
    with running_house(tmp_path / "other") as other, connect(other.url) as there:
        assert there.identity.seed != identity.seed
        assert path_of(there) != path_of(here)
        with pytest.raises(ConfigurationError) as refused:
            connect(other.url, identity=identity)
        assert refused.value.code == "identity_of_another_chain"
        assert path_of(here).read_bytes() == kept
    with connect(house.url) as again:
        assert again.identity == identity


def test_a_kept_identity_is_never_replaced_by_another(house: House) -> None:
    with connect(house.url) as client:
        file, kept = path_of(client), client.identity
    with pytest.raises(ConfigurationError) as refused:
        save_identity(make_identity(), file)
    assert refused.value.code == "identity_exists"
    assert keep_identity(make_identity(), file) == kept
    assert load_identity(file) == kept
    save_identity(replace(kept, node="http://elsewhere"), file)
    assert load_identity(file) == replace(kept, node="http://elsewhere")


def test_an_identity_file_that_others_can_read_is_refused(house: House) -> None:
    with connect(house.url) as client:
        file = path_of(client)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600") as refused:
        connect(house.url)
    assert refused.value.code == "identity_not_private"
    with pytest.raises(ConfigurationError):
        visit(house.url)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"seed":"AAAA"}', b'{"account":1}', b"\xff\xfe"])
def test_a_damaged_identity_file_is_refused_and_left_alone(house: House, content: bytes) -> None:
    with connect(house.url) as client:
        file = path_of(client)
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        connect(house.url)
    assert refused.value.code == "identity_damaged"
    with pytest.raises(ConfigurationError):
        save_identity(make_identity(), file)
    assert file.read_bytes() == content


def test_an_answer_lost_once_is_asked_for_again(house: House) -> None:
    way = lose_answers("POST /v1/transactions", 1)
    number = next_number(house)
    client = connect(house.url, http=httpx2.Client(base_url=house.url, transport=way))
    with client:
        assert next_number(house) == number + 1
        sent = [request for request in way.requests if request.url.path == "/v1/transactions"]
        assert len(sent) == 2
        assert sent[0].headers["Idempotency-Key"] == sent[1].headers["Idempotency-Key"]


def test_an_account_whose_creation_got_no_answer_is_found_at_the_next_connection(house: House) -> None:
    way = lose_answers("POST /v1/transactions", 1_000)
    before = next_number(house)
    with pytest.raises(Unavailable) as lost:
        connect(house.url, http=httpx2.Client(base_url=house.url, transport=way))
    assert lost.value.code == "node_unreachable"
    assert next_number(house) == before + 1
    with connect(house.url) as client:
        found = client.account_info()
        assert found.account.number == client.account
        assert found.keys == (client.account_info(client.account).keys[0],)
        assert load_identity(path_of(client)) == client.identity
        transactions = client.transactions().transactions
        assert [each.code for each in transactions if each.kind == "create-account"][-1] == "ok"


def test_processes_that_connect_for_the_first_time_at_once_are_one_account(house: House) -> None:
    with ThreadPoolExecutor(6) as pool:
        clients = list(pool.map(lambda _: connect(house.url, name="shared"), range(6)))
    try:
        assert len({client.account for client in clients}) == 1
        assert len({client.identity.seed for client in clients}) == 1
    finally:
        for client in clients:
            client.close()


def test_a_visitor_makes_nothing_and_a_kept_identity_is_used(house: House, config: Path) -> None:
    number = next_number(house)
    with visit(house.url) as visitor:
        assert not visitor.is_account
        visitor.search_page(text="nothing")
        with pytest.raises(NotAuthenticated):
            _ = visitor.account
    assert next_number(house) == number
    assert not config.exists()
    with connect(house.url) as client:
        account = client.account
    with visit(house.url) as known:
        assert known.account == account


def test_a_given_identity_is_used_and_nothing_is_kept(house: House, config: Path) -> None:
    identity = make_identity()
    with connect(house.url, identity=identity) as client:
        made = client.identity
        assert made.key == identity.key == public_key(identity.seed)
        assert made.chain_id == client.node().chain_id
    with connect(house.url, identity=made) as again:
        assert again.account == made.account
    with connect(house.url, identity=identity) as found:
        assert found.account == made.account
    assert not config.exists()


def test_a_name_and_roles_can_be_changed(house: House) -> None:
    client = house.join()
    client.change_profile(display_name="Grace")
    assert client.account_info().account.roles == ("model-developer",)
    client.change_profile(roles=("creator", "consumer"))
    info = client.account_info()
    assert info.account.roles == ("creator", "consumer")
    assert info.profile is not None and info.profile.display_name == "Grace"


def test_what_the_ledger_refuses_keeps_its_code(house: House) -> None:
    with pytest.raises(TransactionError) as refused:
        house.join().transfer(house.node.parts.account, 999_999)
    assert refused.value.code == "unknown_object"
    with pytest.raises(AudieraError, match="moderators") as malformed, Client(Transport(house.url)) as client:
        client.create_account(make_identity(), roles=("moderator",))
    assert malformed.value.code == "record_invalid"


def test_an_application_key_is_no_account(house: House) -> None:
    with connect(house.url, api_key="aud_nothing") as client, pytest.raises(NotAuthenticated):
        _ = client.identity


def test_the_secret_is_never_shown() -> None:
    identity = make_identity()
    assert identity.seed.hex() not in repr(identity)
    assert repr(identity.seed) not in repr(identity)
    assert "did:key:" in repr(identity)


def test_identities_are_kept_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert config_folder() == Path(os.environ["AUDIERA_CONFIG"])
    monkeypatch.delenv("AUDIERA_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert config_folder() == tmp_path / "xdg" / "audiera"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert config_folder() == tmp_path / "home" / ".config" / "audiera"


def test_the_package_opens_a_client_by_one_name(house: House) -> None:
    with audiera.connect(house.url) as client:
        assert client.account
    with pytest.raises(AttributeError):
        _ = audiera.nothing  # type: ignore[attr-defined]
