"""Bytes out: authorized, recorded durably, and only then read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from audiera.protocol.accesses.rows import MAX_ROW_BYTES, OP_RANGE, OP_WHOLE
from audiera.protocol.errors import NotFound, RequestError, StorageError
from audiera.protocol.records import Asset
from audiera.protocol.rights import Decision
from audiera.services.access.gate import Ask, Gate, Session, preview_row, refuse
from audiera.services.access.meter import Meter, Recorded, RowFields
from audiera.services.access.refusals import Refusals
from audiera.services.ledger.ports import Ledger
from audiera.services.storage.ports import BlobReader, BlobStore

PIECE_BYTES = 256 * 1024


@dataclass
class Delivery:
    """Bytes that may leave: their access is recorded."""

    recorded: Recorded
    """The durable row."""

    asset: Asset
    """What is delivered."""

    start: int
    """First byte."""

    length: int
    """How many."""

    reader: BlobReader
    """Where they come from; closed by whoever delivers."""

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in pieces; the reader is closed at the end."""
        try:
            at, end = self.start, self.start + self.length
            while at < end:
                piece = self.reader.read(at, min(PIECE_BYTES, end - at))
                if not piece:
                    raise StorageError(f"the blob of asset {self.asset.number} ends at byte {at}, not at {end}")
                at += len(piece)
                yield piece
        finally:
            self.reader.close()


class Stream:
    """Opens deliveries.

    Args:
        gate: decides.
        meter: records.
        refusals: records what was refused.
        blobs: holds the bytes.
        ledger: says which blob an asset is.
    """

    def __init__(self, gate: Gate, meter: Meter, refusals: Refusals, blobs: BlobStore, ledger: Ledger) -> None:
        self._gate = gate
        self._meter = meter
        self._refusals = refusals
        self._blobs = blobs
        self._ledger = ledger

    async def open(
        self, session: Session, number: int, start: int = 0, length: int | None = None, *, request: str = ""
    ) -> Delivery:
        """Authorize and record an access; what comes back may be sent.

        Args:
            session: the open session.
            number: ledger number of the asset.
            start: first byte.
            length: how many; None for all from ``start``.
            request: the caller's name for this access; the same bytes asked for by the same name are the same access,
                as long as session, grant and asset stand.

        Raises:
            AccessRefused: the decision was no; the refusal is recorded.
            NotFound: no such asset, or its bytes are not at this node.
            RequestError: the range is not inside the asset.
            StorageError: what is stored is not what the ledger says of the asset.
            Unavailable: accesses cannot be recorded now.
        """
        asset = self._ledger.state().asset(number)
        if asset is None:
            raise NotFound(f"there is no asset {number}", code="unknown_object")
        ask = _ask(asset, start, length)
        reader = self._blobs.open(asset.content.blob)
        try:
            if reader.size != asset.content.size:
                raise StorageError(
                    f"asset {number} has {asset.content.size} bytes on the ledger, {reader.size} are stored",
                    code="blob_differs",
                )
            # The name holds what was asked for, so that no name ever releases bytes its row does not stand for.
            name = f"{request}/{number}/{start}/{ask.bytes}" if request else ""
            recorded = await self._record(session, ask, name)
        except BaseException:
            reader.close()
            raise
        return Delivery(recorded, asset, start, ask.bytes, reader)

    async def _record(self, session: Session, ask: Ask, name: str) -> Recorded:
        known = await self._meter.known(session.number, name) if name else None
        if known is not None:
            decision = self._gate.repeat(session, ask)
            if decision.allowed:
                return known
            await self._refuse(session, ask, decision)
        answer = self._gate.authorize(session, ask)
        if isinstance(answer, Decision):
            await self._refuse(session, ask, answer)
        return await self._meter.record(answer.fields, request=name)

    async def _refuse(self, session: Session, ask: Ask, decision: Decision) -> NoReturn:
        await self._refusals.record(self._gate.row(session, ask, 0), decision.reasons)
        raise refuse(decision)

    async def preview(self, number: int, size: int) -> Recorded:
        """Record a visitor's preview of ``size`` bytes; only then may it be sent.

        Raises:
            AccessRefused: the license does not simply allow previews; the refusal is recorded.
        """
        decision, asset = self._gate.decide_preview(number)
        if asset is None:
            raise NotFound(f"there is no asset {number}", code="unknown_object")
        duration = min(asset.content.technical.duration_ms, 30_000)
        license_ = self._ledger.state().license(asset.license)
        fields: RowFields = preview_row(asset, size, duration, license_.revision if license_ is not None else 0)
        if not decision.allowed:
            await self._refusals.record(fields, decision.reasons)
            raise refuse(decision)
        return await self._meter.record(fields)


def _ask(asset: Asset, start: int, length: int | None) -> Ask:
    size = asset.content.size
    if not 0 <= start < size:
        raise RequestError(f"the asset has {size} bytes, byte {start} is asked for", code="range_invalid", size=size)
    wanted = min(length if length is not None else size - start, size - start)
    if not 1 <= wanted < MAX_ROW_BYTES:
        raise RequestError(
            f"1 to {MAX_ROW_BYTES - 1} bytes can be asked for at a time, got {wanted}", code="range_invalid", size=size
        )
    duration = asset.content.technical.duration_ms
    if wanted == size:
        return Ask(asset.number, OP_WHOLE, wanted, duration)
    return Ask(asset.number, OP_RANGE, wanted, -(-duration * wanted // size))
