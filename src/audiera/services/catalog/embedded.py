"""The catalog in one SQLite file: rows with their height are the truth, words are an FTS5 index beside them."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from audiera.protocol.api.catalog import (
    Facet,
    FacetField,
    FacetValue,
    Hit,
    Kind,
    Page,
    SearchRequest,
    Suggestion,
    check_search,
)
from audiera.protocol.encoding import decode
from audiera.protocol.ids import format_id
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.protocol.records import License
from audiera.protocol.results import BlockResult
from audiera.protocol.rights import Decision
from audiera.services.catalog.entries import text_of_sheet
from audiera.services.catalog.offers import Offers, price_of
from audiera.services.catalog.ports import Sheets
from audiera.services.catalog.query import (
    COLUMNS,
    ORDERS,
    Match,
    Query,
    conditions_of,
    exact_match,
    near_match,
    rights_json,
)
from audiera.services.catalog.tables import (
    SCHEMA,
    TABLES,
    VERSION,
    compact_words,
    numbers_with_sheet,
    put_text,
    take_block,
)
from audiera.services.catalog.words import fold, is_near
from audiera.services.storage.derived import DerivedFile, position

_ENOUGH_HITS: Final = 3
_SHORTEST_CORRECTED: Final = 3
_MAX_VARIANTS: Final = 64
_MAX_FACET_VALUES: Final = 100
_MAX_NAMES: Final = 5_000
_MAX_SUGGESTIONS: Final = 50
_HIT: Final = (
    "e.number, e.id, e.kind, e.status, e.holder, e.license, e.published_at, e.title, e.artist, e.contains_ai, "
    "e.duration_ms, e.sample_rate, e.channels, e.loudness_mlufs, e.tempo_mbpm, e.key, e.price"
)


class _Asked(NamedTuple):
    """A search within one moment of the database."""

    db: sqlite3.Connection
    offers: Offers
    request: SearchRequest
    revisions: list[tuple[int, int]]
    at: int
    decisions: dict[int, Decision]


class EmbeddedCatalog:
    """The catalog of one node. Thread-safe: one writer at a time, any number of readers.

    Args:
        path: the file.
        stopwatch: steadily counts microseconds.
    """

    def __init__(self, path: Path, *, stopwatch: Callable[[], int]) -> None:
        self._stopwatch = stopwatch
        self._offers = Offers()
        self._file = DerivedFile(path, name="catalog", version=VERSION, schema=SCHEMA, tables=TABLES)

    @property
    def height(self) -> int:
        """The last block applied."""
        return self._file.height

    def apply(self, result: BlockResult, sheets: Sheets) -> None:
        """Take in one block, whole or not at all.

        Raises:
            StorageError: blocks are missing in between, or the block applied before was another one.
        """
        with self._file.taking(result) as db:
            if db is not None:
                take_block(db, result, sheets)

    def rebuild(self, results: Iterable[BlockResult], sheets: Sheets) -> None:
        """Forget everything and apply the blocks from the first on."""
        self._file.clear()
        self._offers = Offers()
        for result in results:
            self.apply(result, sheets)

    def forget(self, digest: bytes) -> None:
        """Remove every word of a sheet at once; the word index is rewritten, so that none stays in the file."""
        with self._file.writing() as db:
            for number in numbers_with_sheet(db, digest):
                put_text(db, number, None)
            compact_words(db)
        self._file.erase_traces()

    def read_sheet(self, digest: bytes, sheets: Sheets) -> None:
        """Take in a sheet that came after the block that names it."""
        with self._file.writing() as db:
            text = text_of_sheet(digest, sheets)
            for number in numbers_with_sheet(db, digest) if text is not None else ():
                put_text(db, number, text)

    def search(self, request: SearchRequest, *, at: int = 0) -> Page:
        """Find things.

        Raises:
            RequestError: a search that cannot be meant.
        """
        check_search(request)
        began = self._stopwatch()
        with self._file.reading() as db:
            stands = position(db)
            offers = self._offers
            revisions = _revisions(db, offers)
            moment = max(at, stands.time)
            suitable = offers.suitable(revisions, request, request.purpose, moment) if request.purpose else {}
            asked = _Asked(db, offers, request, revisions, moment, suitable)
            query, total, corrected = _best_query(asked)
            return Page(
                total=total,
                hits=_hits(asked, query) if query is not None and request.limit else (),
                facets=tuple(_facet(asked, query, field) for field in dict.fromkeys(request.facets)),
                height=stands.height,
                took_us=self._stopwatch() - began,
                corrected=corrected,
            )

    def suggest(self, prefix: str, limit: int = 10) -> tuple[Suggestion, ...]:
        """Titles, artists and tags of available things in which a word begins like this."""
        start = fold(prefix)[:200]
        if not start:
            return ()
        sql = (
            "SELECT n.text, n.field, count(DISTINCT n.number) AS things "
            "FROM (SELECT * FROM names WHERE start >= ? AND start < ? LIMIT ?) n "
            "JOIN entries e ON e.number = n.number WHERE e.status = 'active' "
            "GROUP BY n.text, n.field ORDER BY things DESC, n.text, n.field LIMIT ?"
        )
        values = (start, start + chr(0x10FFFF), _MAX_NAMES, max(1, min(limit, _MAX_SUGGESTIONS)))
        with self._file.reading() as db:
            rows = db.execute(sql, values).fetchall()
        return tuple(Suggestion(text=text, field=field, count=count) for text, field, count in rows)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _revisions(db: sqlite3.Connection, offers: Offers) -> list[tuple[int, int]]:
    """Number and revision of every license, all of them known to the offers."""
    revisions: list[tuple[int, int]] = db.execute("SELECT number, revision FROM licenses").fetchall()
    for number in offers.missing(revisions):
        (record,) = db.execute("SELECT record FROM licenses WHERE number = ?", (number,)).fetchone()
        offers.add([decode(record, License)])
    return revisions


def _facet(asked: _Asked, query: Query | None, field: FacetField) -> Facet:
    if query is None:
        return Facet(field=field, values=())
    if field == "purpose":
        return Facet(field=field, values=_purposes(asked, query))
    column = COLUMNS[field]
    sql, values = query.ask(
        f"{column}, count(*)",
        without=field,
        tail=f"AND {column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_MAX_FACET_VALUES}",
    )
    rows = asked.db.execute(sql, values)
    return Facet(field=field, values=tuple(FacetValue(value=str(value), count=count) for value, count in rows))


def _purposes(asked: _Asked, query: Query) -> tuple[FacetValue, ...]:
    found = []
    for place, purpose in enumerate(ASSET_PURPOSES):
        suitable = asked.offers.suitable(asked.revisions, asked.request, purpose, asked.at)
        sql, values = query.ask("count(*)", rights=_rights(suitable))
        (count,) = asked.db.execute(sql, values).fetchone()
        if count:
            found.append((-count, place, FacetValue(value=purpose, count=count)))
    return tuple(value for _, _, value in sorted(found, key=lambda each: each[:2]))


def _rights(suitable: dict[int, Decision]) -> str:
    return rights_json({number: price_of(decision) for number, decision in suitable.items()})


def _best_query(asked: _Asked) -> tuple[Query | None, int, bool]:
    """The exact query, or, when it finds too little, one that takes words one letter away too; and its total."""
    request = asked.request
    exact = exact_match(request.text)
    if request.text.strip() and exact is None:
        return None, 0, False
    rights = _rights(asked.decisions) if request.purpose else ""
    query = Query(exact, rights, conditions_of(request))
    total = _count(asked.db, query)
    if exact is None or total >= _ENOUGH_HITS:
        return query, total, False
    wider = query._replace(match=_corrected(asked.db, exact))
    wider_total = _count(asked.db, wider)
    return (wider, wider_total, True) if wider_total > total else (query, total, False)


def _count(db: sqlite3.Connection, query: Query) -> int:
    (count,) = db.execute(*query.ask("count(*)")).fetchone()
    return int(count)


def _corrected(db: sqlite3.Connection, exact: Match) -> Match:
    words = [part.strip('"') for part in exact.expression.split(" AND ")]
    return near_match(exact, [[word, *_variants(db, word)] for word in words])


def _variants(db: sqlite3.Connection, word: str) -> list[str]:
    """Words of the vocabulary one letter away, most frequent first."""
    if len(word) < _SHORTEST_CORRECTED:
        return []
    sql = "SELECT term FROM vocabulary WHERE length(term) BETWEEN ? AND ? ORDER BY doc DESC, term"
    terms = (term for (term,) in db.execute(sql, (len(word) - 1, len(word) + 1)))
    found = [term for term in terms if term != word and is_near(word, term)]
    return found[:_MAX_VARIANTS]


def _hits(asked: _Asked, query: Query) -> tuple[Hit, ...]:
    request = asked.request
    order = "newest" if request.sort == "relevance" and query.match is None else request.sort
    sql, values = query.ask(
        _HIT, tail=f"ORDER BY {ORDERS[order]} LIMIT ? OFFSET ?", extra=(request.limit, request.offset)
    )
    return tuple(_hit(row, asked.decisions) for row in asked.db.execute(sql, values))


def _hit(row: tuple[object, ...], decisions: dict[int, Decision]) -> Hit:
    number, id_, kind, status, holder, license_, published_at, title, artist, contains_ai, *facts, key, price = row
    duration_ms, sample_rate, channels, loudness_mlufs, tempo_mbpm = cast(list[int | None], facts)
    decision = decisions.get(cast(int, license_))
    rule = decision.rule if decision is not None else None
    return Hit(
        number=cast(int, number),
        id=format_id(cast(bytes, id_)),
        kind=cast(Kind, kind),
        status=cast(Literal["active", "contested", "withdrawn"], status),
        holder=cast(int, holder),
        license=cast(int, license_),
        published_at=cast(int, published_at),
        title=cast(str | None, title) or "",
        artist=cast(str | None, artist) or "",
        contains_ai=cast(str | None, contains_ai) or "",
        duration_ms=duration_ms,
        sample_rate=sample_rate,
        channels=channels,
        loudness_mlufs=loudness_mlufs,
        tempo_mbpm=tempo_mbpm,
        key=cast(str | None, key) or "",
        reasons=decision.reasons if decision is not None else (),
        price=price_of(decision) if decision is not None else cast(int | None, price) or 0,
        price_unit=rule.price.unit if rule is not None and rule.price is not None else None,
        revenue_share=rule.revenue_share if rule is not None else 0,
    )
