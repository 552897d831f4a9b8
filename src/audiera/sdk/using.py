"""Finding, asking, licensing, streaming, training."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from audiera.protocol.api import routes
from audiera.protocol.api.access import DecisionAnswer, DecisionRequest
from audiera.protocol.api.assets import GrantAnswer, RunAnswer
from audiera.protocol.api.catalog import Page, SearchRequest, Suggestion, Suggestions
from audiera.protocol.errors import AudieraError, Conflict
from audiera.protocol.keys import parse_key
from audiera.protocol.records import Certificate, Grant, Run
from audiera.protocol.transactions import AnswerGrant, CloseRun, IssueGrant, OpenRun, ReturnBudget, RevokeGrant
from audiera.sdk.datasets import Dataset, Selection
from audiera.sdk.offering import Offering

if TYPE_CHECKING:
    from audiera.sdk.client import Client
    from audiera.sdk.sessions import Stream


class Using(Offering):
    """What whoever uses music does: AI model developers, data consumers."""

    def search(
        self, text: str = "", *, purpose: str = "evaluate", commercial: bool = False, **fields: Any
    ) -> Selection:
        """Find what may be used for a purpose.

        Args:
            text: words that must occur.
            purpose: what for; only what may be used so is found.
            commercial: whether for commercial use.
            fields: any other field of :class:`SearchRequest`.
        """
        page = self.search_page(text=text, purpose=purpose, commercial=commercial, **fields)
        return Selection(cast("Client", self), page.hits, purpose=purpose, commercial=commercial)

    def search_page(self, **fields: Any) -> Page:
        """One page of a search, with totals and facets as asked for."""
        fields.setdefault("limit", 100)
        identity = self._transport.identity
        if identity is not None and identity.account:
            fields.setdefault("account", identity.account)
        return self._transport.ask(routes.SEARCH_BY_BODY, Page, body=SearchRequest(**fields))

    def wait_for_catalog(self, timeout_s: float = 10.0) -> None:
        """Wait until the catalog knows everything that is on the ledger now."""
        height = self.head().height
        end = time.monotonic() + timeout_s
        while self.search_page(limit=0).height < height:
            if time.monotonic() > end:
                raise AudieraError(f"the catalog did not reach block {height}", code="catalog_behind")
            time.sleep(0.05)

    def suggest(self, text: str, limit: int = 10) -> tuple[Suggestion, ...]:
        """Complete what was typed: titles, artists and tags."""
        answer = self._transport.ask(routes.SUGGEST, Suggestions, query={"text": text, "limit": limit})
        return answer.suggestions

    def may_i(self, assets: Sequence[int] = (), **fields: Any) -> DecisionAnswer:
        """What the licenses in force say about a use, with reasons and price; nothing is recorded.

        Args:
            assets: ledger numbers.
            fields: purpose, and any other field of :class:`DecisionRequest`.
        """
        request = DecisionRequest(assets=tuple(assets), **fields)
        return self._transport.ask(routes.DECIDE, DecisionAnswer, body=request)

    def grant(self, body: IssueGrant) -> Grant:
        """Ask for a grant; refused with every reason, or returned as issued."""
        return self.grant_info(self.submit(body).number).grant

    def grant_info(self, number: int) -> GrantAnswer:
        """A grant and how much of it is used."""
        return self._transport.ask(routes.GRANT, GrantAnswer, {"number": number})

    def answer_grant(self, grant: int, *, agree: bool) -> None:
        """As a holder, answer a request for a grant."""
        self.submit(AnswerGrant(grant=grant, agree=agree))

    def revoke_grant(self, grant: int) -> None:
        """End a grant: as its grantee any time, as a holder when its license was broken."""
        self.submit(RevokeGrant(grant=grant))

    def return_budget(self, grant: int) -> None:
        """Take back what is left of an ended grant's budget."""
        self.submit(ReturnBudget(grant=grant))

    def license_snapshot(
        self, snapshot: int, *, purpose: str, commercial: bool = False, budget: int = 0, max_price: int = 0
    ) -> Dataset:
        """Get a grant for a snapshot; amounts in microcredits."""
        body = IssueGrant(
            purpose=purpose,  # type: ignore[arg-type]  # the ledger checks it
            snapshot=snapshot,
            commercial=commercial,
            budget=budget,
            max_price=max_price,
        )
        return Dataset(cast("Client", self), self.grant(body), self.snapshot(snapshot).snapshot.assets)

    def open_stream(self, grant: Grant, *, run: int = 0) -> "Stream":
        """Open a session under a grant."""
        from audiera.sdk.sessions import Stream

        node = self._node or self.node()
        return Stream(self._transport, self.identity, grant, node_key=parse_key(node.key), run=run)

    def open_run(self, grants: Sequence[int]) -> int:
        """Begin a training run; returns its ledger number."""
        return self.submit(OpenRun(grants=tuple(sorted(set(grants))))).number

    def run(self, number: int) -> Run:
        """A training run."""
        return self._transport.ask(routes.RUN, RunAnswer, {"number": number}).run

    def close_run(self, run: int) -> Certificate:
        """End a run; returns what the ledger certifies it streamed."""
        self.submit(CloseRun(run=run))
        certificate = self.run(run).certificate
        if certificate is None:
            raise Conflict(f"run {run} has no certificate", code="wrong_state")
        return certificate
