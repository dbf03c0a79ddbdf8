"""Clients of other makers talk to each other: each holds the whole conversation with the next one of the ring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.clients.conftest import PlaceFor, Recorder
from tests.clients.speakers import SPEAKERS, Answer, Speaker, inspect
from tests.support.cast import Caller
from tests.support.surfaces import Surface, SurfaceName

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CHANNEL = "orders-api"
RING = list(pairwise([*SPEAKERS, next(iter(SPEAKERS))]))
OLDER, NEWEST = "2025-11-25", "2026-07-28"
SPOKEN = {
    "typescript-v1": {OLDER},
    "typescript-v2": {OLDER},
    "typescript-v2-auto": {NEWEST},
    "fastmcp": {NEWEST},
    "mcp-remote": {OLDER, NEWEST},  # tries the connection itself, then passes on what the program behind it speaks
    "inspector": {NEWEST},
}


async def ok(speaker: Speaker, tool: str, **arguments: object) -> Answer:
    """Call a tool that has to succeed."""
    answer = await speaker(tool, **arguments)
    assert not answer.is_error, f"{tool}: {answer.text}"
    return answer


async def hears(
    listener: Speaker, speaker: Speaker, is_waiting: Callable[[], bool], wait: dict[str, object], **message: object
) -> tuple[Answer, Answer]:
    """Have one wait, and the other send once the server says so; return both answers."""
    async with asyncio.TaskGroup() as both:
        waiting = both.create_task(ok(listener, "wait_for_reply", channel=CHANNEL, **wait))
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(is_waiting):
                assert not waiting.done(), waiting.result()
                await asyncio.sleep(0.02)
        sent = await ok(speaker, "send_message", channel=CHANNEL, **message)
    return waiting.result(), sent


async def converse(alice: Speaker, bob: Speaker, is_waiting: Callable[[], bool]) -> None:
    """Alice asks, Bob answers; each is woken once by the other."""
    joined = await ok(alice, "register", instance_id="alice", description="builds the app")
    assert joined.text.startswith('Registered as "alice"')
    await ok(bob, "register", instance_id="bob", description="knows the API")
    made = await ok(alice, "create_channel", name="Orders API")
    assert 'normalized from "Orders API"' in made.text

    question = {"sender": "alice", "content": "Who reads /orders?", "message_type": "request"}
    heard, asked = await hears(bob, alice, is_waiting, {"instance_id": "bob"}, **question)
    assert asked.data is not None
    assert asked.data["recipients"] == 1
    assert heard.data is not None
    assert heard.data["ended"] == "message"
    assert "Who reads /orders?" in heard.data["messages"][0]["content"]

    await ok(bob, "share_data", key="plan", content="one\ntwo\n", sender="bob")
    reply = {"sender": "bob", "content": "I do; see plan.", "message_type": "response", "in_reply_to": asked.data["id"]}
    answered = await ok(bob, "send_message", channel=CHANNEL, **reply)
    assert f"reply to #{asked.data['id']}" in answered.text
    inbox = await ok(alice, "inbox", instance_id="alice")
    assert inbox.data is not None
    assert [message["in_reply_to"] for message in inbox.data["messages"]] == [asked.data["id"]]
    thread = await ok(alice, "get_replies", message_id=asked.data["id"])
    assert "1 repl" in thread.text
    shared = await ok(alice, "get_shared_data", key="plan")
    assert "one\ntwo\n" in shared.text

    refused = await bob("send_message", channel=CHANNEL, sender="bob", content="?", in_reply_to=99)
    assert refused.is_error
    assert refused.text == f"There is no message #99 in #{CHANNEL} to reply to."
    assert refused.data is None
    assert refused.error_code == "not_found"

    wait = {"instance_id": "alice", "after_id": inbox.data["messages"][-1]["id"]}
    goodbye, _ = await hears(alice, bob, is_waiting, wait, sender="bob", content="Bye.", message_type="done")
    assert goodbye.data is not None
    assert goodbye.data["ended"] == "done"
    assert f'"bob" signaled DONE in #{CHANNEL}' in goodbye.text
    checked = await ok(alice, "check_messages", channel=CHANNEL, instance_id="alice", after_id=0)
    assert checked.data is not None
    assert [message["message_type"] for message in checked.data["messages"]] == ["response", "done"]


@pytest.mark.parametrize(("asks", "answers"), RING, ids=[f"{asks}+{answers}" for asks, answers in RING])
async def test_two_clients_hold_a_conversation(
    asks: str,
    answers: str,
    recorder: Recorder,
    place_for: PlaceFor,
    surface: Callable[[SurfaceName], Surface],
    alice: Caller,
    bob: Caller,
) -> None:
    rest = surface("lane")

    def is_waiting() -> bool:
        return any(each["waiting_on"] for each in rest.ok(alice, "list_instances")["instances"])

    async with SPEAKERS[asks](place_for(alice)) as first, SPEAKERS[answers](place_for(bob)) as second:
        await converse(first, second, is_waiting)
    assert recorder.versions[alice.key] == SPOKEN[asks]
    assert recorder.versions[bob.key] == SPOKEN[answers]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_finds_the_schemas_of_all_tools_portable(
    place_for: PlaceFor, alice: Caller, era: str
) -> None:
    code, output, errors = await inspect(place_for(alice), "--protocol-era", era, "--method", "tools/list", "--strict")
    assert code == 0, errors
    assert '"wait_for_reply"' in output
