"""Engines: what orders the transactions. :func:`open_solo` is the door of the engine for a single operator."""

from collections.abc import Callable
from pathlib import Path

from audiera.protocol.records import Genesis
from audiera.services.ledger.engines.solo import DEFAULT_SETTINGS, SoloLedger, SoloSettings
from audiera.services.ledger.home import LedgerHome
from audiera.services.ledger.ports import Ledger
from audiera.services.storage.blocklog import nothing_after
from audiera.services.storage.files import Entropy

__all__ = ["SoloLedger", "SoloSettings", "open_solo"]


def open_solo(
    folder: Path,
    *,
    genesis: Genesis | None,
    seed: bytes,
    now: Callable[[], int],
    entropy: Entropy,
    settings: SoloSettings = DEFAULT_SETTINGS,
    after: Callable[[str], None] = nothing_after,
) -> Ledger:
    """Open the ledger in a folder, or begin one; blocks that were final but not executed are executed first.

    Args:
        folder: where the ledger is; open in one process at a time.
        genesis: what a new chain begins with; None opens one that is there.
        seed: secret of the only validator's key, 32 bytes.
        now: the clock, microseconds since 1970.
        entropy: source of unguessable bytes.
        settings: how blocks are made.
        after: called with the name of each durable step once it is done; for tests of crashes.

    Raises:
        StorageError: the folder is open in another process.
        LedgerError: the ledger is damaged, belongs to another chain, or the seed is not its validator's.
    """
    home = LedgerHome(folder, genesis=genesis, entropy=entropy, after=after)
    try:
        return SoloLedger(home, seed=seed, now=now, settings=settings, after=after)
    except BaseException:
        home.close()
        raise
