"""Promise 9, told by those it is made to: an answer counts only when the next call shows that it arrived.

Real clients: the official SDK's in both eras, and plain HTTP. The connection that breaks is a real one, cut in the
middle of an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp import MCPError

from bus.models import Wait
from tests.support import loopback
from tests.support.cast import Caller, in_thread
from tests.support.clients import connected_client
from tests.support.messages import ids, seed
from tests.support.surfaces import rest_request

SOON = 20.0

type Call = Callable[..., Awaitable[dict[str, Any]]]
"""`await call("inbox", instance_id="ann")`: perform an operation that has to succeed; raise when its answer is lost."""
type Connect = Callable[[Caller, str], AbstractAsyncContextManager[Call]]


class Cable:
    """A connection to a server that can be cut: once, where a word stands in an answer."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._cut_at = b""
        self.url = ""

    def cut_at(self, word: str) -> None:
        """Have the next answer with this word end right before it."""
        self._cut_at = word.encode()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes in both directions until one side ends it."""
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)
        pumps = [asyncio.create_task(self._pump(reader, back)), asyncio.create_task(self._pump(there, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (back, writer):
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                before, word, _ = data.partition(self._cut_at) if self._cut_at else (data, b"", b"")
                writer.write(before)
                await writer.drain()
                if word:
                    self._cut_at = b""
                    return


@asynccontextmanager
async def cable_to(url: str) -> AsyncIterator[Cable]:
    cable = Cable(url)
    server = await asyncio.start_server(cable.carry, "127.0.0.1", 0)
    cable.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield cable


def over_mcp(era: Any) -> Connect:
    @asynccontextmanager
    async def connect(caller: Caller, url: str) -> AsyncIterator[Call]:
        async with connected_client(caller, url, era) as client:

            async def call(operation: str, **arguments: Any) -> dict[str, Any]:
                answer = await client.call_tool(operation, arguments)
                assert not answer.is_error, answer.content
                return dict(answer.structured_content or {})

            yield call

    return connect


@asynccontextmanager
async def over_http(caller: Caller, url: str) -> AsyncIterator[Call]:
    async with loopback.AsyncClient(base_url=url, headers=caller.headers, timeout=60) as http:

        async def call(operation: str, **arguments: Any) -> dict[str, Any]:
            method, path, left = rest_request(operation, arguments)
            is_body = method == "POST"
            answer = await http.request(
                method, f"/api{path}", json=left if is_body else None, params=None if is_body else left
            )
            return dict(answer.raise_for_status().json())

        yield call


CLIENTS: dict[str, Connect] = {
    "MCP 2026-07-28": over_mcp("2026-07-28"),
    "MCP 2025-11-25": over_mcp("2025-11-25"),
    "HTTP": over_http,
}
pytestmark = pytest.mark.parametrize("connect", CLIENTS.values(), ids=CLIENTS.keys())


async def lost(session: Awaitable[Any]) -> None:
    """Await the end of a session whose last answer does not arrive."""
    with pytest.raises((httpx2.TransportError, MCPError, ExceptionGroup)):
        async with asyncio.timeout(SOON):
            await session


def again(answer: dict[str, Any]) -> list[int]:
    """Return what an answer marks as shown before."""
    return [message["id"] for message in answer["messages"] if message.get("again")]


async def one_call(connect: Connect, caller: Caller, url: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """Connect and make one call as `ann`."""
    async with connect(caller, url) as call:
        return await call(operation, instance_id="ann", **arguments)


def post(caller: Caller, *contents: str, channel: str = "general") -> list[int]:
    """Have `bo` write."""
    return in_thread(lambda: seed(caller, contents, sender="bo", channel=channel))


async def until_waiting(caller: Caller) -> None:
    rows = Wait.objects.filter(workspace=caller.workspace, ended_at=None)
    async with asyncio.timeout(SOON):
        while not in_thread(rows.exists):  # noqa: ASYNC110 - it is the server that waits
            await asyncio.sleep(0.02)


async def test_an_answer_lost_on_the_wire_comes_again_until_it_has_arrived(
    connect: Connect, lane_url: str, alice: Caller
) -> None:
    async with cable_to(lane_url) as cable:
        async with connect(alice, cable.url) as call:
            await call("register", instance_id="ann")
            first, second = post(alice, "the first", "the NEEDLE")

        # The answer with both is cut in the middle. The agent sees an error, and nothing else.
        cable.cut_at("NEEDLE")
        await lost(one_call(connect, alice, cable.url, "check_messages"))

        # It connects anew and asks again, as anybody would. Both are there, marked, for they may have been seen.
        async with connect(alice, cable.url) as call:
            answer = await call("check_messages", instance_id="ann")
            assert (ids(answer), again(answer)) == ([first, second], [first, second])

            # It names the last of them with its next call: now they have arrived, and do not come again.
            (third,) = post(alice, "the third")
            answer = await call("check_messages", instance_id="ann", after_id=second)
            assert (ids(answer), again(answer)) == ([third], [])
            assert ids(await call("inbox", instance_id="ann")) == [third]  # not confirmed yet
            assert ids(await call("inbox", instance_id="ann")) == []


async def test_a_wait_that_breaks_as_its_message_arrives_loses_nothing(
    connect: Connect, lane_url: str, alice: Caller
) -> None:
    async with cable_to(lane_url) as cable:
        async with connect(alice, cable.url) as call:
            await call("register", instance_id="ann")
        cable.cut_at("NEEDLE")
        waiting = asyncio.create_task(one_call(connect, alice, cable.url, "inbox", wait=30))
        await until_waiting(alice)
        (number,) = post(alice, "the NEEDLE")
        await lost(waiting)
        async with connect(alice, cable.url) as call:
            # Whatever it does next, other than to name the message, does not count as having read it.
            await call("send_message", sender="ann", channel="elsewhere", content="I am back.")
            assert ids(await call("inbox", instance_id="ann", wait=30)) == [number]


async def test_a_newcomer_in_a_busy_channel_misses_nothing_and_reads_nothing_by_accident(
    connect: Connect, lane_url: str, alice: Caller
) -> None:
    history = post(alice, *(f"before {number}" for number in range(50)))
    async with connect(alice, lane_url) as call:
        # What was said before it came is history: it can be read, and is not pressed on anybody.
        joined = await call("register", instance_id="ann")
        assert joined["unread"] == {}
        assert ids(await call("check_messages", instance_id="ann")) == history[-20:]
        assert ids(await call("inbox", instance_id="ann")) == []

        # Then the others talk faster than it reads. A look at the newest says what it left out, and how to get it.
        new = post(alice, *(f"after {number}" for number in range(45)))
        newest = await call("check_messages", instance_id="ann")
        assert (ids(newest), newest["older"], newest["unread"]) == (new[-20:], True, {"general": 25})
        assert newest["fetch"] == f'check_messages(channel="general", instance_id="ann", after_id={history[-1]})'

        # It answers the last one. That confirms what it was shown; what it was not shown stays unread.
        await call("send_message", sender="ann", content="I see.", in_reply_to=new[-1])
        seen: list[int] = []
        while part := ids(await call("inbox", instance_id="ann", limit=10)):
            seen += [number for number in part if number not in seen]
        assert seen == new

        # Now nothing is unread, and the next message is the next message.
        (next_one,) = post(alice, "and now?")
        assert ids(await call("inbox", instance_id="ann")) == [next_one]
