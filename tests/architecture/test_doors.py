"""What lies behind a door is imported only by what lies behind the same door."""

import pytest
from tests.architecture.doors import trespasses


@pytest.fixture
def house(tmp_path):
    """A storage room with a door and a driver behind it, and somebody outside."""
    for name in ("audiera/services/storage/blobs/__init__.py", "audiera/services/storage/blobs/local.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("class LocalBlobs: ...\n")
    (tmp_path / "audiera" / "node").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "from audiera.services.storage.blobs.local import LocalBlobs",
        "from audiera.services.storage.blobs import local",
        "import audiera.services.storage.blobs.local",
        "def f():\n    import audiera.services.storage.blobs.local as driver",
    ],
)
def test_a_driver_imported_past_its_door_is_seen(house, line):
    (house / "audiera" / "node" / "app.py").write_text(line + "\n")
    assert trespasses(house) == ["audiera.node.app -> audiera.services.storage.blobs.local"]


def test_the_door_may_be_used_and_may_use_what_is_behind_it(house):
    (house / "audiera" / "node" / "app.py").write_text("from audiera.services.storage.blobs import open_blobs\n")
    door = house / "audiera" / "services" / "storage" / "blobs" / "__init__.py"
    door.write_text("from audiera.services.storage.blobs.local import LocalBlobs\n")
    assert trespasses(house) == []


def test_the_source_uses_the_doors(root):
    assert trespasses(root / "src") == []
