"""Sound in, numbers out. No network, no ledger; untrusted files are opened in a sandboxed process only."""

from audiera.audio.analysis import Analysis, Guess, Limits, SandboxStatus, Tags
from audiera.audio.decode import decode_float
from audiera.audio.errors import SoundError
from audiera.audio.pool import AnalyzerPool
from audiera.audio.sniff import CONTAINERS, sniff

__all__ = [
    "CONTAINERS",
    "Analysis",
    "AnalyzerPool",
    "Guess",
    "Limits",
    "SandboxStatus",
    "SoundError",
    "Tags",
    "decode_float",
    "sniff",
]
