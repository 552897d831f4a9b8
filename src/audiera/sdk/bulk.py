"""Many files at once: uploaded side by side, registered in groups, resumable, each with its own outcome."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from audiera.protocol.errors import AudieraError, Conflict, RequestError
from audiera.protocol.records import ContainsAi, DataType
from audiera.sdk.journals import Entry, Journal
from audiera.sdk.offering import Offering
from audiera.sdk.offers import Registration, Uploaded, sheet_of
from audiera.sdk.sheets import SheetRow

SOUNDS: Final = frozenset((".wav", ".wave", ".aif", ".aiff", ".aifc", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a"))
"""Endings of files a folder is searched for; what a file really is, the node finds out itself."""

_GROUP: Final = 64
"""Files registered under one commitment."""

_UNREACHABLE: Final = "node_unreachable"
_GONE: Final = "blob_not_found"
"""Code of a registration whose bytes the node does not have, or has no longer."""

Status = Literal["registered", "already", "failed"]


class Outcome(NamedTuple):
    """What became of one file."""

    file: str
    """Its path below the folder."""

    status: Status
    """``registered`` now, ``already`` registered, or ``failed``."""

    asset: int = 0
    """Its ledger number."""

    code: str = ""
    """Stable code of why it failed."""

    message: str = ""
    """Why it failed, or what else is to be said of it."""

    warnings: tuple[str, ...] = ()
    """What was odd about it."""


class Told(NamedTuple):
    """How far a bulk upload is."""

    file: str
    """The file something happened to."""

    sent: int
    """Bytes of it sent so far."""

    size: int
    """Its length."""

    outcome: Outcome | None = None
    """What became of it, at its end."""


class Plan(NamedTuple):
    """What is the same for all files unless the sheet says otherwise."""

    license: int
    """License to offer them under."""

    contains_ai: ContainsAi = "undeclared"
    """How much of them a machine made."""

    data_type: DataType | None = None
    """What they are; what the node guesses when None."""


class _Ready(NamedTuple):
    """A file the node has taken in."""

    entry: Entry
    uploaded: Uploaded


class _Twin(NamedTuple):
    """A file with exactly the bytes of another one of the same upload."""

    entry: Entry
    first: str
    """The other one; it is registered, this one is not."""


def find_sounds(folder: Path, sheet: Mapping[str, SheetRow] | None = None) -> dict[str, Path]:
    """The files to upload, by their path below the folder: those of the sheet, or every sound in the folder.

    Raises:
        RequestError: the sheet names files that are not there, or nothing is found.
    """
    if sheet is not None:
        missing = [name for name in sheet if not (folder / name).is_file()]
        if missing:
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise RequestError(
                f"the sheet names files that are not in {folder}, so nothing was uploaded: {shown}",
                code="sheet_invalid",
                missing=tuple(missing),
            )
        return {name: folder / name for name in sheet}
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SOUNDS and path.is_file() and not path.name.startswith(".")
    }
    if not files:
        raise RequestError(
            f"there is no sound in {folder}; known endings are {', '.join(sorted(SOUNDS))}", code="empty"
        )
    return files


class BulkUpload:
    """One bulk upload.

    Args:
        client: whose account.
        files: path below the folder -> file.
        plan: what is the same for all.
        sheet: what is said of single files.
        journal: what was done before.
        workers: files sent at a time.
        tell: told what happens, from any thread, one call at a time.
    """

    def __init__(
        self,
        client: Offering,
        files: Mapping[str, Path],
        plan: Plan,
        *,
        sheet: Mapping[str, SheetRow] | None = None,
        journal: Journal,
        workers: int = 4,
        tell: Callable[[Told], None] | None = None,
    ) -> None:
        self._client = client
        self._files = files
        self._plan = plan
        self._sheet = sheet or {}
        self._journal = journal
        self._workers = workers
        self._tell = tell or (lambda _: None)
        self._lock = threading.Lock()
        self._is_ended = threading.Event()
        self._first: dict[str, str] = {}  # blob -> the file that brings it

    def run(self) -> list[Outcome]:
        """Upload and register everything; what fails is told and leaves the others alone.

        Interrupted, it can be run again with the same journal: nothing is registered twice.

        Raises:
            Unavailable: the node cannot be reached; what was done until then is kept.
        """
        outcomes: list[Outcome] = []
        waiting: list[_Ready] = []
        twins: list[_Twin] = []
        with ThreadPoolExecutor(self._workers, thread_name_prefix="upload") as pool:
            jobs = [pool.submit(self._bring, name) for name in self._files]
            try:
                for job in as_completed(jobs):
                    found = job.result()
                    if isinstance(found, Outcome):
                        outcomes.append(self._end(found))
                        continue
                    if isinstance(found, _Twin):
                        twins.append(found)
                        continue
                    waiting.append(found)
                    if len(waiting) >= _GROUP:
                        outcomes += self._register(waiting)
                        waiting = []
            except BaseException:
                self._is_ended.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        outcomes += self._register(waiting)
        became = {outcome.file: outcome for outcome in outcomes}
        outcomes += [self._end(self._join(twin, became[twin.first])) for twin in twins]
        order = {name: place for place, name in enumerate(self._files)}
        return sorted(outcomes, key=lambda outcome: order[outcome.file])

    def _bring(self, name: str) -> _Ready | _Twin | Outcome:
        """Bring one file to the node, unless it is there."""
        path = self._files[name]
        try:
            with self._lock:
                entry = self._journal.find(name, path)
            if entry.asset:
                return Outcome(name, "already", entry.asset)
            if entry.report is None:
                entry = self._send(name, path, entry)
            if entry.report is None:
                raise RequestError(f"{name} was not taken in", code="upload_incomplete")
            return self._sort_out(entry, Uploaded(entry.report, path))
        except AudieraError as error:
            if error.code == _UNREACHABLE:
                raise
            return _failed(name, error)
        except OSError as error:
            return _failed(name, error)

    def _send(self, name: str, path: Path, entry: Entry) -> Entry:
        def begun(upload: str) -> None:
            if upload != entry.upload:
                self._write(replace(entry, upload=upload))

        def progress(sent: int, size: int) -> None:
            if self._is_ended.is_set():
                raise Conflict("the upload was stopped", code="stopped")
            self._say(Told(name, sent, size))

        uploaded = self._client.uploads.send(path, resume=entry.upload, begun=begun, progress=progress)
        return self._write(replace(entry, upload="", report=replace(uploaded.report, waveform=None)))

    def _sort_out(self, entry: Entry, uploaded: Uploaded) -> _Ready | _Twin | Outcome:
        """Whether these bytes are registered already, by this account or by another, or come from another file too."""
        with self._lock:
            first = self._first.setdefault(uploaded.report.blob, entry.file)
        if first != entry.file:
            return _Twin(entry, first)
        try:
            known = self._client.asset(uploaded.report.blob).asset
        except AudieraError as error:
            if error.code != "asset_not_found":
                raise
            return _Ready(entry, uploaded)
        if known.holder == self._client.account:
            self._write(replace(entry, asset=known.number))
            return Outcome(entry.file, "already", known.number)
        return Outcome(
            entry.file,
            "failed",
            code="duplicate",
            message=f"exactly these bytes are registered as asset {known.number} of account {known.holder}; if they "
            f"are yours, open a dispute: audiera asset dispute {known.number} --evidence FILE",
        )

    def _register(self, ready: Sequence[_Ready]) -> list[Outcome]:
        """Register files under one commitment; where one is refused, the rest are committed to again without it."""
        outcomes: list[Outcome] = []
        left = list(ready)
        while left:
            entries = [self._registration(one) for one in left]
            done = 0
            try:
                for number in self._client.register_each(entries):
                    one = left[done]
                    self._write(replace(one.entry, asset=number))
                    outcome = Outcome(one.entry.file, "registered", number, warnings=one.uploaded.report.warnings)
                    outcomes.append(self._end(outcome))
                    done += 1
                return outcomes
            except AudieraError as error:
                if error.code == _UNREACHABLE:
                    raise
                if error.code == _GONE:  # it waited too long to be registered: the next run sends it again
                    self._write(replace(left[done].entry, report=None))
                outcomes.append(self._end(_failed(left[done].entry.file, error)))
                left = left[done + 1 :]
        return outcomes

    def _join(self, twin: _Twin, first: Outcome) -> Outcome:
        """What becomes of a file whose bytes another one brought."""
        file, same = twin.entry.file, f"exactly the bytes of {twin.first}"
        if not first.asset:
            return Outcome(file, "failed", code=first.code, message=f"{same}, which failed: {first.message}")
        self._write(replace(twin.entry, asset=first.asset))
        return Outcome(file, "already", first.asset, message=same)

    def _registration(self, one: _Ready) -> Registration:
        row = self._sheet.get(one.entry.file, SheetRow({}))
        return Registration(
            uploaded=one.uploaded,
            license=row.license or self._plan.license,
            sheet=sheet_of(one.uploaded, **row.words),
            data_type=row.data_type or self._plan.data_type,
            splits=row.splits,
            contains_ai=row.contains_ai or self._plan.contains_ai,
            identifiers=row.identifiers,
        )

    def _write(self, entry: Entry) -> Entry:
        with self._lock:
            return self._journal.write(entry)

    def _say(self, told: Told) -> None:
        with self._lock:
            self._tell(told)

    def _end(self, outcome: Outcome) -> Outcome:
        try:
            size = self._files[outcome.file].stat().st_size
        except OSError:  # it is gone
            size = 0
        self._say(Told(outcome.file, size, size, outcome))
        return outcome


def _failed(name: str, error: Exception) -> Outcome:
    if isinstance(error, AudieraError):
        return Outcome(name, "failed", code=error.code, message=error.message)
    return Outcome(name, "failed", code="unreadable", message=f"the file cannot be read: {error}")


def counts(outcomes: Sequence[Outcome]) -> Iterator[tuple[Status, int]]:
    """How many files came to what."""
    for status in ("registered", "already", "failed"):
        yield status, sum(outcome.status == status for outcome in outcomes)
