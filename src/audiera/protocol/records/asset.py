"""Assets: what is offered, described truthfully; works and recordings: what it embodies."""

from typing import Final, Literal

from audiera.protocol.records.base import (
    Record,
    Split,
    require,
    require_digest,
    require_number,
    require_range,
    require_slug,
    require_splits,
)
from audiera.protocol.units import U64_MAX

DataType = Literal["recording", "loop", "sample", "effect", "stem", "dataset", "midi"]
DATA_TYPES: Final[tuple[DataType, ...]] = ("recording", "loop", "sample", "effect", "stem", "dataset", "midi")
ContainsAi = Literal["none", "partly", "all", "undeclared"]
AiArea = Literal["vocals", "instrumentation", "composition", "post-production", "lyrics"]
AssetStatus = Literal["active", "contested", "withdrawn"]


class Technical(Record, frozen=True, kw_only=True):
    """What was measured of the sound itself."""

    container: str
    """wav, aiff, flac, mp3, ogg, m4a."""

    codec: str
    """The codec inside, such as pcm_s16le, flac, mp3, vorbis, opus, aac."""

    sample_rate: int
    """Frames per second, 8,000 to 192,000."""

    channels: int
    """1 to 8."""

    bit_depth: int
    """Bits per sample of the source; 0 where the codec has none."""

    samples: int
    """Frames that were really decoded."""

    duration_ms: int
    """Milliseconds, from the decoded frames."""

    peak_mdb: int
    """Sample peak in thousandths of a decibel relative to full scale (<= 0 for integer formats)."""

    loudness_mlufs: int | None = None
    """Integrated loudness (EBU R128) in thousandths of a LUFS; absent when silent or too short."""

    true_peak_mdb: int | None = None
    """True peak in thousandths of a decibel."""

    truncated: bool = False
    """Whether the header claims over 1 % more than was decoded."""

    method: str = ""
    """Name and version of the measurement."""


class Estimate(Record, frozen=True, kw_only=True):
    """A value a program guessed; never presented as a fact."""

    name: str
    """What is estimated: tempo_mbpm, key, brightness_hz, ..."""

    value: str
    """The value as text in the estimate's unit."""

    confidence: int
    """0 to 10,000 basis points."""

    method: str
    """Name and version of the method."""


class Identifiers(Record, frozen=True, kw_only=True):
    """Standard identifiers the uploader claims; check digits are verified."""

    isrc: str = ""
    """International Standard Recording Code, 12 characters without hyphens."""

    iswc: str = ""
    """International Standard Musical Work Code: T, nine digits, check digit."""

    upc: str = ""
    """Product code, 12 or 13 digits with check digit."""

    isni: str = ""
    """International Standard Name Identifier of the main creator, 16 characters with check character."""

    ipi: str = ""
    """Interested-party number, 11 digits with check digits."""

    mbid: str = ""
    """MusicBrainz recording id: a lower-case UUID."""


class Content(Record, frozen=True, kw_only=True):
    """What an asset is made of and how it is described; the part its uploader signs."""

    data_type: DataType
    """What kind of thing is offered."""

    blob: bytes
    """SHA-256 of the original bytes."""

    size: int
    """Length of the original in bytes."""

    manifest_root: bytes
    """RFC 9162 root over the 1 MiB chunks of the original."""

    technical: Technical
    """What was measured."""

    sheet: bytes
    """Salted digest of the sheet (title, credits, tags), which lives off the ledger and can be erased."""

    contains_ai: ContainsAi = "undeclared"
    """How much of it a machine made."""

    ai_areas: tuple[AiArea, ...] = ()
    """Which parts, when partly."""

    estimates: tuple[Estimate, ...] = ()
    """What programs guessed: tempo, key, ..."""

    identifiers: Identifiers = Identifiers()
    """Standard identifiers."""

    fingerprint: bytes = b""
    """Commitment to the fingerprint sidecar: 32 bytes, or empty when not fingerprintable."""

    embodies: int = 0
    """Ledger number of the work or recording it is a form of; 0 when it stands for itself."""


class Work(Record, frozen=True, kw_only=True, tag="work"):
    """A composition, or one fixed performance of it."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the registering transaction."""

    kind: Literal["work", "recording"]
    """Composition or fixed performance."""

    holder: int
    """Ledger number of the account that registered it."""

    splits: tuple[Split, ...]
    """Shares of the rights holders."""

    identifiers: Identifiers = Identifiers()
    """Standard identifiers."""

    sheet: bytes = b""
    """Salted digest of title and credits."""

    performs: int = 0
    """For a recording: ledger number of the work performed; 0 when unknown."""


class Asset(Record, frozen=True, kw_only=True, tag="asset"):
    """What is offered: a recording, sample, effect, stem, dataset file or MIDI."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the registering transaction."""

    holder: int
    """Ledger number of the account that manages it."""

    content: Content
    """What it is."""

    splits: tuple[Split, ...]
    """Who is paid, in shares summing to 10,000."""

    license: int
    """Ledger number of the license it is offered under."""

    status: AssetStatus = "active"
    """Active, contested (can be found, cannot earn) or withdrawn."""

    version: int = 1
    """Counts up with each change of content."""

    replaces: int = 0
    """Ledger number of the asset it is a new version of; 0 for none."""

    committed_at: int = 0
    """Block height of the commitment that reserved it."""

    registered_at: int = 0
    """Block time of registration, microseconds."""


def check_content(content: Content) -> None:
    """Refuse content whose values cannot be true.

    Raises:
        RecordError: which value, and its bounds.
    """
    for name, value in (
        ("blob", content.blob),
        ("manifest_root", content.manifest_root),
        ("sheet", content.sheet),
    ):
        require_digest(value, name)
    require_range(content.size, 1, U64_MAX, "size")
    require(len(content.fingerprint) in (0, 32), "fingerprint is empty or 32 bytes")
    require(
        (content.contains_ai == "partly") or not content.ai_areas,
        "ai_areas are named only when contains_ai is partly",
    )
    require(len(dict.fromkeys(content.ai_areas)) == len(content.ai_areas), "an AI area appears twice")
    _check_technical(content.technical)
    require(len(content.estimates) <= 16, f"at most 16 estimates, got {len(content.estimates)}")
    for estimate in content.estimates:
        require_slug(estimate.name, "an estimate's name")
        require(
            0 < len(estimate.value) <= 64 and estimate.value.isascii(),
            "an estimate's value is 1 to 64 ASCII characters",
        )
        require_range(estimate.confidence, 0, 10_000, "an estimate's confidence")
        require_slug(estimate.method, "an estimate's method")
    check_identifiers(content.identifiers)


def _check_technical(technical: Technical) -> None:
    require_slug(technical.container, "container", 16)
    require_slug(technical.codec, "codec", 32)
    require_range(technical.sample_rate, 8_000, 192_000, "sample_rate")
    require_range(technical.channels, 1, 8, "channels")
    require_range(technical.bit_depth, 0, 64, "bit_depth")
    require_range(technical.samples, 1, 6 * 3_600 * 192_000, "samples")
    expected = technical.samples * 1_000 // technical.sample_rate
    require(
        abs(technical.duration_ms - expected) <= 1,
        f"duration_ms follows from samples and sample_rate: expected {expected}, got {technical.duration_ms}",
    )
    for name, value in (
        ("peak_mdb", technical.peak_mdb),
        ("true_peak_mdb", technical.true_peak_mdb or 0),
        ("loudness_mlufs", technical.loudness_mlufs or 0),
    ):
        require_range(value, -400_000, 100_000, name)
    if technical.method:
        require_slug(technical.method, "method")


def check_asset_terms(splits: tuple[Split, ...], license_number: int) -> None:
    """Refuse an asset that nobody would be paid for or that has no license.

    Raises:
        RecordError: wrong splits, or no license.
    """
    require_splits(splits)
    require_number(license_number, "license")


def check_identifiers(identifiers: Identifiers) -> None:
    """Refuse identifiers with a wrong form or check digit; an empty one is no claim.

    Raises:
        RecordError: which one, and what its form is.
    """
    if identifiers.isrc:
        require(is_isrc(identifiers.isrc), f"isrc is CCXXXYYNNNNN, got {identifiers.isrc[:40]!r}")
    if identifiers.iswc:
        require(
            is_iswc(identifiers.iswc),
            f"iswc is T, nine digits and a check digit, got {identifiers.iswc[:40]!r}",
        )
    if identifiers.upc:
        require(
            is_upc(identifiers.upc),
            f"upc is 12 or 13 digits with a check digit, got {identifiers.upc[:40]!r}",
        )
    if identifiers.isni:
        require(
            is_isni(identifiers.isni),
            f"isni is 16 characters with a check character, got {identifiers.isni[:40]!r}",
        )
    if identifiers.ipi:
        require(is_ipi(identifiers.ipi), f"ipi is 11 digits with two check digits, got {identifiers.ipi[:40]!r}")
    if identifiers.mbid:
        require(is_mbid(identifiers.mbid), f"mbid is a lower-case UUID, got {identifiers.mbid[:60]!r}")


_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEX = frozenset("0123456789abcdef")


def _are_digits(text: str) -> bool:
    return bool(text) and all(character in _DIGITS for character in text)


def is_isrc(text: str) -> bool:
    """Whether the text is an ISRC without hyphens (ISO 3901)."""
    return (
        len(text) == 12
        and all(character in _LETTERS for character in text[:2])
        and all(character in _LETTERS or character in _DIGITS for character in text[2:5])
        and _are_digits(text[5:])
    )


def is_iswc(text: str) -> bool:
    """Whether the text is an ISWC with a right check digit (ISO 15707)."""
    if len(text) != 11 or text[0] != "T" or not _are_digits(text[1:]):
        return False
    total = 1 + sum((place + 1) * int(digit) for place, digit in enumerate(text[1:10]))
    return (total + int(text[10])) % 10 == 0


def is_upc(text: str) -> bool:
    """Whether the text is a UPC-A or EAN-13 with a right check digit."""
    if len(text) not in (12, 13) or not _are_digits(text):
        return False
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(text)))
    return weighted % 10 == 0


def is_isni(text: str) -> bool:
    """Whether the text is an ISNI with a right check character (ISO 7064 MOD 11-2)."""
    if len(text) != 16 or not _are_digits(text[:15]):
        return False
    total = 0
    for digit in text[:15]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    return text[15] == ("X" if check == 10 else str(check))


def is_ipi(text: str) -> bool:
    """Whether the text is an IPI name number with right check digits (weighted sum modulo 101)."""
    if len(text) != 11 or not _are_digits(text):
        return False
    total = sum((10 - place) * int(digit) for place, digit in enumerate(text[:9]))
    check = 0 if total % 101 == 0 else (101 - total % 101) % 100
    return int(text[9:]) == check


def is_mbid(text: str) -> bool:
    """Whether the text is a UUID in its one lower-case form (RFC 9562)."""
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(
        character in _HEX for part in parts for character in part
    )
