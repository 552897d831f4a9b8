"""How the command line says what went wrong: in words, or as JSON; the exit code says it too."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec

from audiera.protocol.errors import AudieraError

FAILED = 1
"""Exit code when something was refused or went wrong; 2 is for a command that was typed wrongly."""


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn an error into a sentence on stderr and exit code 1."""
    try:
        yield
    except AudieraError as error:
        if "--json" in sys.argv:
            problem = {"code": error.code, "message": error.message, "values": error.values}
            click.echo(msgspec.json.encode({"error": problem}, enc_hook=str).decode(), err=True)
        else:
            click.secho(f"error: {error.message}", fg="red", err=True)
            click.echo(f"       ({error.code})", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has enough of it; that is no fault
        sys.exit(0)
