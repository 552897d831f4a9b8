"""Rows as columns: minimal-width byte planes in one zstd frame, 5 to 7 bytes a row in a large batch.

Layout: ``facts u32 | (base u64, width u8) for each column | zstd frame``, little-endian. A column's values are the
base plus an offset of ``width`` bytes, stored as ``width`` planes, lowest byte first; a constant column has width
0 and takes no room. Columns over the facts (session, consumer, grant, purpose; distinct, ascending) come first,
then those over the rows, where ``fact`` is the position of the row's facts and ``asset`` the difference from the row
before. All planes follow one another in the frame. The batch's header names the node and the first
asset, so neither is stored.

What is read is decided before anything is decompressed: the number of rows, the fixed list of columns and their
widths give the exact size of the frame's content, and the frame must declare that size.
"""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt
import zstandard

from audiera.protocol.accesses.rows import ROW, Array
from audiera.protocol.errors import BatchError

U64 = npt.NDArray[np.uint64]

MAX_ROWS: Final = 131_072
"""The most rows a batch may hold."""

_LEVEL: Final = 3
_FACTS: Final = ("session", "consumer", "grant", "purpose")
_COLUMNS: Final = ("fact", "asset", "t", "bytes", "units", "policy", "op", "flags")
_ALL: Final = _FACTS + _COLUMNS
_LIMIT: Final = {"purpose": 8, "fact": 32, "units": 32, "policy": 32, "op": 8, "flags": 16}
"""Bits of the columns narrower than 64."""

_DESCRIPTOR: Final = struct.Struct("<" + "QB" * len(_ALL))
_HEAD_BYTES: Final = 4 + _DESCRIPTOR.size
_LOW: Final = np.uint64(2**32 - 1)
_SHIFT: Final = np.uint64(32)


def exact_sum(values: npt.NDArray[np.unsignedinteger]) -> int:
    """The sum of up to 2^31 unsigned numbers as an exact integer, without overflow."""
    wide = values.astype(np.uint64, copy=False)
    return int((wide & _LOW).sum(dtype=np.uint64)) + (int((wide >> _SHIFT).sum(dtype=np.uint64)) << 32)


def encode_columns(rows: Array) -> bytes:
    """The columns of rows ordered by (asset, t), at least one."""
    facts, positions = _facts_of(rows)
    values: list[U64] = [np.array(column, dtype=np.uint64) for column in zip(*facts, strict=True)]
    values += [positions, _differences(rows["asset"])]
    values += [rows[name].astype(np.uint64) for name in _COLUMNS[2:]]
    descriptors: list[int] = []
    planes: list[bytes] = []
    for column in values:
        base = int(column.min())
        offsets = column - np.uint64(base)
        width = (int(offsets.max()).bit_length() + 7) >> 3
        descriptors += (base, width)
        if width:
            lanes = np.ascontiguousarray(offsets.astype("<u8")).view(np.uint8).reshape(-1, 8)
            planes.append(np.ascontiguousarray(lanes[:, :width].T).tobytes())
    content = b"".join(planes)
    frame = zstandard.ZstdCompressor(level=_LEVEL).compress(content) if content else b""
    return len(facts).to_bytes(4, "little") + _DESCRIPTOR.pack(*descriptors) + frame


def _facts_of(rows: Array) -> tuple[list[tuple[int, ...]], U64]:
    """The distinct facts, ascending, and each row's position among them."""
    order = np.lexsort(tuple(rows[name] for name in reversed(_FACTS)))
    changed = np.zeros(len(rows), dtype=np.bool_)
    for name in _FACTS:
        column = rows[name][order]
        changed[1:] |= column[1:] != column[:-1]
    positions = np.zeros(len(rows), dtype=np.uint64)
    positions[order] = np.cumsum(changed, dtype=np.uint64)
    changed[0] = True
    distinct = rows[order[changed]]
    return list(zip(*(distinct[name].tolist() for name in _FACTS), strict=True)), positions


def _differences(assets: U64) -> U64:
    steps = np.zeros(len(assets), dtype=np.uint64)
    steps[1:] = assets[1:] - assets[:-1]
    return steps


def decode_columns(data: bytes, *, count: int, node: int, first_asset: int) -> Array:
    """The rows in columns.

    Args:
        data: the columns.
        count: how many rows the header states.
        node: the node the header states.
        first_asset: the smallest asset the header states.

    Raises:
        BatchError: too many rows, or columns that are not exactly the one form; refused before decompression
            where the size or the shape is wrong.
    """
    if not 1 <= count <= MAX_ROWS:
        raise BatchError(f"a batch has 1 to {MAX_ROWS} rows, got {count}", code="batch_too_many_rows")
    if len(data) < _HEAD_BYTES:
        raise BatchError("the columns end inside their head", code="columns_invalid")
    fact_count = int.from_bytes(data[:4], "little")
    described = _DESCRIPTOR.unpack_from(data, 4)
    bases, widths = described[::2], described[1::2]
    if not 1 <= fact_count <= count or max(widths) > 8:
        raise BatchError("the columns state more facts than rows, or a width over 8", code="columns_invalid")
    lengths = [fact_count] * len(_FACTS) + [count] * len(_COLUMNS)
    size = sum(width * length for width, length in zip(widths, lengths, strict=True))
    content = _decompress(data[_HEAD_BYTES:], size)
    values: dict[str, U64] = {}
    at = 0
    for name, base, width, length in zip(_ALL, bases, widths, lengths, strict=True):
        end = at + width * length
        values[name] = _column(name, content[at:end], base, width, length)
        at = end
    return _assemble(values, fact_count=fact_count, node=node, first_asset=first_asset)


def _decompress(frame: bytes, size: int) -> bytes:
    """The content of a frame that must declare exactly ``size`` bytes and be followed by nothing."""
    if size == 0:
        if frame:
            raise BatchError("constant columns are followed by nothing", code="columns_invalid")
        return b""
    try:
        declared = zstandard.frame_content_size(frame)
        if declared != size:
            raise BatchError(
                f"the columns hold {size} bytes and the frame declares {declared}; it is not read",
                code="columns_size",
            )
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as cause:
        raise BatchError(f"the columns do not decompress: {cause}", code="columns_invalid") from cause


def _column(name: str, planes: bytes, base: int, width: int, length: int) -> U64:
    """A column's values; the base must be the smallest and the width the least that holds the offsets."""
    lanes = np.zeros((length, 8), dtype=np.uint8)
    if width:
        lanes[:, :width] = np.frombuffer(planes, dtype=np.uint8).reshape(width, length).T
    offsets: U64 = lanes.view("<u8").reshape(length).astype(np.uint64, copy=False)
    largest = int(offsets.max())
    if int(offsets.min()) or (largest.bit_length() + 7) >> 3 != width:
        raise BatchError(f"the column {name} is not in its narrowest form", code="columns_not_canonical")
    if base + largest >= 1 << _LIMIT.get(name, 64):
        raise BatchError(f"the column {name} holds a value beyond its range", code="columns_invalid")
    return offsets + np.uint64(base)


def _assemble(values: dict[str, U64], *, fact_count: int, node: int, first_asset: int) -> Array:
    positions = values["fact"]
    if int(positions.min()) != 0 or int(positions.max()) != fact_count - 1:
        raise BatchError("a row points to facts that are not there", code="columns_invalid")
    _check_facts(values)
    rows = np.zeros(len(positions), dtype=ROW)
    places = positions.astype(np.int64)
    for name in _FACTS:
        rows[name] = values[name][places]
    for name in _COLUMNS[2:]:
        rows[name] = values[name]
    rows["node"] = node
    rows["asset"] = _assets(values["asset"], first_asset)
    return rows


def _check_facts(values: dict[str, U64]) -> None:
    """Facts are ascending and distinct, each is used, and a session has one consumer, grant and purpose."""
    columns = [values[name] for name in _FACTS]
    later = np.zeros(len(columns[0]) - 1, dtype=np.bool_)
    equal = np.ones(len(columns[0]) - 1, dtype=np.bool_)
    for column in columns:
        later |= equal & (column[1:] > column[:-1])
        equal &= column[1:] == column[:-1]
    if not later.all():
        raise BatchError("the facts are not ascending and distinct", code="columns_not_canonical")
    used = np.bincount(values["fact"].astype(np.int64), minlength=len(columns[0]))
    if not used.all():
        raise BatchError("facts that no row has", code="columns_not_canonical")
    sessions = columns[0]
    if bool(((sessions[1:] == sessions[:-1]) & (sessions[1:] != 0)).any()):
        raise BatchError("a session has one consumer, grant and purpose, here two", code="session_contradicted")


def _assets(steps: U64, first: int) -> U64:
    """Assets from their differences; the first difference is 0 and the first asset is the header's."""
    if int(steps[0]):
        raise BatchError("the first asset's difference is not 0", code="columns_not_canonical")
    if first + exact_sum(steps) >= 1 << 64:
        raise BatchError("the assets exceed 64 bits", code="columns_invalid")
    assets = steps.copy()
    assets[0] = first
    return np.cumsum(assets, dtype=np.uint64)
