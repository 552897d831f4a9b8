"""The registry: what is served survives a restart, and every runner it makes is given back."""

import json
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiera.protocol.encoding import digest, encode
from audiera.protocol.errors import Conflict, NotFound, StorageError
from audiera.protocol.records import Model
from audiera.services.models import CallAnswer, CallRequest, Deployment, ModelError, Package, PackageFile, Registry
from audiera.services.models.registry import MAX_FILE_BYTES, PACKAGE
from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.documents import open_documents
from audiera.services.storage.ports import BlobStore, Documents
from tests.services.models.test_runners import asked, model_of, onnx_identity, trained

LOCAL = "127.0.0.1:9"
WEIGHTS = trained()


class Shelf:
    """A registry over real stores, opened again as after a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self.blobs: BlobStore = open_blobs(
            self.folder / "blobs", master_key=bytes(32), entropy=np.random.default_rng(1).bytes
        )
        self.documents: Documents = open_documents(self.folder / "documents.sqlite")
        self.registry = Registry(self.folder / "models.sqlite", self.blobs, self.documents, allowed_local=(LOCAL,))

    def close(self) -> None:
        self.registry.close()
        self.documents.close()
        self.blobs.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def texture(self) -> tuple[Model, Package]:
        """A deployed model."""
        weights, package = self.registry.add_package("audiera-texture-1", "weights.safetensors", WEIGHTS)
        model = model_of(weights)
        self.registry.deploy(model, Deployment(model=7, kind="embedded"))
        return model, package


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.close()


class CountedRunner:
    """A runner that knows whether it was given back."""

    made: list["CountedRunner"]
    barrier: threading.Barrier | None = None

    def __init__(self, *_: Any, **__: Any) -> None:
        if self.barrier is not None:
            self.barrier.wait(20)
        self.is_closed = False
        self.made.append(self)

    def run(self, _: CallRequest) -> CallAnswer:
        return CallAnswer(b"", "text/plain")

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[CountedRunner]:
    """Every endpoint's runner is a counted one."""

    class Counted(CountedRunner):
        pass

    Counted.made = []
    monkeypatch.setattr("audiera.services.models.registry.HttpRunner", Counted)
    return Counted


HTTP = Deployment(model=7, kind="http", url=f"http://{LOCAL}/")
MODEL = model_of(bytes(32))


def test_a_deployment_survives_a_restart(shelf: Shelf) -> None:
    model, package = shelf.texture()
    first = shelf.registry.runner(model).run(asked(seconds="0.2", seed="5"))
    shelf.restart()
    assert shelf.registry.deployment(7) == Deployment(model=7, kind="embedded")
    assert shelf.registry.package(model.weights) == package
    assert shelf.registry.runner(model).run(asked(seconds="0.2", seed="5")) == first
    assert shelf.registry.runner(model) is shelf.registry.runner(model)


def test_what_was_never_deployed_is_not_served(shelf: Shelf) -> None:
    assert shelf.registry.deployment(7) is None
    assert shelf.registry.package(bytes(32)) is None
    with pytest.raises(NotFound) as refused:
        shelf.registry.runner(MODEL)
    assert refused.value.code == "model_not_here"


def test_a_new_deployment_takes_the_place_of_the_old_one(shelf: Shelf, counted: type[CountedRunner]) -> None:
    shelf.registry.deploy(MODEL, HTTP)
    first = shelf.registry.runner(MODEL)
    other = Deployment(model=7, kind="http", url=f"http://{LOCAL}/other")
    shelf.registry.deploy(MODEL, other)
    assert shelf.registry.deployment(7) == other
    assert shelf.registry.runner(MODEL) is not first
    assert [runner.is_closed for runner in counted.made] == [True, False]
    shelf.restart()
    assert all(runner.is_closed for runner in counted.made)
    assert shelf.registry.deployment(7) == other


def test_a_deployment_that_cannot_be_kept_leaves_the_old_one(
    shelf: Shelf, counted: type[CountedRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.registry.deploy(MODEL, HTTP)
    first = shelf.registry.runner(MODEL)

    def unable(_: object) -> bytes:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("audiera.services.models.registry.encode", unable)
        with pytest.raises(StorageError):
            shelf.registry.deploy(MODEL, Deployment(model=7, kind="http", url=f"http://{LOCAL}/other"))
    assert shelf.registry.runner(MODEL) is first
    assert shelf.registry.deployment(7) == HTTP
    assert [runner.is_closed for runner in counted.made] == [False, True]


def test_two_first_calls_at_once_leave_one_runner(shelf: Shelf, counted: type[CountedRunner]) -> None:
    shelf.registry.deploy(MODEL, HTTP)
    shelf.restart()
    counted.made.clear()
    counted.barrier = threading.Barrier(4)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(shelf.registry.runner(MODEL))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(counted.made) == 4
    assert {id(runner) for runner in found} == {id(runner) for runner in counted.made if not runner.is_closed}
    assert sum(runner.is_closed for runner in counted.made) == 3


def test_deployments_that_cannot_be_meant_are_refused(shelf: Shelf) -> None:
    with pytest.raises(Conflict):
        shelf.registry.deploy(MODEL, Deployment(model=8, kind="embedded"))
    for deployment, code in (
        (Deployment(model=7, kind="embedded"), "model_files_missing"),
        (Deployment(model=7, kind="shell"), "model_unusable"),
        (Deployment(model=7, kind="http", url="http://127.0.0.1:10/"), "url_not_public"),
    ):
        with pytest.raises(ModelError) as refused:
            shelf.registry.deploy(MODEL, deployment)
        assert refused.value.code == code
    assert shelf.registry.deployment(7) is None


def test_files_that_are_gone_or_damaged_are_said_to_be(shelf: Shelf) -> None:
    model, package = shelf.texture()
    shelf.restart()
    files = [path for path in (shelf.folder / "blobs").rglob("*") if path.is_file() and "sqlite" not in path.name]
    blob = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)
    with pytest.raises(ModelError) as damaged:
        shelf.registry.runner(model)
    assert damaged.value.code == "model_unusable"
    shelf.blobs.delete(package.files[0].blob)
    with pytest.raises(ModelError) as gone:
        shelf.registry.runner(model)
    assert gone.value.code == "model_files_missing"


def test_a_package_that_is_none_is_said_to_be_damaged(shelf: Shelf) -> None:
    weights = shelf.documents.put(PACKAGE, b"\xff")
    with pytest.raises(ModelError) as refused:
        shelf.registry.deploy(model_of(weights), Deployment(model=7, kind="embedded"))
    assert refused.value.code == "model_unusable"


def test_a_package_names_its_files_by_their_bytes(shelf: Shelf) -> None:
    weights, package = shelf.registry.add_package("audiera-texture-1", "weights.safetensors", WEIGHTS)
    assert package == Package(
        architecture="audiera-texture-1",
        files=(PackageFile(name="weights.safetensors", blob=digest(WEIGHTS), size=len(WEIGHTS)),),
    )
    assert weights == digest(encode(package))
    assert shelf.registry.add_package("audiera-texture-1", "weights.safetensors", WEIGHTS) == (weights, package)


def test_a_file_no_runner_could_use_is_not_stored(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for architecture, data, code in (
        ("audiera-texture-1", b"junk", "model_unusable"),
        ("pickle", WEIGHTS, "architecture_unknown"),
    ):
        with pytest.raises(ModelError) as refused:
            shelf.registry.add_package(architecture, "weights", data)
        assert refused.value.code == code
        assert shelf.blobs.info(digest(data)) is None
    monkeypatch.setattr("audiera.services.models.registry.MAX_FILE_BYTES", len(WEIGHTS) - 1)
    with pytest.raises(ModelError) as refused:
        shelf.registry.add_package("audiera-texture-1", "weights", WEIGHTS)
    assert refused.value.code == "too_large"
    assert MAX_FILE_BYTES == 256 * 2**20


@pytest.mark.slow
def test_an_onnx_model_is_served_again_after_a_restart_and_its_workers_end(shelf: Shelf) -> None:
    pytest.importorskip("audiera.services.models.runners.onnx", reason="install audiera[onnx]")
    weights, _ = shelf.registry.add_package("onnx", "model.onnx", onnx_identity())
    model = model_of(weights)
    shelf.registry.deploy(model, Deployment(model=7, kind="embedded"))
    request = CallRequest(struct.pack("<2f", 1.0, 2.5), "application/octet-stream", {})
    expected = {"y": {"shape": [2], "values": [2.0, 5.0]}}
    assert json.loads(shelf.registry.runner(model).run(request).body) == expected
    shelf.restart()
    runner: Any = shelf.registry.runner(model)
    assert json.loads(runner.run(request).body) == expected
    worker = runner._process
    shelf.registry.deploy(model, Deployment(model=7, kind="http", url=f"http://{LOCAL}/"))
    assert not worker.is_alive()
    with pytest.raises(ModelError) as refused:  # a call that was about to begin makes no worker that nobody ends
        runner.run(request)
    assert refused.value.code == "model_unusable"
    assert runner._process is None
