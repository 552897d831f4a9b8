"""From the ledger's records and the sheets to the rows of the catalog."""

from typing import NamedTuple

from audiera.protocol.api.documents import Sheet, read_sheet
from audiera.protocol.errors import EncodingError, RecordError
from audiera.protocol.records import Asset, Content, Identifiers, Model, Snapshot
from audiera.protocol.units import I64_MAX
from audiera.services.catalog.ports import Sheets
from audiera.services.catalog.words import fold

SHEET = "sheet"
"""Kind under which sheets are kept among the documents."""

_MAX_STARTS = 8


class Entry(NamedTuple):
    """A row of the catalog: facts of the ledger, nothing private."""

    number: int
    id: bytes
    kind: str
    status: str
    holder: int
    license: int
    sheet: bytes
    published_at: int
    contains_ai: str | None = None
    duration_ms: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    loudness_mlufs: int | None = None
    tempo_mbpm: int | None = None
    key: str | None = None


class Text(NamedTuple):
    """The words something is found by."""

    title: str
    artist: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""


class Name(NamedTuple):
    """A title, artist or tag, from one of its words on."""

    start: str
    field: str
    text: str


def entry_of_asset(asset: Asset) -> Entry:
    """The facts of an asset."""
    content, technical = asset.content, asset.content.technical
    return Entry(
        number=asset.number,
        id=asset.id,
        kind=content.data_type,
        status=asset.status,
        holder=asset.holder,
        license=asset.license,
        sheet=content.sheet,
        published_at=asset.registered_at,
        contains_ai=content.contains_ai,
        duration_ms=technical.duration_ms,
        sample_rate=technical.sample_rate,
        channels=technical.channels,
        loudness_mlufs=technical.loudness_mlufs,
        tempo_mbpm=_tempo(content),
        key=_estimate(content, "key"),
    )


def _estimate(content: Content, name: str) -> str | None:
    return next((estimate.value for estimate in content.estimates if estimate.name == name), None)


def _tempo(content: Content) -> int | None:
    text = _estimate(content, "tempo_mbpm")
    return int(text) if text is not None and text.isdecimal() and len(text) <= 9 else None


def entry_of_snapshot(snapshot: Snapshot) -> Entry:
    """The facts of a snapshot; its length is that of all its clips."""
    return Entry(
        number=snapshot.number,
        id=snapshot.id,
        kind="snapshot",
        status="active",
        holder=snapshot.publisher,
        license=0,
        sheet=snapshot.sheet,
        published_at=snapshot.published_at,
        duration_ms=min(snapshot.audio_ms, I64_MAX),
    )


def entry_of_model(model: Model) -> Entry:
    """The facts of a model; it counts as withdrawn until an endpoint takes calls."""
    return Entry(
        number=model.number,
        id=model.id,
        kind="model",
        status="withdrawn",
        holder=model.developer,
        license=0,
        sheet=b"",
        published_at=model.registered_at,
    )


def text_of_model(model: Model) -> Text:
    """A model is found by its name, version and task, which are on the ledger."""
    task = model.interface.task if model.interface is not None else ""
    return Text(title=f"{model.name} {model.version}", tags=(task,) if task else ())


def identifiers_of(identifiers: Identifiers) -> list[tuple[str, str]]:
    """The identifiers that are claimed, as (scheme, value)."""
    return [(name, value) for name in identifiers.__struct_fields__ if (value := getattr(identifiers, name))]


def text_of_sheet(digest: bytes, sheets: Sheets) -> Text | None:
    """The words of a sheet; None when it is erased, was never here, or is no sheet."""
    document = sheets.get(SHEET, digest) if digest else None
    if document is None:
        return None
    try:
        sheet = read_sheet(document)
    except (EncodingError, RecordError):
        return None
    return Text(
        title=sheet.title,
        artist=sheet.artist,
        tags=_tags(sheet),
        description=" ".join((sheet.description, sheet.album, *(credit.name for credit in sheet.credits))),
    )


def _tags(sheet: Sheet) -> tuple[str, ...]:
    every = (*sheet.tags, sheet.genre, *sheet.moods, *sheet.instruments)
    return tuple(tag for tag in dict.fromkeys(every) if tag)


def names_of(text: Text) -> list[Name]:
    """What typing the beginning of any word of a title, artist or tag may complete to."""
    names: list[Name] = []
    for field, value in (("title", text.title), ("artist", text.artist), *(("tag", tag) for tag in text.tags)):
        words = fold(value).split()[:_MAX_STARTS]
        whole = fold(value)
        at = 0
        for word in words:
            names.append(Name(whole[at:][:200], field, value[:200]))
            at += len(word) + 1
    return list(dict.fromkeys(names))
