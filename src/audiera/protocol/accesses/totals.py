"""Adding up the rows of a batch for the state machine: integers only, stable order, no row-by-row Python.

Two packed arrays live in the state and are read and written here only:

* coverage of a grant: 16 bytes for each asset it covers (asset u64, duration_ms u32, term u16, spare u16), ascending
  by asset; fixed when the grant is issued, so that a later change of an asset's license changes no agreed price;
* uses of a run: 32 bytes for each asset opened (asset, accesses, audio_ms, bytes, each u64), ascending by asset, in
  pages of 4,096 asset numbers.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from audiera.protocol.accesses.rows import (
    FLAG_FAILED,
    FLAG_LATE,
    OP_CALL,
    OP_RANGE,
    OP_SHARD,
    OP_WHOLE,
    Array,
)
from audiera.protocol.errors import BatchError

COVER: Final = np.dtype([("asset", "<u8"), ("duration_ms", "<u4"), ("term", "<u2"), ("spare", "<u2")])
USE: Final = np.dtype([("asset", "<u8"), ("accesses", "<u8"), ("audio_ms", "<u8"), ("bytes", "<u8")])
PAGE_BITS: Final = 12

PAYABLE_OPS: Final = (OP_WHOLE, OP_RANGE, OP_SHARD, OP_CALL)
_IS_PAYABLE: Final = np.array([op in PAYABLE_OPS for op in range(256)], dtype=np.bool_)

_SUM_LIMIT: Final = 2**62


class SessionRows(NamedTuple):
    """The rows of a batch that belong to a session."""

    session: int
    """The node's session number; 0 for previews and refusals without one."""

    payable: Array
    """Its rows that released something, ordered by asset and time."""


def by_session(rows: Array) -> Iterator[SessionRows]:
    """The rows of each session, ascending by session number.

    Args:
        rows: row array ordered by (asset, t).
    """
    if not len(rows):
        return
    sessions = rows["session"] - rows["session"].min()
    if int(sessions.max()) < 1 << 16:
        sessions = sessions.astype(np.uint16)  # ten times as fast to sort, in the same order
    # take copies whole rows; an index in brackets copies them field by field
    ordered = rows.take(np.argsort(sessions, kind="stable"))
    released = _IS_PAYABLE[ordered["op"]] & ((ordered["flags"] & np.uint16(FLAG_FAILED)) == 0)
    for start, end in itertools.pairwise([*_starts(ordered["session"]).tolist(), len(ordered)]):
        part, kept = ordered[start:end], released[start:end]
        payable = part if kept.all() else part.compress(kept)
        yield SessionRows(int(part["session"][0]), payable)


def _starts(ascending: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where each run of equal values begins; at least one value."""
    changes = np.flatnonzero(ascending[1:] != ascending[:-1]) + 1
    return np.concatenate([np.zeros(1, dtype=np.int64), changes])


def uses_of(payable: Array, until: int, since: int) -> Array:
    """Sum a session's released rows for each asset.

    Args:
        payable: rows ordered by (asset, t).
        until: rows at this moment or later are left out; 0 for no end.
        since: rows earlier than this moment are left out.

    Returns:
        USE array ascending by asset.

    Raises:
        BatchError: sums beyond 2^62.
    """
    kept = payable["t"] >= np.uint64(max(since, 0))
    if until:
        kept &= payable["t"] < np.uint64(until)
    if not kept.all():
        payable = payable.compress(kept)
    if not len(payable):
        return np.zeros(0, dtype=USE)
    if int(payable["bytes"].max()) >= _SUM_LIMIT >> 20:
        raise BatchError("a row claims more bytes than any access can release", code="batch_sum_overflow")
    starts = _starts(payable["asset"])
    uses = np.zeros(len(starts), dtype=USE)
    uses["asset"] = payable["asset"][starts]
    uses["accesses"] = np.diff(starts, append=len(payable))
    uses["audio_ms"] = np.add.reduceat(payable["units"].astype(np.uint64), starts)
    uses["bytes"] = np.add.reduceat(payable["bytes"], starts)
    return uses


def earliest(payable: Array, count: int) -> Array:
    """The first rows in time, at most so many, in the order given."""
    if len(payable) <= count:
        return payable
    chosen = np.argsort(payable["t"], kind="stable")[:count]
    return payable.take(np.sort(chosen, kind="stable"))


def earliest_of(payable: Array, assets: Sequence[int], count: int) -> Array:
    """The first rows in time of these assets, at most so many, and all rows of others, in the order given."""
    named = np.isin(payable["asset"], np.array(assets, dtype=np.uint64))
    first = earliest(payable.compress(named), count)
    if not len(first):
        return payable.compress(~named)
    return payable.compress(~named | (payable["t"] <= first["t"].max()))


def unique_values(column: npt.NDArray[np.unsignedinteger[npt.NBitBase]]) -> list[int]:
    """The different values of a column, ascending."""
    values: list[int] = np.unique(column).tolist()
    return values


def agrees(rows: Array, consumer: int, grant: int, purpose: int) -> bool:
    """Whether every row of a session states the session's consumer, grant and purpose."""
    stated = (("consumer", consumer), ("grant", grant), ("purpose", purpose))
    return all(bool((rows[name] == value).all()) for name, value in stated)


def pack_coverage(items: Sequence[tuple[int, int, int]]) -> bytes:
    """The packed coverage of (asset, duration_ms, term) triples, ascending by asset."""
    packed = np.zeros(len(items), dtype=COVER)
    if items:
        assets, durations, terms = zip(*items, strict=True)
        packed["asset"], packed["duration_ms"], packed["term"] = assets, durations, terms
    return packed.tobytes()


class Covered(NamedTuple):
    """The part of a session's uses that its grant covers."""

    uses: Array
    """USE array; audio_ms is at most accesses times the asset's duration."""

    terms: tuple[int, ...]
    """Which of the grant's terms each use falls under."""


def cover(uses: Array, coverage: bytes) -> Covered:
    """Keep the uses of assets a grant covers, and believe no more audio than the assets hold."""
    covered = np.frombuffer(coverage, dtype=COVER)
    if not len(covered) or not len(uses):
        return Covered(np.zeros(0, dtype=USE), ())
    places = np.minimum(np.searchsorted(covered["asset"], uses["asset"]), len(covered) - 1)
    matches = covered["asset"][places] == uses["asset"]
    kept, facts = uses[matches], covered[places[matches]]
    longest = kept["accesses"] * facts["duration_ms"].astype(np.uint64)
    kept["audio_ms"] = np.minimum(kept["audio_ms"], longest)
    return Covered(kept, tuple(facts["term"].tolist()))


def covered_assets(coverage: bytes) -> tuple[tuple[int, int, int], ...]:
    """The (asset, duration_ms, term) triples of a packed coverage."""
    packed = np.frombuffer(coverage, dtype=COVER)
    return tuple(zip(packed["asset"].tolist(), packed["duration_ms"].tolist(), packed["term"].tolist(), strict=True))


def shares_of(assets: Sequence[int], covers: Sequence[tuple[bytes, Sequence[int]]]) -> list[int]:
    """The license weight of each asset: by the last coverage that has it, 0 where none does.

    Args:
        assets: ledger numbers, at least one, ascending.
        covers: packed coverages, each with the weights of its terms.
    """
    wanted = np.array(assets, dtype=np.uint64)
    shares = np.zeros(len(wanted), dtype=np.int64)
    for coverage, weights in covers:
        covered = np.frombuffer(coverage, dtype=COVER)
        if len(covered):
            places = np.minimum(np.searchsorted(covered["asset"], wanted), len(covered) - 1)
            matches = covered["asset"][places] == wanted
            shares[matches] = np.array(weights, dtype=np.int64)[covered["term"][places[matches]]]
    found: list[int] = shares.tolist()
    return found


class Sums(NamedTuple):
    """Totals of a use array."""

    accesses: int
    """Rows."""

    audio_ms: int
    """Milliseconds."""

    bytes: int
    """Bytes."""


def sums_of(uses: Array) -> Sums:
    """Totals over all assets of a use array."""
    return Sums(int(uses["accesses"].sum()), int(uses["audio_ms"].sum()), int(uses["bytes"].sum()))


def use_list(uses: Array) -> list[tuple[int, int, int, int]]:
    """A use array as (asset, accesses, audio_ms, bytes) tuples."""
    columns = [uses[name].tolist() for name in ("asset", "accesses", "audio_ms", "bytes")]
    return list(zip(*columns, strict=True))


def pages_of(uses: Array) -> Iterator[tuple[int, Array]]:
    """Cut a use array into pages of 4,096 asset numbers: (page number, its uses)."""
    pages = uses["asset"] >> np.uint64(PAGE_BITS)
    numbers, starts = np.unique(pages, return_index=True)
    ends = [*starts[1:].tolist(), len(uses)]
    for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
        yield number, uses[start:end]


def merge_uses(page: bytes, uses: Array) -> bytes:
    """A page of packed uses after adding more; ascending by asset. Sums stop at 2^62, as no honest ones reach it."""
    both = np.concatenate([np.frombuffer(page, dtype=USE), uses])
    both = both.take(np.argsort(both["asset"], kind="stable"))
    starts = _starts(both["asset"])
    merged = both.take(starts)
    for name in ("accesses", "audio_ms", "bytes"):
        merged[name] = np.minimum(np.add.reduceat(both[name], starts), np.uint64(_SUM_LIMIT))
    return merged.tobytes()


def unpack_uses(page: bytes) -> list[tuple[int, int, int, int]]:
    """A page of packed uses as (asset, accesses, audio_ms, bytes) tuples."""
    return use_list(np.frombuffer(page, dtype=USE))


def is_late_in_order(rows: Array, oldest: int, newest: int) -> bool:
    """Whether every row lies in the time window, or is marked late and lies before its end."""
    times = rows["t"]
    if len(rows) and int(times.max()) > newest:
        return False
    early = times < np.uint64(max(oldest, 0))
    return bool(((rows["flags"][early] & np.uint16(FLAG_LATE)) != 0).all())
