"""Refusals of tools: an error the model can act on, with nothing in it that it should not see (lesson 14)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.mcp import texts
from crosswire.lib.errors import CODES
from tests.mcp import wire
from tests.mcp.test_tools import tools
from tests.mcp.wire import NEWEST
from tests.support.cast import Caller

ERAS = pytest.mark.parametrize("version", ["2025-11-25", NEWEST])
SECRET = "hunter2-do-not-repeat"

type Refused = tuple[str, dict[str, Any], str, str]

REFUSED: list[Refused] = [
    ("send_message", {"sender": "a"}, "invalid_input", "content is missing"),
    ("send_message", {"sender": "a", "content": ""}, "invalid_input", "content"),
    ("send_message", {"content": "x"}, "invalid_input", "sender is missing"),
    ("send_message", {"sender": "a", "content": "x", "channel": "!"}, "invalid_input", "channel"),
    ("send_message", {"sender": "a", "content": "x", "in_reply_to": 99}, "not_found", "#99"),
    ("send_message", {"sender": "human", "content": "x"}, "invalid_input", "reserved"),
    ("send_message", {"sender": "a", "content": "x", "to": "b"}, "invalid_input", 'no argument "to"'),
    ("check_messages", {"limit": "many"}, "invalid_input", "limit"),
    ("wait_for_reply", {"channel": "c"}, "invalid_input", "instance_id is missing"),
    ("wait_for_reply", {"instance_id": "a", "role": "idle"}, "invalid_input", "role"),
    ("get_replies", {"message_id": 99}, "not_found", "#99"),
    ("get_shared_data", {"key": "k"}, "not_found", 'No shared data found for key "k"'),
    ("delete_shared_data", {"key": "k"}, "not_found", 'No shared data found for key "k"'),
    ("unregister", {"instance_id": "nobody"}, "not_found", "nobody"),
    ("whoami", {"verbose": True}, "invalid_input", 'no argument "verbose"'),
]


def refusal(url: str, sent: wire.Request) -> dict[str, Any]:
    """Make a call that has to be refused and return the result."""
    answer = wire.result(url, sent)
    assert answer["isError"] is True, answer
    return answer


@ERAS
@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: f"{refused[0]} {refused[3]}")
def test_a_refusal_is_an_error_with_a_sentence_and_no_structured_content(
    lane_url: str, alice: Caller, version: str, refused: Refused
) -> None:
    tool, arguments, code, phrase = refused
    answer = refusal(lane_url, wire.call(alice, tool, arguments, version))
    assert "structuredContent" not in answer
    assert len(answer["content"]) == 1
    sentence = answer["content"][0]["text"]
    assert phrase in sentence
    assert sentence.endswith(".")
    shown = answer["_meta"]["crosswire/error"]
    assert (shown["code"], shown["error"]) == (code, sentence)
    assert code in CODES


@ERAS
def test_a_read_only_key_is_told_why(lane_url: str, alice: Caller, version: str) -> None:
    reader = alice.with_key(read_only=True)
    answer = refusal(lane_url, wire.call(reader, "send_message", {"sender": "a", "content": "x"}, version))
    assert answer["_meta"]["crosswire/error"]["code"] == "read_only_key"
    assert "read-only" in answer["content"][0]["text"]


@ERAS
def test_a_used_up_quota_names_the_plan_the_limit_and_the_reset(lane_url: str, alice: Caller, version: str) -> None:
    alice.workspace.overrides = {"messages": 0}
    alice.workspace.save()
    answer = refusal(lane_url, wire.call(alice, "send_message", {"sender": "a", "content": "x"}, version))
    shown = answer["_meta"]["crosswire/error"]
    assert shown["code"] == "quota_exceeded"
    assert {"plan", "limit", "resets_at", "retry_after"} <= shown.keys()


@ERAS
def test_no_value_that_does_not_fit_comes_back(lane_url: str, alice: Caller, version: str) -> None:
    tried = 0
    for name, tool in tools(lane_url, alice, version).items():
        schema = tool["inputSchema"]
        fitting = dict.fromkeys(schema.get("required", []), "1")
        for argument, kind in schema["properties"].items():
            wrong = [SECRET] if kind["type"] == "string" else SECRET
            answer = wire.result(lane_url, wire.call(alice, name, fitting | {argument: wrong}, version))
            assert answer["isError"], f"{name} took {argument}={wrong}"
            assert SECRET not in json.dumps(answer), f"{name}.{argument}"
            assert argument in answer["content"][0]["text"]
            tried += 1
    assert tried > 30


@ERAS
@pytest.mark.parametrize("arguments", [[], "x", 7], ids=str)
def test_arguments_that_are_no_object_are_refused(lane_url: str, alice: Caller, version: str, arguments: Any) -> None:
    sent = wire.call(alice, "whoami", version=version)
    sent.body["params"]["arguments"] = arguments
    assert wire.error(lane_url, sent)["code"] == -32602


@ERAS
@pytest.mark.parametrize("name", ["nope", "usage", "ack_inbox", "Send_Message", "__class__"])
def test_an_unknown_tool_is_a_protocol_error(lane_url: str, alice: Caller, version: str, name: str) -> None:
    error = wire.error(lane_url, wire.call(alice, name, version=version))
    assert error["code"] == -32602
    assert error["message"] == f"Unknown tool: {name}"


@ERAS
def test_what_breaks_inside_is_told_without_its_inside(
    lane_url: str, alice: Caller, version: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*anything: Any) -> str:
        raise RuntimeError(SECRET)

    monkeypatch.setitem(texts.TEXTS, "whoami", broken)
    answer = refusal(lane_url, wire.call(alice, "whoami", version=version))
    shown = answer["_meta"]["crosswire/error"]
    assert shown["code"] == "internal"
    assert shown["reference"] in answer["content"][0]["text"]
    for leak in (SECRET, "RuntimeError", "Traceback", ".py"):
        assert leak not in json.dumps(answer)
    assert any(getattr(record, "reference", "") == shown["reference"] for record in caplog.records)
    assert SECRET in caplog.text
