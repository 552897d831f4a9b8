"""What one vector comes to, whatever its file's format."""

from collections.abc import Callable
from typing import NamedTuple

from audiera.protocol.errors import AudieraError


class UnknownFormat(ValueError):
    """The file is of no format known here."""


class Case(NamedTuple):
    """One vector, run."""

    name: str
    """What its file calls it."""

    expected: bool
    """Whether it must be accepted."""

    accepted: bool
    """Whether our code accepted it."""

    reason: str = ""
    """Why our code refused it."""

    skipped: str = ""
    """Why it was not run; empty when it was."""


def run_case(name: str, check: Callable[[], None], *, expected: bool) -> Case:
    """Run a check that refuses by one of our errors. Any other exception is a defect and ends the run."""
    try:
        check()
    except AudieraError as refusal:
        return Case(name, expected, accepted=False, reason=refusal.message)
    return Case(name, expected, accepted=True)
