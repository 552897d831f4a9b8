"""Tiles: fixed slices of a log's tree and of its entries, served as static files that never change.

A tile at level L holds the roots of complete subtrees of 256^L leaves, 256 of them when it is full; a partial tile
says in its name how many it holds. A bundle holds 256 entries, each after its length.

Source: https://c2sp.org/tlog-tiles.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle.tree import tree_root

TILE_HASHES: Final = 256
"""Hashes in a full tile; entries in a full bundle."""

MAX_LEVEL: Final = 5
_ENTRIES: Final = "entries"


class TileName(NamedTuple):
    """Which tile."""

    level: int | None
    """0 to 5; None for a bundle of entries."""

    number: int
    """Position among the tiles of its level."""

    width: int = TILE_HASHES
    """Hashes or entries in it, 1 to 256."""


def tile_path(name: TileName) -> str:
    """Where a tile is found: ``tile/<level>/<number>`` with ``.p/<width>`` when it is not full.

    Raises:
        ProofError: there is no such tile.
    """
    level_fits = name.level is None or 0 <= name.level <= MAX_LEVEL
    if not level_fits or not 0 <= name.number < 2**56 or not 1 <= name.width <= TILE_HASHES:
        raise ProofError(f"no tile has level {name.level}, number {name.number} and width {name.width}")
    rest, last = divmod(name.number, 1_000)
    groups = [f"{last:03d}"]
    while rest:
        rest, group = divmod(rest, 1_000)
        groups.append(f"x{group:03d}")
    level = _ENTRIES if name.level is None else str(name.level)
    tail = "" if name.width == TILE_HASHES else f".p/{name.width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{tail}"


def parse_tile_path(path: str) -> TileName:
    """The tile of :func:`tile_path`'s path; refuses every other spelling.

    Raises:
        ProofError: it is none.
    """
    parts = path.split("/")
    width = TILE_HASHES
    if len(parts) > 3 and parts[-2].endswith(".p"):
        width = _digits(parts.pop(), path)
        parts[-1] = parts[-1].removesuffix(".p")
    if len(parts) < 3 or len(path) > 80 or parts[0] != "tile":
        raise ProofError(f"a tile's path expected, got {path[:80]!r}")
    level = None if parts[1] == _ENTRIES else _digits(parts[1], path)
    number = 0
    for group in parts[2:]:
        number = number * 1_000 + _digits(group.removeprefix("x"), path)
    name = TileName(level, number, width)
    if tile_path(name) != path:
        raise ProofError(f"a tile's path in its one form expected, got {path!r}")
    return name


def _digits(text: str, path: str) -> int:
    if not 1 <= len(text) <= 3 or not text.isascii() or not text.isdigit():
        raise ProofError(f"a tile's path in its one form expected, got {path[:80]!r}")
    return int(text)


def tiles_of_size(size: int) -> tuple[TileName, ...]:
    """The tiles of hashes at the right edge of a tree, full or partial, and its full ones, for each level in order."""
    names: list[TileName] = []
    level = 0
    while size:
        full, rest = divmod(size, TILE_HASHES)
        names.extend(TileName(level, number) for number in range(full))
        if rest:
            names.append(TileName(level, full, rest))
        level, size = level + 1, full
    return tuple(names)


def encode_tile(hashes: Sequence[bytes]) -> bytes:
    """A tile's content: 1 to 256 hashes, one after the other.

    Raises:
        ProofError: another number of hashes, or one that is not 32 bytes.
    """
    if not 1 <= len(hashes) <= TILE_HASHES or any(len(node) != 32 for node in hashes):
        raise ProofError(f"a tile holds 1 to {TILE_HASHES} hashes of 32 bytes, got {len(hashes)}")
    return b"".join(hashes)


def decode_tile(data: bytes, width: int = TILE_HASHES) -> tuple[bytes, ...]:
    """The hashes in a tile's content.

    Raises:
        ProofError: not as many as the tile's width says.
    """
    if not 1 <= width <= TILE_HASHES or len(data) != 32 * width:
        raise ProofError(f"a tile of width {width} has {32 * width} bytes, got {len(data)}")
    return tuple(data[at : at + 32] for at in range(0, len(data), 32))


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a full tile: the hash that stands for it one level up.

    Raises:
        ProofError: the tile is not full.
    """
    if len(hashes) != TILE_HASHES:
        raise ProofError(f"only a full tile has a root one level up, this one holds {len(hashes)}")
    return tree_root(hashes)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """A bundle's content: 1 to 256 entries, each after its length (u16, big-endian).

    Raises:
        ProofError: another number of entries, or one longer than 65,535 bytes.
    """
    if not 1 <= len(entries) <= TILE_HASHES or any(len(entry) > 65_535 for entry in entries):
        raise ProofError(f"a bundle holds 1 to {TILE_HASHES} entries of at most 65,535 bytes, got {len(entries)}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, width: int = TILE_HASHES) -> tuple[bytes, ...]:
    """The entries in a bundle's content.

    Raises:
        ProofError: not as many as the bundle's width says, or bytes left over.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < width:
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data) or len(entries) != width:
        raise ProofError(f"a bundle of {width} entries expected, it is cut short or has bytes left over")
    return tuple(entries)
