"""Agents of one machine talk over the file they share, each through a process of its own, whatever era it speaks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from bus.mcp import tools
from tests.conftest import Serve, SurfaceAt
from tests.support.cast import Credential
from tests.support.clients import Mode
from tests.support.homes import Home
from tests.support.servers import manage
from tests.support.stdio import BEATLESS, SOON, database, local_client, process, use
from tests.support.surfaces import Result

TODAY: Mode = "2026-07-28"
BEFORE: Mode = "2025-11-25"
LONG = {"persistent": False, "timeout_seconds": 60}


async def begun(client: Client, others: Client, instance: str, **arguments: Any) -> asyncio.Task[dict[str, Any]]:
    """Begin a wait and return once others see it."""
    waited = asyncio.create_task(use(client, "wait_for_reply", instance_id=instance, **LONG, **arguments))
    async with asyncio.timeout(SOON):
        while not waited.done():
            listed = (await use(others, "list_instances"))["instances"]
            if any(each["instance_id"] == instance and each["waiting_on"] for each in listed):
                break
    assert not waited.done(), waited.result()
    return waited


@pytest.mark.parametrize(("one", "two"), [(TODAY, BEFORE), (BEFORE, TODAY)])
async def test_two_processes_hold_a_conversation_and_wake_each_other_by_the_file_alone(
    user: Path, one: Mode, two: Mode
) -> None:
    async with local_client(user, one, BEATLESS) as ann, local_client(user, two, BEATLESS) as bo:
        await use(ann, "register", instance_id="ann")
        await use(bo, "register", instance_id="bo")
        for number in range(2):
            waits = await begun(ann, bo, "ann", channel="plans")
            sent = await use(bo, "send_message", channel="plans", sender="bo", content=f"What now? {number}")
            async with asyncio.timeout(SOON):
                (question,) = (await waits)["messages"]
            assert question["id"] == sent["id"]
            waits = await begun(bo, ann, "bo", channel="plans")
            await use(ann, "send_message", channel="plans", sender="ann", content="Rest.", in_reply_to=sent["id"])
            async with asyncio.timeout(SOON):
                (reply,) = (await waits)["messages"]
            assert "[[peer" in reply["content"]
            assert (reply["in_reply_to"], reply["sender"]) == (sent["id"], "ann")


async def test_a_newer_wait_in_another_process_ends_the_older(user: Path) -> None:
    async with local_client(user, TODAY, BEATLESS) as one, local_client(user, TODAY, BEATLESS) as two:
        older = await begun(one, two, "ann")
        newer = asyncio.create_task(use(two, "wait_for_reply", instance_id="ann", **LONG))
        async with asyncio.timeout(SOON):
            assert (await older)["ended"] == "superseded"
        await use(one, "send_message", sender="bo", content="x")
        async with asyncio.timeout(SOON):
            assert (await newer)["ended"] == "message"


@pytest.mark.slow
async def test_a_server_on_the_same_file_and_a_process_wake_each_other(
    user: Path, serve: Serve, surface_at: SurfaceAt
) -> None:
    home = Home("local", user, f"sqlite:///{database(user)}")
    key = json.loads(manage(home, "create_key", "local", "a server's", "--json"))["api_key"]
    caller = Credential(key)
    server = serve(home, app="tests.support.beatless:application")
    lane = surface_at("lane", server.url)
    async with local_client(user, TODAY, BEATLESS) as ann:
        await use(ann, "register", instance_id="ann")
        waits = await begun(ann, ann, "ann")
        await asyncio.to_thread(lane.ok, caller, "send_message", sender="web", content="from the server")
        async with asyncio.timeout(SOON):
            assert (await waits)["ended"] == "message"
        polled = lane.start(caller, "check_messages", channel="general", instance_id="web", after_id=1, wait=40)
        async with asyncio.timeout(SOON):
            while not any(each["waiting_on"] for each in (await use(ann, "list_instances"))["instances"]):
                assert not polled.done(), polled.result()
        await use(ann, "send_message", sender="ann", content="from a process")
        answer = await asyncio.to_thread(polled.result, SOON)
        assert isinstance(answer, Result)
        assert answer["ended"] == "message"


@pytest.mark.parametrize("mode", [TODAY, BEFORE])
async def test_everything_an_mcp_client_finds_over_http_is_there(user: Path, mode: Mode) -> None:
    async with local_client(user, mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == set(tools.TOOLS)
        assert len((await client.list_prompts()).prompts) >= 1
        await use(client, "share_data", key="a plan", content="long text", sender="ann")
        resources = [str(each.uri) for each in (await client.list_resources()).resources]
        assert "crosswire://data/a%20plan" in resources
        shown = await client.read_resource("crosswire://data/a%20plan")
        assert "long text" in shown.contents[0].text  # type: ignore[union-attr] # it is text


async def test_the_caller_is_known_by_its_client_and_nothing_is_limited(user: Path) -> None:
    async with local_client(user) as client:
        who = await use(client, "whoami")
    assert (who["workspace"], who["kind"], who["usage"]["plan"]) == ("local", "stdio", "unlimited")
    assert who["client"].startswith("mcp/")
    assert who["usage"]["retention_days"] is None


async def test_a_message_that_was_acknowledged_outlives_the_death_of_its_process(user: Path) -> None:
    with process(user) as doomed:
        doomed.shake_hands()
        sent = doomed.use("send_message", sender="ann", content="my last words")
        doomed.process.kill()
        assert doomed.exit_code() == -9
    async with local_client(user) as client:
        (message,) = (await use(client, "check_messages"))["messages"]
    assert message["id"] == sent["id"]
    assert "my last words" in message["content"]
