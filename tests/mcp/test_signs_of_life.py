"""What a client is told while it waits: progress if it asked for it, and comments that keep proxies from hanging up."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.server import _streamable_http_modern
from sse_starlette import EventSourceResponse

from bus import waiting
from tests.bus.test_wait_hang_up import REQUESTS, send_request
from tests.bus.waiters import SOON
from tests.conftest import SdkClient
from tests.support.cast import Caller
from tests.support.clients import Mode

ERAS: tuple[Mode, ...] = ("2026-07-28", "2025-11-25")


def test_progress_comes_well_before_any_client_gives_up() -> None:
    assert waiting.PROGRESS_SECONDS == 10
    assert _streamable_http_modern._SSE_PING_INTERVAL <= 15
    assert EventSourceResponse.DEFAULT_PING_INTERVAL <= 15


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_hears_of_progress(
    sdk_client: SdkClient, alice: Caller, monkeypatch: pytest.MonkeyPatch, era: Mode
) -> None:
    monkeypatch.setattr(waiting, "PROGRESS_SECONDS", 0.05)
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        told.append((progress, message))

    arguments: dict[str, Any] = {"instance_id": "ann", "timeout_seconds": 1, "persistent": False}
    async with sdk_client(alice, era) as client:
        answer = await client.call_tool("wait_for_reply", arguments, progress_callback=note)
    assert answer.structured_content is not None
    assert answer.structured_content["ended"] == "time"
    assert len(told) >= 2
    assert told == sorted(told)
    assert all("still waiting" in (message or "") for _, message in told)


@pytest.mark.parametrize("name", ["2026, stream", "2025, stream"])
def test_a_silent_wait_sends_comments(lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(_streamable_http_modern, "_SSE_PING_INTERVAL", 0.1)
    monkeypatch.setattr(EventSourceResponse, "DEFAULT_PING_INTERVAL", 0.1)
    with send_request(lane_url, alice, REQUESTS[name]) as connection:
        connection.settimeout(SOON)
        heard = b""
        while heard.count(b": ping") < 3:
            heard += (part := connection.recv(10_000))
            assert part, heard
    assert b"text/event-stream" in heard
