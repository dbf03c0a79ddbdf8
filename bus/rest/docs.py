"""REST's documents as files: what a GPT imports, what programs read; and, flattened, what the page for people shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition, require_safe

from bus.rest import openapi

type Json = dict[str, Any]


def _file(made: Callable[[], Json]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view of a document: public, with an ETag, readable for pages of any origin."""

    @cache
    def body() -> bytes:
        return orjson.dumps(made(), option=orjson.OPT_INDENT_2)

    @cache
    def etag() -> str:
        return f'"{sha256(body()).hexdigest()[:32]}"'

    @csrf_exempt  # there is nothing to forge, and who posts here is told 405
    @require_safe
    @cache_control(public=True, max_age=300)
    @condition(etag_func=lambda request: etag())
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(body(), headers={"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"})

    return view


@cache
def groups() -> list[Json]:
    """Return the operations by tag, each flattened for the page that shows them."""
    document = openapi.full()
    found: dict[str, list[Json]] = {tag["name"]: [] for tag in document["tags"]}
    for at, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_shown(document, at, method.upper(), operation))
    return [{"name": name, "operations": operations} for name, operations in found.items()]


@cache
def shapes() -> list[Json]:
    """Return what answers are made of, as far as it is no whole answer."""
    schemas: Json = openapi.full()["components"]["schemas"]
    answers = {operation["shape"] for group in groups() for operation in group["operations"]}
    return [
        {"name": name, "text": _marked(schema.get("description", "")), "fields": fields(schema)}
        for name, schema in schemas.items()
        if name not in answers or name == "Usage"  # which is a part of another answer as well
    ]


def _shown(document: Json, at: str, method: str, operation: Json) -> Json:
    arguments = [
        row(each["name"], each["schema"] | {"description": each.get("description", "")}, each.get("required"))
        | {"place": each["in"]}
        for each in operation.get("parameters", [])
    ]
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        arguments += [
            row(name, each, name in body["required"]) | {"place": "body"} for name, each in body["properties"].items()
        ]
    responses = operation["responses"]
    (answered,) = responses["200"]["content"].values()
    answer = _resolved(document, answered["schema"])
    return {
        "id": operation["operationId"],
        "title": operation["summary"],
        "text": _marked(operation["description"]),
        "method": method,
        "path": at,
        "arguments": arguments,
        "curl": _curl(at, method, operation),
        "shape": answer["type"],
        "answer": _marked(answer.get("description", "")),
        "fields": fields(answer),
        "refusals": [
            {"status": status, "codes": each["content"]["application/json"]["schema"]["properties"]["code"]["enum"]}
            for status, each in responses.items()
            if status != "200"
        ],
    }


def fields(schema: Json) -> list[Json]:
    """Return what the page shows of an object's fields."""
    needed = schema.get("required", [])
    return [row(name, each, name in needed) for name, each in schema["properties"].items()]


def row(name: str, schema: Json, is_needed: object) -> Json:
    """Return what the page shows of an argument or a field: its first type, or the shape it is or is a list of."""
    first: Json = schema.get("anyOf", [schema])[0]
    kind = first.get("type", "object")
    return {
        "name": name,
        "kind": kind if isinstance(kind, str) else kind[0],
        "shape": first.get("items", first).get("$ref", "").rpartition("/")[2],
        "is_needed": bool(is_needed),
        "default": json.dumps(schema["default"]) if "default" in schema else "",
        "values": [value for value in schema.get("enum", []) if value is not None],
        "most": schema.get("maxLength"),
        "text": _marked(schema.get("description", "")),
    }


def _marked(text: str) -> str:
    """Return a text with what stands in backticks as code."""
    parts = enumerate(text.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", part) if at % 2 else part,) for at, part in parts)
    )


def _resolved(document: Json, schema: Json) -> Json:
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**document["components"]["schemas"][name], "type": name} if name else schema


def _curl(at: str, method: str, operation: Json) -> str:
    """Return a call of the operation as one types it into a shell."""
    values = {each["name"]: str(each["example"]) for each in operation.get("parameters", []) if each.get("required")}
    in_query = [
        each["name"] for each in operation.get("parameters", []) if each["in"] == "query" and each["name"] in values
    ]
    for name, value in values.items():
        at = at.replace(f"{{{name}}}", value)
    query = "&".join(f"{name}={values[name]}" for name in in_query)
    address = f"{settings.PUBLIC_URL}{at}{'?' if query else ''}{query}"
    (kind,) = operation["responses"]["200"]["content"]
    unbuffered = "-N " if kind == openapi.STREAM else ""
    lines = [
        f"curl {unbuffered}{'' if method != 'DELETE' else '-X DELETE '}'{address}'",
        "-H 'Authorization: Bearer YOUR_KEY'",
    ]
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        lines += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example)}'"]
    return " \\\n  ".join(lines)


def urlpatterns() -> list[URLPattern]:
    """Return where the documents are."""
    return [
        path("openapi.json", _file(openapi.for_actions), name="openapi"),
        path("docs/api/openapi.json", _file(openapi.full), name="openapi-full"),
    ]
