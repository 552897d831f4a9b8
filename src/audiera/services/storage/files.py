"""The durable steps on files: what is here is on the disk when the call returns, or the call raises."""

import os
from collections.abc import Callable
from pathlib import Path

from audiera.protocol.errors import StorageError

Entropy = Callable[[int], bytes]
"""Gives that many bytes nobody can guess."""

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def sync_data(descriptor: int) -> None:
    """Wait until a file's bytes and its length are on the disk.

    Raises:
        OSError: the disk refused; what it holds is then unknown, and a second try would prove nothing.
    """
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a private folder, and every folder above it that is missing, durably; quiet when it is there."""
    missing = [folder]
    while not missing[-1].parent.is_dir():
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        if not each.is_dir():
            each.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            sync_folder(each.parent)


def write_all(descriptor: int, parts: list[bytes | memoryview], offset: int) -> int:
    """Write parts one after another at an offset, however often the system writes less than it was asked to.

    Returns:
        How many bytes were written: the length of all parts together.
    """
    total = sum(len(part) for part in parts)
    written = os.pwritev(descriptor, parts, offset)
    if written < total:
        rest = memoryview(b"".join(parts))
        while written < total:
            written += os.pwrite(descriptor, rest[written:], offset + written)
    return total


def write_durably(path: Path, data: bytes) -> None:
    """Put a small private file in place, whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    try:
        write_all(descriptor, [data], 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync_folder(path.parent)


def load_or_create_secret(path: Path, entropy: Entropy) -> bytes:
    """The 32 secret bytes of a file only its owner may read; made when the file is not there.

    Raises:
        StorageError: the file has another length, or others may read it.
    """
    if not path.exists():
        make_folder(path.parent)
        write_durably(path, entropy(32))
    mode = path.stat().st_mode & 0o077
    if mode:
        raise StorageError(
            f"{path} is a secret and must be readable by its owner only, but its mode grants {mode:03o}; "
            f"run: chmod 600 {path}",
            code="secret_exposed",
        )
    secret = path.read_bytes()
    if len(secret) != 32:
        raise StorageError(
            f"{path} should hold 32 secret bytes, found {len(secret)}; restore it from a backup",
            code="secret_damaged",
        )
    return secret
