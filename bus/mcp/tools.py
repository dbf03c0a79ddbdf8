"""Tools, made from the operations table: their schemas, and results as MCP wants them."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from mcp import types

from accounts.principals import Principal
from bus.mcp import texts
from bus.mcp.fence import Fence, inert, inert_everywhere
from bus.operations import OPERATIONS, Operation
from bus.told import KEYWORDS
from crosswire.lib.errors import CrossWireError

TOOLS = {name: operation for name, operation in OPERATIONS.items() if operation.is_tool}
ERROR_META = "crosswire/error"
_WITH_PEER_TEXT = frozenset(
    {"check_messages", "wait_for_reply", "get_replies", "inbox", "search_messages", "get_shared_data"}
)


@cache
def listed(*, is_bound: bool) -> tuple[types.Tool, ...]:
    """Return the tools; a caller whose key is bound to an instance need not say who it is."""
    return tuple(_tool(operation, is_bound=is_bound) for operation in TOOLS.values())


def _tool(operation: Operation, *, is_bound: bool) -> types.Tool:
    schema = _input_schema(operation)
    if operation.instance and operation.params.model_fields[operation.instance].default == "" and not is_bound:
        schema["required"] = [operation.instance, *schema.get("required", [])]
    return types.Tool(
        name=operation.name,
        title=operation.title,
        description=operation.description,
        input_schema=schema,
        output_schema=_output_schema(operation),
        annotations=types.ToolAnnotations(
            title=operation.title,
            read_only_hint=operation.is_read,
            destructive_hint=operation.is_destructive,
            idempotent_hint=operation.is_idempotent or operation.is_read,
            open_world_hint=False,
        ),
    )


def _input_schema(operation: Operation) -> dict[str, Any]:
    schema = _plain(operation.params.model_json_schema())
    schema.pop("description", None)
    schema["additionalProperties"] = False
    schema.setdefault("properties", {})
    return schema


def _output_schema(operation: Operation) -> dict[str, Any]:
    schema = _plain(operation.result_schema())
    schema.pop("description", None)
    if operation.name in _WITH_PEER_TEXT:
        schema["properties"] = {"notice": {"type": "string"}, **schema["properties"], "next": {"type": "string"}}
    return schema


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that every client understands: references put in, no titles, no null for what may be left out."""
    definitions = schema.pop("$defs", {})

    def simplify(node: Any, *, is_schema: bool = True) -> Any:
        if isinstance(node, list):
            return [simplify(each) for each in node]
        if not isinstance(node, dict):
            return node
        if not is_schema:  # the names in `properties` are no keywords
            return {name: simplify(each) for name, each in node.items()}
        if "$ref" in node:
            return simplify(copy.deepcopy(definitions[node["$ref"].rpartition("/")[2]]))
        if "default" in node and node["default"] in (None, ""):
            node = {key: value for key, value in node.items() if key != "default"}
            others = [each for each in node.get("anyOf", []) if each.get("type") != "null"]
            if len(others) == 1:
                node = {**{key: value for key, value in node.items() if key != "anyOf"}, **others[0]}
        return {
            key: simplify(value, is_schema=key != "properties")
            for key, value in node.items()
            if key not in KEYWORDS and (key != "title" or not isinstance(value, str))
        }

    plain: dict[str, Any] = simplify(schema)
    return plain


def answer(
    operation: Operation, principal: Principal, given: dict[str, Any], data: Any, fence: Fence | None = None
) -> types.CallToolResult:
    """Return a tool's result: the text part and the structured part, other agents' text fenced in both."""
    fence = fence or Fence()
    args = text_arguments(operation, principal, given)
    # Text functions may say more than the result does: who sent, who waited.
    shown = _inert_but_content({**args["caller"], **data})
    text = texts.TEXTS[operation.name](args, shown, fence)
    text = "\n".join([text, *(line for line in texts.beside(operation.name, data) if line not in text)])
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=_structured(operation, data, fence, texts.next_step(operation.name, args, shown)),
    )


def text_arguments(operation: Operation, principal: Principal, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments in their valid form, with what the texts need to know of the caller."""
    valid = operation.validate(given)
    name = principal.instance or (valid.get(operation.instance) if operation.instance else None)
    caller = {"sender": name, "instance_id": name} if name else {}
    asked = {"asked_name": str(given.get("name", "")), "asked_key": str(valid.get("key", ""))}
    return {**valid, **inert_everywhere(asked), "caller": caller}


def _inert_but_content(value: Any) -> Any:
    """Return plain data with every string inert but `content`, which the fence makes so."""
    if isinstance(value, list):
        return [_inert_but_content(each) for each in value]
    if isinstance(value, dict):
        return {inert(key): each if key == "content" else _inert_but_content(each) for key, each in value.items()}
    return inert_everywhere(value)


def _structured(operation: Operation, data: dict[str, Any], fence: Fence, step: str) -> dict[str, Any]:
    if operation.name not in _WITH_PEER_TEXT:
        return inert_everywhere(data)  # type: ignore[no-any-return]  # a dict stays a dict
    fenced = _fence_messages(data, fence)
    has_text = any(data.get(key) for key in ("messages", "replies", "parent", "content"))
    notice = {"notice": fence.notice} if has_text else {}
    return {**notice, **fenced, **({"next": step} if step else {})}


def _fence_messages(data: dict[str, Any], fence: Fence) -> dict[str, Any]:
    """Return the data with every `content` in the fence and every other string inert."""
    shown: dict[str, Any] = {}
    for key, value in data.items():
        if key == "content":
            shown[key] = fence.around(value)
        elif isinstance(value, dict):
            shown[key] = _fence_messages(value, fence)
        elif isinstance(value, list):
            shown[key] = [
                _fence_messages(each, fence) if isinstance(each, dict) else inert_everywhere(each) for each in value
            ]
        else:
            shown[key] = inert_everywhere(value)
    return shown


def refused(refusal: CrossWireError) -> types.CallToolResult:
    """Return an error result: the sentence for the model, the object in `_meta`, and no structured content, which
    some clients would check against the tool's schema and then lose the sentence."""
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=inert(refusal.message))],
        is_error=True,
        _meta={ERROR_META: refusal.as_dict()},
    )
