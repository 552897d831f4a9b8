"""The access log's tree, kept as tiles of 256 hashes, so that a proof costs the same in a log of any size.

Tile ``(level, number)`` holds the roots of complete subtrees of ``256 ** level`` leaves, 256 of them or, at
the right edge, as many as there are. A tile only ever grows, so reading while the log grows is safe.

Source: https://c2sp.org/tlog-tiles; RFC 9162, section 2.1.
"""

from collections.abc import Callable, Sequence

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import EMPTY_ROOT, node_hash, tree_root
from audiera.protocol.merkle.tiles import TILE_HASHES

TILE_BITS = TILE_HASHES.bit_length() - 1
_HASH_BYTES = 32

ReadTile = Callable[[int, int], bytes]
Tiles = dict[tuple[int, int], bytes]


def extend(read_tile: ReadTile, size: int, leaves: Sequence[bytes]) -> Tiles:
    """The tiles that adding leaf hashes to a tree of ``size`` leaves changes, whole."""
    changed: Tiles = {}
    level = 0
    new = list(leaves)
    while new:
        roots: list[bytes] = []
        for place, leaf in enumerate(new, start=size):
            number, held = place >> TILE_BITS, place % TILE_HASHES
            name = (level, number)
            if name not in changed:
                changed[name] = read_tile(level, number)[: held * _HASH_BYTES]
            changed[name] += leaf
            if held == TILE_HASHES - 1:
                roots.append(tree_root(_split(changed[name])))
        level, size, new = level + 1, size >> TILE_BITS, roots
    return changed


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), _HASH_BYTES)]


class LogTree:
    """Roots and paths of the access log's tree, read from tiles.

    Args:
        read_tile: the hashes of a tile by level and number, as far as it is filled.
        changed: tiles that stand before those of ``read_tile``.
    """

    def __init__(self, read_tile: ReadTile, changed: Tiles | None = None) -> None:
        self._read_tile = read_tile
        self._tiles: Tiles = dict(changed or {})

    def _complete(self, low: int, height: int) -> bytes:
        """Root of the complete subtree of ``2 ** height`` leaves that begins at leaf ``low``."""
        level, rest = divmod(height, TILE_BITS)
        first = low >> level * TILE_BITS
        name = (level, first >> TILE_BITS)
        at = first % TILE_HASHES * _HASH_BYTES
        end = at + (_HASH_BYTES << rest)
        hashes = self._tiles.get(name, b"")
        if len(hashes) < end:
            hashes = self._tiles[name] = self._read_tile(*name)
        if len(hashes) < end:
            raise ProofError(
                f"the tree's tile {name[0]}/{name[1]} holds {len(hashes)} bytes, {end} expected", tile=name
            )
        return tree_root(_split(hashes[at:end]))

    def _range(self, low: int, high: int) -> bytes:
        """Root over leaves ``low`` to ``high``, where ``low`` begins a complete subtree at least as large."""
        parts: list[bytes] = []
        while low < high:
            height = (high - low).bit_length() - 1
            parts.append(self._complete(low, height))
            low += 1 << height
        node = parts.pop()
        while parts:
            node = node_hash(parts.pop(), node)
        return node

    def root(self, size: int) -> bytes:
        """Root of the first ``size`` leaves."""
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion_path(self, index: int, size: int) -> tuple[bytes, ...]:
        """Sibling hashes from a leaf up to the root of the first ``size`` leaves (RFC 9162, section 2.1.3.1).

        Raises:
            ProofError: no such leaf in a tree of that size.
        """
        if not 0 <= index < size:
            raise ProofError(f"entry {index} is not among the first {size}", index=index, size=size)
        path: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + (1 << (high - low - 1).bit_length() - 1)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return tuple(reversed(path))

    def consistency_path(self, first: int, second: int) -> tuple[bytes, ...]:
        """The hashes that show the tree of ``second`` leaves to extend that of ``first`` (section 2.1.4.1).

        Raises:
            ProofError: not 0 < first <= second.
        """
        if not 0 < first <= second:
            raise ProofError(f"0 < first <= second expected, got {first} and {second}", first=first, second=second)
        path: list[bytes] = []
        low, high, whole = 0, second, True
        while first != high:
            middle = low + (1 << (high - low - 1).bit_length() - 1)
            if first <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low, whole = middle, False
        if not whole:
            path.append(self._range(low, high))
        return tuple(reversed(path))
