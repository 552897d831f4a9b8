"""A market of made-up things, and the same questions answered by looking at each of them in turn."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from audiera.protocol.api.catalog import ASSET_KINDS, FacetField, SearchRequest
from audiera.protocol.api.documents import Credit, Sheet, read_sheet
from audiera.protocol.encoding import digest, encode
from audiera.protocol.purposes import ASSET_PURPOSES
from audiera.protocol.records import (
    Asset,
    CallPrice,
    Content,
    Endpoint,
    Estimate,
    Identifiers,
    Interface,
    License,
    Model,
    Price,
    Rule,
    Snapshot,
    Split,
    Technical,
    Terms,
)
from audiera.protocol.results import BlockResult, Recorded, TransactionResult
from audiera.protocol.rights import Decision, Use, decide
from audiera.services.catalog.words import fold, is_near, words_of

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
WORDS = (
    *("night", "café", "river", "Amen", "break", "hat", "kick", "Über", "warm", "drone", "glass", "snare", "sub"),
    *("bass", "piano", "felt", "cello", "choir", "kyrie", "dust", "vinyl", "tape", "hiss", "loop", "bright", "dark"),
    *("slow", "garage", "jungle", "Ñandú", "cafe", "over", "rover"),
)
KEYS = ("A minor", "C major", "F# minor")


class SheetBox:
    """Sheets in memory; any may be lost."""

    def __init__(self) -> None:
        self.documents: dict[bytes, bytes] = {}
        self.before_get: Callable[[], None] = lambda: None

    def put(self, sheet: Sheet) -> bytes:
        """Keep a sheet."""
        content = encode(sheet)
        self.documents[digest(content)] = content
        return digest(content)

    def get(self, kind: str, named: bytes) -> bytes | None:
        """The sheet with a digest."""
        assert kind == "sheet"
        self.before_get()
        return self.documents.get(named)


@dataclass
class Market:
    """Records as the ledger would have them, in blocks."""

    sheets: SheetBox = field(default_factory=SheetBox)
    results: list[BlockResult] = field(default_factory=list)
    assets: dict[int, Asset] = field(default_factory=dict)
    licenses: dict[int, License] = field(default_factory=dict)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    models: dict[int, Model] = field(default_factory=dict)
    endpoints: dict[int, Endpoint] = field(default_factory=dict)
    numbers: int = 0
    salts: int = 0

    def number(self) -> int:
        """The next ledger number."""
        self.numbers += 1
        return self.numbers

    @property
    def time(self) -> int:
        """Time of the next block."""
        return START + (len(self.results) + 1) * SECOND

    def block(self, *records: Recorded, code: str = "ok") -> BlockResult:
        """A block in which one transaction changed these records."""
        height = len(self.results) + 1
        if code == "ok":
            for record in records:
                self._note(record)
        transaction = TransactionResult(
            id=digest(b"t%d" % height), account=1, kind="any", code=code, number=0, records=records
        )
        app_hash = digest(encode(transaction) + b"%d" % height)
        result = BlockResult(height=height, time=self.time, app_hash=app_hash, transactions=(transaction,))
        self.results.append(result)
        return result

    def _note(self, record: Recorded) -> None:
        kinds: dict[type, dict[int, Any]] = {
            Asset: self.assets,
            License: self.licenses,
            Snapshot: self.snapshots,
            Model: self.models,
        }
        if isinstance(record, Endpoint):
            self.endpoints[record.model] = record
        elif type(record) in kinds:
            kinds[type(record)][record.number] = record

    def sheet(self, title: str, **fields: Any) -> bytes:
        """A sheet that is kept."""
        self.salts += 1
        return self.sheets.put(Sheet(salt=digest(b"salt%d" % self.salts), title=title, **fields))

    def license(self, *rules: Rule, number: int = 0, revision: int = 1, holder: int = 1) -> License:
        """A license."""
        number = number or self.number()
        return License(
            number=number,
            id=digest(b"l%d" % number),
            holder=holder,
            revision=revision,
            terms=Terms(rules=rules, no_imitation=False),
            published_at=self.time,
        )

    def asset(self, license_: int, sheet: bytes, **changes: Any) -> Asset:
        """An asset."""
        number = changes.pop("number", None) or self.number()
        technical = {
            "container": "wav",
            "codec": "pcm_s16le",
            "sample_rate": 48_000,
            "channels": 2,
            "bit_depth": 16,
            "samples": 96_000,
            "duration_ms": 2_000,
            "peak_mdb": -1_000,
        } | changes.pop("technical", {})
        content = {
            "data_type": "recording",
            "blob": digest(b"b%d" % number),
            "size": 1_000,
            "manifest_root": digest(b"m%d" % number),
            "technical": Technical(**technical),
            "sheet": sheet,
        } | changes.pop("content", {})
        fields = {
            "number": number,
            "id": digest(b"a%d" % number),
            "holder": 1,
            "content": Content(**content),
            "splits": (Split(account=1, share=10_000),),
            "license": license_,
            "registered_at": self.time,
        }
        return Asset(**(fields | changes))

    def snapshot(self, assets: Iterable[int], sheet: bytes, **changes: Any) -> Snapshot:
        """A snapshot of assets."""
        number = self.number()
        fields = {
            "number": number,
            "id": digest(b"s%d" % number),
            "publisher": 1,
            "root": digest(b"r%d" % number),
            "shard_roots": (digest(b"r%d" % number),),
            "clip_count": 1,
            "audio_ms": 60_000,
            "assets": tuple(sorted(assets)),
            "sheet": sheet,
            "published_at": self.time,
        }
        return Snapshot(**(fields | changes))

    def model(self, name: str) -> Model:
        """A model."""
        number = self.number()
        return Model(
            number=number,
            id=digest(b"o%d" % number),
            developer=2,
            name=name,
            version="1",
            weights=bytes(32),
            runs=(),
            weights_root=bytes(32),
            total_weight=0,
            training_share=0,
            interface=Interface(task="generation", accepts=(), returns=()),
            registered_at=self.time,
        )

    def endpoint(self, model: int, *, per_call: int, active: bool = True) -> Endpoint:
        """A model's endpoint."""
        return Endpoint(model=model, node=9, price=CallPrice(version=1, per_call=per_call), active=active)


def random_rule(rng: random.Random) -> Rule:
    """Any rule a license may have."""
    verdict = rng.choice(("allow", "allow", "terms", "terms", "deny"))
    priced = verdict == "terms" and rng.random() < 0.7
    audience = rng.choice(("anyone", "anyone", "anyone", "request", "named", "verified"))
    begins = rng.choice((0, 0, 0, START + 100 * SECOND, START + 400 * SECOND))
    return Rule(
        purpose=rng.choice(ASSET_PURPOSES[:5]),
        verdict=verdict,  # type: ignore[arg-type]
        commercial=rng.random() < 0.5,
        audience=audience,  # type: ignore[arg-type]
        named=(7, 8) if audience == "named" else (),
        territories=rng.choice((("*",), ("*",), ("DE", "FR"), ("US",))),
        valid_from=begins,
        valid_until=rng.choice((0, 0, begins + 300 * SECOND)),
        price=Price(unit=rng.choice(("access", "minute", "flat")), amount=rng.randrange(1, 9) * 100)  # type: ignore[arg-type]
        if priced
        else None,
        revenue_share=rng.choice((0, 500)) if verdict == "terms" else 0,
    )


def random_text(rng: random.Random, most: int) -> str:
    """Some words."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, most + 1)))


def random_asset(market: Market, rng: random.Random) -> Asset:
    """An asset with facts of all kinds."""
    sheet = market.sheet(
        random_text(rng, 3),
        artist=random_text(rng, 2) if rng.random() < 0.7 else "",
        tags=tuple(dict.fromkeys(random_text(rng, 1) for _ in range(rng.randrange(3)))),
        genre=rng.choice(("", "garage", "jungle")),
        description=random_text(rng, 6) if rng.random() < 0.5 else "",
        credits=(Credit(name=random_text(rng, 2), role="performer"),) if rng.random() < 0.2 else (),
    )
    if rng.random() < 0.1:
        market.sheets.documents.pop(sheet)
    estimates = []
    if rng.random() < 0.6:
        estimates.append(Estimate(name="key", value=rng.choice(KEYS), confidence=5_000, method="m/1"))
    if rng.random() < 0.6:
        tempo = rng.choice(("90000", "120000", "174500", "fast"))
        estimates.append(Estimate(name="tempo_mbpm", value=tempo, confidence=5_000, method="m/1"))
    seconds = rng.randrange(1, 8)
    rate = rng.choice((44_100, 48_000, 96_000))
    return market.asset(
        rng.choice(list(market.licenses)),
        sheet,
        holder=rng.randrange(1, 5),
        status=rng.choice(("active", "active", "active", "contested", "withdrawn")),
        technical={
            "sample_rate": rate,
            "channels": rng.choice((1, 2)),
            "samples": seconds * rate,
            "duration_ms": seconds * 1_000,
            "loudness_mlufs": rng.choice((None, -14_000, -9_000)),
        },
        content={
            "data_type": rng.choice(ASSET_KINDS),
            "contains_ai": rng.choice(("none", "partly", "all", "undeclared")),
            "estimates": tuple(estimates),
            "identifiers": Identifiers(isrc=f"GBAYE68{rng.randrange(5):05d}") if rng.random() < 0.3 else Identifiers(),
        },
    )


def random_market(seed: int, *, assets: int = 120) -> Market:
    """A market in many blocks, with things that change after they came."""
    rng = random.Random(seed)
    market = Market()
    for _ in range(12):
        market.block(market.license(*(random_rule(rng) for _ in range(rng.randrange(1, 6)))))
    for _ in range(assets):
        market.block(random_asset(market, rng))
        if rng.random() < 0.15:
            changed = rng.choice(list(market.assets.values()))
            market.block(market.asset(rng.choice(list(market.licenses)), changed.content.sheet, **_kept(changed)))
        if rng.random() < 0.1:
            members = rng.sample(list(market.assets), min(len(market.assets), rng.randrange(1, 4)))
            market.block(market.snapshot(members, market.sheet(random_text(rng, 3)), publisher=rng.randrange(1, 5)))
        if rng.random() < 0.1:
            old = rng.choice(list(market.licenses.values()))
            rules = tuple(random_rule(rng) for _ in range(3))
            market.block(market.license(*rules, number=old.number, revision=old.revision + 1))
        if rng.random() < 0.05:
            model = market.model(rng.choice(WORDS).lower())
            market.block(model)
            if rng.random() < 0.7:
                market.block(market.endpoint(model.number, per_call=rng.randrange(1, 9), active=rng.random() < 0.7))
        if rng.random() < 0.1:
            market.block(random_asset(market, rng), code="refused")
    return market


def _kept(asset: Asset) -> dict[str, Any]:
    return {
        "number": asset.number,
        "holder": asset.holder,
        "registered_at": asset.registered_at,
        "technical": {name: getattr(asset.content.technical, name) for name in Technical.__struct_fields__},
        "content": {name: getattr(asset.content, name) for name in Content.__struct_fields__ if name != "technical"},
    }


# ---------------------------------------------------------------- the same by looking at each


@dataclass
class Thing:
    """Everything that can be asked about one thing."""

    number: int
    kind: str
    status: str
    holder: int
    license: int
    published_at: int
    title: str = ""
    words: frozenset[str] = frozenset()
    facts: dict[str, Any] = field(default_factory=dict)
    members: tuple[int, ...] = ()
    identifiers: frozenset[tuple[str, str]] = frozenset()
    decision: Decision | None = None

    @property
    def has_text(self) -> bool:
        return self.title != ""


class LookingAtEach:
    """The catalog's contract, without any index."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.things = [*map(self._of_asset, market.assets.values())]
        self.things += map(self._of_snapshot, market.snapshots.values())
        self.things += map(self._of_model, market.models.values())
        self.vocabulary = Counter(word for thing in self.things for word in thing.words)
        self.members = {thing.number: thing.members for thing in self.things if thing.members}

    def _text(self, named: bytes) -> dict[str, Any]:
        content = self.market.sheets.documents.get(named)
        if content is None:
            return {}
        sheet = read_sheet(content)
        texts = [sheet.title, sheet.artist, *sheet.tags, sheet.genre, *sheet.moods, *sheet.instruments]
        texts += [sheet.description, sheet.album, *(credit.name for credit in sheet.credits)]
        words = frozenset(word for text in texts for word in fold(text).split())
        return {"title": sheet.title, "words": words}

    def _of_asset(self, asset: Asset) -> Thing:
        content, technical = asset.content, asset.content.technical
        estimates = {estimate.name: estimate.value for estimate in content.estimates}
        tempo = estimates.get("tempo_mbpm", "")
        claimed = content.identifiers
        return Thing(
            number=asset.number,
            kind=content.data_type,
            status=asset.status,
            holder=asset.holder,
            license=asset.license,
            published_at=asset.registered_at,
            facts={
                "contains_ai": content.contains_ai,
                "duration_ms": technical.duration_ms,
                "sample_rate": technical.sample_rate,
                "channels": technical.channels,
                "loudness_mlufs": technical.loudness_mlufs,
                "tempo_mbpm": int(tempo) if tempo.isdecimal() else None,
                "key": estimates.get("key"),
            },
            identifiers=frozenset((name, getattr(claimed, name)) for name in claimed.__struct_fields__),
            **self._text(content.sheet),
        )

    def _of_snapshot(self, snapshot: Snapshot) -> Thing:
        return Thing(
            number=snapshot.number,
            kind="snapshot",
            status="active",
            holder=snapshot.publisher,
            license=0,
            published_at=snapshot.published_at,
            facts={"duration_ms": snapshot.audio_ms},
            members=snapshot.assets,
            **self._text(snapshot.sheet),
        )

    def _of_model(self, model: Model) -> Thing:
        endpoint = self.market.endpoints.get(model.number)
        title = f"{model.name} {model.version}"
        task = model.interface.task if model.interface is not None else ""
        return Thing(
            number=model.number,
            kind="model",
            status="active" if endpoint is not None and endpoint.active else "withdrawn",
            holder=model.developer,
            license=0,
            published_at=model.registered_at,
            title=title,
            words=frozenset(fold(f"{title} {task}").split()),
        )

    # ------------------------------------------------------------ filters

    def decision(self, thing: Thing, request: SearchRequest, purpose: str, at: int) -> Decision | None:
        """What the license of an asset says, if it suits the search."""
        license_ = self.market.licenses.get(thing.license)
        if license_ is None:
            return None
        use = Use(purpose=purpose, commercial=request.commercial, territory=request.territory, account=request.account)
        decision = decide(license_, None, use, at)
        if not decision.allowed and not (request.on_request and decision.reasons == ("asks-holder",)):
            return None
        price = price_of(decision)
        if (request.free_only and price) or (request.max_price is not None and price > request.max_price):
            return None
        return decision

    def may_be_had(self, thing: Thing, request: SearchRequest, purpose: str, at: int) -> bool:
        """Whether a thing may be had for a purpose."""
        if thing.kind == "snapshot":
            by_number = {each.number: each for each in self.things}
            members = [by_number.get(number) for number in thing.members]
            return all(member is not None and self.may_be_had(member, request, purpose, at) for member in members)
        return thing.status == "active" and self.decision(thing, request, purpose, at) is not None

    def matches_facts(self, thing: Thing, request: SearchRequest, without: str = "") -> bool:
        """Whether everything but words and rights fits."""
        facts = thing.facts
        chosen = (
            ("kind", thing.kind, request.kinds or ASSET_KINDS),
            ("contains_ai", facts.get("contains_ai"), request.contains_ai),
            ("key", facts.get("key"), request.keys),
            ("sample_rate", facts.get("sample_rate"), request.sample_rates),
            ("channels", facts.get("channels"), request.channel_counts),
            ("license", thing.license, request.licenses),
            ("holder", thing.holder, request.holders),
        )
        if any(values and name != without and value not in values for name, value, values in chosen):
            return False
        for name in ("duration_ms", "tempo_mbpm", "sample_rate", "channels", "loudness_mlufs", "published_at"):
            bounds = getattr(request, name)
            value = thing.published_at if name == "published_at" else facts.get(name)
            if name == without or (bounds.low is None and bounds.high is None):
                continue
            low = bounds.low if bounds.low is not None else -(2**63)
            high = bounds.high if bounds.high is not None else 2**63
            if value is None or not low <= value <= high:
                return False
        if request.available and thing.status != "active":
            return False
        if request.isrc and ("isrc", request.isrc) not in thing.identifiers:
            return False
        return not request.snapshot or thing.number in self.members.get(request.snapshot, ())

    def accepted_words(self, request: SearchRequest, at: int) -> tuple[list[set[str]] | None, bool]:
        """For each word asked for the words that count as it; None when nothing can match. And whether corrected."""
        words = words_of(request.text)
        if request.text.strip() and not words:
            return None, False
        exact = [{word} for word in words]
        total = len(self.found(request, at, exact))
        if not words or total >= 3:
            return exact, False
        near = [{word, *self._variants(word)} for word in words]
        return (near, True) if len(self.found(request, at, near)) > total else (exact, False)

    def _variants(self, word: str) -> Sequence[str]:
        if len(word) < 3:
            return ()
        return [term for term in self.vocabulary if term != word and is_near(word, term)]

    def found(
        self, request: SearchRequest, at: int, words: list[set[str]], *, without: str = "", purpose: str | None = None
    ) -> list[Thing]:
        """Everything that fits."""
        wanted = request.purpose if purpose is None else purpose
        return [
            thing
            for thing in self.things
            if self.matches_facts(thing, request, without)
            and all(several & thing.words for several in words)
            and (not wanted or self.may_be_had(thing, request, wanted, at))
        ]

    def facet(self, request: SearchRequest, at: int, words: list[set[str]], name: FacetField) -> list[tuple[str, int]]:
        """Values and counts of a facet."""
        if name == "purpose":
            counts = [(len(self.found(request, at, words, purpose=purpose)), purpose) for purpose in ASSET_PURPOSES]
            ordered = sorted(enumerate(counts), key=lambda each: (-each[1][0], each[0]))
            return [(purpose, count) for _, (count, purpose) in ordered if count]
        found = Counter(
            value
            for thing in self.found(request, at, words, without=name)
            if (value := _value(thing, name)) is not None
        )
        return [(str(value), count) for value, count in sorted(found.items(), key=lambda each: (-each[1], each[0]))]

    def sorted(self, request: SearchRequest, at: int, found: list[Thing]) -> list[int]:
        """Numbers in the order asked for; relevance is not known here."""

        def price(thing: Thing) -> float:
            decision = self.decision(thing, request, request.purpose, at) if request.purpose else None
            return float("inf") if decision is None else price_of(decision)

        orders: dict[str, Callable[[Thing], Any]] = {
            "newest": lambda thing: -thing.published_at,
            "oldest": lambda thing: thing.published_at,
            "duration": lambda thing: thing.facts.get("duration_ms", float("inf")),
            "price": price,
            "title": lambda thing: (not thing.has_text, fold(thing.title)),
        }
        order = orders["newest" if request.sort == "relevance" else request.sort]
        return [thing.number for thing in sorted(found, key=lambda thing: (order(thing), thing.number))]


def _value(thing: Thing, name: FacetField) -> Any:
    match name:
        case "kind":
            return thing.kind
        case "holder":
            return thing.holder
        case "license":
            return thing.license or None
        case _:
            return thing.facts.get(name)


def price_of(decision: Decision) -> int:
    """Microcredits per unit."""
    return decision.rule.price.amount if decision.rule is not None and decision.rule.price is not None else 0
