"""What each license offers for a purpose: the ledger's own decision, taken once for each license and question."""

import threading
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from audiera.protocol.api.catalog import SearchRequest
from audiera.protocol.records import License
from audiera.protocol.rights import Decision, Use, decide

_MAX_DECISIONS = 200_000
"""Decisions remembered; all are dropped when there are more."""


class _Known(NamedTuple):
    """A license with what its decisions can depend on besides the use."""

    license: License
    moments: tuple[int, ...]
    named: frozenset[int]


class Offers:
    """The current licenses, and what they decide. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._licenses: dict[tuple[int, int], _Known] = {}
        self._decisions: dict[tuple[int | str | bool | None, ...], Decision] = {}

    def missing(self, revisions: Iterable[tuple[int, int]]) -> list[int]:
        """Numbers of the licenses whose (number, revision) has not been added."""
        with self._lock:
            return [number for number, revision in revisions if (number, revision) not in self._licenses]

    def add(self, licenses: Iterable[License]) -> None:
        """Remember licenses."""
        with self._lock:
            for license_ in licenses:
                rules = license_.terms.rules
                moments = {moment for rule in rules for moment in (rule.valid_from, rule.valid_until)}
                named = frozenset(account for rule in rules for account in rule.named)
                known = _Known(license_, tuple(sorted(moments)), named)
                self._licenses[license_.number, license_.revision] = known

    def decide(self, number: int, revision: int, request: SearchRequest, purpose: str, at: int) -> Decision:
        """Whether a grant could be had under a license for what a search asks, at a moment."""
        known = self._licenses[number, revision]
        key = (
            number,
            revision,
            purpose,
            request.commercial,
            request.territory,
            request.account if request.account in known.named else None,
            bisect_right(known.moments, at),
        )
        decision = self._decisions.get(key)
        if decision is None:
            use = Use(
                purpose=purpose, commercial=request.commercial, territory=request.territory, account=request.account
            )
            decision = decide(known.license, None, use, at)
            with self._lock:
                if len(self._decisions) >= _MAX_DECISIONS:
                    self._decisions.clear()
                self._decisions[key] = decision
        return decision

    def suitable(
        self, revisions: Iterable[tuple[int, int]], request: SearchRequest, purpose: str, at: int
    ) -> dict[int, Decision]:
        """The licenses that satisfy a search's conditions for a purpose, with their decisions."""
        found: dict[int, Decision] = {}
        for number, revision in revisions:
            decision = self.decide(number, revision, request, purpose, at)
            if _satisfies(decision, request):
                found[number] = decision
        return found


def price_of(decision: Decision) -> int:
    """Microcredits per unit of the rule that decided; 0 for none."""
    price = decision.rule.price if decision.rule is not None else None
    return price.amount if price is not None else 0


def _satisfies(decision: Decision, request: SearchRequest) -> bool:
    if not decision.allowed and not (request.on_request and decision.reasons == ("asks-holder",)):
        return False
    price = price_of(decision)
    if request.free_only and price:
        return False
    return request.max_price is None or price <= request.max_price
