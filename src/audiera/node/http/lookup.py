"""Finding what a path names, or saying that it is not here."""

from typing import TypeVar

from audiera.node.http.operations import Call
from audiera.protocol.api.documents import Profile, Sheet, read_profile, read_sheet
from audiera.protocol.errors import IdError, NotFound
from audiera.protocol.ids import parse_blob_id, parse_id
from audiera.protocol.keys import parse_key
from audiera.protocol.records import Account, Asset
from audiera.protocol.units import U64_MAX

T = TypeVar("T")


def found(record: T | None, kind: str, ref: int | str) -> T:
    """The record, which must be there.

    Raises:
        NotFound: it is not.
    """
    if record is None:
        name = str(ref)[:80]
        raise NotFound(f"there is no {kind} {name}", code=f"{kind.replace(' ', '_')}_not_found", ref=name)
    return record


def number_in(ref: int | str) -> int:
    """A ledger number, or 0 when the text is none."""
    text = str(ref)
    is_number = text.isdecimal() and text.isascii() and len(text) <= 20 and not text.startswith("0")
    return int(text) if is_number and int(text) <= U64_MAX else 0


def height_of(call: Call, height: int) -> int:
    """The number of a committed block.

    Raises:
        NotFound: there is no such block.
    """
    head = call.parts.ledger.head().height
    if not 1 <= height <= head:
        raise NotFound(f"there are blocks 1 to {head}, not {height}", code="block_not_found", height=height)
    return height


def account_at(call: Call, ref: str) -> Account:
    """An account by number, id or one of its keys.

    Raises:
        NotFound: there is none.
        IdError: the text is neither.
    """
    state = call.parts.ledger.state()
    number = number_in(ref)
    if ref.startswith("did:key:"):
        number = state.account_of_key(parse_key(ref)) or 0
    elif not number:
        number = _number_of_id(call, ref)
    return found(state.account(number), "account", ref)


def asset_at(call: Call, ref: str) -> Asset:
    """An asset by number, by its id, or by the id of its bytes.

    Raises:
        NotFound: there is none.
        IdError: the text is neither.
    """
    state = call.parts.ledger.state()
    number = number_in(ref)
    if ref.startswith("bafkrei"):
        number = state.asset_of_blob(parse_blob_id(ref)) or 0
    elif not number:
        number = _number_of_id(call, ref)
    return found(state.asset(number), "asset", ref)


def _number_of_id(call: Call, ref: str) -> int:
    if not ref.startswith("b"):
        raise IdError(f"a ledger number or an id expected, got {ref[:80]!r}", text=ref[:80])
    return call.parts.ledger.state().number_of(parse_id(ref)) or 0


def sheet_of(call: Call, digest: bytes) -> Sheet | None:
    """A sheet, unless it was never here or was erased."""
    content = call.parts.documents.get("sheet", digest) if digest else None
    return None if content is None else read_sheet(content)


def profile_of(call: Call, digest: bytes) -> Profile | None:
    """A profile, unless it was never here or was erased."""
    content = call.parts.documents.get("profile", digest)
    return None if content is None else read_profile(content)
