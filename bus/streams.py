"""Streams that are open in this process: change notices, events, pages of channels. One ends when its client leaves,
when its key or its person's right stops working, or when the process stops.

Whether they still work is asked in one statement or two for all: once after each opening, when something changed in a
workspace, and every few seconds where changes made elsewhere are not heard (every 30 where they are).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from accounts import principals, sessions
from accounts.principals import Principal
from crosswire.lib import executor, hub
from crosswire.lib.background import Tasks, keep_running
from crosswire.lib.database import DatabaseProblem
from crosswire.lib.errors import CrossWireError

TICK_SECONDS = 0.25
RECHECK_SECONDS = 3.0
"""How often to ask where changes made elsewhere are not heard."""
CALM_RECHECK_SECONDS = 30.0
"""How often where they are: who made a change may have died, or lost Redis, before it was told."""


@dataclass(eq=False)
class Stream:
    """An open stream. `end(why)` may be called from any thread, also more than once; `why` is `revoked`, `suspended`
    or `restart`."""

    principal: Principal
    end: Callable[[str], None]
    is_checked: bool = False


_open: set[Stream] = set()
_watches: Tasks = {}
_checked_at = 0.0


@contextmanager
def opened(principal: Principal, end: Callable[[str], None]) -> Iterator[Stream]:
    """Count a stream among the open ones for as long as this lasts; on an event loop."""
    stream = Stream(principal, end)
    _open.add(stream)
    keep_running(_watches, asyncio.get_running_loop(), _watch)
    try:
        yield stream
    finally:
        _open.discard(stream)


def close() -> None:
    """End every stream because the process stops."""
    for stream in tuple(_open):
        stream.end("restart")


async def _watch(loop: asyncio.AbstractEventLoop) -> None:
    """End streams whose keys work no longer, until there are none."""
    del loop
    while _open:
        await asyncio.sleep(TICK_SECONDS)
        if doubtful := _doubtful():
            try:
                await executor.run(_check, doubtful)
            except (CrossWireError, DatabaseProblem):  # the database is away
                _doubt(doubtful)


def _doubtful() -> list[Stream]:
    """Return whose keys have to be asked about now, each once."""
    global _checked_at  # noqa: PLW0603 - one list a process
    pause = CALM_RECHECK_SECONDS if hub.is_connected() else RECHECK_SECONDS
    if time.monotonic() - _checked_at >= pause:
        _checked_at = time.monotonic()
        _doubt(_open)
    found = [stream for stream in tuple(_open) if not stream.is_checked or not stream.principal.seconds_left]
    for stream in found:
        stream.is_checked = True
    return found


def _check(doubtful: Sequence[Stream]) -> None:
    for stream, refusal in zip(doubtful, principals.refusals([each.principal for each in doubtful]), strict=True):
        if refusal is not None:
            stream.end("suspended" if refusal.code == "suspended" else "revoked")
        elif not stream.principal.seconds_left:  # its key works for longer than was known when it began
            stream.end("restart")


def _doubt(doubtful: Collection[Stream]) -> None:
    for stream in tuple(doubtful):
        stream.is_checked = False


def _changed(payload: dict[str, Any]) -> None:
    _doubt([stream for stream in tuple(_open) if stream.principal.workspace_id == payload["workspace"]])


hub.subscribe(principals.CREDENTIALS_CHANGED, _changed)
hub.subscribe(sessions.CHANGED, lambda payload: _doubt([stream for stream in tuple(_open) if stream.principal.session]))
hub.subscribe(hub.CONNECTION, lambda payload: _doubt(_open))  # something may have gone unheard
