"""`subscriptions/listen` (MCP 2026-07-28): change notices for a workspace's own resources.

Each workspace has a fan-out of its own, so no address can name another's. Nothing is replayed: clients read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import ListenHandler, ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError

from bus import waiting, wakeups
from bus.mcp import resources
from crosswire.lib import hub

STREAMS_MOST = 500
"""Open streams a workspace and process."""

type Listener = Callable[[ServerEvent], None]


class WorkspaceEvents:
    """The events of one workspace in this process (the SDK's `SubscriptionBus`)."""

    def __init__(self) -> None:
        self.listeners: dict[object, tuple[asyncio.AbstractEventLoop, Listener]] = {}

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Register a stream; return the function that ends it."""
        token = object()
        self.listeners[token] = (asyncio.get_running_loop(), listener)

        def unsubscribe() -> None:
            self.listeners.pop(token, None)

        return unsubscribe

    async def publish(self, event: ServerEvent) -> None:
        """Tell every stream."""
        self.tell(event)

    def tell(self, event: ServerEvent) -> None:
        """Tell every stream, from any thread."""
        for loop, listener in tuple(self.listeners.values()):
            with suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(listener, event)


_workspaces: dict[int, tuple[WorkspaceEvents, ListenHandler]] = {}


async def listen(
    workspace_id: int, ctx: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
) -> types.SubscriptionsListenResult:
    """Serve one stream until its client leaves. Raises: MCPError for an address that is no resource."""
    if waiting.room.is_closed:
        raise MCPError(code=types.INTERNAL_ERROR, message="The server is restarting: listen again in a second.")
    for uri in params.notifications.resource_subscriptions or []:
        resources.parse(str(uri))
    if workspace_id not in _workspaces:
        events = WorkspaceEvents()
        _workspaces[workspace_id] = (events, ListenHandler(events, max_subscriptions=STREAMS_MOST))
    events, handler = _workspaces[workspace_id]
    try:
        return await handler(ctx, params)
    finally:
        if not events.listeners:
            _workspaces.pop(workspace_id, None)


def close() -> None:
    """End every stream in good order because the process stops."""
    for _, handler in tuple(_workspaces.values()):
        handler.close()


def _tell(workspace_id: int, *events: ServerEvent) -> None:
    if known := _workspaces.get(workspace_id):
        for event in events:
            known[0].tell(event)


def _stored(payload: dict[str, Any]) -> None:
    uri = resources.channel_uri(payload["channel"])
    _tell(payload["workspace"], ResourceUpdated(uri=uri), ResourceUpdated(uri=resources.CHANNELS))


def _listed(payload: dict[str, Any]) -> None:
    _tell(payload["workspace"], ResourcesListChanged(), ResourceUpdated(uri=resources.CHANNELS))


def _shared(payload: dict[str, Any]) -> None:
    _tell(payload["workspace"], ResourceUpdated(uri=resources.data_uri(payload["key"])), ResourcesListChanged())


hub.subscribe(wakeups.CHANNEL, _stored)
hub.subscribe(wakeups.CHANNELS, _listed)
hub.subscribe(wakeups.DATA, _shared)
