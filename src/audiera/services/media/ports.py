"""What taking a sound in needs from elsewhere."""

from pathlib import Path
from typing import Protocol

from audiera.audio import Analysis, Limits


class Analyzer(Protocol):
    """Finds out about a file. Synchronous; any thread may call it; it bounds how many files are open at once."""

    def analyze(self, path: Path, limits: Limits) -> Analysis:
        """Everything about one file; MediaError with a code when it cannot be taken in."""
