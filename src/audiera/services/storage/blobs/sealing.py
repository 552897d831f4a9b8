"""How a blob's bytes are encrypted: AES-256-GCM over 64 KiB chunks, each bound to its place.

A file is a 32-byte head (magic, random file id) and the chunks, each followed by its 16-byte tag. A chunk's
nonce and its associated data both hold its index and whether it is the last, and the associated data also
holds the file id; so chunks cannot be changed, moved, dropped, repeated or taken from another file. The id of
a blob is unknown until its last byte has come, so the file id stands for it here, and the row that keeps the
key binds the two.

Source: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance, 2015); NIST SP 800-38D.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audiera.protocol.errors import StorageError

CHUNK_BYTES = 65_536
TAG_BYTES = 16
SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
FILE_ID_BYTES = 24
MAGIC = b"ADBLOB\x00\x01"
HEAD_BYTES = len(MAGIC) + FILE_ID_BYTES


def last_chunk(size: int) -> int:
    """Index of the last chunk of a blob of ``size`` bytes; an empty blob has one empty chunk."""
    return max(size - 1, 0) // CHUNK_BYTES


def sealed_size(size: int) -> int:
    """Length of the file that holds a blob of ``size`` bytes."""
    return HEAD_BYTES + size + TAG_BYTES * (last_chunk(size) + 1)


class Sealer:
    """Encrypts and decrypts the chunks of one file.

    Args:
        key: 32 random bytes used for this file only.
        file_id: 24 random bytes that name it.
    """

    def __init__(self, key: bytes, file_id: bytes) -> None:
        self._cipher = AESGCM(key)
        self._head = MAGIC + file_id

    @property
    def head(self) -> bytes:
        """The first bytes of the file."""
        return self._head

    def _place(self, index: int, last: bool) -> bytes:
        return index.to_bytes(11, "big") + bytes((last,))

    def seal(self, index: int, plain: bytes | memoryview, *, last: bool) -> bytes:
        """The encrypted form of a chunk: 16 bytes longer."""
        place = self._place(index, last)
        return self._cipher.encrypt(place, plain, self._head + place)

    def unseal(self, index: int, sealed: bytes | memoryview, *, last: bool) -> bytes:
        """The bytes of an encrypted chunk.

        Raises:
            StorageError: they are not what was written there.
        """
        place = self._place(index, last)
        try:
            return self._cipher.decrypt(place, sealed, self._head + place)
        except InvalidTag as cause:
            raise StorageError(
                f"chunk {index} (bytes {index * CHUNK_BYTES} and on) is damaged: its tag does not fit; "
                "fetch the blob again from another copy",
                code="blob_damaged",
                chunk=index,
            ) from cause
