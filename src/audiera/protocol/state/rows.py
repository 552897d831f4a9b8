"""Rows of the state that are no records: how far things have come."""

from typing import NamedTuple

from audiera.protocol.records import Record


class NodeState(Record, frozen=True, kw_only=True):
    """How far a node's access rows have come."""

    next_index: int = 0
    """Index its next row must have."""

    last_t: int = 0
    """Time of its newest row, microseconds."""

    last_header_hash: bytes = bytes(32)
    """SHA-256 of its newest batch header."""

    last_session: int = 0
    """Largest session number it has used."""


class SessionState(Record, frozen=True, kw_only=True):
    """What the ledger knows of a node's session."""

    grant: int
    """Grant it runs under; 0 for previews."""

    consumer: int
    """Account that opened it."""

    purpose: int
    """Code of its purpose."""

    run: int
    """Run it belongs to; 0 for none."""

    expires_at: int
    """End, microseconds."""

    app_key: int = 0
    """Application key it was opened with; 0 for none."""

    rows: int = 0
    """Rows that released something."""

    acknowledged: int = 0
    """Rows the consumer's newest watermark acknowledges."""


class Commitment(Record, frozen=True, kw_only=True):
    """Registrations reserved by an account."""

    account: int
    """Who reserved."""

    root: bytes
    """Root over the hidden leaves."""

    count: int
    """How many leaves."""

    height: int
    """Block that holds it."""


class LogHead(NamedTuple):
    """The access log's size and root."""

    size: int
    """Entries."""

    root: bytes
    """RFC 9162 root over them."""

    records: int
    """Rows in all entries together."""


class LogState(Record, frozen=True, kw_only=True):
    """The access log's frontier."""

    size: int = 0
    """Entries."""

    records: int = 0
    """Rows in all of them."""

    frontier: tuple[bytes, ...] = ()
    """Roots of its complete subtrees, largest first."""
