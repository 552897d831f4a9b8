"""One eventful chain and its index, shared by the tests that only read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audiera.services.usage import UsageIndex, open_usage
from tests.services.usage.chains import Facts, Market, all_facts, follow, market


@pytest.fixture(scope="session")
def happened() -> Market:
    """The chain."""
    return market()


@pytest.fixture(scope="session")
def facts(happened: Market) -> list[Facts]:
    """Every row on it, read straight from its blocks."""
    return all_facts(happened.chain.pairs)


@pytest.fixture(scope="session")
def usage(happened: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsageIndex]:
    """The index over the whole chain."""
    index = open_usage(tmp_path_factory.mktemp("usage") / "usage.sqlite")
    follow(index, happened.chain.pairs)
    yield index
    index.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[UsageIndex]:
    """An index that has seen no block."""
    index = open_usage(tmp_path / "usage.sqlite")
    yield index
    index.close()
