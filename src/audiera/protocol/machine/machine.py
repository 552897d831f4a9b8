"""Check, prepare, process, execute, commit: the machine's five verbs."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from audiera.protocol.encoding import digest, encode
from audiera.protocol.errors import LedgerError, RecordError, TransactionError
from audiera.protocol.machine.dispatch import HANDLERS, kind_of
from audiera.protocol.machine.people import may_undo, sequence_key
from audiera.protocol.machine.step import Step, found
from audiera.protocol.records import Account, Genesis
from audiera.protocol.records.base import require_range
from audiera.protocol.records.params import check_genesis
from audiera.protocol.results import BlockResult, TransactionResult
from audiera.protocol.state import Stage, StateStore, StateTree, StateView, changed_buckets, number_key
from audiera.protocol.transactions import (
    CreateAccount,
    RecordAccesses,
    Transaction,
    decode_transaction,
    domain,
    transaction_id,
    verify_transaction,
)
from audiera.protocol.units import U64_MAX

_CACHE = 20_000
"""How many verified transactions, and how many signers, are remembered: nothing is verified or decoded twice."""

_CLOSED_DAY = bytes(32)
"""Root of the last closed day's sum tree; no day has been closed."""


class BlockContext(NamedTuple):
    """What a block says of itself that rules may use."""

    height: int
    """Its number."""

    time: int
    """Its time, microseconds."""


class Execution(NamedTuple):
    """A block executed in memory; nothing of it is visible before commit."""

    result: BlockResult
    """What it did."""

    writes: tuple[tuple[bytes, bytes | None], ...]
    """Rows of the state; None removes one."""

    buckets: tuple[tuple[int, bytes], ...]
    """Hash buckets that changed, with their whole content."""

    log_entries: tuple[bytes, ...]
    """New entries of the access log."""


def application_hash(state_root: bytes, log_size: int, log_root: bytes, records: int) -> bytes:
    """SHA-256 over the fixed list of everything the state commits to.

    Args:
        state_root: root over all rows.
        log_size: entries in the access log.
        log_root: RFC 9162 root over them.
        records: access rows in all of them.
    """
    fixed = b"audiera/app-hash/1" + state_root + log_size.to_bytes(8, "big") + log_root
    return hashlib.sha256(fixed + records.to_bytes(8, "big") + _CLOSED_DAY).digest()


class Machine:
    """The state machine over a store.

    Args:
        store: committed rows; empty for a new chain.
        genesis: what the chain begins with.
        height: the last committed block; 0 for a new chain.
    """

    def __init__(self, store: StateStore, genesis: Genesis, *, height: int) -> None:
        check_genesis(genesis)
        self._store = store
        self._genesis = genesis
        self._domain = domain(genesis.chain_id)
        self._tree = StateTree(store)
        self._verified: dict[bytes, Transaction] = {}
        self._signers: dict[bytes, Account] = {}
        self._pending: dict[int, int] = {}
        self._staged: Execution | None = None
        self.height = height
        self.app_hash = self._committed_hash() if height else digest(encode(genesis))

    @property
    def genesis(self) -> Genesis:
        """What the chain began with."""
        return self._genesis

    def _committed_hash(self) -> bytes:
        log = StateView(self._store).log()
        return application_hash(self._tree.root, log.size, log.root, log.records)

    def view(self) -> StateView:
        """The committed state."""
        return StateView(self._store)

    def check(self, transaction: bytes) -> None:
        """Refuse a transaction that could not enter a block after those accepted before it.

        Raises:
            TransactionError: malformed, wrongly signed, out of sequence, or breaking a rule of its kind.
        """
        decoded = self._verify(transaction)
        envelope = decoded.envelope
        view = self.view()
        if isinstance(envelope.body, CreateAccount):
            _check_new(view, decoded)
            return
        self._check_signer(view, decoded)
        expected = self._pending.get(envelope.account, view.sequence(envelope.account)) + 1
        _check_sequence(envelope.sequence, expected)
        self._pending[envelope.account] = envelope.sequence

    def forget(self, account: int) -> None:
        """Drop what :meth:`check` remembers of an account whose accepted transactions will not enter a block."""
        self._pending.pop(account, None)

    def _verify(self, transaction: bytes) -> Transaction:
        """Everything that can be said of a transaction without the state, once for each transaction."""
        known = self._verified.get(transaction_id(transaction))
        if known is not None:
            return known
        limits = self._genesis.params
        decoded = decode_transaction(transaction, limits.max_transaction_bytes + limits.max_batch_bytes)
        envelope = decoded.envelope
        if envelope.domain != self._domain:
            raise TransactionError(
                f"signed for {envelope.domain[:80]!r}, this chain is {self._domain!r}", code="wrong_chain"
            )
        if not isinstance(envelope.body, RecordAccesses) and len(transaction) > limits.max_transaction_bytes:
            raise TransactionError(
                f"a transaction has at most {limits.max_transaction_bytes} bytes, got {len(transaction)}",
                code="transaction_too_large",
            )
        is_creation = isinstance(envelope.body, CreateAccount)
        if is_creation != (envelope.account == 0) or (is_creation and envelope.sequence != 0):
            raise TransactionError(
                "an account's creation comes from account 0 with sequence 0, and nothing else does",
                code="wrong_sequence",
            )
        try:
            require_range(envelope.account, 0, U64_MAX, "account")
            HANDLERS[type(envelope.body)].check(envelope.body)
        except RecordError as cause:
            raise TransactionError(cause.message, code="record_invalid") from cause
        verify_transaction(decoded)
        if len(self._verified) >= _CACHE:
            self._verified.pop(next(iter(self._verified)))
        self._verified[decoded.id] = decoded
        return decoded

    def _check_signer(self, view: StateView, transaction: Transaction) -> None:
        envelope = transaction.envelope
        account = self._signer(view, envelope.account)
        if account is None:
            raise TransactionError(
                f"there is no account {envelope.account}; create it first",
                code="unknown_account",
                account=envelope.account,
            )
        former = HANDLERS[type(envelope.body)].by_any_key and may_undo(account, envelope.key)
        if envelope.key not in account.device_keys and envelope.key not in account.control_keys and not former:
            raise TransactionError(
                f"the signing key is not one of account {account.number}'s keys", code="key_not_authorized"
            )

    def _signer(self, view: StateView, number: int) -> Account | None:
        """An account as the state has it, decoded once for each form of its row."""
        row = view.get(number_key(b"a", number))
        if row is None:
            return None
        known = self._signers.get(row)
        if known is None:
            known = self._signers[row] = found(view.account(number), "account", number)
            if len(self._signers) > _CACHE:
                del self._signers[next(iter(self._signers))]
        return known

    def prepare(self, transactions: Sequence[bytes], max_bytes: int) -> list[bytes]:
        """The transactions, in order, that fit into a block and pass :meth:`process`."""
        chosen: list[bytes] = []
        size = 0
        for transaction in transactions:
            if size + len(transaction) > max_bytes:
                continue
            if self.process([transaction]):
                chosen.append(transaction)
                size += len(transaction)
        return chosen

    def process(self, transactions: Sequence[bytes]) -> bool:
        """Whether a proposed block holds nothing that is wrong whatever the state."""
        for transaction in transactions:
            try:
                self._verify(transaction)
            except TransactionError:
                return False
        return True

    def execute(self, context: BlockContext, transactions: Sequence[bytes]) -> Execution:
        """Execute the next block in memory; the same block may be executed again.

        Raises:
            LedgerError: not the next block.
        """
        if context.height != self.height + 1:
            raise LedgerError(f"block {self.height + 1} is next, got {context.height}", height=context.height)
        stage = Stage(self._store)
        if self.height == 0:
            stage.put_record(b"p", self._genesis.params)
            stage.keep()
        results: list[TransactionResult] = []
        entries: list[bytes] = []
        for transaction in transactions:
            results.append(self._apply(stage, context, transaction, entries))
        writes = stage.writes()
        buckets = changed_buckets(self._store, writes)
        log = stage.log()
        self._unstage()
        self._tree.update(buckets)
        app_hash = application_hash(self._tree.root, log.size, log.root, log.records)
        result = BlockResult(height=context.height, time=context.time, app_hash=app_hash, transactions=tuple(results))
        self._staged = Execution(result, writes, buckets, tuple(entries))
        return self._staged

    def _unstage(self) -> None:
        """Give the tree the committed buckets back in place of those executed last and not committed."""
        if self._staged is not None:
            self._tree.update(tuple((index, self._store.bucket(index)) for index, _ in self._staged.buckets))
            self._staged = None

    def commit(self) -> None:
        """What was executed last is durable and visible through the store: go on from there.

        Raises:
            LedgerError: nothing was executed.
        """
        if self._staged is None:
            raise LedgerError("commit without an executed block")
        self.height = self._staged.result.height
        self.app_hash = self._staged.result.app_hash
        view = self.view()
        self._pending = {
            account: sequence for account, sequence in self._pending.items() if sequence > view.sequence(account)
        }
        for done in self._staged.result.transactions:
            self._verified.pop(done.id, None)
        self._staged = None

    def _apply(
        self, stage: Stage, context: BlockContext, transaction: bytes, entries: list[bytes]
    ) -> TransactionResult:
        """One transaction's result; its changes are kept only when it succeeds, its sequence number always."""
        try:
            decoded = self._verify(transaction)
        except TransactionError as error:
            return _failure(transaction_id(transaction), 0, "unreadable", error)
        envelope = decoded.envelope
        kind = kind_of(envelope.body)
        creates = isinstance(envelope.body, CreateAccount)
        try:
            if creates:
                _check_new(stage, decoded)
            else:
                self._check_signer(stage, decoded)
                _check_sequence(envelope.sequence, stage.sequence(envelope.account) + 1)
        except TransactionError as error:
            stage.drop()
            return _failure(decoded.id, envelope.account, kind, error)
        if not creates:
            stage.put_u64(sequence_key(envelope.account), envelope.sequence)
            stage.keep()
        step = Step(
            stage,
            transaction=decoded.id,
            signer=envelope.account,
            key=envelope.key,
            height=context.height,
            time=context.time,
            seed=self.app_hash,
            chain_id=self._genesis.chain_id,
        )
        try:
            self._run(step, decoded)
        except TransactionError as error:
            stage.drop()
            return _failure(decoded.id, envelope.account, kind, error)
        except RecordError as error:
            stage.drop()
            return _failure(decoded.id, envelope.account, kind, TransactionError(error.message, code=error.code))
        stage.keep()
        entries.extend(step.log_entries)
        return TransactionResult(
            id=decoded.id,
            account=envelope.account or step.created,
            kind=kind,
            number=step.created,
            records=tuple(step.records),
            movements=tuple(step.movements),
            batch=step.batch,
        )

    def _run(self, step: Step, decoded: Transaction) -> None:
        handler = HANDLERS[type(decoded.envelope.body)]
        if handler.apply_with_genesis is not None:
            handler.apply_with_genesis(step, decoded.envelope.body, self._genesis)
        elif handler.apply is not None:
            handler.apply(step, decoded.envelope.body)


def _failure(transaction: bytes, account: int, kind: str, error: TransactionError) -> TransactionResult:
    reasons = error.values.get("reasons", ())
    return TransactionResult(
        id=transaction,
        account=account,
        kind=kind,
        code=error.code,
        message=error.message,
        reasons=tuple(str(reason) for reason in reasons) if isinstance(reasons, tuple) else (),
    )


def _check_new(view: StateView, transaction: Transaction) -> None:
    if view.number_of(transaction.id) is not None:
        raise TransactionError("this account exists already", code="repeated")


def _check_sequence(got: int, expected: int) -> None:
    if got != expected:
        raise TransactionError(
            f"sequence number {expected} is next for this account, got {got}; read it again and sign anew",
            code="wrong_sequence",
            expected=expected,
            got=got,
        )
