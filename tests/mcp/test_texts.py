"""The phrases of the text parts, which programs written for Cross-Claude look for (contract: "MCP tools")."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mcp import wire
from tests.support.cast import Caller
from tests.support.surfaces import MCP, Result, Surface

pytestmark = pytest.mark.parametrize("call", MCP, indirect=True)

STEPS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("register", {"instance_id": "alice"}, ['Registered as "alice"']),
    ("create_channel", {"name": "planning"}, ["Channel #planning created"]),
    ("create_channel", {"name": "Planning 2"}, ['normalized from "Planning 2"', "similar channels: #planning"]),
    ("check_messages", {"channel": "planning"}, ["No messages in #planning"]),
    ("check_messages", {"channel": "planning", "after_id": 0}, ["No new messages in #planning"]),
    (
        "send_message",
        {"channel": "Planning", "sender": "alice", "content": "shall we?", "message_type": "request"},
        ['Message #1 sent to #planning as "alice" [request]'],
    ),
    (
        "send_message",
        {"channel": "planning", "sender": "bob", "content": "yes", "in_reply_to": 1},
        ['Message #2 sent to #planning as "bob" [message]', "reply to #1"],
    ),
    ("check_messages", {"channel": "planning"}, ["2 message(s) in #planning", "Last message ID: 2", "reply to #1"]),
    ("check_messages", {"channel": "planning", "after_id": 1}, ["1 new message(s) in #planning", "Last message ID: 2"]),
    ("get_replies", {"message_id": 1}, ["1 replies"]),
    ("get_replies", {"message_id": 2}, ["0 replies"]),
    (
        "wait_for_reply",
        {"channel": "planning", "instance_id": "alice", "after_id": 0},
        ["1 new message(s) in #planning", "Last message ID: 2"],
    ),
    (
        "wait_for_reply",
        {"channel": "planning", "instance_id": "alice", "after_id": 2, "timeout_seconds": 0, "persistent": False},
        [
            *("No new messages in #planning", "may be busy or offline", "transport-safe ceiling"),
            'TO KEEP LISTENING: wait_for_reply(channel="planning", instance_id="alice", after_id=2)',
        ],
    ),
    ("send_message", {"channel": "planning", "sender": "bob", "content": "bye", "message_type": "done"}, ["[done]"]),
    (
        "wait_for_reply",
        {"channel": "planning", "instance_id": "alice", "after_id": 2},
        ['"bob" signaled DONE', "Last message ID: 3"],
    ),
    ("search_messages", {"query": "shall"}, ["1 message(s) found"]),
    ("search_messages", {"query": "nowhere"}, ["No messages match"]),
    ("share_data", {"key": "k", "content": "x", "sender": "alice"}, ['key "k"']),
    ("get_shared_data", {"key": "k"}, ['"k": 1 bytes, shared by "alice"']),
    ("delete_shared_data", {"key": "k"}, ['Deleted "k"']),
    ("inbox", {"instance_id": "alice"}, ["1 unread message(s)", "shown before", "Nothing else is unread"]),
    ("inbox", {"instance_id": "alice"}, ["No new messages in any channel"]),
    ("unregister", {"instance_id": "bob"}, ["Unregistered"]),
]
"""What two instances of one workspace do, and what each answer's text must hold."""


def test_every_answer_has_the_phrases_programs_look_for(call: Surface, alice: Caller) -> None:
    for tool, arguments, phrases in STEPS:
        text = call.ok(alice, tool, **arguments).text or ""
        for phrase in phrases:
            assert phrase in text, f"{tool} {arguments}: {text}"


def test_absent_data_is_told_with_its_key(call: Surface, alice: Caller) -> None:
    for tool in ("get_shared_data", "delete_shared_data"):
        refusal = call.refused(alice, tool, "not_found", key="k")
        assert 'No shared data found for key "k"' in refusal.message


def test_a_newer_wait_supersedes_the_older_one_and_is_not_fought(call: Surface, alice: Caller) -> None:
    """Lesson 27, in words: whoever obeyed "keep listening" here would end its own newer wait."""
    older = wire.begin_wait(call, alice, "a")
    newer = call.ok(alice, "wait_for_reply", instance_id="a", timeout_seconds=0, persistent=False)
    ended = older.result(30)
    assert isinstance(ended, Result)
    assert ended["ended"] == "superseded"
    assert "superseded" in (ended.text or "")
    assert "another session has your name" in ended["next"]
    assert "TO KEEP LISTENING" not in (ended.text or "")
    assert "TO KEEP LISTENING" in (newer.text or "")


def test_a_repeated_send_is_told_from_a_new_one(call: Surface, alice: Caller) -> None:
    first, second = (call.ok(alice, "send_message", sender="a", content="x", idempotency_key="k") for _ in range(2))
    assert "already stored" not in (first.text or "")
    assert 'Message #1 sent to #general as "a" [message]' in (second.text or "")
    assert "already stored" in (second.text or "")


def test_a_channel_that_exists_is_not_said_to_be_created(call: Surface, alice: Caller) -> None:
    call.ok(alice, "create_channel", name="plan")
    text = call.ok(alice, "create_channel", name="Plan").text or ""
    assert "Channel #plan exists already" in text
    assert "created" not in text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("register", {"instance_id": "reader"}),
        ("send_message", {"sender": "reader", "content": "x"}),
        ("check_messages", {"instance_id": "reader", "channel": "quiet"}),
        ("wait_for_reply", {"instance_id": "reader", "channel": "quiet", "timeout_seconds": 0, "persistent": False}),
        ("share_data", {"key": "k", "content": "x", "sender": "reader"}),
    ],
)
def test_what_is_unread_elsewhere_is_told_beside_the_answer(
    call: Surface, alice: Caller, tool: str, arguments: dict[str, Any]
) -> None:
    call.ok(alice, "register", instance_id="reader")
    for channel, times in (("one", 1), ("two", 2)):
        for _ in range(times):
            call.ok(alice, "send_message", sender="other", channel=channel, content="x")
    call.ok(alice, "create_channel", name="quiet")
    answer = call.ok(alice, tool, **arguments)
    assert answer["unread"] == {"one": 1, "two": 2}
    assert "1 in #one" in (answer.text or "")
    assert "2 in #two" in (answer.text or "")


def test_sent_is_all_that_is_said_of_a_message(call: Surface, alice: Caller) -> None:
    """Lesson 24: nothing claims that anybody got it."""
    text = call.ok(alice, "send_message", sender="a", content="x").text or ""
    assert "deliver" not in text.lower()
    assert "has been read" not in text
