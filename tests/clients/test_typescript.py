"""The TypeScript SDKs check each answer against its tool's schema; no refusal may be lost by that, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.clients.conftest import PlaceFor
from tests.clients.packages import CLIENTS
from tests.clients.speakers import TypeScript, typescript
from tests.support.cast import Caller

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(params=["v1", "v2", "v2-auto"])
async def client(request: pytest.FixtureRequest, place_for: PlaceFor, alice: Caller) -> AsyncIterator[TypeScript]:
    """A client that has listed the tools: from then on it checks structured answers."""
    async with typescript(place_for(alice), request.param) as connected:
        listed = (await connected("listTools"))["result"]["tools"]
        assert {"register", "send_message", "wait_for_reply"} <= {tool["name"] for tool in listed}
        yield connected


def text(answer: dict[str, Any]) -> str:
    """Return the text part of an answer."""
    shown: str = answer["content"][0]["text"]
    return shown


async def test_answers_pass_its_check_of_the_schema(client: TypeScript) -> None:
    sent = await client.call_tool(
        "send_message", {"sender": "alice", "content": "shall we?", "message_type": "request"}
    )
    assert sent["structuredContent"]["id"] == 1
    assert 'Message #1 sent to #general as "alice" [request]' in text(sent)
    checked = await client.call_tool("check_messages", {"instance_id": "bob"})
    (message,) = checked["structuredContent"]["messages"]
    assert "shall we?" in message["content"]
    assert message["sender"] == "alice"


async def test_the_sentence_of_a_refusal_reaches_it(client: TypeScript) -> None:
    refused = await client.call_tool("send_message", {"sender": "bob", "content": "yes", "in_reply_to": 99})
    assert refused["isError"] is True
    assert text(refused) == "There is no message #99 in #general to reply to."
    assert refused["_meta"]["crosswire/error"]["code"] == "not_found"
    absent = await client.call_tool("get_shared_data", {"key": "nowhere"})
    assert 'No shared data found for key "nowhere"' in text(absent)
    unknown = (await client("callTool", name="nope", arguments={}))["problem"]
    assert "Unknown tool: nope" in unknown["message"]


async def test_a_wait_that_ends_with_nothing_tells_how_to_go_on(client: TypeScript) -> None:
    waited = {"instance_id": "alice", "after_id": 0, "timeout_seconds": 0, "persistent": False}
    nothing = await client.call_tool("wait_for_reply", waited)
    assert not nothing.get("isError")
    assert nothing["structuredContent"]["ended"] == "time"
    assert "TO KEEP LISTENING" in text(nothing)


async def test_it_lists_prompts_and_reads_a_resource(client: TypeScript) -> None:
    await client.call_tool("send_message", {"sender": "alice", "content": "hello"})
    listed, read = await asyncio.gather(
        client("listPrompts"), client("readResource", uri="crosswire://channels/general")
    )
    assert sorted(each["name"] for each in listed["result"]["prompts"]) == [
        "cross-claude-protocol",
        "crosswire-protocol",
    ]
    assert "#1 in #general" in read["result"]["contents"][0]["text"]


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((CLIENTS / "package-lock.json").read_text(encoding="utf-8"))
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)
