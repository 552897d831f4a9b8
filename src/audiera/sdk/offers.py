"""Offering music: resumable uploads, sheets, commitments, registrations, licenses."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from audiera.protocol.api import routes
from audiera.protocol.api.documents import Sheet, digest_of_document
from audiera.protocol.api.transactions import Document
from audiera.protocol.api.uploads import TUS_VERSION, UploadReport
from audiera.protocol.encoding import encode
from audiera.protocol.errors import Conflict, NotFound, RequestError, Unavailable
from audiera.protocol.ids import parse_blob_id
from audiera.protocol.merkle import inclusion_path, leaf_hash, tree_root
from audiera.protocol.purposes import Purpose
from audiera.protocol.records import ContainsAi, Content, DataType, Identifiers, Price, Rule, Split, Terms
from audiera.protocol.transactions import CommitRegistrations, RegisterAsset, commitment_leaf
from audiera.sdk.ledger import Signer
from audiera.sdk.transport import Transport

PIECE_BYTES = 4 * 2**20
_TRIES = 6
_ANALYSIS_S = 900.0
"""Longest wait for what the node finds in a file."""

_AGAIN = frozenset({"checksum_mismatch", "upload_locked"})
"""Codes after which a piece is worth sending again: it was damaged on the way, or the cut one is still held."""

Progress = Callable[[int, int], None]
"""Told (bytes sent, bytes in all)."""

Preset = Literal["research", "commercial", "no-training", "open"]


PRESET_WORDS: Final[Mapping[Preset, str]] = {
    "research": "free to evaluate, embed and train on, not commercially",
    "commercial": "free to evaluate; training, commercial too, for a price or a share of revenue",
    "no-training": "may be evaluated, not commercially; never trained on or imitated",
    "open": "everything but imitation is free, commercial too",
}
"""What each preset allows; whoever decides may listen, and what is not said is denied."""

_TRAINING: Final[tuple[Purpose, ...]] = ("train-analytic", "train-generative")
_PREVIEW: Final = Rule(purpose="preview", verdict="allow", commercial=True)


class Uploaded(NamedTuple):
    """A file the node has taken in."""

    report: UploadReport
    """What the node found."""

    path: Path
    """Where it came from."""


def preset(name: Preset, *, price: int = 0, revenue_share: int = 0) -> Terms:
    """Ready-made terms.

    Args:
        name: which; :data:`PRESET_WORDS` says what each allows.
        price: microcredits for each access, for ``commercial`` only.
        revenue_share: basis points of a model's revenue owed to its training data, for ``commercial`` only.

    Raises:
        RequestError: ``commercial`` without price and share, or another one with them.
    """
    if (name == "commercial") != bool(price or revenue_share):
        raise RequestError(
            "the preset 'commercial' has a price, a revenue share or both, and no other preset has one",
            code="price_invalid",
        )
    if name == "research":
        return Terms(rules=(_PREVIEW, *_allow("evaluate", "index", *_TRAINING)))
    if name == "no-training":
        denied = (Rule(purpose=purpose, verdict="deny") for purpose in (*_TRAINING, "imitate"))
        return Terms(rules=(_PREVIEW, *_allow("evaluate"), *denied))
    if name == "open":
        free = _allow("evaluate", "index", *_TRAINING, "condition", "use-in-work", "perform", commercial=True)
        return Terms(rules=(_PREVIEW, *free))
    cost = Price(unit="access", amount=price) if price else None
    sold = (
        Rule(purpose=purpose, verdict="terms", commercial=True, price=cost, revenue_share=revenue_share)
        for purpose in _TRAINING
    )
    return Terms(rules=(_PREVIEW, *_allow("evaluate", commercial=True), *sold))


def _allow(*purposes: Purpose, commercial: bool = False) -> Iterator[Rule]:
    return (Rule(purpose=purpose, verdict="allow", commercial=commercial) for purpose in purposes)


class Uploads:
    """Sends files to a node, resuming after every cut.

    Args:
        transport: to the node.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(
        self,
        path: Path,
        *,
        progress: Progress | None = None,
        resume: str = "",
        begun: Callable[[str], None] | None = None,
    ) -> Uploaded:
        """Upload a file and have it taken in.

        Args:
            path: the file.
            progress: told of its bytes.
            resume: id of an upload of the same file that was cut off; goes on where it stands, if it is still there.
            begun: told the upload's id before its first byte leaves, to resume it by.

        Raises:
            AudieraError: the node refused it; the code says why and nothing of it is kept.
        """
        size = path.stat().st_size
        if size == 0:
            raise RequestError(f"{path.name} is empty; nothing was uploaded", code="empty")
        upload, offset = self._begin(path, size, resume)
        if begun is not None:
            begun(upload)
        with path.open("rb") as file:
            while offset < size:
                file.seek(offset)
                offset = self._send_piece(upload, offset, file.read(PIECE_BYTES))
                if progress is not None:
                    progress(offset, size)
        report = self._transport.ask(routes.ANALYZE_UPLOAD, UploadReport, {"id": upload}, wait_s=_ANALYSIS_S)
        return Uploaded(report, path)

    def _begin(self, path: Path, size: int, resume: str) -> tuple[str, int]:
        """An upload to fill, and how far it is filled."""
        if resume:
            try:
                return resume, self.offset(resume) or 0
            except NotFound:
                pass  # it was given up or collected: begin anew
        name = base64.b64encode(path.name.encode()).decode()
        created = self._transport.send(
            routes.CREATE_UPLOAD,
            headers={"Tus-Resumable": TUS_VERSION, "Upload-Length": str(size), "Upload-Metadata": f"filename {name}"},
        )
        return created.headers["Location"].rstrip("/").rpartition("/")[2], 0

    def _send_piece(self, upload: str, offset: int, piece: bytes) -> int:
        """Send a piece; after a cut, ask how far it came. Returns the new offset."""
        checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
        headers = {
            "Tus-Resumable": TUS_VERSION,
            "Upload-Offset": str(offset),
            "Upload-Checksum": f"sha256 {checksum}",
            "Content-Type": "application/offset+octet-stream",
        }
        for attempt in range(_TRIES):
            try:
                answer = self._transport.send(routes.APPEND_UPLOAD, {"id": upload}, content=piece, headers=headers)
                return int(answer.headers["Upload-Offset"])
            except RequestError as error:
                is_passing = isinstance(error, Unavailable | Conflict) or error.code in _AGAIN
                if not is_passing or attempt == _TRIES - 1:
                    raise
                time.sleep(0.2 * 2**attempt)
            found = self.offset(upload)
            if found is not None and found != offset:
                return found
        return offset

    def offset(self, upload: str) -> int | None:
        """How far an upload has come; None while the node does not answer."""
        try:
            answer = self._transport.send(routes.UPLOAD_STATE, {"id": upload}, headers={"Tus-Resumable": TUS_VERSION})
        except Unavailable:
            return None
        return int(answer.headers["Upload-Offset"])


class Registration(NamedTuple):
    """What is to be registered of an upload."""

    uploaded: Uploaded
    """The file."""

    license: int
    """License to offer it under."""

    sheet: Sheet
    """How it is described."""

    data_type: DataType | None = None
    """What it is; what the node guessed when None."""

    splits: tuple[Split, ...] = ()
    """Who is paid; the account alone when empty."""

    contains_ai: ContainsAi = "undeclared"
    """How much of it a machine made."""

    identifiers: Identifiers = Identifiers()
    """Standard identifiers."""


def sheet_of(uploaded: Uploaded, **words: object) -> Sheet:
    """A sheet from a file's tags and name; ``words`` override."""
    tags = uploaded.report.tags
    found: dict[str, object] = {
        "salt": secrets.token_bytes(32),
        "title": tags.title or uploaded.path.stem,
        "artist": tags.artist,
        "album": tags.album,
        "genre": tags.genre[:64],
        "copyright": tags.copyright,
        "source_license": tags.license,
    }
    return Sheet(**(found | words))  # type: ignore[arg-type]


def register(signer: Signer, account: int, registrations: Sequence[Registration]) -> Iterator[int]:
    """Commit to all registrations at once, then reveal each; gives the assets' ledger numbers one by one.

    Raises:
        TransactionError: one was refused; those before it stand.
    """
    salts = [secrets.token_bytes(32) for _ in registrations]
    leaves = [
        leaf_hash(commitment_leaf(salt, parse_blob_id(entry.uploaded.report.blob), account))
        for salt, entry in zip(salts, registrations, strict=True)
    ]
    commitment = signer.submit(CommitRegistrations(root=tree_root(leaves), count=len(leaves))).number
    for index, (salt, entry) in enumerate(zip(salts, registrations, strict=True)):
        body = RegisterAsset(
            content=content_of(entry),
            splits=entry.splits or (Split(account=account, share=10_000),),
            license=entry.license,
            commitment=commitment,
            salt=salt,
            index=index,
            path=inclusion_path(leaves, index),
        )
        documents = [Document(kind="sheet", content=encode(entry.sheet))]
        yield signer.submit(body, documents).number


def content_of(entry: Registration) -> Content:
    """What the uploader signs: what the node measured, and what the uploader says."""
    report = entry.uploaded.report
    return Content(
        data_type=entry.data_type or report.data_type,
        blob=parse_blob_id(report.blob),
        size=report.size,
        manifest_root=report.manifest_root,
        technical=report.technical,
        sheet=digest_of_document(entry.sheet),
        contains_ai=entry.contains_ai,
        estimates=report.estimates,
        identifiers=entry.identifiers,
        fingerprint=report.fingerprint,
    )
