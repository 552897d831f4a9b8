"""A node's secrets: each in a file of its own that only its owner may read."""

from pathlib import Path
from typing import NamedTuple

from audiera.protocol.errors import ConfigurationError
from audiera.protocol.keys import public_key
from audiera.services.storage.files import Entropy, load_or_create_secret

FOLDER = "keys"


class NodeKeys(NamedTuple):
    """Seeds of 32 bytes; no two are equal."""

    control: bytes
    """Highest control key of the node's account; signs changes of its keys only."""

    device: bytes
    """Daily key of the node's account: signs batches, receipts and the transactions of the node."""

    validator: bytes
    """Votes on blocks and signs checkpoints of the access log."""

    authority: bytes
    """Brings test credits in."""

    master: bytes
    """Wraps the keys of all blobs; not a signing key."""

    @property
    def device_public(self) -> bytes:
        """Public half of the daily key."""
        return public_key(self.device)

    @property
    def validator_public(self) -> bytes:
        """Public half of the validator's key."""
        return public_key(self.validator)

    @property
    def authority_public(self) -> bytes:
        """Public half of the faucet's key."""
        return public_key(self.authority)

    def __repr__(self) -> str:
        return "NodeKeys(...)"


def load_keys(home: Path, entropy: Entropy) -> NodeKeys:
    """Read a node's secrets, making those that are not there.

    Raises:
        StorageError: a file may be read by others, or does not hold 32 bytes.
        ConfigurationError: two files hold the same secret.
    """
    folder = home / FOLDER
    found = {name: load_or_create_secret(folder / f"{name}.key", entropy) for name in NodeKeys._fields}
    if len(set(found.values())) != len(found):
        raise ConfigurationError(
            f"two files in {folder} hold the same secret; each key has one purpose, so restore the right file "
            "or delete the copy to have a new one made",
            code="keys_not_distinct",
        )
    return NodeKeys(**found)
