"""The metadata sheet of a bulk upload: one row a file, read strictly, every error told at once."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, cast

from audiera.protocol.errors import RecordError, RequestError
from audiera.protocol.records import ContainsAi, DataType, Identifiers, Split
from audiera.protocol.records.asset import DATA_TYPES, check_identifiers
from audiera.protocol.records.base import require_splits

WORDS: Final = ("title", "artist", "album", "genre", "description", "language", "copyright")
LISTS: Final = ("tags", "moods", "instruments")
IDENTIFIERS: Final = ("isrc", "iswc", "upc", "isni", "ipi", "mbid")
COLUMNS: Final = ("file", *WORDS, *LISTS, "year", "data_type", "contains_ai", "license", "splits", *IDENTIFIERS)
"""What a sheet may have; only ``file`` must be there."""

_CONTAINS_AI: Final = ("none", "partly", "all", "undeclared")


class SheetRow(NamedTuple):
    """What a sheet says of one file."""

    words: dict[str, object]
    """Fields of the asset's sheet."""

    data_type: DataType | None = None
    """What it is; what the node guesses when None."""

    contains_ai: ContainsAi | None = None
    """How much of it a machine made; the upload's own word when None."""

    license: int = 0
    """License to offer it under; the upload's own when 0."""

    splits: tuple[Split, ...] = ()
    """Who is paid; the account alone when empty."""

    identifiers: Identifiers = Identifiers()
    """Standard identifiers."""


def read_sheet_file(path: Path) -> dict[str, SheetRow]:
    """What a CSV sheet says, by file name as it stands in the column ``file``.

    Lists are separated by semicolons; ``splits`` is such as ``12:7000;15:3000``, account and basis points.

    Raises:
        RequestError: every wrong cell, with its line, column, what is expected and what is there.
    """
    rows: dict[str, SheetRow] = {}
    named: set[str] = set()
    errors: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
            if "file" not in (reader.fieldnames or ()):
                got = ", ".join(reader.fieldnames or ()) or "nothing"
                errors.append(f"line 1: the names of the columns expected, 'file' among them, got {got[:200]}")
            if unknown:
                names = ", ".join(map(repr, unknown))
                errors.append(f"line 1: there is no column {names}; there are {', '.join(COLUMNS)}")
            for cells in reader if "file" in (reader.fieldnames or ()) else ():
                _read_row(reader.line_num, cells, rows, named, errors)
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        errors.append(f"it cannot be read as CSV in UTF-8: {cause}")
    if not rows and not errors:
        errors.append("line 2: a file expected, got the end of the sheet")
    if errors:
        raise RequestError(
            f"the sheet {path.name} has errors, so nothing was uploaded:\n" + "\n".join(f"  {each}" for each in errors),
            code="sheet_invalid",
            errors=tuple(errors),
        )
    return rows


def _read_row(
    line: int, cells: Mapping[str, str], rows: dict[str, SheetRow], named: set[str], errors: list[str]
) -> None:
    before = len(errors)
    if None in cells:  # where csv puts what has no column
        errors.append(f"line {line}: more cells than columns")
    found = {name: (cells.get(name) or "").strip() for name in COLUMNS}
    if not found.get("file"):
        errors.append(f"line {line}, file: a file name is needed")
    elif found["file"] in named:
        errors.append(f"line {line}, file: {found['file']!r} stands in the sheet twice")
    named.add(found["file"])
    values: dict[str, object] = {}
    for name, read in _READERS.items():
        if found.get(name):
            try:
                values[name] = read(found[name])
            except ValueError as cause:
                errors.append(f"line {line}, {name}: {cause}, got {found[name][:60]!r}")
    identifiers = Identifiers(**{name: found.get(name, "") for name in IDENTIFIERS})
    for name in IDENTIFIERS:
        try:
            check_identifiers(Identifiers(**{name: found[name]}))
        except RecordError as cause:
            errors.append(f"line {line}, {name}: {cause.message}")
    if len(errors) == before:
        rows[found["file"]] = _row(found, values, identifiers)


def _row(found: Mapping[str, str], values: Mapping[str, object], identifiers: Identifiers) -> SheetRow:
    words: dict[str, object] = {name: found[name] for name in WORDS if found.get(name)}
    words |= {name: values[name] for name in (*LISTS, "year") if name in values}
    return SheetRow(
        words=words,
        data_type=cast(DataType | None, values.get("data_type")),
        contains_ai=cast(ContainsAi | None, values.get("contains_ai")),
        license=cast(int, values.get("license", 0)),
        splits=cast(tuple[Split, ...], values.get("splits", ())),
        identifiers=identifiers,
    )


def _positive(text: str) -> int:
    number = _number(text)
    if not number:
        raise ValueError("a number from 1 on expected")
    return number


def _number(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 18:
        raise ValueError("a whole number expected")
    return int(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)} expected")
        return text

    return read


def _list(text: str) -> tuple[str, ...]:
    words = tuple(part.strip() for part in text.split(";") if part.strip())
    if len(words) > 64 or any(len(word) > 64 for word in words):
        raise ValueError("at most 64 words of at most 64 characters, with semicolons between them, expected")
    return words


def _splits(text: str) -> tuple[Split, ...]:
    splits: list[Split] = []
    for part in text.split(";"):
        account, _, share = part.partition(":")
        if not account.strip().isdecimal() or not share.strip().isdecimal():
            raise ValueError("account:share parts such as 12:7000;15:3000 expected")
        splits.append(Split(account=_positive(account.strip()), share=_positive(share.strip())))
    try:
        require_splits(tuple(splits))
    except RecordError as cause:
        raise ValueError(cause.message) from cause
    return tuple(splits)


def _text(longest: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > longest:
            raise ValueError(f"at most {longest} characters expected, these are {len(text)}")
        return text

    return read


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "title": _text(300),
    "description": _text(10_000),
    **dict.fromkeys(LISTS, _list),
    "year": _number,
    "data_type": _one_of(*DATA_TYPES),
    "contains_ai": _one_of(*_CONTAINS_AI),
    "license": _positive,
    "splits": _splits,
}
