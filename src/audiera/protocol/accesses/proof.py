"""The proof of one access: from a row up to a checkpoint that validators cosigned. Nothing of a node is needed.

A proof leaves the system as a file of JSON text, ``audiera/access-proof/1``, or as compact canonical DAG-CBOR. Both
have one form only: a file that is not exactly what formatting its contents gives is refused.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from audiera.protocol.accesses.batch import Batch
from audiera.protocol.accesses.log import decode_entry
from audiera.protocol.accesses.rows import ROW_BYTES, Row, page_count, page_of, page_path, unpack_row
from audiera.protocol.encoding import decode, encode
from audiera.protocol.errors import BatchError, EncodingError, ProofError
from audiera.protocol.merkle import leaf_hash, verify_cosigned, verify_inclusion

FORMAT: Final = "audiera/access-proof/1"
MAX_BYTES: Final = 262_144
"""The longest proof accepted, in either form."""


class AccessProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row's way up to a checkpoint."""

    format: Literal["audiera/access-proof/1"] = FORMAT
    """Name and revision of this form."""

    row: int
    """Position of the row in its batch."""

    t: int
    """The row's time, which with its node is its id: no other position proves this access."""

    page: bytes
    """The page that holds it: up to k rows of 64 bytes."""

    page_path: tuple[bytes, ...]
    """Sibling hashes from the page up to the rows' root in the batch's header."""

    entry: bytes
    """The log's entry for the batch, 208 bytes."""

    log_index: int
    """Position of the entry in the access log."""

    log_path: tuple[bytes, ...]
    """Sibling hashes from the entry up to the checkpoint's root."""

    checkpoint: str
    """The cosigned checkpoint, a signed note."""


class ProvedAccess(NamedTuple):
    """What a proof shows."""

    row: Row
    """The access."""

    height: int
    """Block that holds it; the block's period is the payout period."""

    record: int
    """Its number among all accesses of the chain."""

    log_size: int
    """Batches in the log the checkpoint speaks of."""

    cosigned_at_s: tuple[int, ...]
    """When each counted cosigner saw the checkpoint, seconds since 1970 UTC."""


def prove(
    batch: Batch, row: int, *, entry: bytes, log_index: int, log_path: Sequence[bytes], checkpoint: str
) -> AccessProof:
    """Prove a row of a batch.

    Args:
        batch: the opened batch.
        row: position of the row in it.
        entry: the log's entry for the batch.
        log_index: position of the entry in the access log.
        log_path: inclusion path of the entry at the checkpoint's size.
        checkpoint: the cosigned checkpoint, a signed note.

    Raises:
        ProofError: no such row.
    """
    if not 0 <= row < batch.header.count:
        raise ProofError(f"row {row} of {batch.header.count} does not exist", row=row)
    data = batch.rows.tobytes()
    return AccessProof(
        row=row,
        t=int(batch.rows["t"][row]),
        page=page_of(data, row, batch.header.k),
        page_path=page_path(data, row, batch.header.k),
        entry=entry,
        log_index=log_index,
        log_path=tuple(log_path),
        checkpoint=checkpoint,
    )


def verify_access(proof: AccessProof, validator_keys: Sequence[bytes], quorum: int, *, origin: str) -> ProvedAccess:
    """Check a proof.

    1. The page has as many rows as its place in the batch asks for.
    2. Page and path lead to the rows' root in the batch's header.
    3. Entry and path lead to the checkpoint's root.
    4. Enough known validators cosigned the checkpoint, which is of this log.
    5. The row means something and is the one named.

    Args:
        proof: the proof.
        validator_keys: public keys whose cosignatures count.
        quorum: how many of them are needed, at least 1.
        origin: the log's name, ``audiera/<chain>/accesses``.

    Raises:
        ProofError: which step fails.
    """
    entry = decode_entry(proof.entry)
    header = entry.header
    if not 0 <= proof.row < header.count:
        raise ProofError(f"row {proof.row} of {header.count} does not exist", row=proof.row)
    page = proof.row // header.k
    rows_in_page = min(header.k, header.count - page * header.k)
    if len(proof.page) != rows_in_page * ROW_BYTES:
        raise ProofError(f"a page of {rows_in_page} rows expected, got {len(proof.page)} bytes")
    pages = page_count(header.count, header.k)
    verify_inclusion(leaf_hash(proof.page), page, pages, proof.page_path, header.rows_root)
    checkpoint, cosigned = verify_cosigned(proof.checkpoint, origin=origin, keys=validator_keys, quorum=quorum)
    verify_inclusion(leaf_hash(proof.entry), proof.log_index, checkpoint.size, proof.log_path, checkpoint.root)
    at = proof.row % header.k * ROW_BYTES
    try:
        row = unpack_row(proof.page[at : at + ROW_BYTES])
    except BatchError as cause:
        raise ProofError(f"the row means nothing: {cause.message}") from cause
    if (row.node, row.t) != (header.node, proof.t):
        raise ProofError(f"row {proof.row} is of node {row.node} at {row.t}, not the one the proof names")
    return ProvedAccess(
        row=row,
        height=entry.height,
        record=entry.global_first + proof.row,
        log_size=checkpoint.size,
        cosigned_at_s=tuple(signer.time_s for signer in cosigned),
    )


def encode_proof(proof: AccessProof) -> bytes:
    """The compact form: canonical DAG-CBOR."""
    return encode(proof)


def decode_proof(data: bytes) -> AccessProof:
    """The proof in the compact form.

    Raises:
        EncodingError: it is none, or not in its one form.
    """
    return decode(data, AccessProof, max_bytes=MAX_BYTES)


def format_proof(proof: AccessProof) -> str:
    """The file form: JSON, bytes in base64, two spaces of indent, a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=2).decode() + "\n"


def parse_proof(text: str) -> AccessProof:
    """The proof in the file form; refuses every other spelling.

    Raises:
        EncodingError: it is none, or not spelled in its one form.
    """
    if len(text) > MAX_BYTES:
        raise EncodingError(f"a proof has at most {MAX_BYTES} characters, got {len(text)}", length=len(text))
    try:
        proof = msgspec.json.decode(text, type=AccessProof, strict=True)
    except (msgspec.DecodeError, UnicodeEncodeError) as cause:
        raise EncodingError(f"not an access proof: {cause}") from cause
    if format_proof(proof) != text:
        raise EncodingError("the access proof is not spelled in its one form; use the file as it was written")
    return proof
