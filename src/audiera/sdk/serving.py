"""Models: stored, registered, published, called."""

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from audiera.protocol.api import routes
from audiera.protocol.api.models import DeploymentAnswer, DeploymentRequest, ModelAnswer, PackageAnswer
from audiera.protocol.errors import ProofError
from audiera.protocol.keys import parse_key
from audiera.protocol.transactions import AuthorizeAppKey, IssueGrant, PublishEndpoint, RegisterModel, RevokeAppKey
from audiera.protocol.units import DAY_US
from audiera.sdk.models import CallAnswer
from audiera.sdk.using import Using

if TYPE_CHECKING:
    from audiera.sdk.sessions import Stream

_CALL_S = 300.0
"""Longest wait for a model's answer."""


class ApiKey(NamedTuple):
    """An application's key."""

    number: int
    """Ledger number."""

    secret: str
    """The key itself; shown once, for only its hash is kept anywhere."""


class Serving(Using):
    """What model and application developers do with models."""

    def add_package(self, architecture: str, data: bytes, *, name: str = "weights.safetensors") -> bytes:
        """Store a model's file at the node; returns the digest its record names as weights."""
        headers = {"Content-Type": "application/octet-stream"}
        query = {"architecture": architecture, "name": name}
        response = self._transport.send(routes.ADD_PACKAGE, query=query, content=data, headers=headers)
        return msgspec.json.decode(response.content, type=PackageAnswer).weights

    def register_model(self, body: RegisterModel) -> int:
        """Register a model with its lineage; returns its ledger number."""
        return self.submit(body).number

    def publish_endpoint(self, body: PublishEndpoint, *, url: str = "") -> None:
        """Offer a model as a service: from its package, or at a URL."""
        self.submit(body)
        request = DeploymentRequest(kind="http" if url else "embedded", url=url)
        self._transport.ask(routes.DEPLOY_MODEL, DeploymentAnswer, {"number": body.model}, body=request)

    def model(self, ref: int) -> ModelAnswer:
        """A model with its endpoint and lineage."""
        return self._transport.ask(routes.MODEL, ModelAnswer, {"number": ref})

    def open_model(self, model: int, *, budget: int) -> "Stream":
        """Get a grant on a model and open a session for calls; the budget in microcredits is the most it can cost."""
        grant = self.grant(IssueGrant(purpose="call-model", model=model, budget=budget))
        return self.open_stream(grant)

    def call_model(
        self,
        session: "Stream | None",
        model: int,
        body: bytes = b"",
        *,
        media_type: str = "application/octet-stream",
        **parameters: str | float,
    ) -> CallAnswer:
        """Call a model; recorded and billed when it succeeds.

        Args:
            session: an open session under a grant for it; None for an application with its key.
            model: ledger number.
            body: what is sent to it.
            media_type: what the body is.
            parameters: named parameters of the call.

        Raises:
            AccessRefused: the decision was no.
            AudieraError: the model failed; not billed.
            ProofError: the node's receipt is not for this call.
        """
        from audiera.protocol.accesses.receipts import verify_receipt
        from audiera.sdk.sessions import receipt_of

        response = self._transport.send(
            routes.CALL_MODEL,
            {"number": model},
            query={name: str(value) for name, value in parameters.items()},
            content=body,
            headers={"Content-Type": media_type},
            token=session.token if session is not None else "",
            wait_s=_CALL_S,
        )
        node = self._node or self.node()
        receipt = receipt_of(response.headers)
        row = verify_receipt(receipt, parse_key(node.key), chain_id=node.chain_id)
        if row.asset != model or (session is not None and row.session != session.number):
            raise ProofError("the node's receipt is for another call than this one", model=model)
        if session is not None:
            session.count(row.bytes, row.t)
        return CallAnswer(
            body=response.content,
            media_type=response.headers["Content-Type"].partition(";")[0],
            price=int(response.headers[routes.PRICE]),
            node=row.node,
            index=receipt.index,
        )

    def make_api_key(self, *, budget: int, days: int = 30, models: tuple[int, ...] = ()) -> ApiKey:
        """Make a key with which an application calls models on this account's grants.

        Args:
            budget: most it may spend in all, microcredits.
            days: how long it is good for.
            models: models it may call; any when empty.
        """
        secret = routes.API_KEY_PREFIX + secrets.token_urlsafe(32)
        body = AuthorizeAppKey(
            key_hash=hashlib.sha256(secret.encode("ascii")).digest(),
            budget=budget,
            expires_at=(time.time_ns() // 1_000) + days * DAY_US,
            models=models,
        )
        return ApiKey(self.submit(body).number, secret)

    def revoke_api_key(self, number: int) -> None:
        """Take a key back at once."""
        self.submit(RevokeAppKey(key=number))
