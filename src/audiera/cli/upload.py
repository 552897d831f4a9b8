"""``audiera upload``: offer files, one or a whole folder with a sheet."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Self, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from audiera.cli.errors import FAILED
from audiera.cli.license import PRESETS
from audiera.cli.options import CREDITS, as_account
from audiera.cli.output import Output
from audiera.protocol.records import ContainsAi, DataType
from audiera.protocol.records.asset import DATA_TYPES
from audiera.sdk import Client, preset
from audiera.sdk.bulk import BulkUpload, Outcome, Plan, Told, counts, find_sounds
from audiera.sdk.journals import Journal
from audiera.sdk.offers import Preset
from audiera.sdk.sheets import COLUMNS, SheetRow, read_sheet_file

JOURNAL = ".audiera-upload-{genesis}-{account}.jsonl"


@click.command(epilog=f"The sheet is CSV in UTF-8; its columns: {', '.join(COLUMNS)}. Only 'file' must be there.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--metadata",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A sheet that names the files and describes them.",
)
@click.option("--license", "license_", type=int, help="A license you published.")
@click.option("--preset", "preset_name", type=click.Choice(PRESETS), help="Or ready-made terms, published now.")
@click.option("--price", type=CREDITS, default="0", help="Credits for each access, with the preset commercial.")
@click.option("--revenue-share", type=click.IntRange(0, 10_000), default=0, help="Basis points of a model's revenue.")
@click.option("--type", "data_type", type=click.Choice(DATA_TYPES), help="What they are; guessed when not given.")
@click.option(
    "--contains-ai",
    type=click.Choice(get_args(ContainsAi)),
    default="undeclared",
    show_default=True,
    help="How much of them a machine made.",
)
@click.option("--workers", type=click.IntRange(1, 32), default=4, show_default=True, help="Files sent at a time.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write what became of each file as CSV."
)
@as_account
def upload(
    client: Client,
    output: Output,
    path: Path,
    metadata: Path | None,
    license_: int | None,
    preset_name: Preset | None,
    price: int,
    revenue_share: int,
    data_type: DataType | None,
    contains_ai: ContainsAi,
    workers: int,
    report: Path | None,
) -> None:
    """Upload a file or a folder and offer it under a license.

    Interrupted, the same command goes on where it stood. Files that cannot be taken in are told with the reason and
    leave the others alone; then the exit code is 1.
    """
    sheet = read_sheet_file(metadata) if metadata is not None else None
    folder = path if path.is_dir() else path.parent
    files = find_sounds(folder, sheet) if path.is_dir() else {path.name: path}
    number = _license(client, license_, preset_name, price, revenue_share, sheet)
    journal = Journal(folder / JOURNAL.format(genesis=client.node().genesis[:4].hex(), account=client.account))
    try:
        with _Shown(output, files) as shown:
            outcomes = BulkUpload(
                client,
                files,
                Plan(license=number, contains_ai=contains_ai, data_type=data_type),
                sheet=sheet,
                journal=journal,
                workers=workers,
                tell=shown.tell,
            ).run()
    finally:
        journal.close()
    if report is not None:
        _write_report(report, outcomes)
    _conclude(output, outcomes)


def _license(
    client: Client,
    license_: int | None,
    preset_name: Preset | None,
    price: int,
    revenue_share: int,
    sheet: dict[str, SheetRow] | None,
) -> int:
    """The license for what the sheet gives none."""
    if license_ is not None and preset_name is not None:
        raise click.UsageError("give either --license or --preset")
    if license_ is not None:
        client.license(license_)
        return license_
    if preset_name is not None:
        return client.publish_license(preset(preset_name, price=price, revenue_share=revenue_share))
    if sheet is None or not all(row.license for row in sheet.values()):
        raise click.UsageError("say under which terms: --license NUMBER, --preset NAME, or a license in every row")
    return 0


class _Shown:
    """Progress on the terminal: bytes of the whole, and a line for each file that failed."""

    def __init__(self, output: Output, files: dict[str, Path]) -> None:
        self._sizes = {name: path.stat().st_size for name, path in files.items()}
        self._sent: dict[str, int] = {}
        self._done = 0
        self._is_quiet = output.is_json
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(
            *columns, console=Console(stderr=True, highlight=False, emoji=False, markup=False), disable=output.is_json
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task(self._title(), total=sum(self._sizes.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _title(self) -> str:
        return f"{self._done} of {len(self._sizes)} files"

    def tell(self, told: Told) -> None:
        """Show what happened to a file."""
        self._sent[told.file] = told.sent
        if told.outcome is not None:
            self._done += 1
            if told.outcome.status == "failed" and not self._is_quiet:
                self._progress.console.print(f"{told.file}: {told.outcome.message} ({told.outcome.code})", style="red")
        if self._task is not None:
            self._progress.update(self._task, description=self._title(), completed=sum(self._sent.values()))


def _write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Outcome._fields)
        writer.writerows((*outcome[:-1], "; ".join(outcome.warnings)) for outcome in outcomes)


def _conclude(output: Output, outcomes: Sequence[Outcome]) -> None:
    summary: dict[str, int] = {str(status): count for status, count in counts(outcomes)}
    if output.is_json:
        output.give({"files": [outcome._asdict() for outcome in outcomes], **summary})
    else:
        for outcome in outcomes[:20]:
            if outcome.status != "failed":
                note = "  (" + "; ".join(outcome.warnings) + ")" if outcome.warnings else ""
                output.console.print(f"asset {outcome.asset}  {outcome.file}{note}")
        if len(outcomes) > 20:
            output.console.print(f"... {len(outcomes)} files in all", style="dim")
        output.console.print(", ".join(f"{count} {status}" for status, count in summary.items()))
    if summary["failed"]:
        raise SystemExit(FAILED)
