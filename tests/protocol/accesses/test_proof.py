"""Every access is provable, to our verifier and to one that shares no code with it; every altered proof is refused."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audiera.protocol.accesses import (
    AccessProof,
    Batch,
    decode_proof,
    encode_entry,
    encode_proof,
    entry_leaf,
    format_proof,
    open_batch,
    parse_proof,
    prove,
    verify_access,
)
from audiera.protocol.accesses.log import decode_entry, records_between
from audiera.protocol.accesses.rows import in_order
from audiera.protocol.errors import AudieraError, EncodingError, ProofError
from audiera.protocol.keys import format_key, public_key
from audiera.protocol.merkle import (
    Checkpoint,
    SignedCheckpoint,
    access_log_origin,
    cosign,
    format_signed,
    inclusion_path,
    leaf_hash,
    tree_root,
)
from tests.protocol.accesses.rows_made import CHAIN, NODE, batch_bytes, plain_rows

ORIGIN = access_log_origin(CHAIN)
SEEDS = tuple(bytes((number,)) * 32 for number in range(1, 5))
KEYS = tuple(public_key(seed) for seed in SEEDS)
TIME_S = 1_700_000_100
SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "verify_standalone.py"


def note_of(leaves: list[bytes], signers: int) -> str:
    """A checkpoint of a log, cosigned."""
    checkpoint = Checkpoint(ORIGIN, len(leaves), tree_root(leaves))
    lines = [
        cosign(seed, f"validator-{place}", checkpoint, time_s=TIME_S) for place, seed in enumerate(SEEDS[:signers])
    ]
    return format_signed(SignedCheckpoint(checkpoint, tuple(lines)))


def log_with(batch: Batch, *, index: int, size: int, signers: int = 1) -> tuple[bytes, tuple[bytes, ...], str]:
    """An access log that holds a batch: its entry, its path, the checkpoint."""
    entry = encode_entry(12, 34_000, batch.header_bytes)
    leaves = [leaf_hash(place.to_bytes(4, "big")) for place in range(size)]
    leaves[index] = entry_leaf(entry)
    return entry, inclusion_path(leaves, index), note_of(leaves, signers)


def proof_of(
    row: int, *, count: int = 100, k: int = 16, index: int = 5, size: int = 9, signers: int = 1
) -> AccessProof:
    batch = open_batch(batch_bytes(plain_rows(count), k=k), chain_id=CHAIN)
    entry, path, note = log_with(batch, index=index, size=size, signers=signers)
    return prove(batch, row, entry=entry, log_index=index, log_path=path, checkpoint=note)


MAIN = runpy.run_path(str(SCRIPT))
"""The independent verifier's names."""


def standalone(text: str, *, keys: tuple[bytes, ...] = KEYS[:1], quorum: int = 1) -> str:
    """What the independent verifier says: its text, or an exception."""
    return MAIN["check"](text, ORIGIN, list(keys), quorum)


PROOF = proof_of(37)


@pytest.mark.parametrize("k", [1, 2, 16, 32])
@pytest.mark.parametrize("count", [1, 15, 16, 17, 100])
def test_every_row_of_a_batch_is_provable(count, k):
    rows = in_order(plain_rows(count))
    for row in range(0, count, 7):
        proved = verify_access(proof_of(row, count=count, k=k), KEYS[:1], 1, origin=ORIGIN)
        assert proved.row.pack() == rows[row].tobytes()
        assert (proved.height, proved.record, proved.log_size) == (12, 34_000 + row, 9)
        assert proved.cosigned_at_s == (TIME_S,)


@given(row=st.integers(0, 99), index=st.integers(0, 20), more=st.integers(1, 20), k=st.sampled_from([1, 4, 16]))
@settings(max_examples=40)
def test_both_verifiers_accept_every_proof(row, index, more, k):
    proof = proof_of(row, index=index, size=index + more, k=k)
    proved = verify_access(proof, KEYS[:1], 1, origin=ORIGIN)
    words = standalone(format_proof(proof))
    assert f"account {proved.row.consumer} " in words
    assert f" {proved.row.asset}, {proved.row.bytes} bytes" in words
    assert f"Record {proved.record} of the chain, block {proved.height}, batch {index + 1} of {index + more}" in words


@given(st.data())
@settings(max_examples=300)
def test_no_altered_byte_of_a_proof_is_accepted_by_either(data):
    text = format_proof(PROOF).encode()
    place = data.draw(st.integers(0, len(text) - 1))
    altered = bytearray(text)
    altered[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[place]))
    with pytest.raises((AudieraError, UnicodeDecodeError)):
        verify_access(parse_proof(bytes(altered).decode()), KEYS[:1], 1, origin=ORIGIN)
    assert independent_status(bytes(altered)) == 1


def independent_status(content: bytes) -> int:
    """Exit status of the independent verifier's main function, run in this process."""
    refusals = (
        MAIN["Refused"],
        MAIN["InvalidSignature"],
        *(OSError, ValueError, TypeError, KeyError, AttributeError, MAIN["struct"].error, OverflowError),
    )
    try:
        MAIN["check"](content.decode(), ORIGIN, list(KEYS[:1]), 1)
    except refusals:
        return 1
    return 0


@given(st.data())
@settings(max_examples=150)
def test_no_altered_byte_of_the_compact_form_is_accepted(data):
    compact = bytearray(encode_proof(PROOF))
    compact[data.draw(st.integers(0, len(compact) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(AudieraError):
        verify_access(decode_proof(bytes(compact)), KEYS[:1], 1, origin=ORIGIN)


def test_both_forms_give_the_proof_back():
    assert parse_proof(format_proof(PROOF)) == PROOF
    assert decode_proof(encode_proof(PROOF)) == PROOF


@pytest.mark.parametrize(
    "change", [str.rstrip, lambda text: " " + text, lambda text: text.replace("  ", " "), str.upper]
)
def test_another_spelling_of_a_proof_is_refused(change):
    with pytest.raises(EncodingError):
        parse_proof(change(format_proof(PROOF)))


def test_a_proof_too_long_to_be_one_is_refused():
    with pytest.raises(EncodingError):
        parse_proof(" " * 300_000)


def test_a_proof_stays_within_three_kilobytes():
    proof = proof_of(90_001 // 50, count=2_000, index=299, size=300, signers=4)
    assert len(encode_proof(proof)) <= 3 * 1024


@pytest.mark.parametrize(
    "change",
    [
        {"row": 36},
        {"t": PROOF.t + 1},
        {"row": 38},
        {"row": 100},
        {"row": -1},
        {"log_index": 4},
        {"log_index": 9},
        {"page": PROOF.page[64:]},
        {"page": b""},
        {"page_path": PROOF.page_path[1:]},
        {"page_path": (*PROOF.page_path, bytes(32))},
        {"log_path": PROOF.log_path[::-1]},
        {"entry": PROOF.entry[:-1]},
        {"entry": PROOF.entry[:16] + b"XXXX" + PROOF.entry[20:]},
        {"checkpoint": ""},
    ],
)
def test_parts_that_do_not_belong_together_are_refused(change):
    altered = replace(PROOF, **change)
    with pytest.raises(ProofError):
        verify_access(altered, KEYS[:1], 1, origin=ORIGIN)
    assert independent_status(format_proof(altered).encode()) == 1


def test_a_quorum_counts_distinct_known_keys():
    proof = proof_of(3, signers=3)
    assert len(verify_access(proof, KEYS, 3, origin=ORIGIN).cosigned_at_s) == 3
    standalone(format_proof(proof), keys=KEYS, quorum=3)
    repeated = proof.checkpoint + proof.checkpoint.splitlines(keepends=True)[-1] * 3
    for attempt in (proof, replace(proof, checkpoint=repeated)):
        with pytest.raises(ProofError, match="4 known cosignatures"):
            verify_access(attempt, KEYS, 4, origin=ORIGIN)
        with pytest.raises(MAIN["Refused"], match="3 have"):
            MAIN["check"](format_proof(attempt), ORIGIN, list(KEYS), 4)
    with pytest.raises(ProofError):
        verify_access(proof, KEYS[3:], 0, origin=ORIGIN)


def test_a_checkpoint_of_another_log_is_refused():
    with pytest.raises(ProofError, match="expected"):
        verify_access(PROOF, KEYS[:1], 1, origin=access_log_origin("other"))
    with pytest.raises(MAIN["Refused"]):
        MAIN["check"](format_proof(PROOF), access_log_origin("other"), list(KEYS[:1]), 1)


def test_no_proof_is_made_of_a_row_that_is_not_there():
    batch = open_batch(batch_bytes(plain_rows(3)), chain_id=CHAIN)
    for row in (-1, 3):
        with pytest.raises(ProofError):
            prove(batch, row, entry=b"", log_index=0, log_path=(), checkpoint="")


def test_the_independent_verifier_runs_by_itself(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    text = format_proof(PROOF)
    good.write_text(text, encoding="utf-8")
    at = text.index('"page": "') + 30
    bad.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], encoding="utf-8")
    arguments = ["--origin", ORIGIN, "--key", format_key(KEYS[0])]
    outcomes = [
        subprocess.run(
            [sys.executable, "-I", "-W", "error", str(SCRIPT), str(path), *arguments],
            capture_output=True,
            encoding="utf-8",
            env={"PYTHONIOENCODING": "utf-8"},
        )
        for path in (good, bad, tmp_path / "absent.json")
    ]
    assert [outcome.returncode for outcome in outcomes] == [0, 1, 1], outcomes
    assert outcomes[0].stdout.startswith("Proved: account ")
    assert all(outcome.stdout.startswith("REFUSED: ") for outcome in outcomes[1:])


def test_the_independent_verifier_shares_no_code_and_is_short():
    source = SCRIPT.read_text(encoding="utf-8")
    assert "import audiera" not in source
    assert "from audiera" not in source
    assert len(source.splitlines()) < 150


def test_log_entries_count_what_lies_between_them():
    header = batch_bytes(plain_rows(20))[:192]
    first, after = encode_entry(3, 100, header), encode_entry(9, 160, header)
    assert records_between(first, after) == 60
    assert decode_entry(first).header.node == NODE
    with pytest.raises(ProofError):
        records_between(after, first)
    with pytest.raises(ProofError):
        decode_entry(first[1:])
    for numbers in ((-1, 0), (0, 2**64)):
        with pytest.raises(AudieraError):
            encode_entry(*numbers, header)
    with pytest.raises(AudieraError):
        encode_entry(0, 0, header[1:])
