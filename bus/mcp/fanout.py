"""What changed in a workspace, told to its open streams of change notices.

Each workspace has a fan-out of its own, so no address can name another's. The hub tells of changes, those of other
processes too. What it could not tell is found by looking: one statement for all workspaces with streams, at the
cadence of the waits' beat, and at once when another process has committed to the same SQLite file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent

from bus import news, waiting, wakeups
from bus.mcp import resources
from bus.news import Standing
from crosswire.lib import executor, hub, watch
from crosswire.lib.background import Tasks, keep_running
from crosswire.lib.database import DatabaseProblem
from crosswire.lib.errors import CrossWireError

JUST_NOW_SECONDS = 1.0

type Listener = Callable[[ServerEvent], None]


class Stream:
    """One open stream (the SDK's `SubscriptionBus` of one listener). `uris`: the resources it asks for."""

    def __init__(self, workspace: Workspace, uris: frozenset[str]) -> None:
        self.workspace, self.uris = workspace, uris
        self.loop = asyncio.get_running_loop()
        self.listener: Listener | None = None

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Begin; return the function that ends it."""
        self.listener = listener
        self.workspace.streams.add(self)
        return lambda: self.workspace.streams.discard(self)

    async def publish(self, event: ServerEvent) -> None:
        """Tell it."""
        self.tell(event)

    def tell(self, event: ServerEvent) -> None:
        """Tell it, from any thread."""
        if self.listener is not None:
            with suppress(RuntimeError):  # its loop is closed
                self.loop.call_soon_threadsafe(self.listener, event)


class Workspace:
    """The streams of one workspace in this process.

    `standing` is how it stood at the last look; `heard` holds the channels that the hub told of since, by their newest
    number, `heard_at` when it last told of anything else.
    """

    def __init__(self, workspace_id: int) -> None:
        self.id = workspace_id
        self.streams: set[Stream] = set()
        self.entered = 0
        self.standing: Standing | None = None
        self.heard: dict[str, int] = {}
        self.heard_at = 0.0

    def tell(self, *events: ServerEvent) -> None:
        """Tell every stream, from any thread."""
        for stream in tuple(self.streams):
            for event in events:
                stream.tell(event)

    def stored(self, channel: str, number: int) -> None:
        """Tell of a message, unless that was done."""
        is_told = self.standing is not None and number <= self.standing.newest
        if is_told or number <= self.heard.get(channel, 0):
            return
        self.heard[channel] = number
        self.tell(ResourceUpdated(uri=resources.channel_uri(channel)), ResourceUpdated(uri=resources.CHANNELS))

    def changed(self, *events: ServerEvent) -> None:
        """Tell of a channel that was made, or of a shared item."""
        self.heard_at = time.monotonic()
        self.tell(*events)

    def compare(self, now: Standing, active: list[tuple[str, int]], *, is_sure: bool) -> None:
        """Tell what went unheard. `active`: channels with something new since the last look; `is_sure`: nothing of
        other processes can have gone unheard."""
        before = self.standing
        if before is None:
            self.standing = now
            return
        for channel, number in active:
            self.stored(channel, number)
        is_told = is_sure or time.monotonic() - self.heard_at < JUST_NOW_SECONDS
        if before.lists != now.lists and not is_told:
            items = {uri for stream in tuple(self.streams) for uri in stream.uris if uri.startswith(resources.DATA)}
            self.tell(
                ResourcesListChanged(),
                ResourceUpdated(uri=resources.CHANNELS),
                *(ResourceUpdated(uri=uri) for uri in items),
            )
        self.standing = now
        for channel, number in tuple(self.heard.items()):
            if number <= now.newest:
                self.heard.pop(channel, None)


class Fanout:
    """The workspaces with open streams in this process."""

    def __init__(self) -> None:
        self.workspaces: dict[int, Workspace] = {}
        self._lookouts: Tasks = {}
        self._is_unsure = False
        self._looked_at = 0.0
        hub.subscribe(wakeups.CHANNEL, self._stored)
        hub.subscribe(wakeups.CHANNELS, self._listed)
        hub.subscribe(wakeups.DATA, self._shared)
        hub.subscribe(hub.CONNECTION, self._hearing_changed)

    @asynccontextmanager
    async def inside(self, workspace_id: int) -> AsyncIterator[Workspace]:
        """Have a workspace looked after for as long as this lasts. Raises: CrossWireError `unavailable`."""
        workspace = self.workspaces.setdefault(workspace_id, Workspace(workspace_id))
        workspace.entered += 1  # counted before anything is waited for, or who leaves meanwhile would take it away
        try:
            await self._begin(workspace)
            yield workspace
        finally:
            workspace.entered -= 1
            if not workspace.entered:
                del self.workspaces[workspace_id]

    async def _begin(self, workspace: Workspace) -> None:
        loop = asyncio.get_running_loop()
        if workspace.standing is None:
            await executor.run(self._look, [workspace], is_sure=False)
        if loop not in self._lookouts:
            self._looked_at = time.monotonic()
        keep_running(self._lookouts, loop, self._look_out)

    def _stored(self, payload: dict[str, Any]) -> None:
        if known := self.workspaces.get(payload["workspace"]):
            known.stored(payload["channel"], payload["number"])

    def _listed(self, payload: dict[str, Any]) -> None:
        if known := self.workspaces.get(payload["workspace"]):
            known.changed(ResourcesListChanged(), ResourceUpdated(uri=resources.CHANNELS))

    def _shared(self, payload: dict[str, Any]) -> None:
        if known := self.workspaces.get(payload["workspace"]):
            known.changed(ResourceUpdated(uri=resources.data_uri(payload["key"])), ResourcesListChanged())

    def _hearing_changed(self, payload: dict[str, Any]) -> None:
        """Look soon: something may have gone unheard."""
        del payload
        self._is_unsure = True

    async def _look_out(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look when it is time, until there are no streams."""
        del loop
        with watch.FileWatch() if watch.is_possible() else nullcontext() as file:
            while self.workspaces:
                await asyncio.sleep(watch.SECONDS if file else min(waiting.UNSURE_SECONDS, waiting.beat_seconds()))
                is_due = time.monotonic() - self._looked_at >= waiting.beat_seconds()
                if is_due or self._is_unsure or (file and file.has_changed()):
                    await self.look()

    async def look(self) -> None:
        """Tell all streams what went unheard."""
        was_unsure, self._is_unsure = self._is_unsure, False
        self._looked_at = time.monotonic()
        present = [each for each in self.workspaces.values() if each.standing is not None]
        if not present:
            return
        try:
            await executor.run(self._look, present, is_sure=hub.is_connected() and not was_unsure)
        except (CrossWireError, DatabaseProblem):
            self._is_unsure = self._is_unsure or was_unsure  # the database is away: the next look will tell

    @staticmethod
    def _look(workspaces: list[Workspace], *, is_sure: bool) -> None:
        found = news.standings([each.id for each in workspaces])
        moved = [
            (each.id, each.standing.newest)
            for each in workspaces
            if each.id in found and each.standing and found[each.id].newest > each.standing.newest
        ]
        active: dict[int, list[tuple[str, int]]] = {}
        for workspace_id, channel, number in news.active_since(moved) if moved else ():
            active.setdefault(workspace_id, []).append((channel, number))
        for each in workspaces:
            if each.id in found:
                each.compare(found[each.id], active.get(each.id, []), is_sure=is_sure)


fanout = Fanout()
