"""Tiles have the published names and contents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiera.protocol.errors import ProofError
from audiera.protocol.merkle import TileName, leaf_hash, parse_tile_path, tile_path, tree_root
from audiera.protocol.merkle.tiles import (
    decode_bundle,
    decode_tile,
    encode_bundle,
    encode_tile,
    tile_root,
    tiles_of_size,
)

KNOWN = {
    "tile/0/000": TileName(0, 0),
    "tile/0/x001/x234/067": TileName(0, 1_234_067),
    "tile/0/273.p/112": TileName(0, 273, 112),
    "tile/2/000.p/1": TileName(2, 0, 1),
    "tile/entries/x123/456": TileName(None, 123_456),
    "tile/entries/000.p/255": TileName(None, 0, 255),
}


@pytest.mark.parametrize("path", KNOWN)
def test_names_are_the_published_ones(path):
    assert tile_path(KNOWN[path]) == path
    assert parse_tile_path(path) == KNOWN[path]


@given(st.sampled_from([None, 0, 1, 5]), st.integers(0, 2**56 - 1), st.integers(1, 256))
def test_names_come_back_from_their_paths(level, number, width):
    name = TileName(level, number, width)
    assert parse_tile_path(tile_path(name)) == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/6/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/067",
        "tile/0/x001/x067",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p",
        "tile/0/000/5",
        "tile/0/\uff11\uff12\uff13",
        "tile/Entries/000",
        "tiles/0/000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/" + "x001/" * 30 + "000",
    ],
)
def test_other_spellings_of_names_are_refused(path):
    with pytest.raises(ProofError):
        parse_tile_path(path)


@pytest.mark.parametrize(
    "name", [TileName(6, 0), TileName(-1, 0), TileName(0, -1), TileName(0, 0, 0), TileName(0, 0, 257)]
)
def test_there_are_no_other_tiles(name):
    with pytest.raises(ProofError):
        tile_path(name)


def test_a_tree_of_a_size_has_these_tiles():
    assert tiles_of_size(0) == ()
    assert tiles_of_size(256) == (TileName(0, 0), TileName(1, 0, 1))
    assert tiles_of_size(700) == (TileName(0, 0), TileName(0, 1), TileName(0, 2, 188), TileName(1, 0, 2))


def test_a_full_tile_stands_for_a_subtree_one_level_up():
    leaves = [leaf_hash(bytes((place,))) for place in range(256)]
    data = encode_tile(leaves)
    assert len(data) == 8_192
    assert tile_root(decode_tile(data)) == tree_root(leaves)
    with pytest.raises(ProofError):
        tile_root(leaves[:255])


@pytest.mark.parametrize("hashes", [[], [bytes(31)], [bytes(32)] * 257])
def test_what_is_no_tile_is_not_written(hashes):
    with pytest.raises(ProofError):
        encode_tile(hashes)


@pytest.mark.parametrize(("length", "width"), [(0, 1), (33, 1), (64, 1), (32, 2), (0, 0), (257 * 32, 257)])
def test_a_tile_has_the_width_of_its_name(length, width):
    with pytest.raises(ProofError):
        decode_tile(bytes(length), width)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_entries_come_back_from_their_bundle(entries):
    data = encode_bundle(entries)
    assert decode_bundle(data, len(entries)) == tuple(entries)
    for damaged, width in ((data + b"\x00", len(entries)), (data[:-1], len(entries)), (data, len(entries) + 1)):
        with pytest.raises(ProofError):
            decode_bundle(damaged, width)


@pytest.mark.parametrize("entries", [[], [b""] * 257, [bytes(65_536)]])
def test_what_is_no_bundle_is_not_written(entries):
    with pytest.raises(ProofError):
        encode_bundle(entries)
