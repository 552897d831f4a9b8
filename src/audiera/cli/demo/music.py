"""Where the demo's music comes from: a person's folder, a package of real recordings, or pieces rendered here."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from audiera.audio.compose import KINDS, render_piece, render_sample, write_audio
from audiera.protocol.errors import RequestError
from audiera.protocol.records import ContainsAi
from audiera.sdk.bulk import find_sounds

LEAST = 4
"""Pieces without which there is nothing to show."""

PACKAGE = "immich_memories_music"
_FORMATS = ("wav", "flac", "ogg", "mp3")


class Music(NamedTuple):
    """Files to offer, and the truth about them."""

    files: tuple[Path, ...]
    """The pieces, those to be used first; the rest steps in where one of them cannot be used."""

    wanted: int
    """How many of them are to be used."""

    contains_ai: ContainsAi
    """How much of them a machine made."""

    source: str
    """Where they come from, as a sentence."""


def find_music(folder: Path | None, count: int, workplace: Path) -> Music:
    """The pieces of the demo.

    Args:
        folder: a person's own music; None for the package's, or rendered pieces where it is not installed.
        count: how many pieces.
        workplace: where rendered pieces are put.

    Raises:
        RequestError: the person's folder holds too little music.
    """
    if folder is not None:
        found = tuple(find_sounds(folder).values())
        if len(found) < LEAST:
            raise RequestError(
                f"the demo needs at least {LEAST} pieces of music, {folder} holds {len(found)}", code="empty"
            )
        return Music(_spread(found, count), min(count, len(found)), "undeclared", f"your own music from {folder}")
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        tracks = tuple(sorted((Path(spec.origin).parent / "tracks").rglob("*.opus")))
        if len(tracks) >= count:
            source = "tracks of the package immich-memories-music (MIT), made by a machine and labeled so"
            return Music(_spread(tracks, count), count, "all", source)
    return Music(
        render_pieces(count, workplace),
        count,
        "none",
        f"pieces this program composed and rendered just now, because the package {PACKAGE.replace('_', '-')} is not "
        "here (pip install 'audiera[demo]')",
    )


def _spread(files: Sequence[Path], count: int) -> tuple[Path, ...]:
    """All files, first that many of them that lie evenly over all."""
    wanted = min(count, len(files))
    first = [files[place * len(files) // wanted] for place in range(wanted)]
    return tuple(dict.fromkeys([*first, *files]))


def render_pieces(count: int, folder: Path) -> tuple[Path, ...]:
    """Render short pieces in several file types."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for seed in range(count):
        container = _FORMATS[seed % len(_FORMATS)]
        file = folder / f"study-{seed + 1}.{container}"
        file.write_bytes(write_audio(render_piece(seed + 1, 12.0), 44_100, container))
        files.append(file)
    return tuple(files)


def render_pack(folder: Path) -> tuple[Path, ...]:
    """Render a pack of one-shots: drums, tones, sweeps."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for number, kind in enumerate((*KINDS, "tone", "sweep", "kick")):
        file = folder / f"{kind}-{number + 1}.flac"
        file.write_bytes(write_audio(render_sample(100 + number, kind), 44_100, "flac"))
        files.append(file)
    return tuple(files)
