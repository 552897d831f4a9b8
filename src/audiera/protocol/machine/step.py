"""One transaction being applied: what it may read, what it has changed, what it tells the followers."""

from typing import TypeVar

from msgspec.structs import replace

from audiera.protocol.errors import TransactionError
from audiera.protocol.records import Account, Asset, License, Movement, Params
from audiera.protocol.records.base import Record
from audiera.protocol.records.money import MovementReason
from audiera.protocol.results import AppliedBatch, Recorded
from audiera.protocol.state import Stage, number_key
from audiera.protocol.units import I64_MAX

T = TypeVar("T")

ISSUED = "issued"
"""The contra purse of all credits in existence; it alone may be below zero."""

NETWORK = "network"
"""The purse of the network fee."""


def account_purse(account: int) -> str:
    """What an account may spend."""
    return f"account/{account}"


def asset_purse(asset: int) -> str:
    """What an asset's accesses earned and nobody has claimed."""
    return f"asset/{asset}"


def grant_purse(grant: int) -> str:
    """What is set aside for a grant's uses."""
    return f"grant/{grant}"


def model_purse(model: int) -> str:
    """What a model's calls earned for its training data."""
    return f"model/{model}"


def settlement_purse(settlement: int) -> str:
    """What a settlement still owes."""
    return f"settlement/{settlement}"


class Step:
    """One transaction at work.

    Attributes:
        stage: the state, writable.
        transaction: the transaction's id, 32 bytes.
        signer: account that signed (0 while an account is being created).
        key: public key that signed.
        height: number of the block.
        time: block time, microseconds.
        seed: application hash before this block; fixes orders that nobody may choose.
        chain_id: name of the chain.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        transaction: bytes,
        signer: int,
        key: bytes,
        height: int,
        time: int,
        seed: bytes,
        chain_id: str,
    ) -> None:
        self.stage = stage
        self.transaction = transaction
        self.signer = signer
        self.key = key
        self.height = height
        self.time = time
        self.seed = seed
        self.chain_id = chain_id
        self.created = 0
        self.records: list[Recorded] = []
        self.movements: list[Movement] = []
        self.batch: AppliedBatch | None = None
        self.log_entries: list[bytes] = []
        self._params: Params | None = None

    def params(self) -> Params:
        """The parameters in force; decoded once, for no transaction changes them half-way."""
        if self._params is None:
            self._params = self.stage.params()
        return self._params

    def assign_number(self) -> int:
        """The ledger number of what this transaction creates; also found under its id."""
        number = self.stage.next_number()
        self.stage.put_u64(b"c", number)
        self.stage.put_u64(b"i" + self.transaction, number)
        self.created = number
        return number

    def save(self, prefix: bytes, number: int, record: Recorded) -> None:
        """Write a record under its number and tell the followers."""
        self.stage.put_record(number_key(prefix, number), record)
        self.records = [kept for kept in self.records if not _same(kept, record)]
        self.records.append(record)

    def put(self, key: bytes, record: Record) -> None:
        """Write a row followers need not hear of."""
        self.stage.put_record(key, record)

    def move(
        self, debit: str, credit: str, amount: int, reason: MovementReason, reference: int, payer: int = 0
    ) -> None:
        """Move credits from one purse to another; nothing happens for 0.

        Raises:
            TransactionError: the purse holds less.
        """
        if amount == 0:
            return
        held = self.stage.balance(debit)
        if amount < 0 or (debit != ISSUED and held < amount):
            raise TransactionError(
                f"{debit} holds {held} microcredits and {amount} are needed; deposit credits first",
                code="insufficient_credits",
                held=held,
                needed=amount,
            )
        self._set_balance(debit, held - amount)
        self._set_balance(credit, self.stage.balance(credit) + amount)
        self.movements.append(
            Movement(debit=debit, credit=credit, amount=amount, reason=reason, reference=reference, payer=payer)
        )

    def _set_balance(self, purse: str, amount: int) -> None:
        self.stage.put(b"b" + purse.encode("ascii"), amount.to_bytes(16, "big", signed=True))

    def count_use(self, grant: int, *, accesses: int, size: int, spent: int) -> None:
        """Add to what is used of a grant; the bytes a node claims stop counting where 64 bits end."""
        usage = self.stage.grant_usage(grant)
        used = replace(
            usage,
            accesses=usage.accesses + accesses,
            bytes=min(usage.bytes + size, I64_MAX),
            spent=usage.spent + spent,
        )
        self.put(number_key(b"u", grant), used)

    def account(self, number: int) -> Account:
        """An account that must exist."""
        return found(self.stage.account(number), "account", number)

    def asset(self, number: int) -> Asset:
        """An asset that must exist."""
        return found(self.stage.asset(number), "asset", number)

    def license(self, number: int, revision: int = 0) -> License:
        """A license that must exist."""
        return found(self.stage.license(number, revision), "license", number)

    def own_asset(self, number: int) -> Asset:
        """An asset the signer manages."""
        asset = self.asset(number)
        permit(
            asset.holder == self.signer,
            f"asset {number} is managed by account {asset.holder}, not {self.signer}",
        )
        return asset


def _same(one: Recorded, other: Recorded) -> bool:
    return type(one) is type(other) and _place(one) == _place(other)


def _place(record: Recorded) -> object:
    return getattr(record, "number", None) or getattr(record, "model", None)


def found(record: T | None, kind: str, number: int) -> T:
    """The record, which must exist.

    Raises:
        TransactionError: there is none.
    """
    if record is None:
        raise TransactionError(f"there is no {kind} {number}", code="unknown_object", kind=kind, number=number)
    return record


def permit(condition: bool, why_not: str) -> None:
    """Refuse what the signer may not do.

    Raises:
        TransactionError: the condition does not hold.
    """
    if not condition:
        raise TransactionError(why_not, code="not_permitted")


def expect(condition: bool, why_not: str, code: str = "wrong_state") -> None:
    """Refuse what does not fit the state.

    Raises:
        TransactionError: the condition does not hold.
    """
    if not condition:
        raise TransactionError(why_not, code=code)
