"""Every route by its name: the node serves these paths and the SDK asks for them."""

from typing import NamedTuple
from urllib.parse import quote


class Route(NamedTuple):
    """A method and a path with named places in braces."""

    method: str
    """GET, HEAD, POST, PATCH, DELETE or OPTIONS."""

    path: str
    """Such as ``/v1/assets/{ref}``."""

    def url(self, **places: int | str) -> str:
        """The path with its places filled in."""
        path = self.path
        for name, value in places.items():
            path = path.replace("{" + name + "}", quote(str(value), safe=":"))
        return path


NODE = Route("GET", "/v1/node")

SUBMIT_TRANSACTION = Route("POST", "/v1/transactions")
FETCH_TRANSACTION = Route("GET", "/v1/transactions/{id}")

ACCOUNT = Route("GET", "/v1/accounts/{ref}")
ACCOUNT_HISTORY = Route("GET", "/v1/accounts/{number}/history")
ACCOUNT_STATEMENT = Route("GET", "/v1/accounts/{number}/statement")
FAUCET = Route("POST", "/v1/faucet")

UPLOAD_OPTIONS = Route("OPTIONS", "/v1/uploads")
CREATE_UPLOAD = Route("POST", "/v1/uploads")
UPLOAD_STATE = Route("HEAD", "/v1/uploads/{id}")
APPEND_UPLOAD = Route("PATCH", "/v1/uploads/{id}")
DELETE_UPLOAD = Route("DELETE", "/v1/uploads/{id}")
ANALYZE_UPLOAD = Route("POST", "/v1/uploads/{id}/analysis")

SEARCH = Route("GET", "/v1/search")
SEARCH_BY_BODY = Route("POST", "/v1/search")
SUGGEST = Route("GET", "/v1/suggest")

ASSET = Route("GET", "/v1/assets/{ref}")
ASSET_HISTORY = Route("GET", "/v1/assets/{ref}/history")
ASSET_WAVEFORM = Route("GET", "/v1/assets/{ref}/waveform")
ASSET_PREVIEW = Route("GET", "/v1/assets/{ref}/preview")

LICENSE = Route("GET", "/v1/licenses/{number}")
GRANT = Route("GET", "/v1/grants/{number}")
SNAPSHOT = Route("GET", "/v1/snapshots/{number}")
SNAPSHOT_CLIPS = Route("GET", "/v1/snapshots/{number}/clips")
RUN = Route("GET", "/v1/runs/{number}")
SETTLEMENT = Route("GET", "/v1/settlements/{number}")
SETTLEMENT_CLAIMS = Route("GET", "/v1/settlements/{number}/claims")

DECIDE = Route("POST", "/v1/decisions")
RESERVE_SESSION = Route("POST", "/v1/sessions/reservations")
OPEN_SESSION = Route("POST", "/v1/sessions")
SESSION_BYTES = Route("GET", "/v1/sessions/{session}/assets/{asset}/bytes")
SIGN_WATERMARK = Route("POST", "/v1/sessions/{session}/watermarks")
FLUSH_SESSION = Route("POST", "/v1/sessions/{session}/flush")
ACCESS_PROOF = Route("GET", "/v1/accesses/{node}/{index}/proof")

ACCOUNT_TRANSACTIONS = Route("GET", "/v1/accounts/{number}/transactions")
ACCOUNT_PAYMENTS = Route("GET", "/v1/accounts/{number}/payments")
USAGE_TOTALS = Route("POST", "/v1/usage/totals")
USAGE_DAYS = Route("POST", "/v1/usage/days")
USAGE_ASSETS = Route("POST", "/v1/usage/assets")
USAGE_REFUSALS = Route("POST", "/v1/usage/refusals")
ACCESS_TRAIL = Route("GET", "/v1/accesses/{node}/{index}/trail")
ASSET_EARNINGS = Route("GET", "/v1/assets/{ref}/earnings")

ADD_PACKAGE = Route("POST", "/v1/models/packages")
MODEL = Route("GET", "/v1/models/{number}")
DEPLOY_MODEL = Route("POST", "/v1/models/{number}/deployment")
CALL_MODEL = Route("POST", "/v1/models/{number}/call")

LEDGER_HEAD = Route("GET", "/v1/ledger/head")
LEDGER_BLOCK = Route("GET", "/v1/ledger/blocks/{height}")
LEDGER_CHECKPOINT = Route("GET", "/v1/ledger/checkpoint")
LEDGER_CREDITS = Route("GET", "/v1/ledger/credits")
LEDGER_LOG_ENTRY = Route("GET", "/v1/ledger/log/{index}")

OPENAPI = Route("GET", "/openapi.json")
DOCS = Route("GET", "/docs")

REQUEST_ID = "X-Request-Id"
"""Header: names a request in the node's log; sent back, made when absent."""

IDEMPOTENCY_KEY = "Idempotency-Key"
"""Header of any POST: the same key with the same body has one effect and one answer, for 24 hours."""

RECEIPT = "Audiera-Receipt"
"""Header of released bytes: the node's signed receipt of the access, durable before they left; base64 of its bytes."""

PRICE = "Audiera-Price"
"""Header of a model's answer: microcredits the call costs."""

PRICE_VERSION = "Audiera-Price-Version"
"""Header of a model's answer: version of the price list that was applied."""

GRANT_HEADER = "Audiera-Grant"
"""Header of an application's call: ledger number of the grant to draw on, instead of the newest one."""

TOKEN_LIFETIME_S = 900
"""Longest life of a client-minted token, seconds."""

API_KEY_PREFIX = "aud_"
"""What an application's opaque key begins with."""
