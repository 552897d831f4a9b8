"""Transactions: handed in by anyone, since each is signed itself."""

from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.transactions import TransactionOutcome, TransactionRequest
from audiera.protocol.ids import parse_id


async def submit_transaction(call: Call, body: TransactionRequest) -> TransactionOutcome:
    """Hand in a signed transaction; answered when it is durable and executed, whatever it came to.

    An outcome whose code is not ``ok`` stands in a block too: the transaction was refused there.
    """
    return await call.parts.submissions.submit(body)


def fetch_transaction(call: Call, id: str) -> TransactionOutcome:  # noqa: A002 - the path's own word
    """What a committed transaction did."""
    return call.parts.submissions.find(parse_id(id))


OPERATIONS = (
    Operation(routes.SUBMIT_TRANSACTION, submit_transaction, "anyone"),
    Operation(routes.FETCH_TRANSACTION, fetch_transaction, "anyone"),
)
