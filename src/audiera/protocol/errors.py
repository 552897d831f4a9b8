"""The tree of everything that can be wrong.

AudieraError
├── EncodingError             bytes that are not the one canonical form
├── IdError                   text that is no id
├── SignatureError            a signature that does not verify
├── ProofError                a proof that proves nothing
├── RecordError               a record whose values break its rules
├── TransactionError          the machine refuses a transaction; the only kind that becomes a failed transaction
│   └── BatchError            ... an access batch
├── AccessRefused             a use the rights decision refused, with its reasons
├── LedgerError               the ledger itself is damaged or has stopped; the node stops
├── StorageError              a disk or store that did not keep its promise
├── MediaError                a sound that cannot be taken in
├── ConfigurationError        settings that cannot work
└── RequestError              a request that cannot be served
    ├── NotAuthenticated      ... nobody said who is asking
    ├── NotPermitted          ... the asker may not do this
    ├── NotFound              ... what it names is not here
    ├── Conflict              ... it contradicts what is already recorded
    ├── TooLarge              ... it is larger than the limit
    ├── TooMany               ... the asker's quota or budget is used up
    └── Unavailable           ... the node cannot serve now; try again

Every error carries a stable ``code`` which is the same in HTTP problems, logs and the command line.
A message says what, what was expected, what came, and what to do; the values are kept beside it.
"""

from typing import ClassVar


class AudieraError(Exception):
    """Anything Audiera raises on purpose.

    Args:
        message: what, expected, got, and what to do, for a person.
        code: a more exact stable code than the class has, in snake_case.
        values: the values the message speaks of, for programs.
    """

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code if code is not None else self.default_code
        self.values = values


class EncodingError(AudieraError):
    """Bytes that are not the one canonical encoding of what they should hold."""

    default_code = "encoding_invalid"


class IdError(AudieraError):
    """Text or bytes that are no id."""

    default_code = "id_invalid"


class SignatureError(AudieraError):
    """A signature that does not verify, or is not in the one accepted form."""

    default_code = "signature_invalid"


class ProofError(AudieraError):
    """A proof that does not lead from its leaf to the given root."""

    default_code = "proof_invalid"


class RecordError(AudieraError):
    """A record whose values break the rules of its kind."""

    default_code = "record_invalid"


class TransactionError(AudieraError):
    """The machine refuses a transaction. Nothing but this becomes a failed transaction in a block."""

    default_code = "transaction_refused"


class BatchError(TransactionError):
    """An access batch that is malformed, out of order, repeated or does not add up."""

    default_code = "batch_invalid"


class AccessRefused(AudieraError):
    """A use that the rights decision refused; ``values["reasons"]`` lists the reason codes."""

    default_code = "access_refused"


class LedgerError(AudieraError):
    """The ledger is damaged or has stopped. Nothing may be answered from it; the node stops."""

    default_code = "ledger_failed"


class StorageError(AudieraError):
    """A disk or a store did not keep its promise."""

    default_code = "storage_failed"


class MediaError(AudieraError):
    """A sound that cannot be taken in."""

    default_code = "media_invalid"


class ConfigurationError(AudieraError):
    """Settings that cannot work; all of them are reported together."""

    default_code = "configuration_invalid"


class RequestError(AudieraError):
    """A request that cannot be served as it is."""

    default_code = "request_invalid"


class NotAuthenticated(RequestError):
    """Nobody said who is asking, or the proof of it is no longer good."""

    default_code = "not_authenticated"


class NotPermitted(RequestError):
    """The asker is known and may not do this."""

    default_code = "not_permitted"


class NotFound(RequestError):
    """What the request names is not here."""

    default_code = "not_found"


class Conflict(RequestError):
    """The request contradicts what is already recorded."""

    default_code = "conflict"


class TooLarge(RequestError):
    """The request is larger than the limit."""

    default_code = "too_large"


class TooMany(RequestError):
    """A quota or a budget is used up."""

    default_code = "too_many"


class Unavailable(RequestError):
    """The node cannot serve this now; the same request may succeed later."""

    default_code = "unavailable"
