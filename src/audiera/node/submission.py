"""Handing in a caller's transaction: what must be true before, what is kept with it, what is said after."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from audiera.node.threads import Threads
from audiera.protocol.api.documents import MAX_DOCUMENT_BYTES, read_profile, read_sheet
from audiera.protocol.api.transactions import Document, TransactionOutcome, TransactionRequest
from audiera.protocol.encoding import digest
from audiera.protocol.errors import NotFound, RequestError
from audiera.protocol.ids import format_id
from audiera.protocol.results import TransactionResult
from audiera.protocol.transactions import (
    Body,
    ChangeProfile,
    CreateAccount,
    PublishSnapshot,
    RegisterAsset,
    RegisterModel,
    RegisterWork,
    Transaction,
    decode_transaction,
)
from audiera.services.ledger.ports import Ledger
from audiera.services.media.intake import Intake
from audiera.services.storage.ports import Documents

MAX_DOCUMENTS = 4


@dataclass(slots=True)
class _Hold:
    """A document that transactions in flight name."""

    place: tuple[str, bytes]
    users: int = 0
    is_new: bool = False
    is_named: bool = False


class Submissions:
    """Takes callers' transactions in. For the event loop's thread.

    Args:
        ledger: where they go.
        documents: where what they name is kept.
        intake: confirms registrations of sounds.
        threads: where disks are waited for.
    """

    def __init__(self, ledger: Ledger, documents: Documents, intake: Intake, threads: Threads) -> None:
        self._ledger = ledger
        self._documents = documents
        self._intake = intake
        self._threads = threads
        self._holds: dict[tuple[str, bytes], _Hold] = {}

    async def submit(self, request: TransactionRequest) -> TransactionOutcome:
        """Hand in a transaction with its documents; handed in again, it has the same outcome.

        1. It is well formed, and every document is one it names.
        2. A registered sound is exactly what this node found in the upload.
        3. The documents are durable, then the transaction is; documents of a refused one are erased.

        Raises:
            TransactionError: it was refused before it entered a block.
            RequestError: a document is malformed or not named by it.
            RecordError: the registered content is not what the node found.
            NotFound: the registered bytes are not here.
        """
        limits = self._ledger.genesis.params
        transaction = decode_transaction(request.transaction, limits.max_transaction_bytes + limits.max_batch_bytes)
        _check_documents(request.documents, transaction.envelope.body)
        known = self._ledger.transaction_at(transaction.id) is not None
        if not known:
            await self._threads.run(self._confirm, transaction)
        async with self._documents_of(request.documents) as holds:
            result = await asyncio.wrap_future(self._ledger.submit(request.transaction))
            for hold in holds:
                hold.is_named = hold.is_named or result.ok
        return self.outcome(result)

    @asynccontextmanager
    async def _documents_of(self, documents: Sequence[Document]) -> AsyncIterator[list["_Hold"]]:
        """Keep documents while a transaction decides; the last one to leave erases what none came to name."""
        holds: list[_Hold] = []
        try:
            for document in documents:
                place = (document.kind, digest(document.content))
                hold = self._holds.setdefault(place, _Hold(place))
                hold.users += 1
                holds.append(hold)
                is_new = await self._threads.run(self._keep, document)
                hold.is_new = hold.is_new or is_new  # read after the wait: another transaction may have set it
            yield holds
        finally:
            for hold in holds:
                hold.users -= 1
                if not hold.users:
                    del self._holds[hold.place]
                    if hold.is_new and not hold.is_named:
                        await self._threads.run(self._documents.erase, *hold.place)

    def _confirm(self, transaction: Transaction) -> None:
        body = transaction.envelope.body
        if isinstance(body, RegisterAsset):
            self._intake.confirm(body.content, transaction.envelope.account)

    def _keep(self, document: Document) -> bool:
        """Store a document durably; says whether it was not here before."""
        is_new = self._documents.get(document.kind, digest(document.content)) is None
        self._documents.put(document.kind, document.content)
        return is_new

    def outcome(self, result: TransactionResult) -> TransactionOutcome:
        """What a transaction did, as it is told."""
        place = self._ledger.transaction_at(result.id)
        return TransactionOutcome(
            id=format_id(result.id),
            height=0 if place is None else place[0],
            code=result.code,
            message=result.message,
            reasons=result.reasons,
            number=result.number,
            kind=result.kind,
            account=result.account,
        )

    def find(self, transaction: bytes) -> TransactionOutcome:
        """What a committed transaction did.

        Raises:
            NotFound: it is in no block.
        """
        place = self._ledger.transaction_at(transaction)
        if place is None:
            raise NotFound("no block holds this transaction", code="transaction_not_found")
        return self.outcome(self._ledger.results(place[0]).transactions[place[1]])


def _named_digests(body: Body) -> dict[str, bytes]:
    """The documents a transaction names, by kind."""
    match body:
        case CreateAccount() | ChangeProfile():
            return {"profile": body.profile}
        case RegisterAsset():
            return {"sheet": body.content.sheet}
        case RegisterWork() | PublishSnapshot():
            return {"sheet": body.sheet}
        case RegisterModel():
            return {"card": body.card}
        case _:
            return {}


def _check_documents(documents: Sequence[Document], body: Body) -> None:
    if len(documents) > MAX_DOCUMENTS:
        raise RequestError(f"at most {MAX_DOCUMENTS} documents, got {len(documents)}", code="document_invalid")
    named = _named_digests(body)
    for document in documents:
        if len(document.content) > MAX_DOCUMENT_BYTES:
            raise RequestError(
                f"a document has at most {MAX_DOCUMENT_BYTES} bytes, got {len(document.content)}",
                code="document_invalid",
            )
        if named.get(document.kind) != digest(document.content):
            raise RequestError(
                f"the transaction names no {document.kind} with this digest; send the bytes it was made from",
                code="document_not_named",
            )
        if document.kind == "sheet":
            read_sheet(document.content)
        elif document.kind == "profile":
            read_profile(document.content)
