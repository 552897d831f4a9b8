"""Models as services: files stored, endpoints put to work, calls answered, metered and billed."""

import base64
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from audiera.node.http.lookup import found
from audiera.node.http.operations import ANYTHING, Call, Operation
from audiera.protocol.api import routes
from audiera.protocol.api.models import DeploymentAnswer, DeploymentRequest, ModelAnswer, PackageAnswer
from audiera.protocol.errors import NotPermitted, RequestError
from audiera.protocol.ids import format_blob_id, format_id
from audiera.protocol.records import Model
from audiera.protocol.state import StateView
from audiera.protocol.units import I64_MAX
from audiera.services.access import Session
from audiera.services.models import CallRequest, Deployment
from audiera.services.models.registry import MAX_FILE_BYTES

BYTES = "application/octet-stream"
MAX_CALL_BYTES = 64 * 2**20
"""Largest body of a call."""

Numbered = Annotated[int, Meta(ge=1, le=I64_MAX)]
Slug = Annotated[str, Meta(min_length=1, max_length=120)]


def add_package(call: Call, architecture: Slug, name: Slug = "weights.safetensors") -> PackageAnswer:
    """Store a model's file; what comes back is the digest that the model's record names as its weights.

    The file is checked by the runner of its architecture first: one that could not run is refused.
    """
    weights, package = call.parts.registry.add_package(architecture, name, call.body)
    file = package.files[0]
    return PackageAnswer(weights=weights, blob=format_blob_id(file.blob), size=file.size)


def model(call: Call, number: Numbered) -> ModelAnswer:
    """A model, what a call costs, and how many recordings it was trained on."""
    state = call.parts.ledger.state()
    record = found(state.model(number), "model", number)
    return ModelAnswer(
        id=format_id(record.id),
        model=record,
        endpoint=state.endpoint(number),
        assets=len(_lineage(state, record)),
    )


def _lineage(state: StateView, record: Model) -> set[int]:
    """The assets a model and its base models were trained on."""
    assets: set[int] = set()
    seen: set[int] = set()
    waiting = [record]
    while waiting:
        each = waiting.pop()
        seen.add(each.number)
        for run in each.runs:
            assets.update(asset for asset, _ in state.run_uses(run))
        bases = (state.model(base.model) for base in each.base_models if base.model not in seen)
        waiting.extend(base for base in bases if base is not None)
    return assets


def deploy_model(call: Call, number: Numbered, body: DeploymentRequest) -> DeploymentAnswer:
    """Say how this node serves a model: from its stored file, or at its developer's endpoint.

    Raises:
        NotPermitted: the model is another account's.
    """
    record = found(call.parts.ledger.state().model(number), "model", number)
    if record.developer != call.identity.account:
        raise NotPermitted(f"model {number} is account {record.developer}'s", code="other_account")
    if (body.kind == "http") != bool(body.url):
        raise RequestError("an http deployment names its url, an embedded one has none", code="body_invalid")
    call.parts.registry.deploy(record, Deployment(model=number, kind=body.kind, url=body.url))
    return DeploymentAnswer(model=number, kind=body.kind)


async def call_model(call: Call, number: Numbered, parameters: dict[str, str]) -> Response:
    """Call a model; the call is recorded durably before its answer leaves, and billed only when it succeeds.

    Send the token of a session under a grant for the model, or an application's key. The answer's headers name its
    price and hold the signed receipt. With an idempotency key a repeated call is charged once.
    """
    parts = call.parts
    session = _session_of(call, number)
    media_type = call.request.headers.get("content-type", BYTES).partition(";")[0].strip().lower()
    key = call.request.headers.get(routes.IDEMPOTENCY_KEY, "")
    called = await parts.gateway.call(
        session,
        number,
        CallRequest(call.body, media_type, parameters),
        name=f"call/{number}/{key}" if key else "",
    )
    headers = {
        routes.PRICE: str(called.price),
        routes.PRICE_VERSION: str(called.price_version),
        routes.RECEIPT: base64.b64encode(called.recorded.encoded_receipt()).decode("ascii"),
    }
    return Response(called.answer.body, headers=headers, media_type=called.answer.media_type)


def _session_of(call: Call, model_number: int) -> Session:
    identity = call.identity
    if identity.session:
        return call.parts.gate.session(identity.session)
    named = call.request.headers.get(routes.GRANT_HEADER, "0")
    if not named.isdecimal() or len(named) > 19:
        raise RequestError(f"{routes.GRANT_HEADER} is a ledger number, got {named[:40]!r}", code="header_invalid")
    return call.parts.applications.session(identity.account, identity.app_key, model_number, grant=int(named))


OPERATIONS = (
    Operation(routes.ADD_PACKAGE, add_package, "account", body_bytes=MAX_FILE_BYTES, takes=BYTES),
    Operation(routes.MODEL, model, "anyone"),
    Operation(routes.DEPLOY_MODEL, deploy_model, "account"),
    Operation(
        routes.CALL_MODEL,
        call_model,
        "caller",
        for_applications=True,
        body_bytes=MAX_CALL_BYTES,
        takes=ANYTHING,
        sends=ANYTHING,
        at_most_once=True,
        headers=(routes.GRANT_HEADER,),
        answers=(routes.RECEIPT, routes.PRICE, routes.PRICE_VERSION),
    ),
)
