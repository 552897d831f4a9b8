"""Proofs: accepted as they are, refused when a single byte of them is another."""

import json
from pathlib import Path

import pytest

from audiera.protocol.errors import AudieraError, EncodingError, IdError, ProofError, SignatureError
from audiera.protocol.keys import format_key
from audiera.protocol.purposes import PURPOSES
from audiera.sdk import make_identity, verify_proof
from tests.sdk.house import House


class Proved:
    """A proof, and what it must be checked against."""

    def __init__(self, house: House, folder: Path) -> None:
        client = house.join()
        self.asset = house.offer(client, folder)[0]
        dataset = client.search(purpose="train-analytic", holders=(client.account,)).license()
        with client.open_stream(dataset.grant) as stream:
            delivered = [stream.fetch(self.asset, 0, size) for size in range(1, 20)][7]
        client.wait_for_record(delivered.node, delivered.index)
        info = client.node()
        self.account = client.account
        self.text = client.proof(delivered.node, delivered.index)
        self.chain, self.key = info.chain_id, info.log_key

    def check(self, text: str | bytes | Path) -> object:
        return verify_proof(text, [self.key], chain_id=self.chain)


@pytest.fixture(scope="module")
def proved(house: House, tmp_path_factory: pytest.TempPathFactory) -> Proved:
    return Proved(house, tmp_path_factory.mktemp("proved"))


def test_a_proof_says_what_was_accessed(proved: Proved, tmp_path: Path) -> None:
    found = verify_proof(proved.text, [proved.key], chain_id=proved.chain)
    assert (found.row.asset, found.row.consumer, found.row.bytes) == (proved.asset, proved.account, 8)
    assert PURPOSES[found.row.purpose] == "train-analytic"
    assert len(found.cosigned_at_s) == 1
    file = tmp_path / "proof.json"
    file.write_text(proved.text, encoding="utf-8")
    assert proved.check(file) == found
    assert proved.check(proved.text.encode()) == found


def test_a_proof_with_any_byte_altered_is_refused(proved: Proved) -> None:
    """Only the signature of a signer one was not told to trust may be any: a note's reader passes over it.

    Source: C2SP signed-note.
    """
    raw = proved.text.encode()
    begin = raw.index(f"audiera/{proved.chain}/accesses ".encode())  # who signs that line; the other is the validator
    passed_over = range(begin, raw.index(b"\\n", begin))
    for place in range(len(raw)):
        if place in passed_over:
            continue
        altered = bytearray(raw)
        altered[place] ^= 1 << place % 7
        with pytest.raises(AudieraError) as refused:
            proved.check(bytes(altered))
        assert isinstance(refused.value, ProofError | EncodingError | SignatureError), (place, refused.value)
    without = raw[: passed_over.start] + b"x" + raw[passed_over.start + 1 :]
    assert proved.check(without) == proved.check(raw)


def test_a_proof_with_a_byte_too_many_or_too_few_is_refused(proved: Proved) -> None:
    for altered in (proved.text + "\n", proved.text[:-1], proved.text + " ", "\ufeff" + proved.text, ""):
        with pytest.raises(AudieraError):
            proved.check(altered)


def test_a_proof_with_a_field_too_many_too_few_or_swapped_is_refused(proved: Proved) -> None:
    document = json.loads(proved.text)
    for name in document:
        less = {key: value for key, value in document.items() if key != name}
        for other in (less, {**document, "more": 1}, {**less, name: document[name]}, {**document, name: None}):
            text = json.dumps(other, indent=2, ensure_ascii=False) + "\n"
            if text != proved.text:
                with pytest.raises(AudieraError):
                    proved.check(text)


def test_a_proof_holds_for_its_chain_its_keys_and_its_quorum_only(proved: Proved) -> None:
    stranger = format_key(make_identity().key)
    with pytest.raises(ProofError, match="other"):
        verify_proof(proved.text, [proved.key], chain_id="other")
    for keys in ([stranger], [], [proved.key, stranger]):
        with pytest.raises(ProofError):
            verify_proof(proved.text, keys, chain_id=proved.chain)
    assert verify_proof(proved.text, [proved.key, stranger], chain_id=proved.chain, quorum=1)
    with pytest.raises(ProofError):
        verify_proof(proved.text, [proved.key, proved.key], chain_id=proved.chain, quorum=2)
    with pytest.raises(IdError):
        verify_proof(proved.text, ["nonsense"], chain_id=proved.chain)


def test_what_is_no_text_is_no_proof(proved: Proved, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EncodingError, match="not text"):
        proved.check(file)
    with pytest.raises(EncodingError):
        proved.check("[]")
