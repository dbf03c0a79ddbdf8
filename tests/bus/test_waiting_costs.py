"""What waiting costs: no thread, no connection, and one statement now and then for all waits of a process together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections

from bus import conversing, listening, waiting
from bus.models import Wait
from bus.services import messages, waits
from crosswire.lib import executor, watch
from tests.bus.waiters import SOON, all_threads_at_once, people, send, waiters
from tests.conftest import MakeWorkspace

WAITERS = 300


@pytest.fixture(autouse=True)
def _no_beat_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BEAT_SECONDS", 3_600.0)
    monkeypatch.setattr(waiting, "CALM_BEAT_SECONDS", 3_600.0)
    monkeypatch.setattr(watch, "SECONDS", 3_600.0)


def _connections_open() -> int:
    """Return how many connections to this test's database are open, this one included; SQLite has a file's worth."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


async def test_idle_waiters_hold_neither_threads_nor_connections(make_workspace: MakeWorkspace) -> None:
    principal = await people(make_workspace)
    before = threading.active_count()
    async with waiters(principal, WAITERS):
        assert len(waiting.room.by_token) >= WAITERS
        assert threading.active_count() <= before + settings.EXECUTOR_THREADS
        async with asyncio.timeout(SOON):
            await all_threads_at_once()
        if connection.vendor == "postgresql":
            assert await executor.run(_connections_open) <= settings.EXECUTOR_THREADS + 8


async def test_the_beat_is_one_statement_for_all_waits_and_idle_waiters_run_none(
    make_workspace: MakeWorkspace, statements: Callable[..., Any]
) -> None:
    principal = await people(make_workspace)

    def beat() -> None:
        try:
            waiting.room.compare(waits.beat(waiting.PROCESS))
        finally:
            connections.close_all()

    async with waiters(principal, WAITERS):
        with (
            ThreadPoolExecutor(1, "my-beat") as pool,
            statements("my-beat") as beats,
            statements("crosswire-db") as idle,
        ):
            for _ in range(3):
                await asyncio.wrap_future(pool.submit(beat))
        updates = [text for text in beats if "bus_wait" in text]
        assert len(updates) == 3, str(beats)
        assert all("UPDATE bus_wait" in text for text in updates)
        assert [text for text in beats if text not in updates and not text.startswith("PRAGMA")] == []
        assert len(idle) == 0, str(idle)


async def test_a_message_wakes_who_waits_there_and_nobody_else(
    make_workspace: MakeWorkspace, statements: Callable[..., Any]
) -> None:
    principal = await people(make_workspace)
    async with waiters(principal, 50) as tasks:
        await send(principal, "warm-up")
        with statements("crosswire-db") as ran:
            await send(principal, "c7")
            answer = await tasks[7]
        assert answer["ended"] == "message"
        assert not any(task.done() for number, task in enumerate(tasks) if number != 7)
        looks = [text for text in ran if "LEFT JOIN bus_cursor" in text and "bus_instance i" in text]
        assert len(looks) <= 3, str(ran)  # the send's facts and unread, and one look of the one that woke


async def test_a_wait_that_nothing_wakes_looks_once(
    make_workspace: MakeWorkspace, statements: Callable[..., Any]
) -> None:
    principal = await people(make_workspace)
    arguments: dict[str, Any] = {"channel": "c", "instance_id": "ann", "persistent": False, "timeout_seconds": 0}
    await conversing.wait_for_reply(principal, **arguments)
    await send(principal, "c")
    await conversing.wait_for_reply(principal, **arguments)
    with statements("crosswire-db") as ran:
        answer = await conversing.wait_for_reply(principal, **(arguments | {"timeout_seconds": 0.3, "after_id": 1}))
    assert answer["ended"] == "time"
    assert sum("LEFT JOIN bus_cursor" in text for text in ran) == 1, str(ran)
    assert not any("FROM bus_message WHERE" in text and "content" in text for text in ran), str(ran)
    assert len(ran) <= 8, str(ran)


async def test_many_messages_to_one_waiter_are_one_answer_and_few_looks(
    make_workspace: MakeWorkspace, statements: Callable[..., Any]
) -> None:
    principal = await people(make_workspace)
    async with waiters(principal, 1) as tasks:
        drafts = [
            messages.draft(principal.calling("tests/1"), channel="c0", sender="writer", content="x") for _ in range(50)
        ]
        with statements("crosswire-db") as ran:
            await executor.run(messages.send_many, drafts)
            answer = await tasks[0]
        assert len(answer["messages"]) == 50
        looks = [text for text in ran if "LEFT JOIN bus_cursor" in text and "bus_instance i" in text]
        assert len(looks) <= 3, str(ran)


async def test_who_is_woken_together_leaves_threads_for_others(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = await people(make_workspace)
    look, looks, may_look = waits.look, threading.Event(), threading.Event()

    def look_late(*args: Any) -> Any:
        looks.set()
        may_look.wait(SOON)
        return look(*args)

    async with waiters(principal, 50) as tasks:
        monkeypatch.setattr(waits, "look", look_late)
        for waiter in list(waiting.room.by_token.values()):
            waiter.wake()
        try:
            async with asyncio.timeout(SOON / 2):
                while not looks.is_set():  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(0)  # until all who may have begun to look
                await send(principal, "c7")
        finally:
            may_look.set()
        assert (await tasks[7])["ended"] == "message"


async def test_waits_that_end_together_are_forgotten_together(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = await people(make_workspace)
    close = waits.close
    closed: list[int] = []

    def count(*tokens: str) -> None:
        closed.append(len(tokens))
        close(*tokens)

    monkeypatch.setattr(waits, "close", count)
    async with waiters(principal, WAITERS) as tasks:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(closed) == WAITERS
        assert len(closed) < WAITERS / 10
    assert not await executor.run(Wait.objects.filter(workspace=principal.workspace_id).exists)


async def test_streams_leave_threads_for_everybody_else(make_workspace: MakeWorkspace) -> None:
    told = asyncio.Event()

    async def tell(*args: Any) -> None:
        told.set()

    loop = asyncio.get_running_loop()
    principal = await people(make_workspace)
    async with AsyncExitStack() as all_turns:
        for _ in range(max(1, settings.EXECUTOR_THREADS // 2)):
            await all_turns.enter_async_context(waiting.turns(loop))
        stream = asyncio.ensure_future(listening.follow(principal, tell, instance_id="ann"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(told.wait(), 0.3)
    await asyncio.wait_for(told.wait(), SOON)
    stream.cancel()
    await asyncio.wait([stream])
