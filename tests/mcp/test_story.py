"""What CrossWire is for, told once from beginning to end.

Three agents that know nothing of each other's tools plan a release: an architect on today's MCP, a builder on the MCP
of a year ago, and a tester that has nothing but HTTP. In the middle the server is killed and started again.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.conftest import SdkClient, Serve
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.homes import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOCUMENT = "".join(f"{number:06d} The plan says what to do, and why. Größe zählt.\n" for number in range(3_600))
CHANNEL = "release-plan"
FENCED = re.compile(r"\[\[peer (\w+)\n(.*)\n\1\]\]", re.DOTALL)


async def use(client: Client, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """Call a tool; return the text and the data of its answer."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    assert answer.structured_content is not None
    return answer.content[0].text, answer.structured_content  # type: ignore[union-attr] # the first part is text


async def say(client: Client, sender: str, kind: str, content: str, **more: Any) -> dict[str, Any]:
    """Send a message to the channel of this story."""
    arguments = {"channel": CHANNEL, "sender": sender, "message_type": kind, "content": content, **more}
    _, data = await use(client, "send_message", **arguments)
    return data


async def get(http: httpx2.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    """Ask over plain HTTP."""
    return (await http.get(f"/api{path}", params=query)).raise_for_status().json()  # type: ignore[no-any-return] # JSON


async def post(http: httpx2.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Tell over plain HTTP."""
    return (await http.post(f"/api{path}", json=body)).raise_for_status().json()  # type: ignore[no-any-return] # JSON


def words(message: dict[str, Any]) -> str:
    """Return what a peer wrote, out of the fence that models see around it."""
    fenced = FENCED.fullmatch(message["content"])
    assert fenced, message
    return fenced[2]


async def read_in_parts(client: Client, key: str) -> str:
    """Read shared text as a model does: as much as one answer holds, then from where it ended."""
    parts, offset = [], 0
    while offset is not None:
        _, data = await use(client, "get_shared_data", key=key, offset=offset)
        parts.append(words(data))
        offset = data["next_offset"]
    assert len(parts) > 1
    return "".join(parts)


async def until_somebody_waits(http: httpx2.AsyncClient) -> None:
    """Return once the server says that an instance waits."""
    for _ in range(1_000):
        if any(each["waiting_on"] for each in (await get(http, "/instances"))["instances"]):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("Nobody waits.")


async def test_three_agents_release_together_though_the_server_is_killed(  # noqa: PLR0915 - a story has no chapters
    serve: Serve, run: Run, sdk_client: SdkClient, alice: Caller
) -> None:
    server = serve(run.home)
    plain = loopback.AsyncClient(base_url=server.url, headers=alice.headers, timeout=60)
    async with (
        sdk_client(alice, "2026-07-28", server.url) as architect,
        sdk_client(alice, "2025-11-25", server.url) as builder,
        plain as tester,
    ):
        # Each says who it is, and learns who else is there.
        await use(architect, "register", instance_id="architect", description="knows the design")
        text, _ = await use(builder, "register", instance_id="builder", description="writes the code")
        assert text.startswith('Registered as "builder"')
        joined = await post(tester, "/register", instance_id="tester", description="tries it out")
        assert {each["instance_id"] for each in joined["instances"]} == {"architect", "builder", "tester"}

        # The architect opens a channel and asks; whoever waits there has the question at once.
        text, made = await use(architect, "create_channel", name="Release Plan", description="What goes out, and when")
        assert made["channel"] == CHANNEL
        assert 'normalized from "Release Plan"' in text
        listening = asyncio.create_task(use(builder, "wait_for_reply", channel=CHANNEL, instance_id="builder"))
        asked = await say(architect, "architect", "request", "What is left to build?")
        _, heard = await listening
        assert [words(message) for message in heard["messages"]] == ["What is left to build?"]

        # Both others answer in the thread, each in its own way.
        await say(builder, "builder", "response", "The importer.", in_reply_to=asked["id"])
        await post(
            tester, "/messages", channel=CHANNEL, sender="tester", content="Everything else passes.",
            message_type="status", in_reply_to=asked["id"],
        )  # fmt: skip
        text, thread = await use(architect, "get_replies", message_id=asked["id"])
        assert "2 replies" in text
        assert [message["sender"] for message in thread["replies"]] == ["builder", "tester"]

        # The design is too long for a message: it is shared, and its key is sent.
        assert len(DOCUMENT.encode()) > 200_000
        await use(architect, "share_data", key="design/importer", content=DOCUMENT, sender="architect")
        await say(architect, "architect", "handoff", "See design/importer.")
        assert await read_in_parts(builder, "design/importer") == DOCUMENT

        # The server is killed, while the tester waits. It is started again; who is refused simply asks again.
        before = (await get(tester, f"/messages/{CHANNEL}", limit=200))["messages"]
        last = before[-1]["id"]
        cut_off = asyncio.create_task(get(tester, f"/messages/{CHANNEL}", after_id=last, instance_id="tester", wait=30))
        await until_somebody_waits(tester)
        server.kill()
        with pytest.raises(httpx2.TransportError):
            await cut_off
        server.start()

        # Nothing that was acknowledged is missing, and all three go on where they were.
        assert (await get(tester, f"/messages/{CHANNEL}", limit=200))["messages"] == before
        assert (await get(tester, "/data/design/importer"))["content"] == DOCUMENT
        waiting = asyncio.create_task(get(tester, f"/messages/{CHANNEL}", after_id=last, instance_id="tester", wait=30))
        await say(builder, "builder", "status", "The importer works.", idempotency_key="importer-done")
        assert [message["content"] for message in (await waiting)["messages"]] == ["The importer works."]
        repeated = await say(builder, "builder", "status", "The importer works.", idempotency_key="importer-done")
        assert repeated["created"] is False
        await post(tester, "/messages", channel=CHANNEL, sender="tester", content="It does.", message_type="response")
        _, inbox = await use(architect, "inbox", instance_id="architect")
        assert [words(message) for message in inbox["messages"]][-2:] == ["The importer works.", "It does."]

        # Signing off: `done` ends the builder's wait, and says that nothing more will come.
        _, seen = await use(builder, "check_messages", channel=CHANNEL, instance_id="builder")
        listening = asyncio.create_task(
            use(builder, "wait_for_reply", channel=CHANNEL, instance_id="builder", after_id=seen["last_id"])
        )
        await say(architect, "architect", "done", "Released. Thank you.")
        text, goodbye = await listening
        assert '"architect" signaled DONE' in text
        assert goodbye["ended"] == "done"
        for client, name in ((architect, "architect"), (builder, "builder")):
            await use(client, "unregister", instance_id=name)

        # What remains is the whole conversation, in the order in which it was acknowledged.
        told = (await get(tester, f"/messages/{CHANNEL}", limit=200))["messages"]
        assert [message["id"] for message in told] == list(range(1, 8))
        assert [(message["sender"], message["message_type"], message["content"]) for message in told] == [
            ("architect", "request", "What is left to build?"),
            ("builder", "response", "The importer."),
            ("tester", "status", "Everything else passes."),
            ("architect", "handoff", "See design/importer."),
            ("builder", "status", "The importer works."),
            ("tester", "response", "It does."),
            ("architect", "done", "Released. Thank you."),
        ]
