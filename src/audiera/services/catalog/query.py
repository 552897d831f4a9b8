"""From a search request to the conditions of a query, each under the name of the field it filters."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from audiera.protocol.api.catalog import ASSET_KINDS, FacetField, Range, SearchRequest, SortOrder
from audiera.services.catalog.words import words_of

Value = int | str | bytes | float | None

FOUND: Final = """, found(number, score) AS MATERIALIZED (
    SELECT rowid, bm25(words, 4.0, 3.0, 2.0, 1.0) + 1e9 * (rowid NOT IN (SELECT rowid FROM words WHERE words MATCH ?))
    FROM words WHERE words MATCH ?
)"""
"""What has the words: title, artist, tags and description weigh 4, 3, 2 and 1; what has them exactly comes first."""

ORDERS: Final[dict[SortOrder, str]] = {
    "relevance": "found.score, e.number",
    "newest": "e.published_at DESC, e.number",
    "oldest": "e.published_at, e.number",
    "duration": "e.duration_ms NULLS LAST, e.number",
    "price": "rights.price NULLS LAST, e.number",
    "title": "e.title_key NULLS LAST, e.number",
}

COLUMNS: Final[dict[FacetField, str]] = {
    "kind": "e.kind",
    "contains_ai": "e.contains_ai",
    "key": "e.key",
    "sample_rate": "e.sample_rate",
    "channels": "e.channels",
    "license": "nullif(e.license, 0)",
    "holder": "e.holder",
}
"""What each facet counts; the purpose is counted by the licenses' decisions instead."""

RIGHTS: Final = """(
    (e.license <> 0 AND e.status = 'active' AND e.license IN (SELECT license FROM rights))
    OR (e.kind = 'snapshot' AND NOT EXISTS (
        SELECT 1 FROM members m LEFT JOIN entries a ON a.number = m.asset
        WHERE m.snapshot = e.number AND (
            a.number IS NULL OR a.status <> 'active' OR a.license NOT IN (SELECT license FROM rights)
        )
    ))
)"""
"""An asset may be had when its license says so; a snapshot when all its members may."""


class Condition(NamedTuple):
    """A part of the WHERE clause."""

    field: str
    """The facet it belongs to; empty when to none."""

    sql: str
    """The condition."""

    values: tuple[Value, ...] = ()
    """What its marks stand for."""


class Match(NamedTuple):
    """A text query."""

    expression: str
    """What must match."""

    exact: str
    """What must match to stand in front."""


class Query(NamedTuple):
    """A search, ready to be asked in several forms."""

    match: Match | None
    """The text part."""

    rights: str
    """JSON list of (license, price) that may be had; empty when no purpose is asked for."""

    conditions: tuple[Condition, ...]
    """All other parts."""

    def ask(
        self, columns: str, *, without: str = "", rights: str | None = None, tail: str = "", extra: Sequence[Value] = ()
    ) -> tuple[str, list[Value]]:
        """The query and its values.

        Args:
            columns: what to select.
            without: the facet whose own conditions are left out.
            rights: other rights than the search's; empty for none at all.
            tail: what follows the conditions.
            extra: values for the marks in the tail.
        """
        allowed = self.rights if rights is None else rights
        sql = "WITH rights(license, price) AS (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') "
        sql += "FROM json_each(?))"
        values: list[Value] = [allowed or "[]"]
        joins = ""
        if self.match is not None:
            sql += FOUND
            values += [self.match.exact, self.match.expression]
            joins = " JOIN found ON found.number = e.number"
        kept = [condition for condition in self.conditions if not without or condition.field != without]
        wheres = [condition.sql for condition in kept]
        values += [value for condition in kept for value in condition.values]
        if allowed:
            wheres.append(RIGHTS)
        sql += f" SELECT {columns} FROM entries e{joins} LEFT JOIN rights ON rights.license = e.license"  # noqa: S608
        sql += " WHERE " + " AND ".join(wheres or ["1"]) + " " + tail
        return sql, [*values, *extra]


def exact_match(text: str) -> Match | None:
    """All words exactly; None when the text has no word."""
    words = words_of(text)
    expression = " AND ".join(f'"{word}"' for word in words)
    return Match(expression, expression) if words else None


def near_match(exact: Match, variants: Sequence[Sequence[str]]) -> Match:
    """Each word or any of its variants."""
    words = ("(" + " OR ".join(f'"{word}"' for word in several) + ")" for several in variants)
    return Match(" AND ".join(words), exact.expression)


def conditions_of(request: SearchRequest) -> tuple[Condition, ...]:
    """The conditions of a search besides text and rights."""
    found = [_among("kind", "e.kind", request.kinds or ASSET_KINDS)]
    if request.available:
        found.append(Condition("", "e.status = 'active'"))
    for field, column, values in (
        ("contains_ai", "e.contains_ai", request.contains_ai),
        ("key", "e.key", request.keys),
        ("sample_rate", "e.sample_rate", request.sample_rates),
        ("channels", "e.channels", request.channel_counts),
        ("license", "e.license", request.licenses),
        ("holder", "e.holder", request.holders),
    ):
        if values:
            found.append(_among(field, column, values))
    for name in ("duration_ms", "tempo_mbpm", "sample_rate", "channels", "loudness_mlufs", "published_at"):
        found += _within(name, getattr(request, name))
    for scheme in ("isrc", "iswc", "upc", "isni", "ipi", "mbid"):
        value = getattr(request, scheme)
        if value:
            sql = "e.number IN (SELECT number FROM identifiers WHERE value = ? AND scheme = ?)"
            found.append(Condition("", sql, (value, scheme)))
    if request.snapshot:
        sql = "e.number IN (SELECT asset FROM members WHERE snapshot = ?)"
        found.append(Condition("", sql, (request.snapshot,)))
    return tuple(found)


def _among(field: str, column: str, values: Sequence[str] | Sequence[int]) -> Condition:
    return Condition(field, f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def _within(name: str, bounds: Range) -> list[Condition]:
    found = []
    if bounds.low is not None:
        found.append(Condition(name, f"e.{name} >= ?", (bounds.low,)))
    if bounds.high is not None:
        found.append(Condition(name, f"e.{name} <= ?", (bounds.high,)))
    return found


def rights_json(prices: dict[int, int]) -> str:
    """Licenses that may be had, with their prices, as the query takes them."""
    return json.dumps(list(prices.items()), separators=(",", ":"))
