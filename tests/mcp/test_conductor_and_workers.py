"""One conducts, two work: the pattern that most teams of agents use, told from beginning to end.

Three sessions with the official SDK's client, on two server processes. Names and texts are examples; the calls, their
order and what they answer are what an agent may rely on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextContent

from tests.conftest import SdkClient, Serve
from tests.support.cast import Credential
from tests.support.homes import Home
from tests.support.messages import contents, ids
from tests.support.servers import create_workspace

pytestmark = pytest.mark.slow

CHANNEL = "release-42"
REPORT = "\n".join(f"{number}: all is well" for number in range(10_000))


class Agent:
    """A session and the name it works under."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    async def ask(self, tool: str, /, **arguments: Any) -> tuple[bool, str, dict[str, Any]]:
        """Call a tool; return whether it was refused, the text, and the data (of a refusal: what it says in _meta)."""
        answer = await self.client.call_tool(tool, arguments)
        (text,) = answer.content
        assert isinstance(text, TextContent)
        data = (answer.meta or {}).get("crosswire/error") if answer.is_error else answer.structured_content
        return bool(answer.is_error), text.text, dict(data or {})

    async def use(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that has to succeed; return its data."""
        is_refused, text, data = await self.ask(tool, **arguments)
        assert not is_refused, f"{tool}: {text}"
        return data

    async def say(self, message_type: str, content: str, **more: Any) -> int:
        """Send a message; return its id."""
        sent = await self.use(
            "send_message", channel=CHANNEL, sender=self.name, content=content, message_type=message_type, **more
        )
        return int(sent["id"])

    async def listen(self, after_id: int | None = None, role: str = "parked") -> dict[str, Any]:
        """Wait for what comes next."""
        known = {} if after_id is None else {"after_id": after_id}
        return await self.use("wait_for_reply", channel=CHANNEL, instance_id=self.name, role=role, **known)


async def until_waiting(conductor: Agent, *names: str) -> None:
    """Return once these instances wait on the channel."""
    async with asyncio.timeout(30):
        while True:
            listed = await conductor.use("list_instances")
            if {each["instance_id"] for each in listed["instances"] if CHANNEL in each["waiting_on"]} >= set(names):
                return
            await asyncio.sleep(0.02)


async def until_handed(conductor: Agent, number: int, *names: str) -> dict[str, Any]:
    """Return a message's receipts once these instances were handed it: who works has not yet gone back to listen."""
    async with asyncio.timeout(30):
        while True:
            told = await conductor.use("message_status", message_id=number)
            if {each["instance_id"] for each in told["handed"]} >= set(names):
                return told
            await asyncio.sleep(0.02)


@dataclass
class Shift:
    """What a worker did, what others had taken already, and the answer that ended its shift."""

    done: list[int]
    taken: list[int]
    end: dict[str, Any]


async def work(worker: Agent, at_work: asyncio.Barrier) -> Shift:
    """Do what a worker does: wait, claim, share, answer, wait again; until the conductor says that it is over."""
    shift = Shift([], [], {})
    last: int | None = None
    while shift.end.get("ended") != "done":
        shift.end = await worker.listen(last)
        last = shift.end["resume_after_id"]
        for message in shift.end["messages"]:
            if message["message_type"] != "request":
                continue
            number = message["id"]
            is_refused, text, told = await worker.ask("claim_message", message_id=number, instance_id=worker.name)
            if is_refused:
                assert told["code"] == "claimed", text
                assert f'claimed by "{told["claimed_by"]}" until {told["until"]}' in text
                shift.taken.append(number)
            elif told["reply_count"]:  # it was done before this one came: its answer had ended the claim
                await worker.use("claim_message", message_id=number, instance_id=worker.name, release=True)
            else:
                await at_work.wait()  # the work takes long enough for the other to take what is left
                key = f"{CHANNEL}/report-{number}"
                await worker.use("share_data", key=key, content=REPORT, sender=worker.name)
                await worker.say("response", f"Done: see {key}.", in_reply_to=number)
                shift.done.append(number)
    return shift


@pytest.mark.parametrize("era", ["2026-07-28", "2025-11-25"])
async def test_a_conductor_hands_out_work_and_each_piece_is_done_once(
    make_home: Callable[[], Home], serve: Serve, sdk_client: SdkClient, era: Any
) -> None:
    home = make_home()
    here, there = serve(home), serve(home)
    key = Credential(create_workspace(home))
    async with AsyncExitStack() as sessions, asyncio.timeout(90):

        async def join(name: str, url: str, description: str) -> Agent:
            agent = Agent(await sessions.enter_async_context(sdk_client(key, era, url)), name)
            await agent.use("register", instance_id=name, description=description)
            return agent

        # The conductor makes a channel for the job; the workers come to it and wait until they are spoken to.
        conductor = await join("conductor", here.url, "plans the release")
        await conductor.use("create_channel", name=CHANNEL, description="Everything about release 42")
        workers = [await join("ada", here.url, "tests"), await join("bob", there.url, "tests, too")]
        async with asyncio.TaskGroup() as team:
            at_work = asyncio.Barrier(len(workers))
            working = [team.create_task(work(worker, at_work)) for worker in workers]
            await until_waiting(conductor, "ada", "bob")

            # Two requests to nobody in particular. Both workers wake; each request is claimed by one of them.
            asked = [await conductor.say("request", f"Test the {part}.") for part in ("importer", "exporter")]

            # The conductor waits for the answers, from the last message it has seen.
            answers: list[dict[str, Any]] = []
            last = asked[-1]
            while len(answers) < len(asked):
                heard = await conductor.listen(last, role="active")
                answers += [each for each in heard["messages"] if each["message_type"] == "response"]
                last = heard["resume_after_id"]
            assert sorted(each["in_reply_to"] for each in answers) == asked

            # Receipts: both were handed each request, one answered, and its answer ended the claim.
            for answer in answers:
                told = await until_handed(conductor, answer["in_reply_to"], "ada", "bob")
                assert {each["instance_id"] for each in told["handed"]} == {"ada", "bob"}
                assert [(each["by"], each["id"]) for each in told["answered"]] == [(answer["sender"], answer["id"])]
                late = [each["by"] for each in (told["claimed"],) if each]
                assert answer["sender"] not in late, "who came after the answer may hold it until it has seen that"

            # What was too long for a message is shared data.
            for number in asked:
                shared = await conductor.use("get_shared_data", key=f"{CHANNEL}/report-{number}")
                assert REPORT.startswith(shared["content"].split("\n", 1)[1][:1_000])
                assert shared["next_offset"] is not None

            # `done` ends the workers' waits; they leave.
            await until_waiting(conductor, "ada", "bob")
            goodbye = await conductor.say("done", "Thank you.")

        shifts = [each.result() for each in working]
        assert sorted(shift.done for shift in shifts) == [[number] for number in asked], "each did one"
        assert set(asked) & {number for shift in shifts for number in shift.taken}, "and somebody came too late"
        for shift in shifts:
            assert (shift.end["ended"], ids(shift.end)[-1]) == ("done", goodbye)
            assert contents(shift.end)[-1] == "Thank you."
        for agent in (*workers, conductor):
            await agent.use("unregister", instance_id=agent.name)
