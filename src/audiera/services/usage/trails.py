"""Trails: from one access back to its session, its grant, what a called model was made of, and who was paid."""

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple

from audiera.protocol.api.usage import Access, SessionFacts, Source, Trail
from audiera.protocol.errors import NotFound
from audiera.protocol.ids import format_id
from audiera.protocol.machine import grant_purse
from audiera.protocol.purposes import PURPOSES
from audiera.protocol.records import Model
from audiera.protocol.state import StateView
from audiera.protocol.units import I64_MAX
from audiera.services.usage.histories import ACCESSES, access_of
from audiera.services.usage.statements import lines_in_block
from audiera.services.usage.tables import loaded, require_number

_MAX_SOURCES: Final = 1_000


def session(db: sqlite3.Connection, node: int, number: int) -> SessionFacts:
    """A session as its opening says.

    Raises:
        NotFound: no batch opened it.
    """
    found = find_session(db, require_number(node, "node", most=I64_MAX), require_number(number, "number"))
    if found is None:
        raise NotFound(
            f"session {number} of node {node} is not on the ledger; flush it and ask again",
            code="session_not_found",
            node=node,
            number=number,
        )
    return found


def find_session(db: sqlite3.Connection, node: int, number: int) -> SessionFacts | None:
    """A session, if a batch opened it; a row may cite one that no batch ever did."""
    sql = (
        "SELECT grant, consumer, purpose, run, app_key, opened_at, expires_at, height "
        "FROM sessions WHERE node = ? AND number = ?"
    )
    found = db.execute(sql, (node, number)).fetchone() if number <= I64_MAX else None
    if found is None:
        return None
    grant, consumer, purpose, run, app_key, opened_at, expires_at, height = found
    return SessionFacts(
        node=node,
        number=number,
        grant=loaded(grant),
        consumer=loaded(consumer),
        purpose=PURPOSES[purpose],
        run=loaded(run),
        app_key=loaded(app_key),
        opened_at=opened_at,
        expires_at=expires_at,
        height=height,
    )


def trail(db: sqlite3.Connection, state: StateView, node: int, index: int) -> Trail:
    """From one access back to everything and everyone behind it.

    Raises:
        NotFound: no such access.
    """
    access, transaction = _find(db, node, index)
    purse = grant_purse(access.grant)
    lines = lines_in_block(db, purse, access.height, transaction) if access.grant else ()
    model = state.model(access.asset) if access.op == "call" else None
    return Trail(
        access=access,
        transaction=format_id(transaction),
        session=find_session(db, node, access.session) if access.session else None,
        grant=state.grant(access.grant) if access.grant else None,
        model=model,
        sources=_sources(state, model) if model is not None else (),
        payments=tuple(line for line in lines if line.debit == purse),
    )


def _find(db: sqlite3.Connection, node: int, index: int) -> tuple[Access, bytes]:
    """A row and the transaction that brought it, by the node's own count of its rows."""
    key = (require_number(node, "node", most=I64_MAX), require_number(index, "index", most=I64_MAX))
    sql = (
        "SELECT first, count, first_index, id FROM batches WHERE node = ? AND first_index <= ? "
        "ORDER BY first_index DESC LIMIT 1"
    )
    batch = db.execute(sql, key).fetchone()
    if batch is None or index >= batch[1] + batch[2]:
        raise NotFound(
            f"access {index} of node {node} is not on the ledger; flush its session and ask again",
            code="access_not_found",
            node=node,
            index=index,
        )
    first, count, first_index, transaction = batch
    where = "WHERE a.number >= ? AND a.number < ? AND a.nth = ?"
    row = db.execute(f"{ACCESSES} {where}", (first, first + count, index - first_index)).fetchone()
    return access_of(row), transaction


class _Streamed(NamedTuple):
    """What a run streamed of an asset; ordered by how much, then by the numbers."""

    audio_ms: int
    model: int
    run: int
    asset: int
    accesses: int


def _sources(state: StateView, model: Model) -> tuple[Source, ...]:
    """What a model and its base models were trained on, most audio first."""
    most = heapq.nsmallest(
        _MAX_SOURCES, _streamed(state, model), key=lambda each: (-each.audio_ms, each.model, each.run, each.asset)
    )
    return tuple(
        Source(
            run=each.run,
            model=each.model,
            asset=each.asset,
            holder=_holder(state, each.asset),
            accesses=each.accesses,
            audio_ms=each.audio_ms,
        )
        for each in most
    )


def _holder(state: StateView, asset: int) -> int:
    record = state.asset(asset)
    return record.holder if record is not None else 0


def _streamed(state: StateView, model: Model) -> Iterator[_Streamed]:
    """Every asset of every run of every model in a lineage; a base model shared by two is visited once."""
    waiting, met = [model.number], {model.number}
    while waiting:
        found = state.model(waiting.pop())
        if found is None:
            continue
        for run in found.runs:
            for asset, use in state.run_uses(run):
                yield _Streamed(use.audio_ms, found.number, run, asset, use.accesses)
        bases = [base.model for base in found.base_models if base.model not in met]
        met.update(bases)
        waiting.extend(bases)
