"""A chain for the benchmarks: its genesis, and accounts that sign for themselves."""

import time

from audiera.protocol import keys
from audiera.protocol.encoding import digest
from audiera.protocol.records import Authority, Genesis, Validator
from audiera.protocol.transactions import Body, CreateAccount, Envelope, domain, sign_transaction

CHAIN = "bench"
VALIDATOR = digest(b"validator")


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


def genesis() -> Genesis:
    """A chain with one validator and a test faucet."""
    return Genesis(
        chain_id=CHAIN,
        time=now_us() - 1_000_000,
        validators=(Validator(key=keys.public_key(VALIDATOR), power=1),),
        authorities=(Authority(rail="test-faucet", key=keys.public_key(digest(b"faucet"))),),
    )


class Account:
    """An account with its secret.

    Args:
        name: fixes the secret.
        kind: person or node.
    """

    def __init__(self, name: str, kind: str = "person") -> None:
        self.seed = digest(name.encode())
        self.key = keys.public_key(self.seed)
        self.kind = kind
        self.number = 0
        self.sequence = 0

    def creation(self) -> bytes:
        """The transaction that creates it."""
        body = CreateAccount(
            kind=self.kind,  # type: ignore[arg-type]
            roles=(),
            control_keys=(self.key,),
            device_keys=(),
            profile=bytes(32),
        )
        return self._signed(body, 0, 0)

    def sign(self, body: Body) -> bytes:
        """Its next transaction."""
        self.sequence += 1
        return self._signed(body, self.number, self.sequence)

    def _signed(self, body: Body, account: int, sequence: int) -> bytes:
        envelope = Envelope(domain=domain(CHAIN), account=account, sequence=sequence, key=self.key, body=body)
        return sign_transaction(self.seed, envelope)
