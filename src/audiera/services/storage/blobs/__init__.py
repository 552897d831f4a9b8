"""Blobs: content-addressed bytes, encrypted at rest. :func:`open_blobs` is the only door."""

from pathlib import Path

from audiera.services.storage.blobs.local import LocalBlobs
from audiera.services.storage.files import Entropy
from audiera.services.storage.ports import BlobStore


def open_blobs(folder: Path, *, master_key: bytes, entropy: Entropy) -> BlobStore:
    """Open the blobs in a local folder; what an interrupted writer left behind is swept.

    Args:
        folder: where they are; made when it is not there.
        master_key: 32 secret bytes that wrap the key of every blob; without them no blob can be read.
        entropy: source of the blobs' own keys.

    Raises:
        StorageError: another process has the folder open, or it belongs to another master key.
    """
    return LocalBlobs(folder, master_key=master_key, entropy=entropy)
