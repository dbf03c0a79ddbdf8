"""What a ChatGPT Custom GPT takes of an OpenAPI document (developers.openai.com/api/docs/actions/production)."""

from __future__ import annotations

import copy
from typing import Any

OPERATIONS_MOST = 30
TEXT_MOST = 300
PARAMETER_TEXT_MOST = 700
ANSWER_MOST = 100_000
_KEPT = ("type", "description", "enum", "default", "items", "properties", "required", "minimum", "maximum")
_SECURITY = {"bearer": {"type": "http", "scheme": "bearer"}}


def plainer(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with one way to authenticate and one type for each argument, without links and examples."""
    plain = copy.deepcopy(document)
    plain["paths"] = {path: methods for path, methods in plain["paths"].items() if not _is_stream(methods)}
    for operation in (each for path in plain["paths"].values() for each in path.values()):
        for parameter in operation.get("parameters", []):
            for dropped in ("example", "allowEmptyValue"):
                parameter.pop(dropped, None)
            parameter["schema"] = _argument(parameter["schema"])
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            content["application/json"] = {"schema": _argument(content["application/json"]["schema"])}
        for response in operation["responses"].values():
            for dropped in ("links", "headers"):
                response.pop(dropped, None)
            schema = response["content"]["application/json"]["schema"]
            response["content"]["application/json"] = {"schema": {"$ref": schema["$ref"]}}
    plain["security"] = [{name: []} for name in _SECURITY]
    plain["components"] = {"schemas": _with_properties(plain["components"]["schemas"]), "securitySchemes": _SECURITY}
    del plain["externalDocs"]
    return plain


def _is_stream(methods: dict[str, Any]) -> bool:
    """Return whether a path answers with what never ends: an action takes nothing but JSON."""
    return any("application/json" not in each["responses"]["200"]["content"] for each in methods.values())


def _argument(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what is asked for first; that null and numbers as text are taken as well need not be known."""
    plain = {key: value for key, value in schema.items() if key in _KEPT}
    if isinstance(plain.get("type"), list):
        plain["type"] = plain["type"][0]
    if "enum" in plain:
        plain["enum"] = [value for value in plain["enum"] if value is not None]
    if "properties" in plain:
        plain["properties"] = {name: _argument(each) for name, each in plain["properties"].items()}
    return plain


def _with_properties(schema: Any) -> Any:
    """Return schemas in which every object names its properties: the importer refuses others."""
    if isinstance(schema, list):
        return [_with_properties(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _with_properties(value) for key, value in schema.items()}
    return {"properties": {}, **plain} if plain.get("type") == "object" else plain
