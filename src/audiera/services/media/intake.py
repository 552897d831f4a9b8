"""The way of a sound into the node: read, hash, look at it in a sandbox, describe, store; then confirm.

Nothing of an upload that is refused stays. What is stored is durable before anybody is told, and what was found out
is kept, so that a registration can be held against it.
"""

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from audiera.audio import Analysis, Limits
from audiera.protocol.api.uploads import Tags, UploadReport, Waveform
from audiera.protocol.errors import Conflict, MediaError, NotFound, RecordError
from audiera.protocol.ids import format_blob_id
from audiera.protocol.records import Content, Estimate, Technical
from audiera.protocol.records.asset import DATA_TYPES, DataType
from audiera.protocol.state import StateView
from audiera.services.media.drafts import Draft, Drafts
from audiera.services.media.ports import Analyzer
from audiera.services.media.spool import Spool
from audiera.services.storage.ports import BlobInfo, BlobStore

DECLARED = "declared"
"""Method of an estimate that the uploader states instead of a program."""

_PIECE_BYTES = 1_048_576


class Intake:
    """Takes uploads in and confirms registrations. Thread-safe.

    Args:
        blobs: where sounds are stored.
        spool: where uploads wait.
        drafts: what was found out.
        analyzer: looks at files in a sandbox.
        limits: how much a file may ask for.
        state: gives the committed state.
        now: the clock, microseconds since 1970.
    """

    def __init__(
        self,
        *,
        blobs: BlobStore,
        spool: Spool,
        drafts: Drafts,
        analyzer: Analyzer,
        limits: Limits,
        state: Callable[[], StateView],
        now: Callable[[], int],
    ) -> None:
        self._blobs = blobs
        self._spool = spool
        self._drafts = drafts
        self._analyzer = analyzer
        self._limits = limits
        self._state = state
        self._now = now

    # ------------------------------------------------------------------ taking in

    def take_in(self, upload: str) -> UploadReport:
        """Take a whole upload in; asked again for the same upload, the report is the same.

        1. All bytes are here, and on the disk.
        2. A sandboxed process decodes them and measures.
        3. The blob and its preview are stored, encrypted and durable.
        4. What was found out is kept; the spooled bytes go.

        Raises:
            NotFound: there is no such upload.
            Conflict: it is not whole, or another request holds it.
            MediaError: it is no sound that can be taken in; nothing of it is left.
            StorageError: the disk did not take it; the upload is still there.
        """
        taken = self._drafts.taken(upload)
        if taken is not None:
            return self._report(self._require_draft(taken[1]))
        ticket = self._spool.ticket(upload)
        with self._spool.hold(upload) as path:
            if path.stat().st_size != ticket.length:
                raise Conflict(
                    f"{path.stat().st_size} of {ticket.length} bytes are here; send the rest first",
                    code="upload_incomplete",
                )
            analysis = self._look(upload, path)
            draft = Draft(
                info=self._store(path),
                analysis=replace(analysis, preview=b""),
                preview=self._store_preview(analysis.preview),
                at=self._now(),
            )
            self._drafts.keep(upload, ticket.owner, draft)
            self._spool.delete(upload)
        return self._report(draft)

    def progress(self, upload: str) -> tuple[int, int]:
        """How many bytes of an upload are here, and how many it has; all of them once it was taken in.

        Raises:
            NotFound: there is no such upload.
        """
        taken = self._drafts.taken(upload)
        if taken is not None:
            size = self._require_draft(taken[1]).info.size
            return size, size
        return self._spool.offset(upload), self._spool.ticket(upload).length

    def owner(self, upload: str) -> int:
        """The account that made an upload, finished or not.

        Raises:
            NotFound: there is no such upload.
        """
        taken = self._drafts.taken(upload)
        return self._spool.ticket(upload).owner if taken is None else taken[0]

    def _look(self, upload: str, path: Path) -> Analysis:
        try:
            return self._analyzer.analyze(path, self._limits)
        except MediaError:
            self._spool.delete(upload)
            raise

    def _store(self, path: Path) -> BlobInfo:
        writer = self._blobs.begin()
        try:
            with path.open("rb", buffering=0) as file:
                while piece := file.read(_PIECE_BYTES):
                    writer.write(piece)
            return writer.finish()
        except BaseException:
            writer.abort()
            raise

    def _store_preview(self, preview: bytes) -> bytes:
        if not preview:
            return b""
        writer = self._blobs.begin()
        writer.write(preview)
        return writer.finish().id

    def _require_draft(self, blob: bytes) -> Draft:
        draft = self._drafts.find(blob)
        if draft is None:
            raise NotFound(
                f"blob {format_blob_id(blob)} was not taken in here; upload it", code="blob_not_found", blob=blob
            )
        return draft

    def _report(self, draft: Draft) -> UploadReport:
        analysis = draft.analysis
        return UploadReport(
            blob=format_blob_id(draft.info.id),
            size=draft.info.size,
            manifest_root=draft.info.manifest_root,
            technical=technical_of(analysis),
            data_type=_data_type(analysis),
            estimates=estimates_of(analysis),
            tags=Tags(**{name: getattr(analysis.tags, name) for name in Tags.__struct_fields__}),
            warnings=analysis.warnings,
            waveform=waveform_of(analysis),
            duplicate_of=self._state().asset_of_blob(draft.info.id) or 0,
        )

    # ------------------------------------------------------------------ what was taken in

    def waveform(self, blob: bytes) -> Waveform:
        """The outline of a sound; NotFound when it was not taken in here."""
        return waveform_of(self._require_draft(blob).analysis)

    def preview(self, blob: bytes) -> bytes:
        """The preview of a sound, Ogg Opus.

        Raises:
            NotFound: the sound was not taken in here, or is silent and has none.
        """
        draft = self._require_draft(blob)
        if not draft.preview:
            raise NotFound("this sound is silent and has no preview", code="preview_not_found")
        reader = self._blobs.open(draft.preview)
        try:
            return reader.read(0, reader.size)
        finally:
            reader.close()

    def confirm(self, content: Content, account: int) -> None:
        """Refuse to register content that this node did not find exactly so.

        1. The account brought these bytes here, and they are stored.
        2. Size, manifest and measurement are this node's own.
        3. Each estimate is this node's own, or says that it is declared.

        Raises:
            NotFound: the blob is not durable here.
            RecordError: the content says something else than was found.
        """
        draft = self._require_draft(content.blob)
        if self._blobs.info(content.blob) is None or not self._drafts.brought(content.blob, account):
            raise NotFound("the account did not upload these bytes here; upload them first", code="blob_not_found")
        found = {
            "size": draft.info.size,
            "manifest_root": draft.info.manifest_root,
            "technical": technical_of(draft.analysis),
        }
        for name, value in found.items():
            if getattr(content, name) != value:
                raise RecordError(
                    f"{name} is not what this node found in the upload; take it from the report unchanged",
                    code="content_differs",
                    field=name,
                )
        measured = estimates_of(draft.analysis)
        for estimate in content.estimates:
            if estimate not in measured and estimate.method != DECLARED:
                raise RecordError(
                    f"the estimate {estimate.name} is not this node's; take it from the report, leave it out, or "
                    f"state your own with method {DECLARED!r}",
                    code="content_differs",
                    field="estimates",
                )
        self._drafts.touch(content.blob, self._now())

    def collect(self, older_than_us: int) -> int:
        """Delete uploads and blobs that nobody finished or registered in time; returns how many."""
        before = self._now() - older_than_us
        count = self._spool.sweep(before)
        for blob, preview in self._drafts.older(before):
            if self._state().asset_of_blob(blob) is not None or not self._drafts.forget(blob, before):
                continue
            for each in (blob, preview):
                if each and not self._needs(each):
                    self._blobs.delete(each)
            count += 1
        return count

    def _needs(self, blob: bytes) -> bool:
        """Whether a blob is still a sound or a preview of one: equal bytes are stored once."""
        is_sound = self._drafts.find(blob) is not None or self._state().asset_of_blob(blob) is not None
        return is_sound or self._drafts.previews(blob) > 0


def technical_of(analysis: Analysis) -> Technical:
    """The measured part of an asset's content."""
    return Technical(
        container=analysis.container,
        codec=analysis.codec,
        sample_rate=analysis.sample_rate,
        channels=analysis.channels,
        bit_depth=analysis.bit_depth,
        samples=analysis.samples,
        duration_ms=analysis.duration_ms,
        peak_mdb=analysis.peak_mdb,
        loudness_mlufs=analysis.loudness_mlufs,
        true_peak_mdb=analysis.true_peak_mdb,
        truncated=analysis.truncated,
        method=analysis.method,
    )


def estimates_of(analysis: Analysis) -> tuple[Estimate, ...]:
    """What programs guessed."""
    return tuple(
        Estimate(name=guess.name, value=guess.value, confidence=guess.confidence, method=guess.method)
        for guess in analysis.guesses
    )


def waveform_of(analysis: Analysis) -> Waveform:
    """The outline of a sound from its packed form."""
    values = memoryview(analysis.waveform).cast("b").tolist()
    return Waveform(duration_ms=analysis.duration_ms, low=tuple(values[::2]), high=tuple(values[1::2]))


def _data_type(analysis: Analysis) -> DataType:
    return next((kind for kind in DATA_TYPES if kind == analysis.data_type), "recording")
