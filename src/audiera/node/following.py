"""Followers: what is derived from the ledger is brought up to it, block by block, by a thread of its own.

A follower that belongs to another chain, or is ahead of the ledger, is dropped and built anew: nothing in it is a
truth of its own.
"""

import logging
import threading
from collections.abc import Iterator

from audiera.node.applications import CallGrants
from audiera.protocol.errors import LedgerError, StorageError
from audiera.protocol.results import BlockResult
from audiera.services.catalog import CatalogIndex
from audiera.services.ledger.ports import Ledger
from audiera.services.storage.ports import Documents
from audiera.services.usage import UsageIndex

_LOOK_S = 0.1
"""Longest time after which the thread looks whether it shall end."""

_log = logging.getLogger(__name__)


class Followers:
    """Keeps catalog, usage and the list of grants for calls at the ledger's head.

    Args:
        ledger: what is followed.
        catalog: finds things.
        usage: knows who used what.
        grants: knows which grants are for calls.
        documents: where sheets are.
    """

    def __init__(
        self, ledger: Ledger, catalog: CatalogIndex, usage: UsageIndex, grants: CallGrants, documents: Documents
    ) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._usage = usage
        self._grants = grants
        self._documents = documents
        self._height = 0
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="followers", daemon=True)
        self.failure: Exception | None = None

    def start(self) -> None:
        """Catch up, then follow in a thread."""
        self._catch_up_catalog()
        self._catch_up_usage()
        self._height = self._ledger.head().height
        self._follow(self._height)
        self._thread.start()

    def close(self) -> None:
        """End the thread after the block it is at."""
        self._is_closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_closing.is_set():
                if self._ledger.wait(self._height + 1, _LOOK_S):
                    self._follow(self._height + 1)
        except Exception as fault:  # noqa: BLE001 - the one place where the thread's fault is seen; it ends the node
            if self._is_closing.is_set() and isinstance(fault, LedgerError):
                return
            _log.exception("followers.failed height=%d", self._height)
            self.failure = fault

    def _follow(self, from_height: int) -> None:
        for result in self._results(from_height):
            self._catalog.apply(result, self._documents)
            self._usage.apply(result, self._ledger.block(result.height))
            self._grants.apply(result)
            self._height = result.height

    def _results(self, from_height: int) -> Iterator[BlockResult]:
        return self._ledger.follow(max(from_height, 1))

    def _catch_up_catalog(self) -> None:
        try:
            self._require_behind(self._catalog.height)
            for result in self._results(self._catalog.height):
                self._catalog.apply(result, self._documents)
        except StorageError as cause:
            _log.warning("catalog.rebuild code=%s", cause.code)
            self._catalog.rebuild(self._results(1), self._documents)

    def _catch_up_usage(self) -> None:
        try:
            self._require_behind(self._usage.height)
            for result in self._results(self._usage.height):
                self._usage.apply(result, self._ledger.block(result.height))
        except StorageError as cause:
            _log.warning("usage.rebuild code=%s", cause.code)
            self._usage.rebuild((result, self._ledger.block(result.height)) for result in self._results(1))

    def _require_behind(self, height: int) -> None:
        head = self._ledger.head().height
        if height > head:
            raise StorageError(f"block {height} is kept and the ledger ends at {head}", code="follower_ahead")
