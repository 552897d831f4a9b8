"""Rows, sessions and batches for the tests of this room."""

import numpy as np
from hypothesis import strategies as st

from audiera.protocol.accesses import ROW, Row, SessionOpen, Watermark, array_of, seal, session_domain, watermark_domain
from audiera.protocol.accesses.rows import Array
from audiera.protocol.keys import public_key, sign_bytes
from audiera.protocol.purposes import PURPOSES

CHAIN = "test"
NODE = 7
START = 1_700_000_000_000_000
NODE_SEED = bytes(range(32))
NODE_KEY = public_key(NODE_SEED)
CONSUMER_SEED = bytes(range(1, 33))


def sign(message: bytes) -> bytes:
    """The node's signature."""
    return sign_bytes(NODE_SEED, message)


def facts_of(session: int) -> tuple[int, int, int]:
    """Consumer, grant and purpose of a session of these tests."""
    return (100 + session, 200 + session, session % 9) if session else (0, 0, 0)


def plain_rows(count: int, *, sessions: int = 3, assets: int = 50, start: int = START) -> Array:
    """Rows that differ in every column, in order of time."""
    return array_of(
        Row(
            asset=1 + number * 7919 % assets,
            t=start + number * 37,
            consumer=facts_of(number % sessions + 1)[0],
            grant=facts_of(number % sessions + 1)[1],
            session=number % sessions + 1,
            bytes=number * number * 13 % 500_000,
            units=number % 3_000,
            node=NODE,
            policy=1 + number % 2,
            purpose=facts_of(number % sessions + 1)[2],
            op=1 + number % 4,
            flags=number % 16,
        )
        for number in range(count)
    )


_WIDE = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))


@st.composite
def row_arrays(draw: st.DrawFn, max_size: int = 60) -> Array:
    """Any rows a node could have: distinct times, one set of facts for each session."""
    times = draw(st.lists(_WIDE, min_size=1, max_size=max_size, unique=True))
    facts = draw(st.lists(st.tuples(_WIDE, _WIDE, _WIDE, st.integers(0, 9)), min_size=1, max_size=6))
    by_session = {fact[0]: fact for fact in facts}
    rows = []
    for t in times:
        fact = draw(st.sampled_from(facts))
        session, consumer, grant, purpose = fact if fact[0] == 0 else by_session[fact[0]]
        rows.append(
            Row(
                asset=draw(_WIDE),
                t=t,
                consumer=consumer,
                grant=grant,
                session=session,
                bytes=draw(st.integers(0, 2**40 - 1)),
                units=draw(st.integers(0, 2**32 - 1)),
                node=NODE,
                policy=draw(st.integers(0, 2**32 - 1)),
                purpose=purpose,
                op=draw(st.integers(1, 6)),
                flags=draw(st.integers(0, 15)),
            )
        )
    return array_of(rows)


def session(number: int, **changes: object) -> SessionOpen:
    """An unsigned opening whose facts are those of :func:`facts_of`."""
    consumer, grant, purpose = facts_of(number)
    fields: dict[str, object] = {
        "domain": session_domain(CHAIN),
        "node": NODE,
        "number": number,
        "grant": grant,
        "consumer": consumer,
        "purpose": PURPOSES[purpose],
        "policy": 1,
        "opened_at": START,
        "expires_at": START + 3_600_000_000,
        "nonce": bytes(16),
    }
    return SessionOpen(**(fields | changes))


def watermark(number: int, **changes: object) -> Watermark:
    """An unsigned watermark."""
    fields: dict[str, object] = {
        "domain": watermark_domain(CHAIN),
        "node": NODE,
        "session": number,
        "rows": 10,
        "bytes": 1_000,
        "t": START,
    }
    return Watermark(**(fields | changes))


def batch_bytes(rows: Array, *, k: int = 16, first_index: int = 0, **sections: object) -> bytes:
    """A batch sealed by the node of these tests."""
    return seal(
        rows,
        chain_id=CHAIN,
        node=NODE,
        first_index=first_index,
        prev_header_hash=bytes(32),
        sign=sign,
        k=k,
        **sections,
    )


def empty_rows() -> Array:
    """No rows."""
    return np.zeros(0, dtype=ROW)
