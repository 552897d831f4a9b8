"""How the command line says what went wrong: in words, or as JSON; the exit code says it too."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
import msgspec

from audiera.cli.plain import plain
from audiera.protocol.errors import AudieraError

FAILED = 1
"""Exit code when something was refused or went wrong; 2 is for a command that was typed wrongly."""


@contextmanager
def report_errors(*, is_json: bool) -> Iterator[None]:
    """Turn an error into a sentence, or one JSON document, on stderr, and into an exit code.

    Args:
        is_json: whether a program reads it.
    """
    try:
        yield
    except AudieraError as error:
        _report(is_json, error.code, error.message, error.values)
        sys.exit(FAILED)
    except click.ClickException as error:
        if is_json:
            _report(is_json, "usage", error.format_message(), {})
        else:
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _report(is_json, "stopped", "stopped before it was done", {})
        sys.exit(FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _report(is_json, "file_failed", f"{where}{error.strerror or error}", {})
        sys.exit(FAILED)


def _report(is_json: bool, code: str, message: str, values: Mapping[str, object]) -> None:
    if is_json:
        problem = {"code": code, "message": message, "values": values}
        click.echo(msgspec.json.encode({"error": problem}, enc_hook=str).decode(), err=True)
        return
    click.secho(f"error: {plain(message)}", fg="red", err=True)
    click.echo(f"       ({code})", err=True)
