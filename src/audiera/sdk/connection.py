"""The connection of one account to one node: who it is, what it signs, what it may spend."""

import secrets
import threading
from collections.abc import Sequence
from typing import Self

from msgspec.structs import replace

from audiera.protocol.api import routes
from audiera.protocol.api.accounts import AccountAnswer, FaucetAnswer, FaucetRequest
from audiera.protocol.api.documents import Profile, digest_of_document
from audiera.protocol.api.node import HeadAnswer, NodeAnswer
from audiera.protocol.api.transactions import Document, TransactionOutcome
from audiera.protocol.encoding import encode
from audiera.protocol.errors import AudieraError, NotAuthenticated, TransactionError
from audiera.protocol.keys import format_key
from audiera.protocol.records.account import AccountKind, Role
from audiera.protocol.transactions import Body, ChangeProfile, CreateAccount, Envelope, domain, sign_transaction
from audiera.sdk.identity import Identity
from audiera.sdk.ledger import Signer, hand_in
from audiera.sdk.transport import Transport


class Connection:
    """One account at one node. Thread-safe.

    Args:
        transport: to the node.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._signer: Signer | None = None
        self._node: NodeAnswer | None = None

    @property
    def identity(self) -> Identity:
        """Who this is.

        Raises:
            NotAuthenticated: a visitor, or an application with an opaque key.
        """
        identity = self._transport.identity
        if identity is None or not identity.account:
            raise NotAuthenticated("this needs an account; connect with an identity")
        return identity

    @property
    def is_account(self) -> bool:
        """Whether this is an account, and not a visitor or an application with an opaque key."""
        identity = self._transport.identity
        return identity is not None and bool(identity.account)

    @property
    def account(self) -> int:
        """Ledger number of the account."""
        return self.identity.account

    def node(self) -> NodeAnswer:
        """Which node this is and which chain it serves."""
        self._node = self._transport.ask(routes.NODE, NodeAnswer)
        return self._node

    def head(self) -> HeadAnswer:
        """The newest block."""
        return self._transport.ask(routes.LEDGER_HEAD, HeadAnswer)

    def create_account(
        self,
        identity: Identity,
        *,
        roles: Sequence[Role],
        display_name: str = "",
        kind: AccountKind = "person",
    ) -> Identity:
        """Create an account for an identity and be it from now on.

        When the identity's key has an account already, because the answer to its creation was lost, that one is it.
        """
        node = self._node or self.node()
        profile = Profile(salt=secrets.token_bytes(32), display_name=display_name or "unnamed")
        body = CreateAccount(
            kind=kind,
            roles=tuple(roles),
            control_keys=(identity.key,),
            device_keys=(),
            profile=digest_of_document(profile),
        )
        envelope = Envelope(domain=domain(node.chain_id), account=0, sequence=0, key=identity.key, body=body)
        documents = [Document(kind="profile", content=encode(profile))]
        try:
            outcome = hand_in(self._transport, sign_transaction(identity.seed, envelope), documents)
            if outcome.code != "ok":
                raise TransactionError(outcome.message, code=outcome.code)
            number = outcome.number
        except AudieraError as error:
            if error.code != "key_taken":
                raise
            number = self.account_info(format_key(identity.key)).account.number
        created = Identity(
            seed=identity.seed,
            account=number,
            chain_id=node.chain_id,
            genesis=node.genesis,
            node=self._transport.url,
        )
        self.become(created)
        return created

    def become(self, identity: Identity) -> None:
        """Be another account from now on."""
        self._transport.identity = identity
        self._signer = None

    def submit(self, body: Body, documents: Sequence[Document] = ()) -> TransactionOutcome:
        """Sign any transaction and hand it in; durable and final when this returns."""
        return self.signer().submit(body, documents)

    def account_info(self, ref: int | str | None = None) -> AccountAnswer:
        """An account by number, id or key; one's own by default."""
        return self._transport.ask(routes.ACCOUNT, AccountAnswer, {"ref": ref or self.account})

    def change_profile(self, *, display_name: str = "", roles: Sequence[Role] = ()) -> None:
        """Change how one's account presents itself; what is not given stays.

        Args:
            display_name: its name as others see it.
            roles: what it takes part as.
        """
        info = self.account_info()
        kept = info.profile or Profile(salt=b"", display_name="unnamed")
        profile = replace(kept, salt=secrets.token_bytes(32), display_name=display_name or kept.display_name)
        taken = tuple(roles) or tuple(role for role in info.account.roles if role != "moderator")
        body = ChangeProfile(roles=taken, profile=digest_of_document(profile))
        self.submit(body, [Document(kind="profile", content=encode(profile))])

    def balance(self) -> int:
        """What one may spend, microcredits."""
        return self.account_info().balance

    def take_test_credits(self, microcredits: int) -> FaucetAnswer:
        """Ask the node's faucet; such credits are worth nothing."""
        request = FaucetRequest(account=self.account, amount=microcredits)
        return self._transport.ask(routes.FAUCET, FaucetAnswer, body=request)

    def signer(self) -> Signer:
        """What signs for the account, one transaction after another."""
        with self._lock:
            if self._signer is None:
                self._signer = Signer(self._transport, self.identity)
            return self._signer

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
