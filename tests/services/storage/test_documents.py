import hashlib
import sqlite3
from pathlib import Path

import pytest

from audiera.protocol.errors import StorageError
from audiera.services.storage.documents import open_documents


def test_document_is_found_by_kind_and_digest_after_reopening(tmp_path: Path) -> None:
    documents = open_documents(tmp_path / "documents.sqlite")
    digest = documents.put("sheet", b"salt and title")
    assert digest == hashlib.sha256(b"salt and title").digest()
    assert documents.put("sheet", b"salt and title") == digest
    documents.close()
    again = open_documents(tmp_path / "documents.sqlite")
    assert again.get("sheet", digest) == b"salt and title"
    assert again.get("profile", digest) is None
    again.close()


def test_erased_document_leaves_no_bytes_on_the_disk(tmp_path: Path) -> None:
    documents = open_documents(tmp_path / "documents.sqlite")
    private = b"a name nobody may ever read again " * 40
    digest = documents.put("profile", private)
    kept = documents.put("profile", b"another document")
    documents.erase("profile", digest)
    documents.erase("profile", digest)
    assert documents.get("profile", digest) is None
    assert documents.get("profile", kept) == b"another document"
    for path in tmp_path.iterdir():
        assert private[:34] not in path.read_bytes(), path.name
    documents.close()


def test_altered_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    documents = open_documents(path)
    digest = documents.put("sheet", b"true")
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE documents SET document = ?", (b"false",))
    db.close()
    with pytest.raises(StorageError, match="damaged"):
        documents.get("sheet", digest)
    documents.close()
