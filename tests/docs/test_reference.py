"""The reference says what the code says: nothing is left out, nothing is made up, every link leads somewhere."""

import ast
import re
from pathlib import Path

import pytest

from audiera.cli.demo import acts
from audiera.node.config import table
from audiera.node.http.surface import OPERATIONS
from audiera.protocol.api import routes
from audiera.protocol.api.routes import Route
from audiera.protocol.machine import step
from audiera.protocol.purposes import PURPOSES
from audiera.sdk.accounting import Accounting
from audiera.sdk.connection import Connection
from audiera.sdk.offering import Offering
from audiera.sdk.serving import Serving
from audiera.sdk.using import Using
from tests.docs.codes import SOURCE, codes_in_source
from tests.docs.generate import generated, pages_with_parts
from tests.docs.pages import DOCS, ROOT, anchors, links, pages, plain_prose, prose, rows

ADR = sorted((DOCS / "adr").glob("[0-9]*.md"))
NEVER = ("user", "users", "wallet", "wallets", "royalty", "royalties", "backend", "song", "songs")
"""Words of the glossary's last column that mean nothing else in this project."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def in_backquotes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ---------------------------------------------------------------- what is generated


@pytest.mark.parametrize("page", pages_with_parts(), ids=name_of)
def test_generated_parts_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == generated(text), "write it anew with: python -m tests.docs.generate"


def test_every_setting_is_documented() -> None:
    documented = {in_backquotes(row[0])[0] for row in rows(DOCS / "settings.md")}
    assert documented == {row.name for row in table()}


def test_every_route_is_documented_and_served() -> None:
    documented = {(row[0], in_backquotes(row[1])[0]) for row in rows(DOCS / "http.md") if len(row) == 4}
    named = {(route.method, route.path) for route in vars(routes).values() if isinstance(route, Route)}
    assert documented == {(each.route.method, each.route.path) for each in OPERATIONS} == named


# ---------------------------------------------------------------- what is written by hand


def test_every_error_code_is_explained_once_and_none_is_made_up() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8").partition("## Reasons of a refused decision")[0]
    explained = re.findall(r"^\| `(\w+)` \| \S.* \| \S.* \|$", text, flags=re.MULTILINE)
    found = codes_in_source()
    assert sorted(explained) == sorted(set(explained))
    assert set(explained) == set(found), {code: found.get(code) for code in set(explained) ^ set(found)}


def test_error_codes_are_found_where_they_are_raised() -> None:
    found = codes_in_source()
    assert "protocol/machine/paying.py" in found["nothing_to_settle"]  # given by position to `expect`
    assert "node/http/identity.py" in found["token_expired"]  # ... to a function of its own
    assert "audio/examine.py" in found["truncated"]  # one of two, chosen before
    assert "node/http/lookup.py" in found["asset_not_found"]  # put together from what is looked for
    assert "protocol/errors.py" in found["storage_failed"]  # a class's own


def test_every_method_of_the_sdk_is_listed_where_it_belongs() -> None:
    listed = {in_backquotes(row[0])[0]: set(in_backquotes(row[2])) for row in rows(DOCS / "sdk.md")}
    left_out = {"close", "signer", "create_account", "uploads", "register_each", "identity", "is_account", "account"}
    waits = {"wait_for_catalog", "wait_for_histories", "wait_for_record"}
    for part in (Connection, Offering, Using, Serving, Accounting):
        there = {name for name in vars(part) if not name.startswith("_")} - left_out - waits
        assert listed.pop(part.__name__) == there
    assert not listed


def test_every_purse_is_explained() -> None:
    named = {step.ISSUED, step.NETWORK}
    named |= {function(0).replace("/0", "/N") for name, function in vars(step).items() if name.endswith("_purse")}
    explained = {in_backquotes(row[0])[0] for row in rows(DOCS / "money.md") if row[0].count("`") == 2}
    assert named <= explained


def test_every_purpose_is_in_the_glossary() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    assert all(f"`{purpose}`" in text for purpose in PURPOSES)


def test_transcript_of_the_readme_has_the_scenes_of_the_demo() -> None:
    tree = ast.parse(Path(acts.__file__).read_text(encoding="utf-8"))
    scenes = [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "scene"
        and isinstance(node.args[0], ast.Constant)
    ]
    shown = re.findall(r"^\d+\. (.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert shown
    assert set(shown) <= set(scenes)


def test_readme_opens_with_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines[3:5] == ["$ python3 dev.py demo", "$ python3 dev.py test"]


# ---------------------------------------------------------------- decisions


@pytest.mark.parametrize("page", ADR, ids=name_of)
def test_decision_has_its_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert text.startswith(f"# {page.name[:4]}: ")
    assert [heading for heading in headings if heading in ("Context", "Decision", "Rejected")] == [
        "Context",
        "Decision",
        "Rejected",
    ]
    assert set(headings) <= {"Context", "Decision", "Figures", "Rejected", "When to look again"}
    assert len(text.splitlines()) <= 60, "a decision is one page"


def test_decisions_are_numbered_one_after_another() -> None:
    assert [int(page.name[:4]) for page in ADR] == list(range(1, len(ADR) + 1))


# ---------------------------------------------------------------- every page


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        place, _, anchor = target.partition("#")
        if place.startswith("https://"):
            continue
        linked = (page.parent / place).resolve() if place else page
        assert linked.is_file(), f"{target} leads nowhere"
        assert linked.is_relative_to(ROOT), f"{target} leads out of the project"
        assert not anchor or anchor in anchors(linked), f"{target}: {linked.name} has no such heading"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    roots = ("tests/", "src/", "docs/", "benchmarks/", "examples/", "requirements/", "protocol/", "node/", "services/")
    for named in in_backquotes(prose(page)):
        if named.startswith(roots) and re.fullmatch(r"[\w./-]+\.(py|md|txt)", named):
            assert (ROOT / named).is_file() or (SOURCE / named).is_file(), f"{named} is not there"


@pytest.mark.parametrize("page", [page for page in pages() if page.name != "glossary.md"], ids=name_of)
def test_pages_use_the_words_of_the_glossary(page: Path) -> None:
    words = re.findall(r"[a-z]+", plain_prose(page).lower())
    said = [word for word in words if word in NEVER]
    assert not said, f"the glossary has other words for {said}"


def test_help_of_the_command_line_uses_the_words_of_the_glossary() -> None:
    words = re.findall(r"[a-z]+", (DOCS / "cli.md").read_text(encoding="utf-8").lower())
    assert not set(words) & set(NEVER)


def test_names_in_the_code_use_the_words_of_the_glossary() -> None:
    said: list[str] = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) else ""
            name = node.arg if isinstance(node, ast.arg) else name
            parts = re.findall(r"[A-Z]?[a-z]+", name)
            said += [f"{path.name}: {name}" for part in parts if part.lower() in NEVER]
    assert not said


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_pages_name_no_place_of_a_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.$~])/(?:home|root|work|tmp|Users)/", text)
