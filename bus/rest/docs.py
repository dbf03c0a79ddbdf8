"""REST's documents as pages and files: what a GPT imports, what programs read, what people read."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.cache import cache_control
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

    @require_safe
    @cache_control(public=True, max_age=300)
    @condition(etag_func=lambda request: etag())
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(body(), headers={"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"})

    return view


@require_safe
@cache_control(public=True, max_age=300)
def page(request: HttpRequest) -> HttpResponse:
    """Show the full document to people."""
    return render(request, "api_docs.html", {"public_url": settings.PUBLIC_URL, "groups": _groups()})


@cache
def _groups() -> list[Json]:
    """Return the operations by tag, each flattened for the template."""
    document = openapi.full()
    groups: dict[str, list[Json]] = {tag["name"]: [] for tag in document["tags"]}
    for at, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_shown(document, at, method.upper(), operation))
    return [{"name": name, "operations": operations} for name, operations in groups.items()]


def _shown(document: Json, at: str, method: str, operation: Json) -> Json:
    arguments = [
        _row(each["name"], each["schema"] | {"description": each.get("description", "")}, each.get("required"))
        | {"place": each["in"]}
        for each in operation.get("parameters", [])
    ]
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        arguments += [
            _row(name, each, name in body["required"]) | {"place": "body"} for name, each in body["properties"].items()
        ]
    responses = operation["responses"]
    answer = _resolved(document, responses["200"]["content"]["application/json"]["schema"])
    return {
        "id": operation["operationId"],
        "title": operation["summary"],
        "text": operation["description"],
        "method": method,
        "path": at,
        "arguments": arguments,
        "curl": _curl(at, method, operation),
        "answer": answer.get("description", ""),
        "fields": [
            _row(name, _resolved(document, each), name in answer.get("required", []))
            for name, each in answer["properties"].items()
        ],
        "refusals": [
            {"status": status, "codes": each["content"]["application/json"]["schema"]["properties"]["code"]["enum"]}
            for status, each in responses.items()
            if status != "200"
        ],
    }


def _row(name: str, schema: Json, is_needed: object) -> Json:
    kinds = [each.get("type", "object") for each in schema.get("anyOf", [schema])]
    kind = next((each for each in (kinds[0] if isinstance(kinds[0], list) else kinds)), "object")
    inside = schema.get("items", {}).get("$ref", "").rpartition("/")[2]
    return {
        "name": name,
        "kind": f"{kind} of {inside}" if inside else kind,
        "is_needed": bool(is_needed),
        "default": json.dumps(schema["default"]) if "default" in schema else "",
        "values": [value for value in schema.get("enum", []) if value is not None],
        "most": schema.get("maxLength"),
        "text": schema.get("description", ""),
    }


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
    lines = [f"curl {'' if method != 'DELETE' else '-X DELETE '}'{address}'", "-H 'Authorization: Bearer YOUR_KEY'"]
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        lines += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example)}'"]
    return " \\\n  ".join(lines)


def urlpatterns() -> list[URLPattern]:
    """Return where the documents are."""
    return [
        path("openapi.json", _file(openapi.for_actions), name="openapi"),
        path("docs/api/", page, name="api-docs"),
        path("docs/api/openapi.json", _file(openapi.full), name="openapi-full"),
    ]
