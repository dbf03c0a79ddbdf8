"""Work that an event loop does once for everybody who needs it."""

from __future__ import annotations

import asyncio

import pytest

from crosswire.lib import background
from crosswire.lib.background import Tasks, keep_running


async def test_work_that_fails_is_logged_and_begins_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "PAUSE_SECONDS", 0.0)
    tasks: Tasks = {}
    begun: list[int] = []
    done = asyncio.Event()

    async def work(loop: asyncio.AbstractEventLoop) -> None:
        del loop
        begun.append(1)
        if len(begun) == 1:
            raise RuntimeError("a fault of ours")
        done.set()

    keep_running(tasks, asyncio.get_running_loop(), work)
    await asyncio.wait_for(done.wait(), 5)
    assert len(begun) == 2
    assert "background_work_failed" in caplog.text
