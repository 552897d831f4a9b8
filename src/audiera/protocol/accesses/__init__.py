"""Access batches: rows, columns, sessions, the log they stand in, and the proofs and receipts of single rows."""

from audiera.protocol.accesses.batch import HEADER_BYTES, Batch, Header, decode_header, open_batch, seal
from audiera.protocol.accesses.log import ENTRY_BYTES, LogEntry, decode_entry, encode_entry, entry_leaf
from audiera.protocol.accesses.rows import ROW, ROW_BYTES, Row, array_of, pack_row, rows_root, unpack_row
from audiera.protocol.accesses.session import (
    SessionOpen,
    Watermark,
    session_digest,
    session_domain,
    sign_session,
    sign_watermark,
    verify_session,
    verify_watermark,
    watermark_domain,
)

__all__ = [
    "ENTRY_BYTES",
    "HEADER_BYTES",
    "ROW",
    "ROW_BYTES",
    "Batch",
    "Header",
    "LogEntry",
    "Row",
    "SessionOpen",
    "Watermark",
    "array_of",
    "decode_entry",
    "decode_header",
    "encode_entry",
    "entry_leaf",
    "open_batch",
    "pack_row",
    "rows_root",
    "seal",
    "session_digest",
    "session_domain",
    "sign_session",
    "sign_watermark",
    "unpack_row",
    "verify_session",
    "verify_watermark",
    "watermark_domain",
]
