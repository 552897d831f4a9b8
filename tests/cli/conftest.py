"""One running node for all tests of a process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdk.house import House, running_house


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running node."""
    with running_house(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Identities are kept in a folder of the test's own."""
    folder = tmp_path / "config"
    monkeypatch.setenv("AUDIERA_CONFIG", str(folder))
    for name in ("AUDIERA_URL", "AUDIERA_AS", "AUDIERA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return folder
