"""What a bulk upload has done so far, kept beside the music, so that a killed one goes on where it stood."""

import os
from pathlib import Path

import msgspec

from audiera.protocol.api.uploads import UploadReport


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Journal:
    """Entries, appended to a file of JSON lines. For one thread at a time; the caller holds a lock.

    Args:
        path: the file; a last line that a crash tore is left out.
    """

    def __init__(self, path: Path) -> None:
        self._entries: dict[str, Entry] = {}
        if path.exists():
            for line in path.read_bytes().split(b"\n"):
                try:
                    entry = msgspec.json.decode(line, type=Entry)
                except msgspec.DecodeError:
                    continue
                self._entries[entry.file] = entry
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._descriptor, b"\n")  # ends a torn line

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
        os.write(self._descriptor, msgspec.json.encode(entry) + b"\n")
        os.fsync(self._descriptor)
        return entry

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)
