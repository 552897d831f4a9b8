"""Public vectors through our code: counted, named where they fail, and the exit code says it."""

import base64
import json
from pathlib import Path

import pytest

from audiera.protocol.merkle import leaf_hash, tree_root
from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal("http://127.0.0.1:1", tmp_path)


def vector(folder: Path, name: str, *, leaf: bytes = b"one", wanted: bool = True) -> Path:
    """An inclusion proof of the first of two leaves."""
    leaves = [leaf_hash(b"one"), leaf_hash(b"two")]
    document = {
        "leafIdx": 0,
        "treeSize": 2,
        "root": base64.b64encode(tree_root(leaves)).decode(),
        "leafHash": base64.b64encode(leaf_hash(leaf)).decode(),
        "proof": [base64.b64encode(leaves[1]).decode()],
        "desc": name,
        "wantErr": not wanted,
    }
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(document))
    return file


def test_vectors_that_hold_are_counted(terminal: Terminal, tmp_path: Path) -> None:
    good = vector(tmp_path / "v", "good")
    bad = vector(tmp_path / "v", "bad", leaf=b"other", wanted=False)
    assert "2 passed, 0 failed, 0 skipped in 2 files" in terminal.words("conformance", "merkle", good, bad)
    found = terminal.document("conformance", "merkle", tmp_path / "v")
    assert [each["passed"] for each in found] == [1, 1]
    assert not any(each["failures"] for each in found)


def test_a_vector_that_fails_is_named_and_ends_with_1(terminal: Terminal, tmp_path: Path) -> None:
    good, bad = vector(tmp_path / "v", "good"), vector(tmp_path / "v", "bad", leaf=b"other")
    result = terminal.run("conformance", "merkle", good, bad, "--verbose")
    assert result.exit_code == 1
    assert "1 passed, 1 failed" in result.stdout
    assert f"{bad}:" in result.stdout
    found = terminal.document("conformance", "merkle", good, bad, code=1)
    assert [each["failed"] for each in found] == [0, 1] and found[1]["failures"]


def test_what_is_no_vector_fails(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text("these are words")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "words.json", tmp_path / "none.json", tmp_path / "empty"):
        found = terminal.document("conformance", "ed25519", path, code=1)
        assert [each["failed"] for each in found] == [1]


def test_many_files_are_listed_only_where_something_is_to_be_said(terminal: Terminal, tmp_path: Path) -> None:
    for number in range(25):
        vector(tmp_path / "v", f"good-{number:02d}")
    assert terminal.words("conformance", "merkle", tmp_path / "v") == "25 passed, 0 failed, 0 skipped in 25 files\n"
    assert "good-07.json" in terminal.words("conformance", "merkle", tmp_path / "v", "--verbose")
    vector(tmp_path / "v", "bad", leaf=b"other")
    said = terminal.run("conformance", "merkle", tmp_path / "v").stdout
    assert "bad.json" in said and "good" not in said


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("merkle", "rfc6962"),
        ("ed25519", "wycheproof/ed25519_test.json"),
        ("ed25519", "cctv-ed25519/ed25519vectors.json"),
    ],
)
def test_the_public_vectors_hold(terminal: Terminal, vectors: Path, kind: str, path: str) -> None:
    found = terminal.document("conformance", kind, vectors / path)
    assert sum(each["passed"] for each in found) > 50
    assert not any(each["failed"] for each in found)
