"""Licenses: published terms, per purpose; what is not said is denied."""

from typing import Final, Literal

from audiera.protocol.purposes import ASSET_PURPOSES, Purpose
from audiera.protocol.records.base import Record, require, require_range
from audiera.protocol.units import U64_MAX

Verdict = Literal["allow", "terms", "deny"]
PriceUnit = Literal["access", "minute", "flat"]
Audience = Literal["anyone", "verified", "named", "request"]
Duty = Literal["attribution", "label-ai-output", "delete-on-expiry"]
WORLD: Final = "*"


class Price(Record, frozen=True, kw_only=True):
    """What a use costs."""

    unit: PriceUnit
    """Per access, per minute of audio opened, or once per grant and asset."""

    amount: int
    """Microcredits per unit, >= 1."""


class Caps(Record, frozen=True, kw_only=True):
    """Upper limits of one grant; 0 means no limit."""

    accesses: int = 0
    """How many accesses."""

    bytes: int = 0
    """How many bytes in all."""

    epochs: int = 0
    """How many accesses of one asset within one run."""

    models: int = 0
    """How many models may be registered from its runs."""


class Rule(Record, frozen=True, kw_only=True):
    """What is said about a purpose, for whom and where."""

    purpose: Purpose
    """The purpose spoken of."""

    verdict: Verdict
    """allow: under a free grant; terms: under a grant on the terms below; deny: not at all."""

    commercial: bool = False
    """Whether the rule covers commercial use; a rule that does also covers other use."""

    audience: Audience = "anyone"
    """Anyone with an account, verified accounts, the named ones, or each on request to the holder."""

    named: tuple[int, ...] = ()
    """The accounts named, when the audience is named."""

    territories: tuple[str, ...] = (WORLD,)
    """Two-letter countries (ISO 3166-1, upper case) or ``*`` for the world."""

    valid_from: int = 0
    """First moment it holds, microseconds; 0 for always."""

    valid_until: int = 0
    """Moment it ends, microseconds; 0 for never."""

    price: Price | None = None
    """What it costs; nothing when absent."""

    revenue_share: int = 0
    """Basis points of a derived model's revenue that the model must give to its training data, at least."""

    caps: Caps = Caps()
    """Limits of each grant."""

    duties: tuple[Duty, ...] = ()
    """What the grantee must do."""


class Terms(Record, frozen=True, kw_only=True):
    """The text of a license: rules, and nothing outside them is allowed."""

    rules: tuple[Rule, ...]
    """Up to 64 rules; deny where none speaks."""

    no_imitation: bool = True
    """Whether imitation of the artist is excluded whatever the rules say."""

    share_weight: int = 10_000
    """Weight of this license's assets inside a shared pool, basis points of the normal weight."""


class License(Record, frozen=True, kw_only=True, tag="license"):
    """Published terms under a number; revisions are kept for ever."""

    number: int
    """Ledger number."""

    id: bytes
    """Digest of the publishing transaction."""

    holder: int
    """Ledger number of the account that publishes it."""

    revision: int
    """1 for the first text, one more with each revision."""

    terms: Terms
    """The text of this revision."""

    published_at: int = 0
    """Block time of this revision, microseconds."""


def check_terms(terms: Terms) -> None:
    """Refuse terms that contradict themselves or cannot be applied.

    Raises:
        RecordError: which rule, and why.
    """
    require(len(terms.rules) <= 64, f"at most 64 rules, got {len(terms.rules)}")
    require_range(terms.share_weight, 1, 1_000_000, "share_weight")
    for rule in terms.rules:
        require(rule.purpose in ASSET_PURPOSES, f"{rule.purpose} is not a purpose of an asset's license")
        _check_rule(rule)


def _check_rule(rule: Rule) -> None:
    name = f"the rule for {rule.purpose}"
    require(
        (rule.audience == "named") == bool(rule.named),
        f"{name} names accounts exactly when its audience is named",
    )
    require(len(rule.named) <= 256, f"{name} names at most 256 accounts")
    require(1 <= len(rule.territories) <= 250, f"{name} has 1 to 250 territories")
    for territory in rule.territories:
        require(
            territory == WORLD or is_country(territory),
            f"{name}: a territory is * or two capital letters, got {territory[:8]!r}",
        )
    require(WORLD not in rule.territories or len(rule.territories) == 1, f"{name}: * stands alone")
    require(rule.valid_until == 0 or rule.valid_until > rule.valid_from, f"{name} ends before it begins")
    for value in (
        rule.valid_from,
        rule.valid_until,
        rule.caps.accesses,
        rule.caps.bytes,
        rule.caps.epochs,
        rule.caps.models,
    ):
        require_range(value, 0, U64_MAX, f"{name}: times and caps")
    require_range(rule.revenue_share, 0, 10_000, f"{name}: revenue_share")
    require(len(dict.fromkeys(rule.duties)) == len(rule.duties), f"{name} states a duty twice")
    if rule.verdict != "terms":
        require(rule.price is None and rule.revenue_share == 0, f"{name} has a price, so its verdict is terms")
    if rule.verdict == "deny":
        require(rule.caps == Caps() and not rule.duties, f"{name} denies, so it has no caps and no duties")
    if rule.price is not None:
        require_range(rule.price.amount, 1, 10**15, f"{name}: price amount")


def is_country(text: str) -> bool:
    """Whether the text has the form of a two-letter country code."""
    return len(text) == 2 and all("A" <= character <= "Z" for character in text)
