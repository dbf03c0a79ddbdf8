"""Waiting without polling: a waiter holds no thread and no connection, and is woken after the commit.

The room is this process's: who waits where. A wake says "look"; looking is a read by the service. One statement every
few seconds, for all waits of the process together, keeps their rows alive and finds what a lost wake would have told.
On a SQLite file every process hears besides, within a tenth of a second, that another one has committed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from bus import wakeups
from bus.hot import Beat
from bus.services import waits
from crosswire.lib import executor, hub, watch
from crosswire.lib.database import Patience, patience
from crosswire.lib.errors import CrossWireError

BEAT_SECONDS = 2.0
"""How often to look where nothing else tells what other processes have stored."""
CALM_BEAT_SECONDS = 10.0
"""How often where something does."""
PROGRESS_SECONDS = 10.0
CLOSING_SECONDS = 2.0
"""How long a wait that is over waits for a busy database; its row ends by itself a little later."""
PROCESS = secrets.token_hex(8)
"""Names this process in the rows of its waits."""

type Progress = Callable[[float], Awaitable[None]]
type Key = tuple[int, str]
type Tasks = dict[asyncio.AbstractEventLoop, asyncio.Task[None]]


@dataclass(eq=False)
class Waiter:
    """Somebody who waits: on a channel by name, or with "" on every channel of the workspace."""

    key: Key
    loop: asyncio.AbstractEventLoop
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    why: str | None = None
    newest: int = 0

    def wake(self) -> None:
        """Have the waiter look, from any thread."""
        with suppress(RuntimeError):  # its loop is closed: nobody is there to wake
            self.loop.call_soon_threadsafe(self.woken.set)

    def end(self, why: str) -> None:
        """End the wait, from any thread."""
        self.why = self.why or why
        self.wake()


class Room:
    """Who waits in this process."""

    def __init__(self) -> None:
        self.waiters: dict[Key, set[Waiter]] = {}
        self.by_token: dict[str, Waiter] = {}
        self.is_closed = False
        self._beats: Tasks = {}
        self._watches: Tasks = {}
        hub.subscribe(wakeups.CHANNEL, self._stored)
        hub.subscribe(wakeups.WAIT_ENDED, self._ended)

    @contextmanager
    def waiter(self, workspace_id: int, channel: str) -> Iterator[Waiter]:
        """Be in the room for the time of a wait. Raises: CrossWireError `unavailable` while the process stops."""
        if self.is_closed:
            raise CrossWireError("unavailable", "The server is restarting: wait again in a second.", retry_after=1)
        waiter = Waiter((workspace_id, channel), asyncio.get_running_loop())
        self.waiters.setdefault(waiter.key, set()).add(waiter)
        self.by_token[waiter.token] = waiter
        self._keep_beating(waiter.loop)
        try:
            yield waiter
        finally:
            del self.by_token[waiter.token]
            beside = self.waiters[waiter.key]
            beside.discard(waiter)
            if not beside:
                del self.waiters[waiter.key]

    def close(self) -> None:
        """End all waits because the process stops; new ones are refused."""
        self.is_closed = True
        for waiter in list(self.by_token.values()):
            waiter.end("restart")

    def _stored(self, payload: dict[str, Any]) -> None:
        for channel in (payload["channel"], ""):
            for waiter in tuple(self.waiters.get((payload["workspace"], channel), ())):
                waiter.wake()

    def _ended(self, payload: dict[str, Any]) -> None:
        if waiter := self.by_token.get(payload["token"]):
            waiter.end(payload["why"])

    def _keep_beating(self, loop: asyncio.AbstractEventLoop) -> None:
        _keep_running(self._beats, loop, self._beat)
        if watch.is_possible():
            _keep_running(self._watches, loop, self._watch)

    def _has_waits(self, loop: asyncio.AbstractEventLoop) -> bool:
        return any(waiter.loop is loop for waiter in self.by_token.values())

    async def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """One statement for all waits, until there are none."""
        while self._has_waits(loop):
            await asyncio.sleep(CALM_BEAT_SECONDS if watch.is_possible() else BEAT_SECONDS)
            if self.by_token:
                with suppress(CrossWireError):  # the database is away: the next beat will tell
                    self.compare(await executor.run(waits.beat, PROCESS))

    async def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """One statement for all waits whenever some process has committed, until there are none.

        It writes nothing: else two processes that wait would wake each other for ever.
        """
        with watch.FileWatch() as file:
            while self._has_waits(loop):
                await asyncio.sleep(watch.SECONDS)
                if self.by_token and file.has_changed():
                    with suppress(CrossWireError):
                        self.compare(await executor.run(waits.news, PROCESS))

    def compare(self, beats: Iterable[Beat]) -> None:
        """Wake whose channel has moved on unheard; end whose end was not heard."""
        for token, ended, newest in beats:
            waiter = self.by_token.get(token)
            if waiter is None:
                continue
            if ended:
                waiter.end(ended)
            elif newest > waiter.newest:
                waiter.newest = newest
                waiter.wake()


def _keep_running(
    tasks: Tasks,
    loop: asyncio.AbstractEventLoop,
    work: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]],
) -> None:
    """Have one task of this kind run on the loop, in nobody's context: it outlives the first wait."""
    task = tasks.get(loop)
    if task is None or task.done():
        tasks[loop] = task = loop.create_task(work(loop), context=Context())
        task.add_done_callback(lambda done: tasks.pop(loop, None) if tasks.get(loop) is done else None)


room = Room()


async def wait[T](
    workspace_id: int,
    channel: str,
    seconds: float,
    look: Callable[[Waiter], Awaitable[T | None]],
    progress: Progress | None = None,
) -> tuple[T | None, str, float]:
    """Look now and again at each wake until there is an answer; return it (or None), what ended it, and seconds.

    Ends: `message`, `time`, or what somebody else ended it with (`superseded`, `restart`, `unregistered`).
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    looking: asyncio.Future[T | None] | None = None
    with room.waiter(workspace_id, channel) as waiter:  # register first, read second: no wake is lost
        try:
            while True:
                waiter.woken.clear()
                if waiter.why is None:
                    patience.set(Patience())  # for each look: what a long wait waits for meanwhile is no lock
                    looking = asyncio.ensure_future(look(waiter))
                    if (answer := await asyncio.shield(looking)) is not None:
                        return answer, "message", loop.time() - began
                why = waiter.why or await _until_woken(waiter, began, seconds, progress)
                if why:
                    return None, why, loop.time() - began
        finally:
            await asyncio.shield(_close(waiter.token, looking))


async def _close(token: str, looking: asyncio.Future[Any] | None) -> None:
    """Forget a wait, after a look that its client's end broke into: the look might store the wait yet."""
    if looking is not None:
        await asyncio.wait([looking])
        looking.exception()  # told to whoever is still there
    patience.set(Patience(CLOSING_SECONDS))
    with suppress(CrossWireError):
        await executor.run(waits.close, token)


async def _until_woken(waiter: Waiter, began: float, seconds: float, progress: Progress | None) -> str | None:
    """Sleep until woken (None) or until the wait is over (why), reporting progress."""
    while not waiter.woken.is_set():
        waited = waiter.loop.time() - began
        if waited >= seconds:
            return "time"
        pause = min(seconds - waited, PROGRESS_SECONDS - waited % PROGRESS_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(waiter.woken.wait(), pause)
        if progress is not None and not waiter.woken.is_set():
            await progress(waiter.loop.time() - began)
    return waiter.why
