"""Who used what and what was paid for it: histories, sums and statements, all of them following from the ledger."""

from pathlib import Path

from audiera.services.usage.ports import MAX_PART, UsageIndex

__all__ = ["MAX_PART", "UsageIndex", "open_usage"]


def open_usage(path: Path) -> UsageIndex:
    """Open the usage index in a file; made when it is not there, and begun anew when an older program wrote it.

    Args:
        path: the file.
    """
    from audiera.services.usage.embedded import EmbeddedUsage

    return EmbeddedUsage(path)
