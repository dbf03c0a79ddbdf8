"""Who is refused at the door reads why: the official client shows the sentence, in both eras of the protocol."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from accounts import services
from tests.support import loopback
from tests.support.cast import Caller

ERAS = pytest.mark.parametrize("era", ["auto", "legacy", "2026-07-28"])


def refusal(url: str, headers: dict[str, str], era: str, **arguments: Any) -> MCPError:
    """Return what the official client raises for a session with one call."""

    async def session() -> None:
        async with loopback.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"{url}/mcp", http_client=http)
            async with Client(transport, mode=era) as client:
                await client.call_tool("send_message", {"sender": "a", "content": "x", **arguments})

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group, with the error somewhere in it
        asyncio.run(session())
    return _inside(caught.value)


def _inside(problem: BaseException) -> MCPError:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    assert isinstance(problem, MCPError), problem
    return problem


@ERAS
def test_a_client_of_a_suspended_workspace_reads_why(lane_url: str, alice: Caller, era: str) -> None:
    services.suspend(alice.workspace, "Spam since May")
    problem = refusal(lane_url, alice.headers, era)
    assert "Spam since May" in problem.error.message
    assert problem.error.data["code"] == "suspended"


@ERAS
def test_a_client_with_a_wrong_key_reads_so(lane_url: str, era: str) -> None:
    problem = refusal(lane_url, {"Authorization": "Bearer cw_unknown"}, era)
    assert "key" in problem.error.message
    assert problem.error.data["code"] == "unauthorized"


@ERAS
def test_a_client_that_sends_too_much_reads_how_much_it_may(lane_url: str, alice: Caller, era: str) -> None:
    problem = refusal(lane_url, alice.headers, era, content="x" * 1_100_000)
    assert problem.error.data["code"] == "too_large"
    assert str(problem.error.data["limit"]) in problem.error.message.replace(",", "")
