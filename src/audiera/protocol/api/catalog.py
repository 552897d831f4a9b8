"""Finding things: what a search asks for, and the page that answers it."""

from typing import Final, Literal

from audiera.protocol.api.base import Message
from audiera.protocol.errors import RequestError
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.protocol.records.asset import DATA_TYPES, AssetStatus, DataType
from audiera.protocol.records.license import WORLD, PriceUnit, is_country

Kind = Literal["recording", "loop", "sample", "effect", "stem", "dataset", "midi", "snapshot", "model"]
ASSET_KINDS: Final[tuple[DataType, ...]] = DATA_TYPES
"""What is searched when no kind is asked for; snapshots and models are found by asking for them."""

FacetField = Literal["kind", "purpose", "contains_ai", "key", "sample_rate", "channels", "license", "holder"]
SortOrder = Literal["relevance", "newest", "oldest", "duration", "price", "title"]

MAX_TEXT: Final = 200
MAX_LIMIT: Final = 100
MAX_OFFSET: Final = 100_000
MAX_CHOICES: Final = 256
"""How many values one filter may list."""


class Range(Message, frozen=True, kw_only=True):
    """Bounds of a value, both included; whoever has no such value lies outside."""

    low: int | None = None
    """Smallest; None for no lower bound."""

    high: int | None = None
    """Largest; None for no upper bound."""


class SearchRequest(Message, frozen=True, kw_only=True):
    """What to look for. Filters are joined by and; the values listed inside one of them by or."""

    text: str = ""
    """Words that must all occur in title, artist, tags or description; at most 200 characters."""

    kinds: tuple[Kind, ...] = ()
    """Kinds of things; empty for every kind of asset."""

    purpose: str = ""
    """One of the nine purposes: only what may be used for it; empty for no such condition."""

    commercial: bool = False
    """Whether the use is commercial."""

    territory: str = WORLD
    """Where: a two-letter country, or ``*`` for everywhere."""

    account: int = 0
    """Who asks, so that licenses for named accounts are seen; 0 for a visitor."""

    on_request: bool = False
    """Also what the holder has to be asked for first."""

    free_only: bool = False
    """Only what the purpose has no price for (a share of a model's revenue may still be owed)."""

    max_price: int | None = None
    """Highest price for the purpose, microcredits per access, minute or grant, as the license counts."""

    available: bool = True
    """Only what can be had now; otherwise contested and withdrawn things too."""

    contains_ai: tuple[str, ...] = ()
    """none, partly, all, undeclared."""

    keys: tuple[str, ...] = ()
    """Musical keys, as estimated."""

    sample_rates: tuple[int, ...] = ()
    """Frames per second."""

    channel_counts: tuple[int, ...] = ()
    """Numbers of channels."""

    licenses: tuple[int, ...] = ()
    """Ledger numbers of licenses."""

    holders: tuple[int, ...] = ()
    """Ledger numbers of the accounts that manage it (publisher of a snapshot, developer of a model)."""

    duration_ms: Range = Range()
    """Length, milliseconds."""

    tempo_mbpm: Range = Range()
    """Estimated tempo, thousandths of a beat per minute."""

    sample_rate: Range = Range()
    """Frames per second."""

    channels: Range = Range()
    """Number of channels."""

    loudness_mlufs: Range = Range()
    """Integrated loudness, thousandths of a LUFS."""

    published_at: Range = Range()
    """Block time of registration, microseconds."""

    isrc: str = ""
    """Recording code, without hyphens."""

    iswc: str = ""
    """Musical work code."""

    upc: str = ""
    """Product code."""

    isni: str = ""
    """Name identifier."""

    ipi: str = ""
    """Interested-party number."""

    mbid: str = ""
    """MusicBrainz recording id."""

    snapshot: int = 0
    """Only members of this snapshot; 0 for no such condition."""

    sort: SortOrder = "relevance"
    """Relevance without text means newest. Equals are ordered by ledger number, so pages never overlap."""

    offset: int = 0
    """How many hits to leave out."""

    limit: int = 20
    """How many hits to return, 0 to 100."""

    facets: tuple[FacetField, ...] = ()
    """Facets to count."""


class Hit(Message, frozen=True, kw_only=True):
    """Something found."""

    number: int
    """Ledger number."""

    id: str
    """Its id."""

    kind: Kind
    """What it is."""

    status: AssetStatus
    """Active, contested or withdrawn; a model that takes no calls counts as withdrawn."""

    holder: int
    """Ledger number of the account that manages it."""

    license: int
    """Ledger number of its license; 0 for snapshots and models."""

    published_at: int
    """Block time of registration, microseconds."""

    title: str = ""
    """From its sheet; empty when there is none. A model's name and version."""

    artist: str = ""
    """From its sheet."""

    contains_ai: str = ""
    """How much of it a machine made."""

    duration_ms: int | None = None
    """Length, milliseconds."""

    sample_rate: int | None = None
    """Frames per second."""

    channels: int | None = None
    """Number of channels."""

    loudness_mlufs: int | None = None
    """Integrated loudness, thousandths of a LUFS."""

    tempo_mbpm: int | None = None
    """Estimated tempo, thousandths of a beat per minute."""

    key: str = ""
    """Estimated key."""

    reasons: tuple[str, ...] = ()
    """What decided about the purpose asked for: ``("allowed",)`` or ``("asks-holder",)``."""

    price: int = 0
    """For an asset and the purpose asked for: microcredits per ``price_unit``; for a model: per call."""

    price_unit: PriceUnit | None = None
    """What is counted; None when nothing is paid."""

    revenue_share: int = 0
    """Basis points of a derived model's revenue owed to training data."""


class FacetValue(Message, frozen=True, kw_only=True):
    """A value and how often it occurs."""

    value: str
    """The value as text; numbers in decimal."""

    count: int
    """Hits the search would have with this value as the facet's only choice."""


class Facet(Message, frozen=True, kw_only=True):
    """The values of one field among everything found, counted without the field's own filter."""

    field: FacetField
    """Which field."""

    values: tuple[FacetValue, ...]
    """Most frequent first, then by value; at most 100."""


class Page(Message, frozen=True, kw_only=True):
    """A part of what was found."""

    total: int
    """How many there are in all."""

    hits: tuple[Hit, ...]
    """This part of them."""

    facets: tuple[Facet, ...]
    """The facets asked for."""

    height: int
    """Block up to which the catalog knows the ledger."""

    took_us: int
    """How long the search took, microseconds."""

    corrected: bool = False
    """Whether words one letter away were accepted too, because fewer than three hits had them exactly."""


class Suggestion(Message, frozen=True, kw_only=True):
    """A way to complete what was typed."""

    text: str
    """A title, artist or tag."""

    field: Literal["title", "artist", "tag"]
    """Which of them."""

    count: int
    """Things that carry it."""


class Suggestions(Message, frozen=True, kw_only=True):
    """Ways to complete what was typed."""

    suggestions: tuple[Suggestion, ...]
    """Most frequent first."""


def check_search(request: SearchRequest) -> None:
    """Refuse a search that cannot be meant.

    Raises:
        RequestError: which field, what it may be, and what it was.
    """
    _require(len(request.text) <= MAX_TEXT, f"text has at most {MAX_TEXT} characters, got {len(request.text)}")
    _require(0 <= request.limit <= MAX_LIMIT, f"limit is 0 to {MAX_LIMIT}, got {request.limit}")
    _require(0 <= request.offset <= MAX_OFFSET, f"offset is 0 to {MAX_OFFSET}, got {request.offset}")
    _check_rights(request)
    for name in ("kinds", "contains_ai", "keys", "sample_rates", "channel_counts", "licenses", "holders", "facets"):
        count = len(getattr(request, name))
        _require(count <= MAX_CHOICES, f"{name} lists at most {MAX_CHOICES} values, got {count}")
    numbers = (*request.sample_rates, *request.channel_counts, *request.licenses, *request.holders, request.snapshot)
    _require(all(0 <= number < 2**63 for number in numbers), "numbers are 0 to 2^63 - 1")
    for name in ("duration_ms", "tempo_mbpm", "sample_rate", "channels", "loudness_mlufs", "published_at"):
        bounds = getattr(request, name)
        for bound in (bounds.low, bounds.high):
            _require(bound is None or -(2**63) <= bound < 2**63, f"{name} is bounded by 64-bit numbers, got {bound}")


def _check_rights(request: SearchRequest) -> None:
    known = request.purpose == "" or request.purpose in ASSET_PURPOSES
    _require(known, f"purpose is one of {', '.join(ASSET_PURPOSES)}, got {request.purpose[:40]!r}")
    _require(
        request.territory == WORLD or is_country(request.territory),
        f"territory is * or two capital letters, got {request.territory[:8]!r}",
    )
    priced = request.free_only or request.max_price is not None or request.sort == "price"
    _require(
        not priced or request.purpose != "",
        "a price belongs to a purpose: name the purpose with free_only, max_price or sort=price",
    )
    narrowed = request.commercial or request.territory != WORLD
    _require(
        not narrowed or request.purpose != "" or "purpose" in request.facets,
        "commercial and territory narrow a purpose: name one",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RequestError(message, code="search_invalid")
