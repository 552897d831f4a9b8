"""The tutorials do what they say, typed from beginning to end."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.docs.sessions import Session, node

TUTORIALS = DOCS / "tutorials"

STORIES = {
    "creator": ("music-creator", "data-consumer"),
    "contributor": ("data-contributor", "ai-model-developer", "application-developer", "auditor"),
}
"""Tutorials that follow one another on one node."""

ALONE = ("node-operator",)
"""Tutorials that start their own nodes."""


@pytest.mark.parametrize("story", STORIES)
def test_tutorials_that_follow_one_another_do_what_they_say(story: str, tmp_path: Path) -> None:
    with node(tmp_path / "home", "--chain", "tutorial") as ready:
        session = Session(tmp_path, ready.address)
        for page in ("README", *STORIES[story]):
            session.run(TUTORIALS / f"{page}.md")


@pytest.mark.parametrize("page", ALONE)
def test_tutorial_with_its_own_nodes_does_what_it_says(page: str, tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.run(TUTORIALS / "README.md")
    session.run(TUTORIALS / f"{page}.md")


def test_every_tutorial_is_run_and_listed() -> None:
    run = {page for pages in STORIES.values() for page in pages} | set(ALONE)
    written = {path.stem for path in TUTORIALS.glob("*.md")} - {"README"}
    listed = (TUTORIALS / "README.md").read_text(encoding="utf-8")
    assert written == run
    assert all(f"]({page}.md)" in listed for page in written)
