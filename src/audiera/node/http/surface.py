"""The whole HTTP surface of a node, put together from its rooms."""

from collections.abc import Callable
from functools import cache

import msgspec

from audiera.node.http import access, accounts, assets, catalog, docs, ledger, models, transactions, uploads, usage
from audiera.node.http.authorization import Opener, Owners
from audiera.node.http.idempotency import Answers, Once
from audiera.node.http.identity import Identity, Tokens
from audiera.node.http.openapi import describe
from audiera.node.http.operations import Operation
from audiera.node.http.server import HttpNode, Table
from audiera.node.http.streaming import ByteRoute
from audiera.node.parts import Parts
from audiera.node.sessions import SessionTokens
from audiera.services.access import Gate

OPERATIONS: tuple[Operation, ...] = (
    *ledger.OPERATIONS,
    *transactions.OPERATIONS,
    *accounts.OPERATIONS,
    *uploads.OPERATIONS,
    *assets.OPERATIONS,
    *access.OPERATIONS,
    *catalog.OPERATIONS,
    *models.OPERATIONS,
    *usage.OPERATIONS,
    *docs.OPERATIONS,
)
"""Every operation of a node; one that is not here does not exist."""


def description_of(table: Table, version: str) -> Callable[[], bytes]:
    """Gives the OpenAPI document, made when first asked for."""

    @cache
    def made() -> bytes:
        return msgspec.json.encode(describe(table.rows, version=version))

    return made


def build_surface(parts: Parts, table: Table, answers: Answers, hosts: frozenset[str]) -> HttpNode:
    """The ASGI application of a node.

    Args:
        parts: its rooms.
        table: its operations.
        answers: kept answers of POSTs.
        hosts: names under which it may be called.
    """
    owners = Owners(upload=parts.intake.owner, session=_opener(parts.gate))
    tokens = Tokens(parts.ledger, parts.clock, _bearer(parts.sessions))
    return HttpNode(
        parts,
        table=table,
        tokens=tokens,
        once=Once(answers, parts.threads.run),
        owners=owners,
        byte_route=ByteRoute(
            stream=parts.stream,
            gate=parts.gate,
            sessions=parts.sessions,
            tokens=tokens,
            owners=owners,
            threads=parts.threads,
            asset_size=_sizes(parts),
        ),
        hosts=hosts,
    )


def _opener(gate: Gate) -> Callable[[int], Opener]:
    def find(number: int) -> Opener:
        opening = gate.session(number).opening
        return Opener(opening.consumer, opening.app_key)

    return find


def _bearer(sessions: SessionTokens) -> Callable[[str], Identity | None]:
    def find(token: str) -> Identity | None:
        session = sessions.find(token)
        if session is None:
            return None
        return Identity(account=session.opening.consumer, session=session.number)

    return find


def _sizes(parts: Parts) -> Callable[[int], int]:
    def size(number: int) -> int:
        asset = parts.ledger.state().asset(number)
        return 0 if asset is None else asset.content.size

    return size
