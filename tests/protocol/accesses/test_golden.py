"""The bytes of accesses stay what they are: batches, sessions, proofs and receipts of tests/vectors/accesses.json."""

import json
from typing import Any

import pytest

from audiera.protocol.accesses import (
    array_of,
    decode_proof,
    decode_receipt,
    encode_proof,
    open_batch,
    parse_proof,
    rows_root,
    verify_access,
    verify_receipt,
    verify_session,
    verify_watermark,
)
from audiera.protocol.accesses.days import day_leaves
from audiera.protocol.accesses.rows import in_order
from audiera.protocol.accesses.session import session_payload, watermark_payload
from audiera.protocol.keys import to_sign
from audiera.protocol.merkle import access_log_origin, day_digest, day_root, verify_cosigned
from tests.protocol.accesses.rows_made import CHAIN, plain_rows


@pytest.fixture(scope="module")
def golden(root) -> dict[str, Any]:
    """The vectors of this room."""
    return json.loads((root / "tests" / "vectors" / "accesses.json").read_text(encoding="utf-8"))


def test_the_golden_batch_holds_its_rows(golden):
    batch = open_batch(bytes.fromhex(golden["batch"]), chain_id=CHAIN)
    batch.verify_signature(bytes.fromhex(golden["node_key"]))
    assert [row.tobytes().hex() for row in batch.rows] == golden["rows"]
    assert batch.header_bytes.hex() == golden["header"]
    rows = array_of(b"".join(bytes.fromhex(row) for row in golden["rows"]))
    assert in_order(plain_rows(40)).tobytes() == rows.tobytes()
    for k, root in golden["rows_root"].items():
        assert rows_root(rows.tobytes(), int(k)).hex() == root


def test_the_golden_session_and_watermark_are_signed(golden):
    batch = open_batch(bytes.fromhex(golden["batch"]), chain_id=CHAIN)
    (session,), (watermark,) = batch.sessions, batch.watermarks
    verify_session(session)
    verify_watermark(watermark)
    assert session_payload(session).hex() == golden["session"]["payload"]
    assert to_sign(session_payload(session)).hex() == golden["session"]["to_sign"]
    assert session.signature.hex() == golden["session"]["signature"]
    assert watermark_payload(watermark).hex() == golden["watermark"]["payload"]
    assert watermark.signature.hex() == golden["watermark"]["signature"]


def test_the_golden_proof_proves_the_golden_row(golden):
    proof = parse_proof(golden["proof"])
    assert encode_proof(proof).hex() == golden["compact_proof"]
    assert decode_proof(bytes.fromhex(golden["compact_proof"])) == proof
    assert (proof.entry.hex(), proof.checkpoint) == (golden["entry"], golden["checkpoint"])
    keys, origin = [bytes.fromhex(golden["validator_key"])], access_log_origin(CHAIN)
    proved = verify_access(proof, keys, 1, origin=origin)
    assert proved.row.pack().hex() == golden["rows"][proof.row]
    checkpoint, _ = verify_cosigned(golden["checkpoint"], origin=origin, keys=keys, quorum=1)
    assert checkpoint.size == 9


def test_the_golden_receipt_is_the_nodes_word(golden):
    receipt = decode_receipt(bytes.fromhex(golden["receipt"]))
    row = verify_receipt(receipt, bytes.fromhex(golden["node_key"]), chain_id=CHAIN)
    assert row.pack().hex() in golden["rows"]


def test_the_golden_day_has_its_root(golden):
    leaves = day_leaves([plain_rows(40)])
    root = day_root(leaves)
    day = golden["day"]
    assert (len(leaves), root.hash.hex(), root.rows, root.bytes) == (
        day["assets"],
        day["root"],
        day["rows"],
        day["bytes"],
    )
    assert day_digest(19_675, len(leaves), root).hex() == day["digest"]
