"""``audiera upload``: offer files, one or a whole folder with a sheet."""

import contextlib
import csv
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, get_args

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from audiera.cli.errors import FAILED
from audiera.cli.license import PRESET_HELP, preset_options, preset_terms
from audiera.cli.options import as_account, check_place
from audiera.cli.output import Output, counted, make_console
from audiera.cli.plain import plain
from audiera.protocol.errors import Unavailable
from audiera.protocol.records import ContainsAi, DataType, Terms
from audiera.protocol.records.asset import DATA_TYPES
from audiera.sdk.bulk import BulkUpload, Outcome, Plan, Told, counts, find_sounds
from audiera.sdk.client import Client
from audiera.sdk.identity import config_folder
from audiera.sdk.journals import Journal
from audiera.sdk.offers import Preset
from audiera.sdk.sheets import COLUMNS, SheetRow, read_sheet_file

_SHOWN = 20
"""Files named one by one; a report names all of them."""


@click.command(
    epilog=f"{PRESET_HELP}\n\nThe sheet is CSV in UTF-8. Its columns: {', '.join(COLUMNS)}. Only 'file' must be there; "
    "lists are separated by semicolons; splits are such as 12:7000;15:3000, account and basis points."
)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--metadata",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A sheet that names the files and describes them.",
)
@click.option("--license", "license_", type=int, help="A license you published.")
@preset_options("Or ready-made terms, published now; see below.")
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
    terms = _terms(license_, preset_name, price, revenue_share)
    check_place(report)
    sheet = read_sheet_file(metadata) if metadata is not None else None
    folder, files = _files(path, sheet)
    if license_ is None and terms is None and (sheet is None or not all(sheet[name].license for name in files)):
        raise click.UsageError("say under which terms: --license NUMBER, --preset NAME, or a license in every row")
    for number in sorted({license_ or 0, *(row.license for row in (sheet or {}).values())} - {0}):
        client.license(number)  # refused now rather than after the last byte
    with contextlib.closing(Journal(_journal_path(client, folder))) as journal:
        number = _publish(client, journal, terms) if terms is not None else license_ or 0
        with _Shown(output, files) as shown:
            work = BulkUpload(
                client,
                files,
                Plan(license=number, contains_ai=contains_ai, data_type=data_type),
                sheet=sheet,
                journal=journal,
                workers=workers,
                tell=shown.tell,
            )
            try:
                outcomes = work.run()
            except (Unavailable, KeyboardInterrupt):
                output.hint("what was done is kept: the same command goes on with it")
                raise
    if report is not None:
        _write_report(report, outcomes)
    _conclude(output, outcomes, number, report)


def _terms(license_: int | None, preset_name: Preset | None, price: int, revenue_share: int) -> Terms | None:
    """The ready-made terms that were asked for."""
    if license_ is not None and preset_name is not None:
        raise click.UsageError("give either --license or --preset")
    if preset_name is not None:
        return preset_terms(preset_name, price, revenue_share)
    if price or revenue_share:
        raise click.UsageError("--price and --revenue-share belong to --preset commercial")
    return None


def _files(path: Path, sheet: dict[str, SheetRow] | None) -> tuple[Path, dict[str, Path]]:
    """The folder, and the files of it that are meant."""
    if path.is_dir():
        return path, find_sounds(path, sheet)
    if sheet is not None and path.name not in sheet:
        raise click.UsageError(f"the sheet says nothing of {path.name}")
    return path.parent, {path.name: path}


def _journal_path(client: Client, folder: Path) -> Path:
    """Where what was done is kept: beside the music, or with the identities when that folder cannot be written to."""
    name = f"{client.node().genesis[:4].hex()}-{client.account}"
    if os.access(folder, os.W_OK):
        return folder / f".audiera-upload-{name}.jsonl"
    kept = config_folder() / "uploads"
    kept.mkdir(parents=True, exist_ok=True)
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return kept / f"{place}-{name}.jsonl"


def _publish(client: Client, journal: Journal, terms: Terms) -> int:
    """The license with these terms: the one published when the upload was begun, if it is unchanged."""
    known = journal.license_of(terms)
    if known and client.license(known).license.terms == terms:
        return known
    number = client.publish_license(terms)
    journal.write_license(terms, number)
    return number


class _Shown:
    """Progress on the terminal: bytes of the whole, and a line for each of the first files that failed."""

    def __init__(self, output: Output, files: Mapping[str, Path]) -> None:
        self._sizes = {name: _size(path) for name, path in files.items()}
        self._sent: dict[str, int] = {}
        self._done = self._failed = 0
        self._is_quiet = output.is_json
        console = make_console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console, disable=output.is_json or not console.is_terminal)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        self._task = self._progress.add_task(self._title(), total=sum(self._sizes.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _title(self) -> str:
        return f"{self._done} of {counted(len(self._sizes), 'file')}"

    def tell(self, told: Told) -> None:
        """Show what happened to a file."""
        self._sent[told.file] = told.sent
        if told.outcome is not None:
            self._done += 1
            if told.outcome.status == "failed":
                self._failed += 1
                self._tell_failure(told.outcome)
        if self._task is not None:
            self._progress.update(self._task, description=self._title(), completed=sum(self._sent.values()))

    def _tell_failure(self, outcome: Outcome) -> None:
        if self._is_quiet or self._failed > _SHOWN:
            return
        line = f"{outcome.file}: {outcome.message} ({outcome.code})"
        self._progress.console.print(plain(line), style="red", soft_wrap=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Outcome._fields)
        writer.writerows((*outcome[:-1], "; ".join(outcome.warnings)) for outcome in outcomes)


def _conclude(output: Output, outcomes: Sequence[Outcome], license_: int, report: Path | None) -> None:
    summary: dict[str, int] = {str(status): count for status, count in counts(outcomes)}
    answer = {"files": [outcome._asdict() for outcome in outcomes], "license": license_, **summary}
    good = [outcome for outcome in outcomes if outcome.status != "failed"]
    rows = ((outcome.asset, outcome.file, _note(outcome)) for outcome in good[:_SHOWN])
    output.table(answer, ("#asset", "file", "note"), rows, empty="nothing was taken in")
    if len(good) > _SHOWN:
        output.say(f"... and {len(good) - _SHOWN:,} more", style="dim")
    said = [
        f"{summary['registered']:,} registered"
        + (f" under license {license_}" if license_ and summary["registered"] else "")
    ]
    said += [f"{summary['already']:,} registered before"] if summary["already"] else []
    said += [f"{summary['failed']:,} failed ({_reasons(outcomes)})"] if summary["failed"] else []
    output.say(", ".join(said))
    if summary["failed"] > _SHOWN and report is None:
        output.hint("run it again with --report FILE to have every file with its reason; nothing is registered twice")
    if summary["failed"]:
        raise SystemExit(FAILED)
    if good:
        output.hint(f"see one with: audiera show {good[0].asset}")


def _note(outcome: Outcome) -> str:
    before = "registered before" if outcome.status == "already" else ""
    return "; ".join(filter(None, (outcome.message or before, *outcome.warnings)))


def _reasons(outcomes: Sequence[Outcome]) -> str:
    """How many files failed for which reason, most first."""
    found = Counter(outcome.code for outcome in outcomes if outcome.status == "failed")
    return ", ".join(f"{count:,} {code}" for code, count in found.most_common())
