"""Which models this node serves, from which files or endpoint; survives a restart."""

import threading
from collections.abc import Sequence
from pathlib import Path

from audiera.protocol.encoding import decode, digest, encode
from audiera.protocol.errors import Conflict, EncodingError, NotFound, StorageError
from audiera.protocol.records import Model
from audiera.services.models.ports import Deployment, ModelError, Package, PackageFile, Runner
from audiera.services.models.runners import HttpRunner, open_runner
from audiera.services.storage.ports import BlobStore, Documents
from audiera.services.storage.sqlite import connect

PACKAGE = "model-package"
"""Kind under which package documents are kept."""

MAX_FILE_BYTES = 256 * 2**20
"""Largest file of an embedded model."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS deployments (model INTEGER PRIMARY KEY, deployment BLOB NOT NULL)"


class Registry:
    """Packages, deployments and the runners made from them. Thread-safe.

    Args:
        path: the file that remembers deployments.
        blobs: where files of models are kept.
        documents: where package documents are kept.
        allowed_local: ``host:port`` pairs that may be called although they are not public.
    """

    def __init__(
        self, path: Path, blobs: BlobStore, documents: Documents, *, allowed_local: Sequence[str] = ()
    ) -> None:
        self._lock = threading.Lock()
        self._db = connect(path)
        self._db.execute(_SCHEMA)
        self._db.commit()
        self._blobs = blobs
        self._documents = documents
        self._allowed_local = tuple(allowed_local)
        self._runners: dict[int, Runner] = {}

    def add_package(self, architecture: str, name: str, data: bytes) -> tuple[bytes, Package]:
        """Store a model of one file durably.

        Returns:
            The package's digest, which a model's record names as its weights, and the package.

        Raises:
            ModelError: no runner understands the architecture, or the file is not one of its kind.
        """
        if len(data) > MAX_FILE_BYTES:
            raise ModelError(f"a file of a model has at most {MAX_FILE_BYTES} bytes, got {len(data)}", code="too_large")
        open_runner(architecture, data).close()
        writer = self._blobs.begin()
        writer.write(data)
        info = writer.finish()
        package = Package(architecture=architecture, files=(PackageFile(name=name, blob=info.id, size=info.size),))
        return self._documents.put(PACKAGE, encode(package)), package

    def package(self, weights: bytes) -> Package | None:
        """The package with this digest, if it is stored here."""
        raw = self._documents.get(PACKAGE, weights)
        return None if raw is None else decode(raw, Package)

    def deploy(self, model: Model, deployment: Deployment) -> None:
        """Serve a model from now on; what served it before is closed.

        Raises:
            ModelError: the files are not here or not usable, or the URL may not be called.
            Conflict: the deployment is of another model.
        """
        if deployment.model != model.number:
            raise Conflict(f"the deployment is of model {deployment.model}, not {model.number}")
        runner = self._runner_for(model, deployment)
        try:
            with self._lock, self._db:
                row = (deployment.model, encode(deployment))
                self._db.execute("INSERT OR REPLACE INTO deployments VALUES (?, ?)", row)
        except BaseException:
            runner.close()
            raise
        with self._lock:
            older = self._runners.pop(model.number, None)
            self._runners[model.number] = runner
        if older is not None:
            older.close()

    def deployment(self, model: int) -> Deployment | None:
        """How a model is served here, if it is."""
        with self._lock:
            row = self._db.execute("SELECT deployment FROM deployments WHERE model = ?", (model,)).fetchone()
        return None if row is None else decode(bytes(row[0]), Deployment)

    def runner(self, model: Model) -> Runner:
        """What runs a model; made at its first call after a start.

        Raises:
            NotFound: the model is not served here.
            ModelError: its files are damaged or gone.
        """
        with self._lock:
            ready = self._runners.get(model.number)
        if ready is not None:
            return ready
        deployment = self.deployment(model.number)
        if deployment is None:
            raise NotFound(f"model {model.number} is not served by this node", code="model_not_here")
        runner = self._runner_for(model, deployment)
        with self._lock:
            kept = self._runners.setdefault(model.number, runner)
        if kept is not runner:
            runner.close()  # another call made one at the same time
        return kept

    def _runner_for(self, model: Model, deployment: Deployment) -> Runner:
        if deployment.kind == "http":
            return HttpRunner(deployment.url, allowed_local=self._allowed_local)
        if deployment.kind != "embedded":
            raise ModelError(f"a deployment is embedded or http, got {deployment.kind[:40]!r}", code="model_unusable")
        try:
            package = self.package(model.weights)
        except EncodingError as cause:
            raise ModelError(f"the package is damaged: {cause.message}", code="model_unusable") from cause
        if package is None:
            raise ModelError(
                "no package with the digest of this model's record is stored here; upload its files first",
                code="model_files_missing",
            )
        return open_runner(package.architecture, self._read(package.files[0]))

    def _read(self, file: PackageFile) -> bytes:
        try:
            reader = self._blobs.open(file.blob)
            try:
                data = reader.read(0, reader.size)
            finally:
                reader.close()
        except NotFound as cause:
            raise ModelError(f"the file {file.name} is gone; upload it again", code="model_files_missing") from cause
        except StorageError as cause:
            raise ModelError(f"the file {file.name} is damaged: {cause.message}", code="model_unusable") from cause
        if digest(data) != file.blob:
            raise ModelError(f"the file {file.name} is another than the package names", code="model_unusable")
        return data

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            for runner in self._runners.values():
                runner.close()
            self._runners.clear()
            self._db.close()
