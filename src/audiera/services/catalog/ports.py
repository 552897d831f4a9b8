"""What the rest of a node may ask of the catalog, whichever engine searches."""

from collections.abc import Iterable
from typing import Protocol

from audiera.protocol.api.catalog import Page, SearchRequest, Suggestion
from audiera.protocol.results import BlockResult


class Sheets(Protocol):
    """Where the texts are: private documents that can be erased."""

    def get(self, kind: str, digest: bytes) -> bytes | None:
        """The document with this SHA-256, unless it was never here or was erased."""


class CatalogIndex(Protocol):
    """Follows the ledger and finds things. Every method is synchronous and thread-safe.

    Nothing in it is a truth of its own: it can be dropped and rebuilt from the blocks' results and the sheets.
    """

    @property
    def height(self) -> int:
        """The last block applied; 0 before the first."""

    def apply(self, result: BlockResult, sheets: Sheets) -> None:
        """Take in one block, whole or not at all; a block applied before is skipped.

        A crash may lose the newest ones, which whoever follows the ledger applies again.

        Raises:
            StorageError: blocks are missing in between, or the block applied before was another one.
        """

    def rebuild(self, results: Iterable[BlockResult], sheets: Sheets) -> None:
        """Forget everything and apply the blocks from the first on; interrupted, it goes on with :meth:`apply`."""

    def search(self, request: SearchRequest, *, at: int = 0) -> Page:
        """Find things; total, hits, facets and height are of one moment.

        Args:
            request: what to look for.
            at: the moment the rights are asked about, microseconds; never before the last block's time.

        Raises:
            RequestError: a search that cannot be meant.
        """

    def suggest(self, prefix: str, limit: int = 10) -> tuple[Suggestion, ...]:
        """Titles, artists and tags of available things in which a word begins like this, 1 to 50 of them."""

    def forget(self, digest: bytes) -> None:
        """Remove every word of a sheet at once, from the files too; what it described stays findable by facts."""

    def read_sheet(self, digest: bytes, sheets: Sheets) -> None:
        """Take in a sheet that came after the block that names it."""

    def close(self) -> None:
        """Give the file back."""
