"""Finding what is on the ledger: by words, by facts, and by what may be done with it."""

from collections.abc import Callable
from pathlib import Path

from audiera.services.catalog.ports import CatalogIndex, Sheets

__all__ = ["CatalogIndex", "Sheets", "open_catalog"]


def open_catalog(path: Path, *, stopwatch: Callable[[], int]) -> CatalogIndex:
    """Open the catalog in a file; made when it is not there, and begun anew when an older program wrote it.

    Args:
        path: the file.
        stopwatch: steadily counts microseconds from any origin; only tells how long a search took.
    """
    from audiera.services.catalog.embedded import EmbeddedCatalog

    return EmbeddedCatalog(path, stopwatch=stopwatch)
