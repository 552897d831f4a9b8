"""What a bulk upload has done so far, kept in a file, so that a killed one goes on where it stood."""

import os
from pathlib import Path

import msgspec

from audiera.protocol.api.uploads import UploadReport
from audiera.protocol.encoding import digest_of
from audiera.protocol.records import Terms


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="file", tag_field="of"):
    """Where one file stands; a later entry of the same file replaces the earlier one."""

    file: str
    """Its path below the folder."""

    size: int
    """Its length in bytes when it was looked at."""

    changed_ns: int
    """When it was last changed, nanoseconds since 1970; another time or size is another file."""

    upload: str = ""
    """Id of its upload."""

    report: UploadReport | None = None
    """What the node found, once it was taken in."""

    asset: int = 0
    """Its ledger number, once it is registered."""


class Published(msgspec.Struct, frozen=True, kw_only=True, tag="license", tag_field="of"):
    """A license that was published for the upload."""

    terms: str
    """Digest of its terms, hexadecimal."""

    license: int
    """Its ledger number."""


class Journal:
    """What was done, appended to a file of JSON lines. For one thread at a time; the caller holds a lock.

    Args:
        path: the file; a last line that a crash tore is left out.

    Raises:
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._entries: dict[str, Entry] = {}
        self._licenses: dict[str, int] = {}
        if path.exists():
            for line in path.read_bytes().split(b"\n"):
                self._read(line)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._descriptor, b"\n")  # ends a torn line

    def _read(self, line: bytes) -> None:
        try:
            found = msgspec.json.decode(line, type=Entry | Published)
        except msgspec.DecodeError:
            return
        if isinstance(found, Entry):
            self._entries[found.file] = found
        else:
            self._licenses[found.terms] = found.license

    def find(self, file: str, path: Path) -> Entry:
        """Where a file stands; at its beginning when it was changed since, or never seen."""
        about = path.stat()
        known = self._entries.get(file)
        if known is not None and (known.size, known.changed_ns) == (about.st_size, about.st_mtime_ns):
            return known
        return Entry(file=file, size=about.st_size, changed_ns=about.st_mtime_ns)

    def write(self, entry: Entry) -> Entry:
        """Keep where a file stands, durably."""
        self._entries[entry.file] = entry
        self._append(entry)
        return entry

    def license_of(self, terms: Terms) -> int:
        """The license that was published with these terms; 0 for none."""
        return self._licenses.get(digest_of(terms).hex(), 0)

    def write_license(self, terms: Terms, license_: int) -> None:
        """Keep which license was published with these terms, durably."""
        published = Published(terms=digest_of(terms).hex(), license=license_)
        self._licenses[published.terms] = license_
        self._append(published)

    def _append(self, line: Entry | Published) -> None:
        os.write(self._descriptor, msgspec.json.encode(line) + b"\n")
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)
