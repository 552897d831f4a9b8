import os
from pathlib import Path

import pytest

from audiera.protocol.errors import StorageError
from audiera.services.storage.files import load_or_create_secret, make_folder, write_all, write_durably


def test_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    secret = load_or_create_secret(path, os.urandom)
    assert len(secret) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert load_or_create_secret(path, os.urandom) == secret


def test_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    load_or_create_secret(path, os.urandom)
    path.chmod(0o640)
    with pytest.raises(StorageError, match="chmod 600") as refused:
        load_or_create_secret(path, os.urandom)
    assert refused.value.code == "secret_exposed"


def test_secret_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    write_durably(path, b"short")
    with pytest.raises(StorageError, match="32 secret bytes"):
        load_or_create_secret(path, os.urandom)


def test_durable_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"a longer first content")
    write_durably(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_short_writes_are_continued_until_all_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwritev", lambda file, parts, offset: real(file, bytes(parts[0])[:2], offset))
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, bytes(data)[:3], offset))
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        assert write_all(descriptor, [b"abcd", memoryview(b"efghijk")], 0) == 11
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"abcdefghijk"


def test_every_missing_folder_is_made_private(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
