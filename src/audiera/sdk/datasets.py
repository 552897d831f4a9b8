"""From a search to decoded sound: select, license, iterate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audiera.protocol.api.catalog import Hit
from audiera.protocol.errors import NotFound
from audiera.protocol.records import Certificate, Grant
from audiera.protocol.transactions import IssueGrant
from audiera.sdk.money import Amount, parse_credits

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from audiera.protocol.accesses.receipts import Receipt
    from audiera.sdk.client import Client


@dataclass(frozen=True)
class Clip:
    """One delivered piece of sound."""

    asset: int
    """Ledger number of the asset."""

    data: bytes
    """Its bytes as delivered."""

    receipt: "Receipt"
    """The node's signed word that this access is on the ledger, verified."""

    def samples(self, *, rate: int | None = None, mono: bool = False) -> "tuple[npt.NDArray[np.float32], int]":
        """The decoded sound: float32 (channels, samples) and its rate in hertz."""
        from audiera.audio.decode import decode_float

        return decode_float(self.data, rate=rate, mono=mono)


class Selection:
    """What a search found: an ordered list of assets, and what is to be done with them.

    Args:
        client: at whose node.
        hits: what was found.
        purpose: what for.
        commercial: whether for commercial use.
    """

    def __init__(self, client: "Client", hits: Sequence[Hit], *, purpose: str, commercial: bool = False) -> None:
        self._client = client
        self.hits = tuple(hits)
        self.purpose = purpose
        self.commercial = commercial

    def __len__(self) -> int:
        """How many assets."""
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        """The assets found, in the search's order."""
        return iter(self.hits)

    @property
    def assets(self) -> tuple[int, ...]:
        """Their ledger numbers, ascending."""
        return tuple(sorted({hit.number for hit in self.hits}))

    def license(self, *, budget: Amount = 0, max_price: Amount = 0) -> "Dataset":
        """Get a grant for all of them.

        Args:
            budget: credits to set aside for uses with a price, such as ``"20.00"``.
            max_price: most credits to pay at once for flat prices.

        Raises:
            NotFound: nothing was selected.
            AccessRefused: a license refuses; ``values["reasons"]`` says why.
            RequestError: an amount is none.
        """
        if not self.hits:
            raise NotFound("nothing was found, so there is nothing to license; search for something else")
        grant = self._client.grant(
            IssueGrant(
                purpose=self.purpose,  # type: ignore[arg-type]  # the ledger checks it
                assets=self.assets,
                commercial=self.commercial,
                budget=parse_credits(budget),
                max_price=parse_credits(max_price),
            )
        )
        return Dataset(self._client, grant, self.assets)


@dataclass
class Dataset:
    """Assets under one grant, ready to stream. Iterating opens every one once; each is a recorded access."""

    client: "Client"
    """At whose node."""

    grant: Grant
    """What allows it."""

    assets: tuple[int, ...]
    """Ledger numbers, in the order they are streamed."""

    run: int = 0
    """Training run the accesses belong to; 0 for none."""

    receipts: "list[Receipt]" = field(default_factory=list)
    """Receipts of everything streamed so far."""

    def open_run(self) -> "Dataset":
        """The same assets within a training run, which :meth:`close_run` turns into a certificate."""
        return Dataset(self.client, self.grant, self.assets, self.client.open_run([self.grant.number]), self.receipts)

    def __len__(self) -> int:
        """How many assets."""
        return len(self.assets)

    def __iter__(self) -> Iterator[Clip]:
        """Stream every asset once, in order."""
        return self.stream()

    def stream(
        self, order: Sequence[int] | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Clip]:
        """Stream assets in an order.

        Args:
            order: ledger numbers; all once when None.
            progress: told (assets delivered so far, assets in all) before each is given.
        """
        wanted = self.assets if order is None else tuple(order)
        with self.client.open_stream(self.grant, run=self.run) as session:
            for done, asset in enumerate(wanted, start=1):
                delivered = session.fetch(asset)
                self.receipts.append(delivered.receipt)
                if progress is not None:
                    progress(done, len(wanted))
                yield Clip(asset, delivered.data, delivered.receipt)

    def close_run(self) -> Certificate:
        """End the run; what comes back is the ledger's account of what it streamed."""
        return self.client.close_run(self.run)
