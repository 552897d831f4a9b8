"""Vectors we have never seen are counted by what our code does with them, and nothing passes by being unreadable."""

import base64
import json
import shutil
from pathlib import Path

import cbor2
import pytest

from audiera.protocol.errors import EncodingError
from audiera.protocol.keys import public_key, sign, sign_bytes
from audiera.services.conformance import KINDS, FileResult, run_vectors
from audiera.services.conformance.cbor import Tagged, read_cbor

SEED = bytes(range(32))
KEY = public_key(SEED)


def run(kind: str, path: Path) -> FileResult:
    (result,) = run_vectors(kind, [path])
    return result


def file_of(folder: Path, document: object, name: str = "case.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(("kind", "folder", "least"), [("merkle", "rfc6962", 100), ("ed25519", "cctv-ed25519", 900)])
def test_the_public_vectors_pass(vectors, kind, folder, least):
    results = list(run_vectors(kind, [vectors / folder]))
    assert sum(result.passed for result in results) >= least
    assert [failure for result in results for failure in result.failures] == []


def test_wycheproof_signatures_pass(vectors):
    result = run("ed25519", vectors / "wycheproof" / "ed25519_test.json")
    assert (result.passed, result.failed, result.skipped) == (151, 0, 0)


def test_other_algorithms_are_skipped_with_a_reason(vectors):
    result = run("ed25519", vectors / "wycheproof" / "aes_gcm_test.json")
    assert result.passed == result.failed == 0
    assert result.skipped > 0
    assert "not Ed25519" in result.notes[0]


def test_our_own_vectors_pass_through_the_same_door(root):
    files = {"merkle": "merkle.json", "ed25519": "keys-ed25519.json", "cose": "keys-cose.json"}
    for kind in KINDS:
        result = run(kind, root / "tests" / "vectors" / files[kind])
        assert result.failures == ()
        assert result.passed > 5


def test_a_vector_with_a_wrong_verdict_fails(tmp_path, vectors):
    for path in sorted((vectors / "rfc6962").rglob("*.json"))[::10]:
        case = json.loads(path.read_text())
        result = run("merkle", file_of(tmp_path, case | {"wantErr": not case["wantErr"]}))
        assert (result.passed, result.failed) == (0, 1)
        assert case["desc"] in result.failures[0]


def test_a_wrong_verdict_on_a_signature_fails(tmp_path):
    signature = sign_bytes(SEED, b"m").hex()
    case = {"key": KEY.hex(), "msg": b"m".hex(), "sig": signature, "valid": False}
    result = run("ed25519", file_of(tmp_path, {"format": "audiera/vectors/ed25519/1", "cases": [case]}))
    assert result.failures == ("0: must be refused, was accepted",)
    document = {"testGroups": [{"publicKey": {"curve": "edwards25519", "pk": KEY.hex()}, "tests": []}]}
    test = {"tcId": 1, "msg": "6d", "sig": signature}
    document["testGroups"][0]["tests"] = [test | {"result": "invalid"}, test | {"result": "acceptable"}]
    result = run("ed25519", file_of(tmp_path, document))
    assert (result.passed, result.failed, result.skipped) == (0, 1, 1)


def test_a_property_with_no_known_verdict_refuses_the_file(tmp_path):
    case = {"number": 7, "key": KEY.hex(), "sig": "00" * 64, "msg": "", "flags": ["something_new"]}
    result = run("ed25519", file_of(tmp_path, [case]))
    assert result.failed == 1
    assert "something_new" in result.failures[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", "5", "null", '"x"', "[5]", "\x00", "[" * 100_000, '{"cases": 5}']
)
def test_what_cannot_be_used_fails(tmp_path, kind, content):
    path = tmp_path / "case.json"
    path.write_text(content, encoding="utf-8")
    result = run(kind, path)
    assert (result.passed, result.failed) == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_absent_files_and_empty_folders_fail(tmp_path, kind):
    assert run(kind, tmp_path / "absent.json").failed == 1
    assert run(kind, tmp_path).failed == 1


def test_a_folder_stands_for_its_files(tmp_path, root):
    (tmp_path / "deep").mkdir()
    for name in ("b.json", "deep/a.json"):
        shutil.copy(root / "tests" / "vectors" / "merkle.json", tmp_path / name)
    results = list(run_vectors("merkle", [tmp_path, tmp_path / "b.json"]))
    assert [result.path.name for result in results] == ["b.json", "a.json", "b.json"]
    assert all(result.failed == 0 for result in results)


def example(message: bytes, **changes: object) -> dict[str, object]:
    """A COSE working group example made here."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x_hex": KEY.hex()}
    sign0 = {"key": jwk, "protected": {"alg": "EdDSA"}, "alg": "EdDSA"} | changes
    return {"title": "made here", "input": {"plaintext": "", "sign0": sign0}, "output": {"cbor": message.hex()}}


def message_of(
    protected: object, unprotected: dict[object, object], *, external: bytes = b"", tag: int | None = 18
) -> bytes:
    """A COSE_Sign1 made with a CBOR library that is not ours."""
    header = protected if isinstance(protected, bytes) else cbor2.dumps(protected)
    signed = header if header != b"\xa0" else b""
    signature = sign_bytes(SEED, cbor2.dumps(["Signature1", signed, external, b"content"]))
    parts = [header, unprotected, b"content", signature]
    return cbor2.dumps(parts if tag is None else cbor2.CBORTag(tag, parts))


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (message_of({1: -8}, {4: b"11"}), {}),
        (message_of({1: -8, 3: 0}, {4: b"11"}), {}),
        (message_of({1: -8}, {}, tag=None), {}),
        (message_of({1: -8}, {}, external=b"\x11\xaa"), {"external": "11aa"}),
        (message_of({}, {1: -8}), {}),
        (message_of(b"", {1: -8}), {}),
        (b"\xd2" + sign(SEED, b"content"), {}),
        (sign(SEED, b"content"), {}),
    ],
)
def test_messages_of_other_libraries_are_accepted(tmp_path, message, changes):
    result = run("cose", file_of(tmp_path, example(message, **changes)))
    assert (result.passed, result.failed, result.skipped) == (1, 0, 0), result
    base64_key = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(KEY).decode().rstrip("=")}
    assert run("cose", file_of(tmp_path, example(message, key=base64_key, **changes))).passed == 1
    assert run("cose", file_of(tmp_path, example(message, **changes) | {"fail": True})).failed == 1
    altered = message[:-1] + bytes((message[-1] ^ 1,))
    assert run("cose", file_of(tmp_path, example(altered, **changes) | {"fail": True})).passed == 1


@pytest.mark.parametrize(
    "message",
    [
        message_of({1: -8}, {}, tag=17),
        message_of({1: -7}, {}),
        message_of({1: -8}, {1: -8}),
        message_of({1: -8, 2: [3], 3: 0}, {}),
        message_of({1: -8}, {}, external=b"other"),
        message_of([1, -8], {}),
        message_of({}, {}),
        cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"", [], b"", b""])),
        cbor2.dumps(cbor2.CBORTag(18, [b"\xa1\x01\x27", {}, None, bytes(64)])),
        cbor2.dumps(5),
        message_of({1: -8}, {}) + b"\x00",
        b"",
    ],
)
def test_messages_that_are_not_right_are_refused(tmp_path, message):
    assert run("cose", file_of(tmp_path, example(message) | {"fail": True})).passed == 1
    assert run("cose", file_of(tmp_path, example(message))).failed == 1


def test_a_structure_other_than_the_stated_one_fails(tmp_path):
    document = example(message_of({1: -8}, {})) | {"intermediates": {"ToBeSign_hex": "00"}}
    assert run("cose", file_of(tmp_path, document)).failed == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alg": "ES256"}, "ES256"),
        ({"key": {"kty": "OKP", "crv": "Ed448", "x_hex": ""}}, "Ed448"),
    ],
)
def test_messages_of_other_kinds_are_skipped(tmp_path, changes, reason):
    result = run("cose", file_of(tmp_path, example(b"", **changes)))
    assert (result.passed, result.failed, result.skipped) == (0, 0, 1)
    assert reason in result.notes[0]
    many = {"title": "", "input": {"sign": {}}, "output": {"cbor": ""}}
    assert run("cose", file_of(tmp_path, many)).notes == ("not a COSE_Sign1",)


@pytest.mark.parametrize(
    "value",
    [
        0,
        23,
        24,
        255,
        256,
        2**32,
        2**64 - 1,
        -1,
        -8,
        b"",
        b"x" * 30,
        "text",
        [],
        [1, [2]],
        {},
        {1: b"a", "b": 2},
        None,
        True,
    ],
)
def test_the_reader_reads_what_another_library_writes(value):
    assert read_cbor(cbor2.dumps(value)) == value
    assert read_cbor(cbor2.dumps(cbor2.CBORTag(99, value))) == Tagged(99, value)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "18",
        "1c",
        "5f4100ff",
        "9f01ff",
        "4201",
        "8201",
        "a101",
        "fb3ff0000000000000",
        "61ff",
        "a201010102",
        "a18001",
    ],
)
def test_the_reader_refuses_what_is_malformed(data):
    with pytest.raises(EncodingError):
        read_cbor(bytes.fromhex(data))


def test_the_reader_refuses_deep_and_endless_input():
    for data in (b"\x81" * 40 + b"\x00", b"\x9b" + b"\xff" * 8, b"\xbb" + b"\xff" * 8):
        with pytest.raises(EncodingError):
            read_cbor(data)
