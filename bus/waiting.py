"""Waiting without polling: a waiter holds no thread and no connection, and is woken after the commit.

The room is this process's: who waits where. A wake says "look"; looking is a read by the service. One statement every
few seconds, for all waits of the process together, keeps their rows alive and finds what a lost wake would have told.
Other processes are heard through the hub; when that comes or goes, one statement tells at once what went unheard. On a
SQLite file every process hears besides, within a tenth of a second, that another one has committed.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings

from bus import mutual, wakeups
from bus.beats import Beat
from bus.services import releases, waits
from crosswire.lib import clock, executor, hub, watch
from crosswire.lib.background import Tasks, keep_running
from crosswire.lib.batches import Ask, Batches
from crosswire.lib.database import Patience, patience, waiting_at_most
from crosswire.lib.errors import CrossWireError

BEAT_SECONDS = 2.0
"""How often to look where nothing else tells what other processes have stored."""
CALM_BEAT_SECONDS = 10.0
"""How often where something does."""
UNSURE_SECONDS = 0.25
"""How soon to look when other processes were not heard for a moment."""
PROGRESS_SECONDS = 10.0
TAKEN_SECONDS = 1.0
"""How long a client has to take a report of progress: one that reads nothing must not hold its wait."""
CLOSED_TOGETHER = 500
"""Waits whose rows are deleted by one statement, at most."""
CLOSING_SECONDS = 2.0
"""How long a wait that is over waits for a busy database; its row ends by itself a little later."""
PROCESS = secrets.token_hex(8)
"""Names this process in the rows of its waits."""

type Progress = Callable[[float], Coroutine[Any, Any, None]]
type Key = tuple[int, str]


@dataclass(eq=False)
class Waiter:
    """Somebody who waits: on a channel by name, or with "" on every channel of the workspace.

    `has_row`: whether its row may be stored. `is_queued`: whether its look waits for a turn.
    `party_since`: when it became a party of mutual waits. `task`: the token of the task that is asked for; several may
    ask for one.
    """

    key: Key
    loop: asyncio.AbstractEventLoop
    task: str = ""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    why: str | None = None
    newest: int = 0
    has_row: bool = True
    is_queued: bool = False
    seconds: float = 0
    party_since: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is not to look again. A mutual wait is looked at once more: a message may have crossed its end."""
        return self.why not in (None, "mutual")

    def wake(self) -> None:
        """Have the waiter look, from any thread."""
        _wake([self])

    def end(self, why: str) -> None:
        """End the wait, from any thread."""
        self.why = self.why or why
        self.wake()


class Room:
    """Who waits in this process."""

    def __init__(self) -> None:
        self.waiters: dict[Key, set[Waiter]] = {}
        self.by_token: dict[str, Waiter] = {}
        self.by_task: dict[str, set[Waiter]] = {}
        self.is_closed = False
        self._beats: Tasks = {}
        self._watches: Tasks = {}
        self._releases: Tasks = {}
        self._beaten_at = 0.0
        self._is_unsure = False
        hub.subscribe(wakeups.CHANNEL, self._stored)
        hub.subscribe(wakeups.WAIT_ENDED, self._ended)
        hub.subscribe(hub.CONNECTION, self._hearing_changed)

    @contextmanager
    def waiter(self, workspace_id: int, channel: str, task: str = "") -> Iterator[Waiter]:
        """Be in the room for the time of a wait. Raises: CrossWireError `unavailable` while the process stops."""
        if self.is_closed:
            raise CrossWireError("unavailable", "The server is restarting: wait again in a second.", retry_after=1)
        waiter = Waiter((workspace_id, channel), asyncio.get_running_loop(), task)
        self.waiters.setdefault(waiter.key, set()).add(waiter)
        self.by_token[waiter.token] = waiter
        if task:
            self.by_task.setdefault(task, set()).add(waiter)
        self._keep_beating(waiter.loop)
        try:
            yield waiter
        finally:
            del self.by_token[waiter.token]
            _leave(self.waiters, waiter.key, waiter)
            if task:
                _leave(self.by_task, task, waiter)

    def narrow(self, waiter: Waiter, channel: str) -> None:
        """Have a waiter wait on one channel, now that it is known which."""
        before, waiter.key = waiter.key, (waiter.key[0], channel)
        if before != waiter.key:
            self.waiters.setdefault(waiter.key, set()).add(waiter)
            _leave(self.waiters, before, waiter)

    def close(self) -> None:
        """End all waits because the process stops; new ones are refused."""
        self.is_closed = True
        for waiter in list(self.by_token.values()):
            waiter.end("restart")

    def _stored(self, payload: dict[str, Any]) -> None:
        channels = (payload["channel"], "")
        _wake(waiter for name in channels for waiter in tuple(self.waiters.get((payload["workspace"], name), ())))

    def _ended(self, payload: dict[str, Any]) -> None:
        for waiter in self._of_row(payload["token"]):
            waiter.end(payload["why"])

    def _of_row(self, token: str) -> tuple[Waiter, ...]:
        """Return who waits by a stored wait."""
        waiter = self.by_token.get(token)
        return (waiter,) if waiter else tuple(self.by_task.get(token, ()))

    def _keep_beating(self, loop: asyncio.AbstractEventLoop) -> None:
        keep_running(self._beats, loop, self._beat)
        keep_running(self._releases, loop, self._release)
        if watch.is_possible():
            keep_running(self._watches, loop, self._watch)

    def _has_waits(self, loop: asyncio.AbstractEventLoop) -> bool:
        return any(waiter.loop is loop for waiter in tuple(self.by_token.values()))  # other loops come and go

    def _hearing_changed(self, payload: dict[str, Any]) -> None:
        """Have everybody who is here looked after soon: something may have gone unheard."""
        del payload
        self._is_unsure = bool(self.by_token)

    async def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """One statement for all waits of the process, whatever their loops, until this loop has none."""
        if len(self._beats) == 1:
            self._beaten_at = time.monotonic()
        while self._has_waits(loop):
            await asyncio.sleep(min(UNSURE_SECONDS, beat_seconds()))
            is_due = time.monotonic() - self._beaten_at >= beat_seconds()
            if is_due or self._is_unsure:
                await self._look_around(is_due=is_due)

    async def _look_around(self, *, is_due: bool) -> None:
        beaten_at, is_unsure = self._beaten_at, self._is_unsure
        self._beaten_at, self._is_unsure = time.monotonic() if is_due else beaten_at, False
        try:
            await executor.run(self._tell_news, is_due=is_due, is_unsure=is_unsure)
        except CrossWireError:
            self._is_unsure = self._is_unsure or is_unsure  # the database is away: the next time will tell
        except asyncio.CancelledError:  # this loop ends, and nobody has looked: another one's turn
            self._beaten_at, self._is_unsure = beaten_at, is_unsure
            raise

    def _tell_news(self, *, is_due: bool, is_unsure: bool) -> None:
        """Wake whoever has news. Who is not stored yet may have looked before they came, and looks again."""
        present = list(self.by_token.values())
        beats = self._news(is_due=is_due)
        self.compare(beats)
        if is_unsure:
            stored = {beat.token for beat in beats}
            for waiter in present:
                if waiter.token not in stored:
                    waiter.wake()

    def _news(self, *, is_due: bool = False) -> list[Beat]:
        """Return how all waits of the process stand, in one statement, or two while a task is held elsewhere too.

        A task's row names the process that was asked for it last; who holds it here as well looks for it by its token.
        """
        beats = (waits.beat if is_due else waits.news)(PROCESS)
        astray = set(self.by_task).difference(beat.token for beat in beats)
        return beats + waits.news_of(astray) if astray else beats

    async def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """One statement for all waits whenever some process has committed, until there are none.

        It writes nothing: else two processes that wait would wake each other for ever.
        """
        with watch.FileWatch() as file:
            while self._has_waits(loop):
                await asyncio.sleep(watch.SECONDS)
                if self.by_token and file.has_changed():
                    with suppress(CrossWireError):
                        self.compare(await executor.run(self._news))

    async def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        """One statement for all parties past the grace, until there are no waits; none while there is no such party."""
        while self._has_waits(loop):
            await asyncio.sleep(mutual.LOOK_SECONDS)
            if self._has_parties(clock.now() - mutual.GRACE):
                with suppress(CrossWireError):  # the database is away: the next look will tell
                    await executor.run(releases.release, PROCESS)

    def _has_parties(self, since: datetime) -> bool:
        return any(waiter.party_since and waiter.party_since <= since for waiter in tuple(self.by_token.values()))

    def compare(self, beats: Iterable[Beat]) -> None:
        """Wake whose channel has moved on unheard; end whose end was not heard."""
        woken = []
        for token, ended, newest in beats:
            for waiter in self._of_row(token):
                if ended:
                    waiter.end(ended)
                elif newest > waiter.newest:
                    waiter.newest = newest
                    woken.append(waiter)
        _wake(woken)


def _wake(waiters: Iterable[Waiter]) -> None:
    """Have waiters look, from any thread, all of a loop at once: so those on one channel look together."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Waiter]] = {}
    for waiter in waiters:
        by_loop.setdefault(waiter.loop, []).append(waiter)
    for loop, woken in by_loop.items():
        with suppress(RuntimeError):  # it is closed: nobody is there to wake
            loop.call_soon_threadsafe(_set_all, woken)


def _set_all(waiters: Iterable[Waiter]) -> None:
    for waiter in waiters:
        waiter.woken.set()


def _leave[K](rooms: dict[K, set[Waiter]], key: K, waiter: Waiter) -> None:
    beside = rooms[key]
    beside.discard(waiter)
    if not beside:
        del rooms[key]


def beat_seconds() -> float:
    """Return how long it is from one statement for all waits to the next."""
    return CALM_BEAT_SECONDS if hub.is_connected() or watch.is_possible() else BEAT_SECONDS


room = Room()
_looking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class Alone(Enum):
    """Says that a wait is to look by itself."""

    ALONE = auto()


ALONE = Alone.ALONE


async def wait[T](
    workspace_id: int,
    channel: str,
    seconds: float,
    look: Callable[[Waiter], Awaitable[T | None]],
    progress: Progress | None = None,
    *,
    look_with_others: Callable[[Waiter], Awaitable[T | Alone | None]] | None = None,
    task: str = "",
) -> tuple[T | None, str, float]:
    """Look now and again at each wake until there is an answer; return it (or None), what ended it, and seconds.

    A look may change how long the wait lasts (`Waiter.seconds`). `look_with_others` is asked before: it takes turns by
    itself, or answers ALONE. `task`: the token of the task that is asked for; its row stays when nobody does.

    Ends: `message`, `time`, or what somebody else ended it with (`superseded`, `restart`, `unregistered`, `mutual`).
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    looking: asyncio.Future[T | None] | None = None
    with room.waiter(workspace_id, channel, task) as waiter:  # register first, read second: no wake is lost
        waiter.seconds = seconds
        try:
            while True:
                waiter.woken.clear()
                ended = waiter.why
                looking = asyncio.ensure_future(_look(waiter, look, look_with_others))
                if (answer := await asyncio.shield(looking)) is not None:
                    return answer, "message", loop.time() - began
                why = ended or await _until_woken(waiter, began, progress)
                if why and (ended or why != "mutual"):
                    return None, why, loop.time() - began
        finally:
            waiter.why = "over"  # whose turn has not come yet does not look
            await asyncio.shield(close(waiter, looking))


async def _look[T](
    waiter: Waiter,
    look: Callable[[Waiter], Awaitable[T | None]],
    look_with_others: Callable[[Waiter], Awaitable[T | Alone | None]] | None,
) -> T | None:
    """Look when it is this wait's turn, unless it is over by then."""
    waiter.is_queued = True
    if look_with_others is not None and not waiter.is_over:
        found = await look_with_others(waiter)
        if found is not ALONE or waiter.is_over:
            return None if found is ALONE else found
        waiter.is_queued = True
    async with turns(waiter.loop):
        waiter.is_queued = False
        if waiter.is_over:
            return None
        patience.set(Patience())  # for each look: what a long wait waits for meanwhile is no lock
        return await look(waiter)


async def close(waiter: Waiter, looking: asyncio.Future[Any] | None) -> None:
    """Forget a wait, after a look that its client's end broke into: the look might store the wait yet."""
    if looking is not None:
        if waiter.is_queued:
            looking.cancel()  # its turn may be long in coming
        await asyncio.wait([looking])
        if not looking.cancelled():
            looking.exception()  # told to whoever is still there
    if waiter.has_row and not waiter.task:
        await _forgetting.ask(None, waiter.token)


def turn() -> AbstractAsyncContextManager[object]:
    """Return what a look on this loop is to be inside of."""
    return turns(asyncio.get_running_loop())


def turns(loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    """Return whose turn it is to look: thousands who are woken together leave threads for everybody else."""
    if loop not in _looking:
        _looking[loop] = asyncio.Semaphore(max(1, settings.EXECUTOR_THREADS // 2))
    return _looking[loop]


async def _forget(ending: list[Ask[str, None]]) -> None:
    """Delete the rows of waits that end together, in one statement."""
    try:
        with suppress(CrossWireError), waiting_at_most(CLOSING_SECONDS):
            await executor.run(waits.close, *(each.item for each in ending))
    finally:
        for each in ending:
            each.give(None)


_forgetting = Batches[None, str, None](_forget, CLOSED_TOGETHER)


async def _until_woken(waiter: Waiter, began: float, progress: Progress | None) -> str | None:
    """Sleep until woken (None) or until the wait is over (why), reporting progress."""
    while not waiter.woken.is_set():
        waited = waiter.loop.time() - began
        if waited >= waiter.seconds:
            return "time"
        pause = waiter.seconds - waited
        if progress is not None:  # where nobody asked for it, thousands of idle waits do nothing at all
            pause = min(pause, PROGRESS_SECONDS - waited % PROGRESS_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(waiter.woken.wait(), pause)
        if progress is not None and not waiter.woken.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(progress(waiter.loop.time() - began), TAKEN_SECONDS)
    return waiter.why
