"""The OpenAPI documents of REST, made from the operations table: the full one, and a plainer one for GPT Actions.

Nothing here is written twice: texts and schemas come from the table's parameters and results, statuses from its codes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import Any

from django.conf import settings
from pydantic import TypeAdapter

from bus.operations import EVENTS, OPERATIONS, Operation
from bus.rest import lane
from bus.rest.plainer import plainer
from crosswire import __version__
from crosswire.lib.errors import CODES

type Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
_ALWAYS = (
    *("invalid_input", "unauthorized", "suspended", "bad_origin", "not_acceptable", "bad_host"),
    *("address_too_long", "headers_too_large", "rate_limited", "internal", "unavailable"),
)
STREAM = "text/event-stream"
_ANSWERED = {
    "application/json": "Done.",
    STREAM: "A stream of events, each of this form, until either side ends it. Lines that begin with a colon say that "
    "it is still there.",
}
_MEANINGS = {
    400: "An argument is missing, unknown, malformed or out of range.",
    401: "There is no key, or it is unknown, expired or revoked.",
    403: "This key, workspace or web page may not.",
    404: "There is no such thing here.",
    406: "Answers are JSON; events are text/event-stream.",
    409: "It conflicts with what is there.",
    413: "Too large.",
    414: "The address is too long.",
    415: "Bodies are JSON.",
    421: "The Host header names another host.",
    429: "A limit is reached.",
    431: "The headers are too many or too large.",
    500: "It is our fault, and logged.",
    503: "The database is away or busy, or the server restarts; after a send the message may be stored.",
}
# What an answer's value is good for: field of the answer -> argument, for the operations that take it.
_LINKS = {
    "register": {"inbox": {"instance_id": "instance_id"}, "unregister": {"instance_id": "instance_id"}},
    "create_channel": {"check_messages": {"channel": "channel"}},
    "send_message": {
        "check_messages": {"channel": "channel"},
        "get_replies": {"channel": "channel", "id": "id"},
        "message_status": {"channel": "channel", "id": "id"},
    },
    "share_data": {"get_shared_data": {"key": "key"}, "delete_shared_data": {"key": "key"}},
}


def operation_id(operation: Operation) -> str:
    """Return the name of an operation in the documents: the table's, in camel case."""
    assert operation.http is not None
    return operation.http.name or re.sub(r"_(\w)", lambda part: part[1].upper(), operation.name)


def codes(operation: Operation) -> dict[int, list[str]]:
    """Return every code an operation can be refused with, by status."""
    assert operation.http is not None
    found = [*_ALWAYS, *operation.refusals]
    if operation.http.method == "POST":
        found += ["too_large", "unsupported_media_type"]
    if operation.instance:
        found.append("wrong_instance")
    if not operation.is_read:
        found.append("read_only_key")
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(found, key=list(CODES).index):
        by_status[CODES[code]].append(code)
    return dict(sorted(by_status.items()))


@cache
def full() -> Json:
    """Return the document for people and programs."""
    paths: dict[str, Json] = defaultdict(dict)
    bound = [operation for operation in (*OPERATIONS.values(), EVENTS) if operation.http is not None]
    adapters = [(each.name, "serialization", TypeAdapter(each.result)) for each in bound]
    answers, definitions = TypeAdapter.json_schemas(adapters, ref_template=SCHEMAS + "{model}")  # type: ignore[arg-type]
    for each in bound:
        assert each.http is not None
        paths[lane.PREFIX + each.http.path][each.http.method.lower()] = _operation(
            each, answers[each.name, "serialization"]
        )
    schemas = {**_untitled(definitions["$defs"]), "Error": _ERROR}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CrossWire",
            "version": __version__,
            "summary": "The message bus that lets AI agents of every vendor talk to each other.",
            "description": "Channels, messages, replies, waiting without polling, and shared data. Every success is "
            "200; every refusal has a sentence in `error` and a stable word in `code`. A path that does not take a "
            "method answers 405 `method_not_allowed` and names in `Allow` those it takes.",
        },
        "servers": [{"url": settings.PUBLIC_URL}],
        "externalDocs": {"url": f"{settings.PUBLIC_URL}/docs/api/"},
        "security": [{name: []} for name in _SECURITY],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tag(each) for each in bound)],
        "paths": dict(paths),
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }


@cache
def for_actions() -> Json:
    """Return the document that imports into a ChatGPT Custom GPT as it is."""
    return plainer(full())


_SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of a workspace, or an OAuth token."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "authToken": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "api_key",
        "description": "For clients that can send no header; no log shows it.",
    },
}
_ERROR: Json = {
    "type": "object",
    "description": "A refusal. Some codes bring further keys, such as `limit`, `used` and `upgrade_url`.",
    "properties": {
        "error": {"type": "string", "description": "A sentence a person or a model can act on"},
        "code": {"type": "string", "enum": list(CODES), "description": "A stable word"},
        "retry_after": {"type": "integer", "minimum": 0, "description": "Seconds until it makes sense to try again"},
    },
    "required": ["error", "code"],
}


def _operation(operation: Operation, answer: Json) -> Json:
    assert operation.http is not None
    told: Json = {
        "operationId": operation_id(operation),
        "tags": [_tag(operation)],
        "summary": operation.title,
        "description": _description(operation),
        "x-openai-isConsequential": operation.is_destructive,
    }
    arguments, needed = _arguments(operation)
    in_path = re.findall(r"{(\w+)}", operation.http.path)
    has_body = operation.http.method == "POST"
    beside = [] if has_body else [name for name in arguments if name not in in_path]
    if parameters := [
        _parameter(name, arguments[name], is_in_path=name in in_path, is_needed=name in needed)
        for name in (*in_path, *beside)
    ]:
        told["parameters"] = parameters
    if has_body:
        body = _body(
            {name: schema for name, schema in arguments.items() if name not in in_path},
            [name for name in needed if name not in in_path],
        )
        told["requestBody"] = {"required": True, "content": {"application/json": body}}
    kind = STREAM if operation is EVENTS else "application/json"
    answered: Json = {"description": _ANSWERED[kind], "content": {kind: {"schema": answer}}}
    if operation.name in _LINKS:
        answered["links"] = _links(operation)
    told["responses"] = {"200": answered} | {
        str(status): _refusal(status, words) for status, words in codes(operation).items()
    }
    return told


def _description(operation: Operation) -> str:
    assert operation.http is not None
    model = operation.http.params or operation.params
    return " ".join((operation.http.description or model.__doc__ or "").split())


def _arguments(operation: Operation) -> tuple[dict[str, Json], list[str]]:
    """Return the schemas of the arguments by REST's names, without null, and the names of those that are needed."""
    assert operation.http is not None
    model = operation.http.params or operation.params
    schema = model.model_json_schema(ref_template=SCHEMAS + "{model}")
    names = {argument: name for name, argument in operation.http.aliases.items()}
    in_path = set(re.findall(r"{(\w+)}", operation.http.path))
    needed = set(schema.get("required", [])) | in_path
    if operation.instance and model.model_fields[operation.instance].default == "":
        needed.add(operation.instance)  # a key that is bound to an instance may leave it out
    arguments = {
        names.get(argument, argument): _argument(
            told, is_bound=argument == operation.instance and argument in needed - in_path
        )
        for argument, told in schema.get("properties", {}).items()
    }
    return arguments, [name for name in arguments if {name, operation.http.aliases.get(name, name)} & needed]


def _argument(schema: Json, *, is_bound: bool) -> Json:
    """Return the schema of one argument: without null and title, with the texts that its keywords stand for."""
    others = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    told = {**schema, **(others[0] if len(others) == 1 else {})}
    if len(others) == 1:
        del told["anyOf"]
    if told.get("default") in (None, ""):
        told.pop("default", None)
    told.pop("title", None)
    texts = [told.pop("description")] if "description" in told else []
    if "x-range" in told:
        least, most = told.pop("x-range")
        texts.append(f"{least} to {most}; any other number is taken as the nearest of these")
    if is_bound:
        texts.append("A key that is bound to an instance may leave this out")
    return {**told, "description": ". ".join(texts)} if texts else told


def _parameter(name: str, schema: Json, *, is_in_path: bool, is_needed: bool) -> Json:
    shown = {key: value for key, value in schema.items() if key not in ("description", "examples")}
    told: Json = {"name": name, "in": "path" if is_in_path else "query", "schema": shown}
    if is_needed:
        told["required"] = True
        shown.pop("default", None)
    else:
        told["allowEmptyValue"] = True  # as good as left out
    if "description" in schema:
        told["description"] = schema["description"]
    if "examples" in schema:
        told["example"] = schema["examples"][0]
    return told


def _body(arguments: dict[str, Json], needed: list[str]) -> Json:
    """Return a JSON body; null is as good as left out, and a number may be written as text."""
    properties = {}
    for name, schema in arguments.items():
        properties[name] = told = dict(schema)
        kinds = [told["type"]]
        if told["type"] == "integer":
            kinds.append("string")
            told["pattern"] = "^[0-9]{1,18}$"
        if name not in needed:
            kinds.append("null")
            if "enum" in told:
                told["enum"] = [*told["enum"], None]
        told["type"] = kinds if len(kinds) > 1 else kinds[0]
    body = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    return {"schema": body, "example": {name: arguments[name]["examples"][0] for name in needed}}


def _links(operation: Operation) -> Json:
    links: Json = {}
    for target, values in _LINKS[operation.name].items():
        name = operation_id(OPERATIONS[target])
        links[name] = {
            "operationId": name,
            "parameters": {argument: f"$response.body#/{field}" for argument, field in values.items()},
        }
    return links


def _refusal(status: int, words: list[str]) -> Json:
    schema: Json = {"$ref": f"{SCHEMAS}Error", "properties": {"code": {"enum": words}}}
    described = f"{_MEANINGS.get(status, 'It is refused.')} Codes: {', '.join(f'`{word}`' for word in words)}."
    told: Json = {"description": described, "content": {"application/json": {"schema": schema}}}
    if status == 401:
        told["headers"] = {
            "WWW-Authenticate": {
                "required": True,
                "description": "RFC 6750: how to authenticate",
                "schema": {"type": "string"},
            }
        }
    if status in (429, 503):
        told["headers"] = {
            "Retry-After": {
                "required": status == 503,
                "description": "Seconds until it makes sense to try again"
                + ("" if status == 503 else "; not with `limit_reached`"),
                "schema": {"type": "integer", "minimum": 0},
            }
        }
    return told


def _tag(operation: Operation) -> str:
    """Return the heading an operation stands under: the first part of its path."""
    assert operation.http is not None
    first = operation.http.path.split("/")[1]
    headings = {
        "events": "subscriptions",
        "register": "instances",
        "search": "messages",
        "usage": "account",
        "whoami": "account",
    }
    return headings.get(first, first)


def _untitled(schema: Any, *, is_schema: bool = True) -> Any:
    """Return schemas without the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [_untitled(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _untitled(value, is_schema=not is_schema or key not in ("properties", "$defs"))
        for key, value in schema.items()
        if not (is_schema and key == "title" and isinstance(value, str))
    }
