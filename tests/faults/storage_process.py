"""A process that stores without end and says what it was promised; somebody else kills it.

Usage: ``python -m tests.faults.storage_process rows|blobs FOLDER``.
"""

import os
import random
import sys
from pathlib import Path

from audiera.services.storage.blobs import open_blobs
from audiera.services.storage.waf import ROW_BYTES, open_write_ahead

MASTER = bytes(range(32))
SEGMENT_BYTES = 64 * 1024


def rows_of(first: int, count: int) -> bytes:
    """Rows that hold their own index."""
    return b"".join(index.to_bytes(ROW_BYTES, "little") for index in range(first, first + count))


def append_rows(folder: Path) -> None:
    """Append groups; says the index after each."""
    file = open_write_ahead(folder, entropy=os.urandom, segment_bytes=SEGMENT_BYTES)
    groups = file.groups(0)
    end = groups[-1][0] + len(groups[-1][1]) // ROW_BYTES if groups else 0
    sizes = random.Random(end)
    while True:
        count = sizes.randrange(1, 60)
        file.append(end, rows_of(end, count), b"session")
        end += count
        os.write(1, f"{end}\n".encode())


def store_blobs(folder: Path) -> None:
    """Store blobs of many sizes; says the id of each."""
    blobs = open_blobs(folder, master_key=MASTER, entropy=os.urandom)
    while True:
        writer = blobs.begin()
        writer.write(os.urandom(random.choice((0, 100, 70_000, 1_200_000))))
        os.write(1, writer.finish().id.hex().encode() + b"\n")


if __name__ == "__main__":
    {"rows": append_rows, "blobs": store_blobs}[sys.argv[1]](Path(sys.argv[2]))
