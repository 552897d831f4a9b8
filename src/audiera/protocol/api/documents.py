"""Documents that live off the ledger and can be erased: the ledger holds only their salted digest."""

from typing import Literal

from audiera.protocol.encoding import decode, digest_of
from audiera.protocol.records.base import Record, require

DocumentKind = Literal["sheet", "profile", "card"]

MAX_DOCUMENT_BYTES = 65_536
"""The longest document a node keeps."""

SALT_BYTES = 32


class Credit(Record, frozen=True, kw_only=True):
    """Somebody who took part."""

    name: str
    """The name as it shall be shown."""

    role: str
    """What they did: composer, performer, producer, ..."""

    account: int = 0
    """Ledger number of their account; 0 when they have none."""


class Sheet(Record, frozen=True, kw_only=True):
    """How an asset, work or snapshot is described to people. Only the title is required."""

    salt: bytes
    """32 random bytes, so that nobody can guess the text from its digest."""

    title: str
    """What it is called."""

    artist: str = ""
    """Main artist as shown."""

    album: str = ""
    """Release it appeared on."""

    credits: tuple[Credit, ...] = ()
    """Who took part."""

    description: str = ""
    """A few sentences."""

    genre: str = ""
    """Main genre."""

    moods: tuple[str, ...] = ()
    """Moods."""

    instruments: tuple[str, ...] = ()
    """Instruments heard."""

    tags: tuple[str, ...] = ()
    """Any other words to find it by."""

    language: str = ""
    """Language of the lyrics (ISO 639-1), empty for none."""

    year: int = 0
    """Year of first publication; 0 when unknown."""

    source_license: str = ""
    """License named in the source's own tags, word for word; information only, never the license here."""

    copyright: str = ""
    """Copyright line."""


class Profile(Record, frozen=True, kw_only=True):
    """How an account presents itself. The only place of a name."""

    salt: bytes
    """32 random bytes, so that nobody can guess the text from its digest."""

    display_name: str
    """The name shown."""

    about: str = ""
    """A few sentences."""

    links: tuple[str, ...] = ()
    """Pages elsewhere."""


def digest_of_document(document: Sheet | Profile) -> bytes:
    """What the ledger holds of a document: SHA-256 of its canonical bytes."""
    return digest_of(document)


def read_sheet(content: bytes) -> Sheet:
    """The sheet in a document.

    Raises:
        EncodingError: not the canonical encoding of a sheet.
        RecordError: a value breaks a rule.
    """
    sheet = decode(content, Sheet, max_bytes=MAX_DOCUMENT_BYTES)
    require(len(sheet.salt) == SALT_BYTES, f"a sheet's salt is {SALT_BYTES} bytes, got {len(sheet.salt)}")
    require(0 < len(sheet.title) <= 300, f"a title has 1 to 300 characters, got {len(sheet.title)}")
    require(len(sheet.description) <= 10_000, "a description has at most 10000 characters")
    for name, words in (("moods", sheet.moods), ("instruments", sheet.instruments), ("tags", sheet.tags)):
        require(len(words) <= 64, f"at most 64 {name}, got {len(words)}")
        require(all(0 < len(word) <= 64 for word in words), f"each of the {name} has 1 to 64 characters")
    require(len(sheet.credits) <= 64, f"at most 64 credits, got {len(sheet.credits)}")
    return sheet


def read_profile(content: bytes) -> Profile:
    """The profile in a document.

    Raises:
        EncodingError: not the canonical encoding of a profile.
        RecordError: a value breaks a rule.
    """
    profile = decode(content, Profile, max_bytes=MAX_DOCUMENT_BYTES)
    require(len(profile.salt) == SALT_BYTES, f"a profile's salt is {SALT_BYTES} bytes, got {len(profile.salt)}")
    require(0 < len(profile.display_name) <= 100, "a display name has 1 to 100 characters")
    require(len(profile.links) <= 16, f"at most 16 links, got {len(profile.links)}")
    return profile
