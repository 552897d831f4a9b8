"""The description of the API is true: what it lets through is served or refused as it says, and nothing breaks."""

import base64
import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from audiera.node.http.surface import OPERATIONS
from audiera.protocol.api import routes
from tests.node.house import House, Person, house_in
from tests.node.world import World, made

EXAMPLES = 15
"""Generated requests for each operation; a long run asks for more with AUDIERA_EXAMPLES."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A node that generated requests may change as they like."""
    home = tmp_path_factory.mktemp("described") / "home"
    with house_in(home, previews_per_minute=100_000, uploads_per_account=10_000) as house:
        yield made(house)


def test_the_description_is_an_openapi_document(world: World) -> None:
    document = world.house.ask(routes.OPENAPI).json
    assert document["openapi"].startswith("3.1")
    validate(document, cls=OpenAPIV31SpecValidator)


def test_every_operation_is_described_once_under_a_name_of_its_own(world: World) -> None:
    document = world.house.ask(routes.OPENAPI).json
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {tuple(operation.route) for operation in OPERATIONS}
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names))
    for each in operations:
        assert each["summary"] and each["description"]
        assert "Raises:" not in each["description"]
        secured = "security" in each
        assert secured == ("Anyone may call this." not in each["description"])


def test_the_description_for_people_runs_nothing_and_loads_nothing(world: World) -> None:
    answer = world.house.ask(routes.DOCS)
    page = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert "<script" not in page and " on" + "load=" not in page and "javascript:" not in page
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert len(re.findall(r"<style>", page)) == 1 and " style=" not in page
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    for operation in OPERATIONS:
        assert operation.route.path in page
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(re.findall(r'id="([^"]+)"', page))


# ---------------------------------------------------------------------- generated requests


def load(house: House) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis

        # Bytes as any others: named so that requests with such a body can be made at all.
        schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
        return schemathesis.openapi.from_dict(house.ask(routes.OPENAPI).json)


def operations_of(schema: Any) -> list[Any]:
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_generated_requests_are_answered_as_described(described: World) -> None:
    house, lab = described.house, described.lab
    count = int(os.environ.get("AUDIERA_EXAMPLES", EXAMPLES))
    schema = load(house)
    session = lab.session(described.grant)
    web = requests.Session()
    asked = 0
    failures: list[str] = []
    for operation in operations_of(schema):

        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), who=st.sampled_from(["", "lab", "session"]), near=st.booleans())
        def run(case: Any, who: str, near: bool) -> None:
            nonlocal asked
            asked += 1
            if near:  # places that exist, so that more than the first check is met
                for name, value in known(described, lab, session.number).items():
                    if name in case.path_parameters:
                        case.path_parameters[name] = value
            case.headers = {**(case.headers or {})}
            case.headers.pop("Authorization", None)
            token = {"": "", "lab": lab.token(), "session": session.token}[who]
            if token:
                case.headers["Authorization"] = f"Bearer {token}"
            try:
                response = case.call(base_url=house.url, session=web)
            except requests.exceptions.InvalidHeader:
                return  # no client can send it
            case.validate_response(response, checks=checks())
            assert response.status_code < 500, response.text

        try:
            run()
        except Exception as fault:  # noqa: BLE001 - every operation's fault is told, not only the first
            failures.append(f"{operation.method.upper()} {operation.path}: {str(fault)[:1500]}")
    web.close()
    assert not failures, "\n\n".join(failures)
    assert asked >= len(OPERATIONS) * 3
    assert house.ask(routes.NODE).status == 200


def checks() -> list[Any]:
    from schemathesis.specs.openapi import checks as openapi

    return [
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
    ]


def known(world: World, lab: Person, session: int) -> dict[str, Any]:
    """Places that exist."""
    return {
        "ref": str(world.free),
        "asset": world.free,
        "session": session,
        "node": world.house.parts.account,
        "index": 0,
        "height": 1,
        "number": lab.number,
    }
