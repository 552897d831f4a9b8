"""``audiera conformance``: run public test vectors through this code."""

from pathlib import Path
from typing import cast

import click

from audiera.cli.errors import FAILED
from audiera.cli.options import JSON
from audiera.cli.output import Output, counted
from audiera.services.conformance.run import KINDS, Kind, run_vectors

_LISTED = 20
"""More files than this are listed only where something failed or was skipped."""


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("paths", metavar="PATH...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--verbose", is_flag=True, help="Name every file, every failed case and every reason for skipping.")
@JSON
def conformance(kind: str, paths: tuple[Path, ...], verbose: bool, is_json: bool) -> None:
    r"""Run vector files through our own code; exit code 1 when any case fails.

    \b
    merkle   C2SP / RFC 9162 inclusion and consistency proofs
    ed25519  Wycheproof and CCTV signatures
    cose     COSE_Sign1 messages
    """
    output = Output(is_json=is_json)
    results = list(run_vectors(cast(Kind, kind), paths))
    listed = [each for each in results if verbose or each.failed or each.skipped or len(results) <= _LISTED]
    rows = ((each.path, each.passed, each.failed, each.skipped) for each in listed)
    answer = [
        {
            "path": str(each.path),
            "passed": each.passed,
            "failed": each.failed,
            "skipped": each.skipped,
            "failures": each.failures,
        }
        for each in results
    ]
    if listed or is_json:
        output.table(answer, ("file", "#passed", "#failed", "#skipped"), rows, empty="no files")
    for each in results:
        for line in (*each.failures, *each.notes) if verbose else each.failures[:5]:
            output.say(f"{each.path}: {line}")
    passed, failed, skipped = (sum(getattr(each, name) for each in results) for name in ("passed", "failed", "skipped"))
    output.say(f"{passed:,} passed, {failed:,} failed, {skipped:,} skipped in {counted(len(results), 'file')}")
    if any(each.failed for each in results):
        raise SystemExit(FAILED)
