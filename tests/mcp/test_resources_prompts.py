"""Resources and prompts: what there is beside the tools, and that a stranger's looks like nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.mcp import wire
from tests.support.cast import Caller
from tests.support.surfaces import MCP, Refusal, Result, Surface

pytestmark = pytest.mark.parametrize("call", MCP, indirect=True)

PROMPTS = ["cross-claude-protocol", "crosswire-protocol"]
SECTIONS = ["Session Startup", "Channel Discipline", "Message Protocol", "Connection Behavior"]


def ask(call: Surface, caller: Caller, method: str, **params: Any) -> Result:
    answer = call.request(caller, method, params)
    assert isinstance(answer, Result), answer
    return answer


def refused(call: Surface, caller: Caller, method: str, **params: Any) -> Refusal:
    answer = call.request(caller, method, params)
    assert isinstance(answer, Refusal), answer
    return answer


def read(call: Surface, caller: Caller, uri: str) -> str:
    (content,) = ask(call, caller, "resources/read", uri=uri)["contents"]
    assert content["uri"] == uri
    assert content["mimeType"] == "text/plain"
    text: str = content["text"]
    return text


# --- resources --------------------------------------------------------------------------------------------------


def test_the_list_names_channels_and_shared_items(call: Surface, alice: Caller) -> None:
    call.ok(alice, "create_channel", name="plans")
    call.ok(alice, "share_data", key="plans/v1 ü", content="x", sender="a")
    found = {each["uri"]: each for each in ask(call, alice, "resources/list")["resources"]}
    assert found.keys() == {
        *("crosswire://channels", "crosswire://channels/general", "crosswire://channels/plans"),
        "crosswire://data/plans%2Fv1%20%C3%BC",
    }
    assert all(each["name"] and each["title"] for each in found.values())


def test_whatever_is_listed_can_be_read(call: Surface, alice: Caller) -> None:
    call.ok(alice, "create_channel", name="plans")
    call.ok(alice, "share_data", key="plans/v1 ü?#%", content="the plan", sender="a")
    for each in ask(call, alice, "resources/list")["resources"]:
        assert read(call, alice, each["uri"])


def test_resources_show_what_the_tools_show(call: Surface, alice: Caller) -> None:
    call.ok(alice, "send_message", sender="a", content="good morning", channel="plans")
    call.ok(alice, "share_data", key="k", content="the plan", sender="a")
    assert "#plans: 1 message" in read(call, alice, "crosswire://channels")
    assert "good morning" in read(call, alice, "crosswire://channels/plans")
    assert "the plan" in read(call, alice, "crosswire://data/k")


def test_templates_say_how_to_address_the_rest(call: Surface, alice: Caller) -> None:
    templates = ask(call, alice, "resources/templates/list")["resourceTemplates"]
    assert [each["uriTemplate"] for each in templates] == [
        "crosswire://channels/{name}",
        "crosswire://inbox/{instance_id}",
        "crosswire://data/{key}",
    ]


def test_an_empty_channel_reads_as_empty(call: Surface, alice: Caller) -> None:
    assert "No messages in #nothing-here" in read(call, alice, "crosswire://channels/nothing-here")


def test_a_long_item_is_read_in_parts(call: Surface, alice: Caller) -> None:
    call.ok(alice, "share_data", key="long", content="x" * 100_000, sender="a")
    text = read(call, alice, "crosswire://data/long")
    assert 60_000 < len(text) < 61_000
    assert 'get_shared_data(key="long", offset=60000)' in text


@pytest.mark.parametrize(
    "uri",
    [
        *("crosswire://data/unknown", "crosswire://data/", "crosswire://nonsense", "crosswire://channels/", "x"),
        *("file:///etc/passwd", "crosswire://data/../channels", "https://example.com/", "crosswire://channels/!"),
    ],
)
def test_what_is_no_resource_is_not_found(call: Surface, alice: Caller, uri: str) -> None:
    refusal = refused(call, alice, "resources/read", uri=uri)
    assert (refusal.code, refusal.message) == ("jsonrpc:-32602", "Resource not found")


def test_a_strangers_resource_and_none_are_told_alike(call: Surface, alice: Caller, mallory: Caller) -> None:
    call.ok(alice, "share_data", key="secret", content="x", sender="a")
    call.ok(alice, "send_message", channel="secret", sender="a", content="x")
    told = [
        refused(call, mallory, "resources/read", uri=f"crosswire://data/{key}").raw["error"]
        for key in ("secret", "absent")
    ]
    assert str(told[0]).replace("secret", "absent") == str(told[1])
    texts = [read(call, mallory, f"crosswire://channels/{name}") for name in ("secret", "absent")]
    assert texts[0].replace("secret", "absent") == texts[1]
    assert "secret" not in str(ask(call, mallory, "resources/list").data)


def test_reading_a_resource_moves_no_cursor(call: Surface, alice: Caller) -> None:
    reader = alice.with_key("reader")
    call.ok(reader, "register")
    call.ok(alice, "send_message", sender="b", content="x")
    assert "#1 in #general" in read(call, reader, "crosswire://channels/general")
    (message,) = call.ok(reader, "inbox")["messages"]
    assert "again" not in message


# --- prompts and instructions -----------------------------------------------------------------------------------


def prompt(call: Surface, caller: Caller, name: str) -> str:
    (message,) = ask(call, caller, "prompts/get", name=name)["messages"]
    assert message["role"] == "user"
    text: str = message["content"]["text"]
    return text


def test_both_prompts_are_listed_and_the_same(call: Surface, alice: Caller) -> None:
    listed = ask(call, alice, "prompts/list")["prompts"]
    assert sorted(each["name"] for each in listed) == PROMPTS
    assert all(each["title"] and each["description"] for each in listed)
    first, second = (prompt(call, alice, name) for name in PROMPTS)
    assert first == second


def test_the_prompt_has_the_four_sections_in_order(call: Surface, alice: Caller) -> None:
    text = prompt(call, alice, "crosswire-protocol")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS


def test_the_prompt_promises_no_wake_up_that_a_client_cannot_do(call: Surface, alice: Caller) -> None:
    """Lesson 29."""
    text = prompt(call, alice, "crosswire-protocol")
    assert "does NOT wake an idle session" in text
    waking = [line for line in re.split(r"\n(?=\* |\d\. |## )|(?<=\.) ", text) if re.search(r"\b(woken|wakes)\b", line)]
    assert waking
    assert all("task" in sentence for sentence in waking), waking
    assert "`inbox` at the start of each turn" in text


def test_the_prompt_names_only_tools_that_exist(call: Surface, alice: Caller) -> None:
    tools = {tool["name"] for tool in ask(call, alice, "tools/list")["tools"]}
    text = prompt(call, alice, "crosswire-protocol")
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+|register|unregister|inbox)`", text))
    words = {"in_reply_to", "idempotency_key", "after_id", "message_type", "instance_in_use"}
    assert named - words <= tools
    assert {"register", "inbox", "wait_for_reply", "share_data", "find_channel"} <= named


def test_an_unknown_prompt_is_refused(call: Surface, alice: Caller) -> None:
    refusal = refused(call, alice, "prompts/get", name="nope")
    assert (refusal.code, refusal.message) == ("jsonrpc:-32602", "Unknown prompt: nope")


def test_instructions_tell_the_short_form_in_both_eras(call: Surface, alice: Caller) -> None:
    if call.name == "mcp-2026-07-28":
        found = wire.result(call.url, wire.request(alice, "server/discover"))
    else:
        found = wire.result(call.url, wire.initialize(alice, "2025-11-25"))
    text = found["instructions"]
    for word in ("register", "send_message", "wait_for_reply", "inbox", "share_data", "done", "never instructions"):
        assert word in text
    assert len(text) < 1_000
