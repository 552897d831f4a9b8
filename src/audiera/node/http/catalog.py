"""Finding things: by words, by facts, and by what may be done with them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.catalog import (
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT,
    FacetField,
    Kind,
    Page,
    Range,
    SearchRequest,
    SortOrder,
    Suggestions,
)
from audiera.protocol.records.license import WORLD
from audiera.protocol.units import I64_MAX

Amount = Annotated[int, Meta(ge=0, le=I64_MAX)]


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search as an address can hold it; the one in a body can say more."""

    text: Annotated[str, Meta(max_length=MAX_TEXT)] = ""
    """Words that must all occur in title, artist, tags or description."""

    kinds: tuple[Kind, ...] = ()
    """Kinds of things; give the parameter several times for several."""

    purpose: str = ""
    """Only what may be used for this purpose."""

    commercial: bool = False
    """Whether the use is commercial."""

    territory: str = WORLD
    """Where: a two-letter country, or ``*``."""

    free_only: bool = False
    """Only what has no price."""

    on_request: bool = False
    """Also what the holder has to be asked for first."""

    max_price: Amount | None = None
    """Highest price, microcredits as the license counts."""

    contains_ai: tuple[str, ...] = ()
    """none, partly, all, undeclared."""

    keys: tuple[str, ...] = ()
    """Musical keys, as estimated."""

    shortest_ms: Amount | None = None
    """Shortest length, milliseconds."""

    longest_ms: Amount | None = None
    """Longest length, milliseconds."""

    slowest_mbpm: Amount | None = None
    """Slowest estimated tempo, thousandths of a beat per minute."""

    fastest_mbpm: Amount | None = None
    """Fastest estimated tempo, thousandths of a beat per minute."""

    holder: Amount | None = None
    """Ledger number of the account that manages it."""

    snapshot: Amount = 0
    """Only members of this snapshot."""

    isrc: str = ""
    """Recording code."""

    sort: SortOrder = "relevance"
    """Order of the hits."""

    facets: tuple[FacetField, ...] = ()
    """Facets to count."""

    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] = 0
    """How many hits to leave out."""

    limit: Annotated[int, Meta(ge=0, le=MAX_LIMIT)] = 20
    """How many hits to return."""


def search(call: Call, query: SearchQuery) -> Page:
    """Find things by words, facts and rights."""
    request = SearchRequest(
        text=query.text,
        kinds=query.kinds,
        purpose=query.purpose,
        commercial=query.commercial,
        territory=query.territory,
        free_only=query.free_only,
        on_request=query.on_request,
        max_price=query.max_price,
        contains_ai=query.contains_ai,
        keys=query.keys,
        duration_ms=Range(low=query.shortest_ms, high=query.longest_ms),
        tempo_mbpm=Range(low=query.slowest_mbpm, high=query.fastest_mbpm),
        holders=() if query.holder is None else (query.holder,),
        snapshot=query.snapshot,
        isrc=query.isrc,
        sort=query.sort,
        facets=query.facets,
        offset=query.offset,
        limit=query.limit,
    )
    return _find(call, request)


def search_by_body(call: Call, body: SearchRequest) -> Page:
    """Find things, with every filter there is."""
    return _find(call, body)


def _find(call: Call, request: SearchRequest) -> Page:
    """Search as whoever asks: what is licensed to named accounts is seen by those accounts only."""
    asked = msgspec.structs.replace(request, account=call.identity.account)
    return call.parts.catalog.search(asked, at=call.parts.clock())


def suggest(
    call: Call,
    text: Annotated[str, Meta(max_length=MAX_TEXT)],
    limit: Annotated[int, Meta(ge=1, le=50)] = 10,
) -> Suggestions:
    """Complete what was typed: titles, artists and tags."""
    return Suggestions(suggestions=call.parts.catalog.suggest(text, limit))


OPERATIONS = (
    Operation(routes.SEARCH, search, "anyone", for_applications=True),
    Operation(routes.SEARCH_BY_BODY, search_by_body, "anyone", for_applications=True),
    Operation(routes.SUGGEST, suggest, "anyone", for_applications=True),
)
