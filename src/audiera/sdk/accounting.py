"""Records and money: histories, statements, trails, proofs, payouts."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from audiera.protocol.api import routes
from audiera.protocol.api.assets import ClaimsAnswer, SettlementAnswer
from audiera.protocol.api.node import CreditsAnswer
from audiera.protocol.api.routes import Route
from audiera.protocol.api.usage import (
    AccessHistory,
    AssetUses,
    Days,
    Earnings,
    Payments,
    Refusals,
    Selection,
    Statement,
    Totals,
    Trail,
    TransactionHistory,
)
from audiera.protocol.errors import AudieraError, NotFound
from audiera.protocol.transactions import ClaimPayouts, SettlePool
from audiera.sdk.serving import Serving

T = TypeVar("T")


class Accounting(Serving):
    """What everybody does with what is on the record."""

    def settle(self, model: int) -> int:
        """Close a model's training pool for what it holds; returns the settlement's ledger number."""
        return self.submit(SettlePool(model=model)).number

    def settlement(self, number: int) -> SettlementAnswer:
        """A settlement."""
        return self._transport.ask(routes.SETTLEMENT, SettlementAnswer, {"number": number})

    def claim_settlement(self, settlement: int) -> int:
        """Pay every payee of a settlement its part; returns how many were paid."""
        paid = 0
        while True:
            answer = self._transport.ask(
                routes.SETTLEMENT_CLAIMS, ClaimsAnswer, {"number": settlement}, query={"after": paid}
            )
            if not answer.claims:
                return paid
            self.submit(ClaimPayouts(settlements=answer.claims))
            paid += len(answer.claims)

    def claim_assets(self, assets: Sequence[int]) -> None:
        """Pay out what assets' accesses earned, to the accounts in their splits."""
        self.submit(ClaimPayouts(assets=tuple(sorted(set(assets)))))

    def asset_history(self, ref: int | str, *, limit: int = 100, after: int | None = None) -> AccessHistory:
        """Who used an asset, for what, when, newest first."""
        return self._part(routes.ASSET_HISTORY, AccessHistory, {"ref": ref}, limit, after)

    def account_history(self, *, limit: int = 100, after: int | None = None) -> AccessHistory:
        """What one's account used, newest first."""
        return self._part(routes.ACCOUNT_HISTORY, AccessHistory, {"number": self.account}, limit, after)

    def _part(self, route: Route, kind: type[T], places: Mapping[str, int | str], limit: int, after: int | None) -> T:
        """A part of a listing."""
        query = {"limit": limit} | ({} if after is None else {"after": after})
        return self._transport.ask(route, kind, places, query=query)

    def statement(self, *, start: int = 0, until: int = 0, offset: int = 0, limit: int = 1_000) -> Statement:
        """One's credits: what came, what went, what is there, each with its place on the ledger.

        Args:
            start: first moment, microseconds of block time.
            until: end, not included; 0 for now.
            offset: lines to leave out.
            limit: lines to list.
        """
        query = {"start": start, "until": until, "offset": offset, "limit": limit}
        return self._transport.ask(routes.ACCOUNT_STATEMENT, Statement, {"number": self.account}, query=query)

    def transactions(self, *, limit: int = 100, after: int | None = None) -> TransactionHistory:
        """What one's account signed, newest first."""
        return self._part(routes.ACCOUNT_TRANSACTIONS, TransactionHistory, {"number": self.account}, limit, after)

    def payments(self, *, offset: int = 0, limit: int = 1_000) -> Payments:
        """Where one's money went, down to the last share, oldest first."""
        query = {"offset": offset, "limit": limit}
        return self._transport.ask(routes.ACCOUNT_PAYMENTS, Payments, {"number": self.account}, query=query)

    def usage_totals(self, **conditions: Any) -> Totals:
        """Accesses by purpose and operation; conditions are the fields of :class:`Selection`."""
        return self._transport.ask(routes.USAGE_TOTALS, Totals, body=Selection(**conditions))

    def usage_days(self, **conditions: Any) -> Days:
        """Uses by day and purpose; conditions are the fields of :class:`Selection`."""
        return self._transport.ask(routes.USAGE_DAYS, Days, body=Selection(**conditions))

    def most_used(self, *, limit: int = 10, **conditions: Any) -> AssetUses:
        """What was used most; conditions are the fields of :class:`Selection`."""
        return self._transport.ask(routes.USAGE_ASSETS, AssetUses, query={"limit": limit}, body=Selection(**conditions))

    def refusals(self, *, limit: int = 100, **conditions: Any) -> Refusals:
        """What was refused; conditions are the fields of :class:`Selection`."""
        return self._transport.ask(
            routes.USAGE_REFUSALS, Refusals, query={"limit": limit}, body=Selection(**conditions)
        )

    def credits(self) -> CreditsAnswer:
        """Where every credit of the chain stands; they add up to 0."""
        return self._transport.ask(routes.LEDGER_CREDITS, CreditsAnswer)

    def earnings(self, ref: int | str) -> Earnings:
        """What an asset earned."""
        return self._transport.ask(routes.ASSET_EARNINGS, Earnings, {"ref": ref})

    def wait_for_histories(self, timeout_s: float = 10.0) -> None:
        """Wait until the histories know everything that is on the ledger now."""
        height = self.head().height
        end = time.monotonic() + timeout_s
        while self.statement(limit=1).height < height:
            if time.monotonic() > end:
                raise AudieraError(f"the histories did not reach block {height}", code="histories_behind")
            time.sleep(0.05)

    def wait_for_record(self, node: int, index: int, timeout_s: float = 30.0) -> int:
        """Wait until an access is on the ledger and in the histories; returns the block that holds it."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                return self.trail(node, index).access.height
            except NotFound:
                if time.monotonic() > end:
                    raise
            time.sleep(0.05)

    def trail(self, node: int, index: int) -> Trail:
        """From one access back to everything and everyone behind it."""
        return self._transport.ask(routes.ACCESS_TRAIL, Trail, {"node": node, "index": index})

    def proof(self, node: int, index: int) -> str:
        """The proof file of one access; it verifies offline."""
        return self._transport.send(routes.ACCESS_PROOF, {"node": node, "index": index}).text
