"""What a file says of itself: read, cleaned, cut to length; never believed."""

import unicodedata
from typing import BinaryIO

import tinytag

from audiera.audio.analysis import Tags

_LONGEST = 200

_NAMES = {
    "title": ("title",),
    "artist": ("artist", "album_artist", "albumartist", "composer"),
    "album": ("album",),
    "track": ("track", "tracknumber"),
    "isrc": ("isrc", "tsrc"),
    "copyright": ("copyright",),
    "license": ("license", "wcop", "license_url"),
    "date": ("date", "year"),
    "genre": ("genre",),
    "comment": ("comment", "description"),
    "mbid": ("musicbrainz_trackid", "musicbrainz recording id", "musicbrainz_recordingid"),
}


def clean(text: str) -> str:
    """The text in one normal form, without control characters, at most 200 characters."""
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(" " if character in "\t\r\n" else character for character in normal)
    return "".join(character for character in kept if unicodedata.category(character)[0] != "C").strip()[:_LONGEST]


def read_tags(file: BinaryIO, metadata: dict[str, str]) -> Tags:
    """The tags of a file: the demuxer's, completed by a second reader's.

    Args:
        file: the bytes, seekable.
        metadata: tags as the demuxer names them, lower case.
    """
    found = dict(metadata)
    for key, value in _second_reader(file).items():
        found.setdefault(key, value)
    values: dict[str, str] = {}
    for name, keys in _NAMES.items():
        values[name] = next((clean(found[key]) for key in keys if found.get(key)), "")
    values["isrc"] = values["isrc"].replace("-", "").upper()
    return Tags(**values)


def _second_reader(file: BinaryIO) -> dict[str, str]:
    file.seek(0)
    try:
        tag = tinytag.TinyTag.get(file_obj=file, duration=False)
    except (tinytag.TinyTagException, ValueError, OSError, KeyError, IndexError, OverflowError):
        return {}
    found: dict[str, str] = {}
    for key, value in tag.as_dict().items():
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str | int):
            found[key.lower()] = str(first)
    return found
