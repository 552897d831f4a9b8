"""Who one is: a key in a file only its owner may read. First use asks nothing."""

import os
import secrets
from pathlib import Path

import msgspec

from audiera.protocol.errors import ConfigurationError
from audiera.protocol.keys import format_key, public_key
from audiera.services.storage.files import PRIVATE_FILE, make_folder, sync_folder

FOLDER = "AUDIERA_CONFIG"
"""Environment variable that names another folder for identities."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An account's secret and where it belongs."""

    seed: bytes
    """32 secret bytes."""

    account: int = 0
    """Ledger number of the account; 0 before it is created."""

    chain_id: str = ""
    """Chain the account is on."""

    genesis: bytes = b""
    """SHA-256 of the chain's genesis: chains of one name differ here."""

    node: str = ""
    """Address of the node it was created at."""

    @property
    def key(self) -> bytes:
        """The public key."""
        return public_key(self.seed)

    def __repr__(self) -> str:
        """Never shows the secret."""
        return f"Identity(account={self.account}, key={format_key(self.key)!r}, chain_id={self.chain_id!r})"


def make_identity() -> Identity:
    """A new secret, on no chain yet."""
    return Identity(seed=secrets.token_bytes(32))


def config_folder() -> Path:
    """Where identities are kept: ``$AUDIERA_CONFIG``, else the user's configuration folder."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "audiera"


def identity_path(name: str, genesis: bytes) -> Path:
    """The file of a named identity on one chain; each chain has a folder of its own, so none replaces another's.

    Args:
        name: letters, digits, - and _.
        genesis: SHA-256 of the chain's genesis.

    Raises:
        ConfigurationError: the name is no plain name.
    """
    if not name or not all(character.isalnum() or character in "-_" for character in name):
        raise ConfigurationError(
            f"an identity's name is letters, digits, - and _, got {name[:60]!r}", code="identity_name_invalid"
        )
    return config_folder() / genesis[:8].hex() / f"{name}.identity"


def save_identity(identity: Identity, path: Path) -> None:
    """Write an identity durably, readable by its owner only; a file with another key is never replaced.

    Raises:
        ConfigurationError: another identity is kept there, or what is there is damaged.
    """
    kept = load_identity(path)
    if kept is None:
        kept = keep_identity(identity, path)
    if kept.seed != identity.seed:
        raise ConfigurationError(
            f"{path} keeps another identity, whose key cannot be made again; use another name", code="identity_exists"
        )
    if kept != identity:
        draft = _write_draft(identity, path)
        draft.replace(path)
        sync_folder(path.parent)


def keep_identity(identity: Identity, path: Path) -> Identity:
    """Write an identity where none is kept yet; returns the one that is kept then, which may be another process's.

    Raises:
        ConfigurationError: another process was faster, and what it left is damaged.
    """
    make_folder(path.parent)
    draft = _write_draft(identity, path)
    try:
        os.link(draft, path)  # unlike a rename, this never replaces
    except FileExistsError:
        kept = load_identity(path)
        return identity if kept is None else kept
    finally:
        draft.unlink()
        sync_folder(path.parent)
    return identity


def _write_draft(identity: Identity, path: Path) -> Path:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(identity)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def load_identity(path: Path) -> Identity | None:
    """The identity in a file; None when there is none.

    Raises:
        ConfigurationError: the file is damaged, or others may read it.
    """
    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(
            f"{path} can be read by others; make it private with: chmod 600 {path}", code="identity_not_private"
        )
    try:
        identity = msgspec.json.decode(path.read_bytes(), type=Identity)
    except msgspec.DecodeError as cause:
        raise ConfigurationError(f"{path} is no identity file: {cause}", code="identity_damaged") from cause
    if len(identity.seed) != 32:
        raise ConfigurationError(f"{path} holds no key of 32 bytes", code="identity_damaged")
    return identity
