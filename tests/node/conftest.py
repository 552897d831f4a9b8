"""What the tests of a node get."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.house import House, house_in
from tests.node.world import World, made


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A node in this process and what is on it; for tests that change nothing others look at."""
    with house_in(tmp_path_factory.mktemp("world") / "home") as house:
        yield made(house)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A node of a test's own."""
    with house_in(tmp_path / "home") as made_house:
        yield made_house
