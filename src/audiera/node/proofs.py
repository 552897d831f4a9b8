"""Finding an access in the log and proving it."""

import threading
from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from audiera.protocol.accesses import Batch, decode_entry, open_batch
from audiera.protocol.accesses.proof import AccessProof, prove
from audiera.protocol.errors import NotFound
from audiera.protocol.transactions import RecordAccesses, decode_transaction
from audiera.services.ledger.ports import Ledger


class _Place(NamedTuple):
    """Where a node's rows from an index on are."""

    first_index: int
    end_index: int
    log_index: int
    height: int


class Proofs:
    """Proves accesses by node and index. Thread-safe; what it knows is read from the ledger again at each start."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._places: dict[int, list[_Place]] = {}
        self._read = 0

    def prove(self, node: int, index: int) -> AccessProof:
        """Prove a node's access by its index among all the node's rows.

        Raises:
            NotFound: no such access is on the ledger, or not yet.
        """
        with self._lock:
            self._catch_up()
            place = self._find(node, index)
        batch = self._batch(place)
        by_time = np.argsort(batch.rows["t"], kind="stable")
        checkpoint = self._ledger.checkpoint()
        size = int(checkpoint.split("\n")[1])
        return prove(
            batch,
            int(by_time[index - place.first_index]),
            entry=self._ledger.log_entry(place.log_index),
            log_index=place.log_index,
            log_path=self._ledger.log_path(place.log_index, size),
            checkpoint=checkpoint,
        )

    def _catch_up(self) -> None:
        size = self._ledger.head().log_size
        for log_index in range(self._read, size):
            entry = decode_entry(self._ledger.log_entry(log_index))
            header = entry.header
            end = header.first_index + header.count
            place = _Place(header.first_index, end, log_index, entry.height)
            self._places.setdefault(header.node, []).append(place)
        self._read = size

    def _find(self, node: int, index: int) -> _Place:
        places = self._places.get(node, [])
        at = bisect_right(places, index, key=lambda place: place.first_index) - 1
        if at < 0 or index >= places[at].end_index:
            raise NotFound(
                f"access {index} of node {node} is not on the ledger; flush its session and ask again",
                code="access_not_found",
                node=node,
                index=index,
            )
        return places[at]

    def _batch(self, place: _Place) -> Batch:
        results = self._ledger.results(place.height).transactions
        position = next(
            at
            for at, result in enumerate(results)
            if result.batch is not None and result.batch.log_index == place.log_index
        )
        data = self._ledger.block(place.height).transactions[position]
        body = decode_transaction(data, len(data)).envelope.body
        if not isinstance(body, RecordAccesses):
            raise NotFound("the block holds no batch at this place", code="access_not_found")
        return open_batch(body.batch, chain_id=self._ledger.genesis.chain_id)
