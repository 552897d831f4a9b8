"""The description of the API for programs and for people: no script, nothing from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec
from starlette.responses import Response

from audiera.node.http.operations import Call, Operation
from audiera.protocol.api import routes

_STYLE = """
:root { color-scheme: light dark; --soft: color-mix(in srgb, CanvasText 60%, Canvas); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid var(--soft); padding: 1rem 0; }
h2 { font-size: 1rem; margin: 0; font-family: ui-monospace, monospace; }
h2 b { display: inline-block; min-width: 5rem; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .9rem; }
td, th { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0; }
code { font-family: ui-monospace, monospace; }
p { margin: .5rem 0; white-space: pre-line; }
nav a { font-family: ui-monospace, monospace; font-size: .85rem; white-space: nowrap; }
nav td { padding: .05rem 1rem .05rem 0; }
.soft { color: var(--soft); }
"""
_CODE = re.compile(r"``([^`]+)``")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def openapi(call: Call) -> Response:
    """The description of this API, OpenAPI 3.1."""
    return Response(call.parts.describe(), media_type="application/json")


def docs(call: Call) -> Response:
    """The description of this API for people."""
    page = render(msgspec.json.decode(call.parts.describe()))
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})


def render(description: Mapping[str, Any]) -> str:
    """A readable page of an OpenAPI document."""
    every = [
        (method.upper(), path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    index = "".join(
        f'<tr><td><a href="#{escape(operation["operationId"])}">{method} {escape(path)}</a></td>'
        f'<td class="soft">{_words(operation["summary"])}</td></tr>'
        for method, path, operation in every
    )
    sections = "".join(_section(*each) for each in every)
    schemas = "".join(_schema(name, schema) for name, schema in description["components"]["schemas"].items())
    info = description["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f'<p>For programs: <a href="{routes.OPENAPI.path}">{routes.OPENAPI.path}</a></p>'
        f"<nav><table>{index}</table></nav>{sections}<h1>Types</h1>{schemas}</body></html>"
    )


def _section(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}</td>"
        f"<td>{_type_name(each['schema'])}</td><td>{'required' if each['required'] else ''}</td></tr>"
        for each in operation["parameters"]
    )
    body = operation.get("requestBody", {}).get("content", {})
    sent = "".join(f"<tr><td>body</td><td>{name}</td><td>{_type_name(_of(body, name))}</td></tr>" for name in body)
    answers = "".join(
        f"<tr><td>answer</td><td>{escape(status)} {name}</td><td>{_type_name(_of(answer['content'], name))}</td></tr>"
        for status, answer in operation["responses"].items()
        for name in answer.get("content", {})
    )
    return (
        f'<section id="{escape(operation["operationId"])}"><h2><b>{method}</b> {escape(path)}</h2>'
        f'<p>{_words(operation["summary"])}.</p><p class="soft">{_words(operation["description"])}</p>'
        f"<table>{rows}{sent}{answers}</table></section>"
    )


def _of(content: Mapping[str, Any], media_type: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = content[media_type]["schema"]
    return schema


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_type_name(kind)}</td>"
        f"<td>{'required' if field in needed else ''}</td><td>{_words(kind.get('description', ''))}</td></tr>"
        for field, kind in schema.get("properties", {}).items()
    )
    return (
        f'<section id="schema-{escape(name)}"><h2>{escape(name)}</h2><p>{_words(schema.get("description", ""))}</p>'
        f"<table>{rows}</table></section>"
    )


def _words(text: str) -> str:
    """Text as HTML; what stands between double backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _type_name(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, with links to named types."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type_name(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(escape(str(value)) for value in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {_type_name(items or {})}"
    if schema.get("contentEncoding") == "base64":
        return "bytes"
    return escape(str(schema.get("contentMediaType") or schema.get("type", "anything")))


OPERATIONS = (
    Operation(routes.OPENAPI, openapi, "anyone"),
    Operation(routes.DOCS, docs, "anyone", sends="text/html"),
)
