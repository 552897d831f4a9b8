"""Public test vectors run through our own code, so that outsiders can check us with vectors we have never seen."""

from audiera.services.conformance.run import KINDS, FileResult, Kind, run_vectors

__all__ = ["KINDS", "FileResult", "Kind", "run_vectors"]
