"""A client that goes away: its wait is freed, and nothing that comes later counts as shown to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from mcp import Client

from bus import calls
from bus.models import Cursor
from tests.bus.waiters import SOON, open_waits, present, until
from tests.conftest import SdkClient
from tests.support import loopback
from tests.support.cast import Caller, Credential
from tests.support.messages import ids, seed
from tests.support.surfaces import CLIENT, Surface

STREAM, JSON = "application/json, text/event-stream", "application/json"


@pytest.fixture
def ann(lane_url: str, alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    answer = loopback.post(f"{lane_url}/api/register", json={"instance_id": "ann"}, headers=alice.headers)
    assert answer.status_code == 200
    return alice


def mcp_request(
    version: str, accept: str, tool: str, arguments: Mapping[str, Any]
) -> tuple[str, dict[str, str], bytes]:
    """Return path, headers and body of a tool call as a client of that version sends it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": CLIENT,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": dict(arguments), **({"_meta": meta} if version >= "2026" else {})}
    headers = {"Accept": accept, "Content-Type": "application/json", "MCP-Protocol-Version": version}
    headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool} if version >= "2026" else {}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return "/mcp", headers, json.dumps(body).encode()


REQUESTS = {
    "2026, stream": mcp_request("2026-07-28", STREAM, "wait_for_reply", {"instance_id": "ann"}),
    "2026, json": mcp_request("2026-07-28", JSON, "wait_for_reply", {"instance_id": "ann"}),
    "2025, stream": mcp_request("2025-11-25", STREAM, "wait_for_reply", {"instance_id": "ann"}),
    "2025, json": mcp_request("2025-11-25", JSON, "wait_for_reply", {"instance_id": "ann"}),
    "2026, inbox": mcp_request("2026-07-28", STREAM, "inbox", {"instance_id": "ann", "wait": 40}),
    "2025, inbox": mcp_request("2025-11-25", STREAM, "inbox", {"instance_id": "ann", "wait": 40}),
    "REST": ("/api/messages/general?instance_id=ann&wait=40", {}, b""),
    "REST inbox": ("/api/inbox?instance_id=ann&wait=40", {}, b""),
    "REST onlooker": ("/api/messages/general?wait=40", {}, b""),
}


def send_request(url: str, caller: Credential, request: tuple[str, dict[str, str], bytes]) -> socket.socket:
    """Send a request over a connection of its own, which is returned for hanging up."""
    path, headers, body = request
    where = urlsplit(url)
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"Host: {where.netloc}"]
    lines += [f"{name}: {value}" for name, value in {**caller.headers, **headers}.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    connection = socket.create_connection((where.hostname or "", where.port or 0), timeout=SOON)
    connection.sendall("\r\n".join(lines).encode() + body)
    return connection


HOW = [*(("lane_url", name) for name in REQUESTS), *(("drf_url", name) for name in REQUESTS if "REST" in name)]


@pytest.mark.parametrize(("server", "request_name"), HOW)
def test_who_hangs_up_waits_no_longer_and_is_shown_nothing(
    request: pytest.FixtureRequest, surface: Any, ann: Caller, server: str, request_name: str
) -> None:
    connection = send_request(request.getfixturevalue(server), ann, REQUESTS[request_name])
    until(lambda: len(open_waits(ann)) == 1, "the wait does not begin")
    connection.close()
    until(lambda: not open_waits(ann) and not present(ann), "the wait goes on without its client")
    (number,) = seed(ann, ["x"])
    assert not Cursor.objects.filter(workspace=ann.workspace).exists()
    lane: Surface = surface("lane")
    answer = lane.ok(ann, "inbox", instance_id="ann")
    assert (ids(answer), "again" in answer["messages"][0]) == ([number], False)


@pytest.mark.parametrize("request_name", [name for name in REQUESTS if name != "REST onlooker"])
def test_a_message_that_meets_the_hanging_up_is_not_counted_as_read(
    lane_url: str, surface: Any, ann: Caller, request_name: str
) -> None:
    lane: Surface = surface("lane")
    for _ in range(8):
        connection = send_request(lane_url, ann, REQUESTS[request_name])
        until(lambda: len(open_waits(ann)) == 1, "the wait does not begin")
        sent = lane.start(ann, "send_message", sender="bo", content="x")
        connection.close()
        number = sent.result(SOON)["id"]  # type: ignore[index]  # a refusal fails here as well
        until(lambda: not open_waits(ann) and not present(ann), "the wait goes on without its client")
        answer = lane.ok(ann, "inbox", instance_id="ann")
        assert number in ids(answer)
        lane.ok(ann, "ack_inbox", instance_id="ann", channel="general", up_to=number)


def is_marked(caller: Caller) -> bool:
    """Whether the wait's call is known to have lost its client."""
    return any(call.is_broken for call in calls._under_way.get((caller.workspace.pk, "ann"), ()))


async def begin_and_cancel(client: Client, caller: Caller) -> None:
    call = asyncio.create_task(client.call_tool("wait_for_reply", {"instance_id": "ann"}))
    await sync_to_async(until)(lambda: len(open_waits(caller)) == 1, "the wait does not begin")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_the_official_clients_cancelled_call_frees_the_wait(sdk_client: SdkClient, ann: Caller) -> None:
    async with sdk_client(ann, "2026-07-28") as client:
        await begin_and_cancel(client, ann)
        await sync_to_async(until)(lambda: not open_waits(ann) and not present(ann), "the wait goes on")
        assert not (await client.call_tool("whoami", {})).is_error


async def test_the_official_older_clients_cancelled_call_counts_nothing_as_read(
    sdk_client: SdkClient, surface: Any, ann: Caller
) -> None:
    """It says `notifications/cancelled` and leaves the stream open: the wait runs on, and answers into the void."""
    lane: Surface = surface("lane")
    async with sdk_client(ann, "2025-11-25") as client:
        await begin_and_cancel(client, ann)
        await sync_to_async(until)(lambda: not open_waits(ann) or is_marked(ann), "nobody heard of the cancelling")
        (number,) = await sync_to_async(seed)(ann, ["x"])
        await sync_to_async(until)(lambda: not present(ann) and not calls._under_way, "the wait goes on")
        await sync_to_async(lane.ok)(ann, "send_message", sender="ann", content="later")
        answer = await sync_to_async(lane.ok)(ann, "inbox", instance_id="ann")
        assert ids(answer) == [number]
