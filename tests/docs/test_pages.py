"""The README and the pages with sessions of their own do what they say."""

from pathlib import Path

from tests.docs.pages import DOCS, ROOT
from tests.docs.sessions import Session, node

TUTORIALS = DOCS / "tutorials"


def test_sessions_of_the_reference_do_what_they_say(tmp_path: Path) -> None:
    with node(tmp_path / "home", "--chain", "tutorial") as ready:
        session = Session(tmp_path, ready.address)
        for page in ("README", "music-creator"):
            session.run(TUTORIALS / f"{page}.md")
        for page in (ROOT / "README.md", DOCS / "sdk.md", DOCS / "http.md"):
            session.run(page)


def test_arithmetic_of_the_money_page_is_right(tmp_path: Path) -> None:
    Session(tmp_path).run(DOCS / "money.md")
