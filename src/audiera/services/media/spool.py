"""Uploads that are not whole yet: a private file each, whose length is the offset the next bytes belong at.

Nothing but the file's length says how far an upload has come, so a killed process loses nothing it confirmed and
confirms nothing it lost.
"""

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from audiera.protocol.errors import Conflict, MediaError, NotFound, RequestError, TooLarge, TooMany
from audiera.services.storage.files import (
    PRIVATE_FILE,
    Entropy,
    make_folder,
    sync_data,
    sync_folder,
    write_all,
    write_durably,
)

_ID = re.compile(r"[0-9a-f]{32}")


class Ticket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an upload's creator said; kept beside its bytes."""

    id: str
    """32 hexadecimal characters nobody can guess."""

    owner: int
    """Ledger number of the account that uploads."""

    length: int
    """Bytes it will have."""

    name: str = ""
    """File name as the uploader has it; only given back, never used as a name here."""

    created_at: int = 0
    """When it was begun, microseconds."""


class Appender:
    """Takes the bytes of one request; made by :meth:`Spool.append`. For one thread at a time."""

    def __init__(self, path: Path, ticket: Ticket, offset: int) -> None:
        self._ticket = ticket
        self._start = self._at = offset
        self._hash = hashlib.sha256()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    @property
    def offset(self) -> int:
        """Where the next byte goes."""
        return self._at

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            TooLarge: more than the upload was said to have.
        """
        if self._at + len(data) > self._ticket.length:
            raise TooLarge(
                f"the upload was said to have {self._ticket.length} bytes, and more came", code="upload_too_long"
            )
        self._hash.update(data)
        self._at += write_all(self._descriptor, [data], self._at)

    def finish(self, sha256: bytes | None = None) -> int:
        """Sync what was written; returns the new offset.

        Args:
            sha256: what the bytes of this request must hash to; None asks for nothing.

        Raises:
            RequestError: they hash to something else; they are dropped.
        """
        if sha256 is not None and self._hash.digest() != sha256:
            self.drop()
            raise RequestError(
                "the bytes do not have the checksum sent with them; send them again", code="checksum_mismatch"
            )
        sync_data(self._descriptor)
        return self._at

    def drop(self) -> None:
        """Take back what this request wrote."""
        os.ftruncate(self._descriptor, self._start)
        self._at = self._start

    def close(self) -> None:
        """Give the file back; what was written stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Spool:
    """The unfinished uploads of a node. Thread-safe.

    Args:
        folder: where they are; made when it is not there.
        entropy: source of upload ids.
        limit: most bytes of one upload.
        per_account: most unfinished uploads of one account.
    """

    def __init__(self, folder: Path, *, entropy: Entropy, limit: int, per_account: int) -> None:
        make_folder(folder)
        self._folder = folder
        self._entropy = entropy
        self.limit = limit
        self._per_account = per_account
        self._lock = threading.Lock()
        self._tickets: dict[str, Ticket] = {}
        self._busy: set[str] = set()
        self._load()

    def _load(self) -> None:
        for path in sorted(self._folder.glob("*.json")):
            ticket = msgspec.json.decode(path.read_bytes(), type=Ticket)
            self._tickets[ticket.id] = ticket
        for path in sorted(self._folder.iterdir()):
            is_torn = path.suffix == ".draft" or path.stem not in self._tickets
            if is_torn or not self._file(path.stem).exists():
                self._tickets.pop(path.stem, None)
                path.unlink()

    def _file(self, upload: str) -> Path:
        return self._folder / f"{upload}.part"

    def _ticket_file(self, upload: str) -> Path:
        return self._folder / f"{upload}.json"

    def create(self, owner: int, length: int, *, name: str, now: int) -> Ticket:
        """Begin an upload; durable when this returns.

        Raises:
            MediaError: it would be empty.
            TooLarge: it would be larger than the limit.
            TooMany: the account has too many unfinished ones.
        """
        if length < 1:
            raise MediaError("an upload has at least one byte", code="empty")
        if length > self.limit:
            raise TooLarge(f"an upload has at most {self.limit} bytes, got {length}", limit=self.limit)
        ticket = Ticket(id=self._entropy(16).hex(), owner=owner, length=length, name=name[:255], created_at=now)
        with self._lock:
            mine = sum(1 for other in self._tickets.values() if other.owner == owner)
            if mine >= self._per_account:
                raise TooMany(f"an account has at most {self._per_account} unfinished uploads; finish or delete some")
            self._tickets[ticket.id] = ticket
        os.close(os.open(self._file(ticket.id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
        write_durably(self._ticket_file(ticket.id), msgspec.json.encode(ticket))
        return ticket

    def ticket(self, upload: str) -> Ticket:
        """An unfinished upload.

        Raises:
            NotFound: there is none; it was never begun, or taken in, deleted or too old.
        """
        found = self._tickets.get(upload) if _ID.fullmatch(upload) else None
        if found is None:
            raise NotFound("there is no such upload; it was finished, deleted or too old", code="upload_not_found")
        return found

    def offset(self, upload: str) -> int:
        """How many of its bytes are here."""
        self.ticket(upload)
        return self._file(upload).stat().st_size

    @contextmanager
    def hold(self, upload: str) -> Iterator[Path]:
        """The file of an upload, for one at a time.

        Raises:
            NotFound: there is no such upload.
            Conflict: another request is writing or analyzing it.
        """
        self.ticket(upload)
        with self._lock:
            if upload in self._busy:
                raise Conflict("another request holds this upload; wait for it", code="upload_locked")
            self._busy.add(upload)
        try:
            yield self._file(upload)
        finally:
            with self._lock:
                self._busy.discard(upload)

    @contextmanager
    def append(self, upload: str, offset: int) -> Iterator[Appender]:
        """Write to an upload from its offset on.

        Raises:
            NotFound: there is no such upload.
            Conflict: another request holds it, or ``offset`` is not where it stands.
        """
        ticket = self.ticket(upload)
        with self.hold(upload) as path:
            here = path.stat().st_size
            if offset != here:
                raise Conflict(
                    f"the upload stands at byte {here}, not {offset}; go on from there",
                    code="upload_offset",
                    offset=here,
                )
            appender = Appender(path, ticket, offset)
            try:
                yield appender
            finally:
                appender.close()

    def delete(self, upload: str) -> None:
        """Forget an upload; quiet when there is none."""
        with self._lock:
            known = self._tickets.pop(upload, None)
        if known is not None:
            self._ticket_file(upload).unlink(missing_ok=True)
            self._file(upload).unlink(missing_ok=True)
            sync_folder(self._folder)

    def sweep(self, before: int) -> int:
        """Delete uploads begun before a moment that nobody holds; returns how many."""
        with self._lock:
            old = [
                ticket.id
                for ticket in self._tickets.values()
                if ticket.created_at < before and ticket.id not in self._busy
            ]
        for upload in old:
            self.delete(upload)
        return len(old)
