"""``audiera conformance``: run public test vectors through this code."""

from pathlib import Path
from typing import cast

import click

from audiera.cli.errors import FAILED
from audiera.cli.options import JSON
from audiera.cli.output import Output
from audiera.services.conformance.run import KINDS, Kind, run_vectors


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("paths", metavar="PATH...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--verbose", is_flag=True, help="Name every failed case and every reason for skipping.")
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
    rows = ((each.path, each.passed, each.failed, each.skipped) for each in results)
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
    output.table(answer, ("file", "#passed", "#failed", "#skipped"), rows, empty="no files")
    if not is_json:
        for each in results:
            for line in (*each.failures, *each.notes) if verbose else each.failures[:5]:
                output.console.print(f"{each.path}: {line}")
        passed, failed = sum(each.passed for each in results), sum(each.failed for each in results)
        output.console.print(f"\n{passed} passed, {failed} failed in {len(results)} files")
    if any(each.failed for each in results):
        raise SystemExit(FAILED)
