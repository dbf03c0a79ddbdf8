"""What the tests of waits share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from django.conf import settings

from accounts.principals import Principal
from bus import conversing, waiting
from bus.models import Wait
from bus.results import Sent
from bus.services import messages
from crosswire.lib import executor, hub
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import principal_of
from tests.support.processes import wait_until
from tests.support.surfaces import Refusal, Result, Surface

WAIT = "wait_for_reply"
SOON = 20.0
"""Seconds within which what a test waits for has happened, even on a machine with much else to do."""


def open_waits(caller: Caller) -> list[str]:
    """Return the tokens of the waits that are open in a workspace."""
    rows = Wait.objects.filter(workspace=caller.workspace, ended_at=None)
    return list(rows.order_by("pk").values_list("token", flat=True))


def present(caller: Caller) -> list[waiting.Waiter]:
    """Return who waits in this process in a workspace."""
    return [waiter for waiter in list(waiting.room.by_token.values()) if waiter.key[0] == caller.workspace.pk]


def until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Poll until it is so. Raises: TimeoutError."""
    wait_until(is_so, SOON, lambda: otherwise)


def begin(call: Surface, caller: Caller, operation: str = WAIT, /, **arguments: Any) -> Future[Result | Refusal]:
    """Begin a wait in the background; return once it is open."""
    before = set(open_waits(caller))
    answer = call.start(caller, operation, **arguments)
    until(lambda: answer.done() or bool(set(open_waits(caller)) - before), "the wait does not begin")
    assert not answer.done(), answer.result(0)
    return answer


def answered(waited: Future[Result | Refusal]) -> Result:
    """Return what a wait answered."""
    answer = waited.result(SOON)
    assert isinstance(answer, Result), answer
    return answer


def end_by_time(caller: Caller) -> None:
    """End what is waited for in a workspace, in this process, as if its time were over."""
    for waiter in present(caller):
        waiter.end("time")


@contextmanager
def unheard() -> Iterator[None]:
    """Have nothing that is published reach anybody, as when a process hears of no commit but its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "publish", lambda topic, payload: None)
        yield


@asynccontextmanager
async def waiters(principal: Principal, count: int, channel: str = "c{}") -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Have so many instances `i0`, `i1` … wait, each on a channel of its own, `c0`, `c1` …, or all on one; they have
    looked and are idle."""
    tasks = [
        asyncio.create_task(
            conversing.wait_for_reply(
                principal,
                channel=channel.format(number),
                instance_id=f"i{number}",
                timeout_seconds=90,
                persistent=False,
            )
        )
        for number in range(count)
    ]
    rows = Wait.objects.filter(workspace=principal.workspace_id, ended_at=None)
    try:
        async with asyncio.timeout(60):
            while await executor.run(rows.count) < count:
                assert not any(task.done() for task in tasks)
            await all_threads_at_once()  # so every look that stored a row has ended as well
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(SOON):
        while await executor.run(rows.count):
            pass


async def all_threads_at_once() -> None:
    """Have each thread of the executor take a job that ends when all have: none is busy with anything else."""
    together = threading.Barrier(settings.EXECUTOR_THREADS)
    await asyncio.gather(*(executor.run(together.wait, SOON) for _ in range(settings.EXECUTOR_THREADS)))


async def people(make_workspace: MakeWorkspace) -> Principal:
    """Return who may have any number of waits."""
    return await executor.run(principal_of, make_workspace("unlimited"))


async def send(principal: Principal, channel: str, sender: str = "writer") -> Sent:
    """Send as the service does it: without the batches of a surface."""
    return await executor.run(messages.send, principal.calling("tests/1"), channel=channel, sender=sender, content="x")
