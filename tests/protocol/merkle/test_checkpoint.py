"""Checkpoints have one spelling, and only cosignatures of known keys count."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import ProofError
from audiera.protocol.keys import public_key
from audiera.protocol.merkle import (
    Checkpoint,
    NoteSignature,
    SignedCheckpoint,
    access_log_origin,
    cosign,
    format_checkpoint,
    format_signed,
    parse_checkpoint,
    parse_signed,
    sign_checkpoint,
    verify_cosigned,
)
from audiera.protocol.merkle.checkpoint import cosigned_bytes, key_id, verify_signature

ORIGIN = access_log_origin("test")
ROOT = bytes(range(32))
PLAIN = Checkpoint(ORIGIN, 1_234, ROOT)
SEED, OTHER = bytes(32), bytes([1]) * 32
NOTE = format_signed(SignedCheckpoint(PLAIN, (cosign(SEED, "validator", PLAIN, time_s=1_700_000_000),)))

LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
CHECKPOINTS = st.builds(
    Checkpoint,
    LINES,
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(LINES, max_size=3).map(tuple),
)


@given(CHECKPOINTS)
def test_a_checkpoint_comes_back_from_its_text(checkpoint):
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@given(CHECKPOINTS, st.integers(0, 2**64 - 1))
def test_a_signed_checkpoint_comes_back_from_its_text(checkpoint, time_s):
    signed = SignedCheckpoint(
        checkpoint, (cosign(SEED, "a", checkpoint, time_s=time_s), sign_checkpoint(OTHER, "log", checkpoint))
    )
    assert parse_signed(format_signed(signed)) == signed


@given(st.text())
def test_any_text_is_refused_or_spelled_in_its_one_form(text):
    for parse, write in ((parse_checkpoint, format_checkpoint), (parse_signed, format_signed)):
        try:
            parsed = parse(text)
        except ProofError:
            continue
        assert write(parsed) == text


ROOT_TEXT = base64.b64encode(ROOT).decode()


@pytest.mark.parametrize(
    "size",
    ["-5", "+5", "1_2", "05", "", " 5", "5 ", "\uff11\uff12", "\u0661", "1e3", "5.0", "0x5", "1" * 21, str(2**64)],
)
def test_a_size_has_one_spelling(size):
    with pytest.raises(ProofError):
        parse_checkpoint(f"{ORIGIN}\n{size}\n{ROOT_TEXT}\n")


@pytest.mark.parametrize(
    "root",
    [
        ROOT_TEXT.rstrip("="),
        ROOT_TEXT + "=",
        " " + ROOT_TEXT,
        ROOT_TEXT[:4] + "\r" + ROOT_TEXT[4:],
        ROOT_TEXT[:4] + "!" + ROOT_TEXT[4:],
        ROOT_TEXT[:-2] + "9=",
        ROOT_TEXT.replace("+", "-").replace("/", "_") + "_",
        base64.b64encode(ROOT[:31]).decode(),
        base64.b64encode(ROOT + b"\x00").decode(),
        ROOT.hex(),
        "\u00e9" * 44,
        "",
    ],
)
def test_a_root_has_one_spelling(root):
    with pytest.raises(ProofError):
        parse_checkpoint(f"{ORIGIN}\n5\n{root}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n5\n",
        f"{ORIGIN}\n5\n{ROOT_TEXT}",
        f"\n5\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n5\n{ROOT_TEXT}\n\n",
        f"{ORIGIN}\n5\n{ROOT_TEXT}\nmore\n\n",
        f"{ORIGIN}\r\n5\r\n{ROOT_TEXT}\r\n",
        f"a\x00b\n5\n{ROOT_TEXT}\n",
        f"a\ud800b\n5\n{ROOT_TEXT}\n",
        f"{ORIGIN}\n5\n{ROOT_TEXT}\n" + "x" * 70_000 + "\n",
    ],
)
def test_a_checkpoint_has_one_form(text):
    with pytest.raises(ProofError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note[:-1],
        lambda note: note + "\n",
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.replace("\n\n", "\n\n\n"),
        lambda note: note.replace("\u2014 ", "- "),
        lambda note: note.replace("\u2014 ", "\u2014  "),
        lambda note: note.replace("validator", "vali dator"),
        lambda note: note.replace("validator", "vali+dator"),
        lambda note: note.replace("validator ", " "),
        lambda note: note.split("\n\n")[0] + "\n\n",
        lambda note: note + note.splitlines(keepends=True)[-1] * 100,
        lambda note: note + "\u2014 short AAAAAA==\n",
        lambda note: "x" * 70_000 + note,
    ],
)
def test_a_signed_note_has_one_form(change):
    assert parse_signed(NOTE)
    with pytest.raises(ProofError):
        parse_signed(change(NOTE))


def test_known_cosignatures_count():
    checkpoint, (cosigned,) = verify_cosigned(NOTE, origin=ORIGIN, keys=[public_key(SEED)], quorum=1)
    assert checkpoint == PLAIN
    assert (cosigned.key, cosigned.time_s) == (public_key(SEED), 1_700_000_000)


def test_unknown_signers_and_the_logs_own_signature_do_not_count():
    own = sign_checkpoint(OTHER, "log", PLAIN)
    note = format_signed(SignedCheckpoint(PLAIN, (own, cosign(SEED, "validator", PLAIN, time_s=1))))
    assert verify_signature(own, public_key(OTHER), PLAIN)
    assert not verify_signature(own, public_key(SEED), PLAIN)
    assert verify_cosigned(note, origin=ORIGIN, keys=[public_key(SEED)], quorum=1)
    for keys in ([public_key(OTHER)], []):
        with pytest.raises(ProofError, match="1 known"):
            verify_cosigned(note, origin=ORIGIN, keys=keys, quorum=1)


def test_a_key_counts_once():
    twice = tuple(cosign(SEED, "validator", PLAIN, time_s=time_s) for time_s in (1, 2))
    note = format_signed(SignedCheckpoint(PLAIN, twice))
    with pytest.raises(ProofError, match="2 known"):
        verify_cosigned(note, origin=ORIGIN, keys=[public_key(SEED), public_key(SEED)], quorum=2)


def test_a_cosignature_that_does_not_verify_is_refused_even_beyond_the_quorum():
    good, forged = cosign(SEED, "validator", PLAIN, time_s=1), cosign(OTHER, "other", PLAIN, time_s=1)
    forged = forged._replace(signature=forged.signature[:-1] + bytes([forged.signature[-1] ^ 1]))
    note = format_signed(SignedCheckpoint(PLAIN, (good, forged)))
    with pytest.raises(ProofError, match="does not verify"):
        verify_cosigned(note, origin=ORIGIN, keys=[public_key(SEED), public_key(OTHER)], quorum=1)


def test_the_time_is_part_of_what_is_signed():
    line = cosign(SEED, "validator", PLAIN, time_s=5)
    moved = line._replace(signature=(6).to_bytes(8, "big") + line.signature[8:])
    note = format_signed(SignedCheckpoint(PLAIN, (moved,)))
    with pytest.raises(ProofError):
        verify_cosigned(note, origin=ORIGIN, keys=[public_key(SEED)], quorum=1)
    assert cosigned_bytes(PLAIN, 5) == b"cosignature/v1\ntime 5\n" + format_checkpoint(PLAIN).encode()


def test_a_key_id_binds_name_kind_and_key():
    key = public_key(SEED)
    ids = {key_id("a", key, 1), key_id("a", key, 4), key_id("b", key, 4), key_id("a", public_key(OTHER), 4)}
    assert len(ids) == 4


@pytest.mark.parametrize("name", ["", "two words", "a+b", "\u00e9", "a\nb", "x" * 256])
def test_names_that_cannot_stand_in_a_line_are_refused(name):
    with pytest.raises(ProofError):
        cosign(SEED, name, PLAIN, time_s=1)
    with pytest.raises(ProofError):
        format_signed(SignedCheckpoint(PLAIN, (NoteSignature(name, bytes(4), bytes(64)),)))


@pytest.mark.parametrize("time_s", [-1, 2**64])
def test_times_that_cannot_be_are_refused(time_s):
    with pytest.raises(ProofError):
        cosign(SEED, "a", PLAIN, time_s=time_s)


@pytest.mark.parametrize(
    "checkpoint",
    [Checkpoint("", 1, ROOT), Checkpoint("a", -1, ROOT), Checkpoint("a", 1, b""), Checkpoint("a", 1, ROOT, ("",))],
)
def test_checkpoints_that_cannot_be_are_not_written(checkpoint):
    with pytest.raises(ProofError):
        format_checkpoint(checkpoint)


def test_a_note_has_one_to_so_many_signatures_and_nothing_spelled_otherwise():
    signature = NoteSignature("log", bytes(4), bytes(64))
    for count in (0, 1_000):
        with pytest.raises(ProofError, match="signatures"):
            format_signed(SignedCheckpoint(PLAIN, (signature,) * count))
    with pytest.raises(ProofError):
        format_signed(SignedCheckpoint(PLAIN, (NoteSignature("log", bytes(3), bytes(64)),)))
    with pytest.raises(ProofError, match="characters"):
        parse_signed("x" * 10_000_000)
