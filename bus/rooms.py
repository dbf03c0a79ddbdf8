"""Pages of channels that are open in this process, and how each is told what happens in its channel.

A page holds no thread, no connection and no row. It looks when the hub says that something was stored or changed, and
once every few seconds one statement for all pages tells what was not heard. On a SQLite file what other processes
commit is heard within a tenth of a second, as in bus/waiting.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from accounts.principals import Principal
from bus import news, streams, waiting, wakeups
from bus.services import rooms
from crosswire.lib import executor, hub, watch
from crosswire.lib.background import Tasks, keep_running
from crosswire.lib.database import DatabaseProblem, Patience, patience
from crosswire.lib.errors import CrossWireError

BEAT_SECONDS = 3.0
"""How often to look for what was not heard: who waits now, a claim that ran out, a lost wake."""
LIFE_SECONDS = 3_600.0
"""How long one socket lasts; its page comes back from where it was."""
PAUSE_SECONDS = 0.05
"""Between two looks of a page: what comes meanwhile is told together."""
QUIET_SECONDS = 25.0
"""After this long without news a page is told that it is still heard."""
RETRY_SECONDS = 2.0
"""Until the next look when the database was away."""
MOST, MOST_OF_WORKSPACE, MOST_OF_PERSON = 2_000, 200, 20
"""Pages open in this process."""

type Key = tuple[int, str]
type Make = Callable[[rooms.Look], Any]
"""Turns what a look found into what is told, on the look's own thread; None for nothing."""
type Tell = Callable[[Any], Awaitable[None]]
"""Tells a page, and returns once it has taken that in. None: nothing new, still here."""


@dataclass(eq=False)
class Page:
    """A page that is open: where, whose, what woke it, and why it ends."""

    key: Key
    member_id: int | None
    loop: asyncio.AbstractEventLoop
    news: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""

    def wake(self) -> None:
        """Have the page look, from any thread."""
        with suppress(RuntimeError):  # its loop is closed
            self.loop.call_soon_threadsafe(self.news.set)

    def end(self, why: str) -> None:
        """End the page's socket, from any thread."""
        self.why = self.why or why
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.over.set)


_pages: dict[Key, set[Page]] = {}
_standing: dict[Key, news.Room] = {}
_beats: Tasks = {}
_is_unsure = False


@contextmanager
def opened(principal: Principal, channel: str) -> Iterator[Page]:
    """Count a page among the open ones, on an event loop.

    Raises: CrossWireError `limit_reached`; `unavailable` while the process stops.
    """
    if waiting.room.is_closed:
        raise CrossWireError("unavailable", "The server is restarting.", retry_after=1)
    _require_room(principal)
    page = Page((principal.workspace_id, channel), principal.member_id, asyncio.get_running_loop())
    beside = _pages.setdefault(page.key, set())
    beside.add(page)
    keep_running(_beats, page.loop, _beat)
    try:
        with streams.opened(principal, page.end):
            yield page
    finally:
        beside.discard(page)
        if not beside and _pages.get(page.key) is beside:
            del _pages[page.key]
            _standing.pop(page.key, None)


def _require_room(principal: Principal) -> None:
    everywhere = [page for beside in tuple(_pages.values()) for page in tuple(beside)]
    ours = [page for page in everywhere if page.key[0] == principal.workspace_id]
    mine = [page for page in ours if page.member_id == principal.member_id]
    if len(everywhere) >= MOST or len(ours) >= MOST_OF_WORKSPACE or len(mine) >= MOST_OF_PERSON:
        raise CrossWireError("limit_reached", "Too many pages of channels are open; close one and reload this one.")


async def follow(page: Page, principal: Principal, number: int, make: Make, tell: Tell) -> None:
    """Tell a page what comes after a number, and how its channel stands, for as long as it lives.

    Raises: CrossWireError; whatever `tell` raises.
    """
    ends_at = page.loop.time() + LIFE_SECONDS
    while page.loop.time() < ends_at:
        page.news.clear()
        try:
            found, told = await _look(page, principal, number, make)
        except (CrossWireError, DatabaseProblem) as problem:
            if isinstance(problem, CrossWireError) and problem.code != "unavailable":
                raise
            page.loop.call_later(RETRY_SECONDS, page.news.set)
        else:
            if found.stretch.messages:
                number = found.stretch.messages[-1].number
            if told is not None:
                await tell(told)
            if found.stretch.has_newer:
                continue
        await _until_news(page, tell)
    page.end("restart")


async def _look(page: Page, principal: Principal, number: int, make: Make) -> tuple[rooms.Look, Any]:
    def work() -> tuple[rooms.Look, Any]:
        found = rooms.look(principal, channel=page.key[1], number=number)
        return found, make(found)

    async with waiting.turns(page.loop):
        patience.set(Patience())
        return await executor.run(work)


async def _until_news(page: Page, tell: Tell) -> None:
    """Sleep until there may be something to tell; say now and then that the page is still heard."""
    while not page.news.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(page.news.wait(), QUIET_SECONDS)
        if not page.news.is_set():
            await tell(None)
    await asyncio.sleep(PAUSE_SECONDS)


async def _beat(loop: asyncio.AbstractEventLoop) -> None:
    """Have pages look whose channel has changed unheard, until this loop has none."""
    global _is_unsure
    beaten_at = time.monotonic()
    with watch.FileWatch() if watch.is_possible() else _Deaf() as file:
        while _of_loop(loop):
            await asyncio.sleep(watch.SECONDS)
            is_due = time.monotonic() - beaten_at >= BEAT_SECONDS
            if not (is_due or _is_unsure or file.has_changed()):
                continue
            beaten_at, _is_unsure = time.monotonic(), False
            with suppress(CrossWireError, DatabaseProblem):  # the database is away: the next time will tell
                _compare(await executor.run(news.rooms, sorted({page.key for page in _of_loop(loop)})))


class _Deaf:
    """What stands in for a watch on the database's file where there is none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        """Nothing is open."""

    def has_changed(self) -> bool:
        """Return False: nothing is heard."""
        return False


def _of_loop(loop: asyncio.AbstractEventLoop) -> list[Page]:
    return [page for beside in tuple(_pages.values()) for page in tuple(beside) if page.loop is loop]


def _compare(standing: list[news.Room]) -> None:
    for room in standing:
        key = room.workspace_id, room.channel
        if _standing.get(key) != room:
            _standing[key] = room
            _wake(key)


def _wake(key: Key) -> None:
    for page in tuple(_pages.get(key, ())):
        page.wake()


def _heard(payload: dict[str, Any]) -> None:
    _wake((payload["workspace"], payload["channel"]))


def _hearing_changed(payload: dict[str, Any]) -> None:
    global _is_unsure  # noqa: PLW0603 - one list a process
    del payload
    _is_unsure = True


hub.subscribe(wakeups.CHANNEL, _heard)
hub.subscribe(wakeups.ROOM, _heard)
hub.subscribe(hub.CONNECTION, _hearing_changed)
