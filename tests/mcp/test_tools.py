"""Tools as a client sees them: what the list promises, and that every answer keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # its stubs are not worth a dependency

from tests.mcp import wire
from tests.mcp.wire import NEWEST
from tests.support.cast import Caller

ERAS = pytest.mark.parametrize("version", ["2025-11-25", NEWEST])
DESCRIPTIONS_MOST = 6_000
JSON_SCHEMA = {
    *("type", "properties", "required", "additionalProperties", "description", "default", "enum", "const", "items"),
    *("minLength", "maxLength", "minimum", "maximum", "maxProperties", "propertyNames", "anyOf", "pattern"),
}
NAMES = {"sender", "instance_id"}

EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("register", {"instance_id": "a", "description": "knows the API"}),
    ("register", {"instance_id": "b"}),
    ("create_channel", {"name": "Plan B", "description": "what else"}),
    ("create_channel", {"name": "plan-b"}),
    ("send_message", {"sender": "a", "content": "one", "message_type": "request"}),
    ("send_message", {"sender": "b", "content": "two", "in_reply_to": 1, "channel": "general"}),
    ("send_message", {"sender": "b", "content": "three", "channel": "plan-b", "idempotency_key": "k"}),
    ("check_messages", {"instance_id": "a"}),
    ("check_messages", {"channel": "nothing-here", "after_id": 0}),
    ("check_messages", {"limit": 1}),
    ("wait_for_reply", {"instance_id": "a", "after_id": 0}),
    ("wait_for_reply", {"instance_id": "a", "channel": "quiet", "timeout_seconds": 0, "persistent": False}),
    ("get_replies", {"message_id": 1}),
    ("get_replies", {"message_id": 2}),
    ("message_status", {"message_id": 1}),
    ("claim_message", {"message_id": 1, "instance_id": "b"}),
    ("message_status", {"message_id": 1, "channel": "general"}),
    ("claim_message", {"message_id": 1, "instance_id": "b", "release": True}),
    ("inbox", {"instance_id": "a"}),
    ("inbox", {"instance_id": "c", "wait": 0.01, "ack": {"general": 2}}),
    ("subscribe", {"instance_id": "a", "channel": "Plan B"}),
    ("unsubscribe", {"instance_id": "a", "channel": "plan-b"}),
    ("search_messages", {"query": "two"}),
    ("search_messages", {"query": "%"}),
    ("list_channels", {}),
    ("find_channel", {"query": "plan"}),
    ("find_channel", {"query": "nowhere"}),
    ("list_instances", {}),
    ("share_data", {"key": "plans/b", "content": "é" * 50_000, "sender": "a", "description": "long"}),
    ("get_shared_data", {"key": "plans/b"}),
    ("get_shared_data", {"key": "plans/b", "offset": 49_999, "length": 5}),
    ("list_shared_data", {}),
    ("delete_shared_data", {"key": "plans/b"}),
    ("whoami", {}),
    ("unregister", {"instance_id": "b"}),
]
"""Calls that succeed one after the other in a fresh workspace; every tool is among them."""


def tools(url: str, caller: Caller, version: str = NEWEST) -> dict[str, dict[str, Any]]:
    """Return the listed tools by name."""
    found = wire.result(url, wire.request(caller, "tools/list", version=version))["tools"]
    return {tool["name"]: tool for tool in found}


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Return a schema and all schemas inside it; what `properties` lists are names, no keywords."""
    if not isinstance(schema, dict):
        return
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    for each in (*inner, schema.get("items"), schema.get("additionalProperties"), schema.get("propertyNames")):
        yield from schemas(each)


# --- the list ---------------------------------------------------------------------------------------------------


@ERAS
def test_every_tool_is_described_titled_and_annotated(lane_url: str, alice: Caller, version: str) -> None:
    for name, tool in tools(lane_url, alice, version).items():
        assert tool["description"].endswith("."), name
        assert tool["title"], name
        hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert all(isinstance(tool["annotations"][hint], bool) for hint in hints), name


def test_annotations_tell_what_a_tool_does(lane_url: str, alice: Caller) -> None:
    listed = tools(lane_url, alice)

    def having(hint: str) -> set[str]:
        return {name for name, tool in listed.items() if tool["annotations"][hint]}

    assert having("readOnlyHint") == {
        *("check_messages", "wait_for_reply", "get_replies", "search_messages", "list_channels", "find_channel"),
        *("list_instances", "list_shared_data", "get_shared_data", "message_status", "whoami"),
    }
    assert having("destructiveHint") == {"share_data", "delete_shared_data"}
    assert having("readOnlyHint") <= having("idempotentHint")
    assert "send_message" not in having("idempotentHint")
    assert having("openWorldHint") == set()


def test_all_descriptions_together_cost_a_model_little(lane_url: str, alice: Caller) -> None:
    texts = []
    for tool in tools(lane_url, alice).values():
        texts.append(tool["description"])
        texts += [schema["description"] for schema in schemas(tool["inputSchema"]) if "description" in schema]
    assert 1_000 < sum(map(len, texts)) < DESCRIPTIONS_MOST


@ERAS
def test_input_schemas_are_what_every_client_understands(lane_url: str, alice: Caller, version: str) -> None:
    for name, tool in tools(lane_url, alice, version).items():
        schema = tool["inputSchema"]
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object", name
        assert schema["additionalProperties"] is False, name
        for each in schemas(schema):
            assert each.keys() <= JSON_SCHEMA - {"anyOf"}, f"{name}: {each}"
            assert isinstance(each.get("type", ""), str), f"{name}: {each}"


@ERAS
def test_output_schemas_stand_alone(lane_url: str, alice: Caller, version: str) -> None:
    for name, tool in tools(lane_url, alice, version).items():
        schema = tool["outputSchema"]
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object", name
        assert all(each.keys() <= JSON_SCHEMA for each in schemas(schema)), name


def test_only_a_key_that_speaks_for_anybody_has_to_say_who_it_is(lane_url: str, alice: Caller) -> None:
    bound = alice.with_key("worker")
    for name, tool in tools(lane_url, alice).items():
        at_will = tools(lane_url, bound)[name]["inputSchema"]
        required = set(tool["inputSchema"].get("required", []))
        assert not NAMES & set(at_will.get("required", [])), name
        assert set(at_will.get("required", [])) == required - NAMES, name
        assert at_will["properties"].keys() == tool["inputSchema"]["properties"].keys(), name
        if name not in ("check_messages", "search_messages"):  # may be called by nobody in particular, or name another
            assert bool(required & NAMES) == bool(NAMES & tool["inputSchema"]["properties"].keys()), name


# --- the answers ------------------------------------------------------------------------------------------------


def undeclared(data: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """Return the names in an answer that its schema does not know, as `messages.again`."""
    options = [each for each in schema.get("anyOf", []) if each.get("type") != "null"] or [schema]
    if isinstance(data, list):
        return [name for each in data for name in undeclared(each, schema["items"], at)]
    if not isinstance(data, dict) or "properties" not in options[0]:
        return []
    known = options[0]["properties"]
    inner = [name for key in data if key in known for name in undeclared(data[key], known[key], f"{at}{key}.")]
    return [f"{at}{key}" for key in data if key not in known] + inner


@ERAS
def test_every_answer_keeps_to_its_schema(lane_url: str, alice: Caller, version: str) -> None:
    listed = tools(lane_url, alice, version)
    assert {name for name, _ in EXAMPLES} == listed.keys()
    for name, arguments in EXAMPLES:
        Draft202012Validator(listed[name]["inputSchema"]).validate(arguments)
        answer = wire.result(lane_url, wire.call(alice, name, arguments, version))
        assert not answer["isError"], f"{name} {arguments}: {answer}"
        data, schema = answer["structuredContent"], listed[name]["outputSchema"]
        Draft202012Validator(schema).validate(data)
        assert undeclared(data, schema) == [], name
        assert answer["content"][0]["type"] == "text"
        assert answer["content"][0]["text"].strip()


@ERAS
def test_a_bound_key_calls_every_tool_without_a_name(lane_url: str, alice: Caller, version: str) -> None:
    bound = alice.with_key(f"bound-{version}")
    wire.result(lane_url, wire.call(alice, "send_message", {"sender": "a", "content": "x", "message_type": "request"}))
    for name, arguments in EXAMPLES:
        unnamed = {key: value for key, value in arguments.items() if key not in NAMES}
        answer = wire.result(lane_url, wire.call(bound, name, unnamed, version))
        assert not answer["isError"], f"{name} {unnamed}: {answer}"
