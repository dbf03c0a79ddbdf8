"""Following what moves for as long as a stream is open; see bus/services/events.py for what a look finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from accounts.principals import Principal
from bus import news, streams, waiting
from bus.news import Moved
from bus.services import events, waits
from crosswire.lib import executor
from crosswire.lib.database import DatabaseProblem, Patience, patience
from crosswire.lib.errors import CrossWireError

LIFE_SECONDS = 3_600.0
"""How long one stream lasts; its client comes back from where it was."""
QUIET_SECONDS = 15.0
"""After this long without news a stream says that it is there: proxies end what is silent."""
PAUSE_SECONDS = 0.05
"""Between two looks of a stream: what comes meanwhile is told together."""
STUCK_SECONDS = 0.25
"""While a client does not read, how often its stream looks whether it is over."""
RETRY_SECONDS = 2.0
"""Until the next look when the database was away."""

type Tell = Callable[[int, Sequence[Moved]], Coroutine[Any, Any, None]]
"""Told up to which number a stream has looked, and what moved; nothing moved: it begins, or is quiet."""


async def follow(
    principal: Principal,
    tell: Tell,
    *,
    instance_id: str | None = None,
    channels: tuple[str, ...] | None = None,
    after_id: int | None = None,
) -> str:
    """Tell what moves until the stream ends; return why: `time`, or what somebody ended it with.

    It has a place in the room and a row, as a wait has, and holds no thread. Raises: CrossWireError before anything
    was told; whatever `tell` raises.
    """
    asked = events.asked(
        principal, instance_id=instance_id, after_id=after_id, seconds=LIFE_SECONDS, process=waiting.PROCESS
    )
    with waiting.room.waiter(principal.workspace_id, "") as waiter, streams.opened(principal, waiter.end):
        stream = _Stream(asked, channels, waiter, tell)
        try:
            await stream.look()
            await stream.say()
            while waiter.why is None and not stream.is_over():
                await asyncio.sleep(PAUSE_SECONDS)
                await stream.news()
            return waiter.why or "time"
        finally:
            await asyncio.shield(waiting.close(waiter, stream.looking))


class _Stream:
    """One open stream. `looking`: its last look at the database, `moved`: what that found and nobody was told yet."""

    def __init__(
        self, asked: waits.Asked, channels: tuple[str, ...] | None, waiter: waiting.Waiter, tell: Tell
    ) -> None:
        self.asked, self.channels, self.waiter, self.tell = asked, channels, waiter, tell
        self.looking: asyncio.Future[list[Moved]] | None = None
        self.moved: list[Moved] = []
        self.ends_at = self._now() + LIFE_SECONDS
        self.spoke_at = 0.0

    def is_over(self) -> bool:
        """Return whether it has lasted as long as one may."""
        return self._now() >= self.ends_at

    async def look(self) -> None:
        """Find what moved."""
        self.waiter.woken.clear()
        async with waiting.turns(self.waiter.loop):
            patience.set(Patience())
            work = executor.run(events.look, self.asked, self.waiter.token, self.channels)
            self.looking = asyncio.ensure_future(work)
            self.moved = await asyncio.shield(self.looking)
        self.waiter.newest = self.asked.newest
        if len(self.moved) == news.MOVED_MOST:
            self.waiter.woken.set()  # there is more

    async def say(self) -> None:
        """Tell what moved; a client that does not read is left alone once the stream is over."""
        moved, self.moved = self.moved, []
        telling = asyncio.ensure_future(self.tell(self.asked.floor or 0, moved))
        try:
            await asyncio.wait([telling], timeout=STUCK_SECONDS)
            while not telling.done() and self.waiter.why is None and not self.is_over():
                await asyncio.wait([telling], timeout=STUCK_SECONDS)
        finally:
            is_told = telling.done() or not telling.cancel()
            await asyncio.wait([telling])
        if is_told:
            telling.result()
        self.spoke_at = self._now()

    async def news(self) -> None:
        """Wait until something may have moved, or it is time for a sign of life; tell it."""
        until = min(self.ends_at, self.spoke_at + QUIET_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.waiter.woken.wait(), max(0.0, until - self._now()))
        if self.waiter.why is None and self.waiter.woken.is_set():
            try:
                await self.look()
            except (CrossWireError, DatabaseProblem) as problem:
                if isinstance(problem, CrossWireError) and problem.code != "unavailable":
                    raise
                self.waiter.loop.call_later(RETRY_SECONDS, self.waiter.wake)
        if self.moved or self._now() >= self.spoke_at + QUIET_SECONDS:
            await self.say()

    def _now(self) -> float:
        return self.waiter.loop.time()
