"""`subscriptions/listen` (MCP 2026-07-28): change notices for a workspace's own resources.

Nothing is replayed: clients read again. Whoever listens to an instance's inbox is followed as a stream of events is:
present while it lasts, and told of the instance's subscribed channels.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError

from accounts.principals import Principal
from bus import listening, streams, waiting
from bus.mcp import resources
from bus.mcp.fanout import Stream, fanout
from bus.news import Moved
from crosswire.lib.errors import CrossWireError

STREAMS_MOST = 500
"""Open streams a workspace and process."""
INBOXES_MOST = 10
"""Inboxes that one stream may listen to; each is a place in the workspace's limit of streams."""


async def listen(
    principal: Principal, ctx: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
) -> types.SubscriptionsListenResult:
    """Serve one stream until its client leaves.

    Raises: MCPError for an address that is no resource, an inbox of somebody else, too many streams.
    """
    if waiting.room.is_closed:
        raise MCPError(code=types.INTERNAL_ERROR, message="The server is restarting: listen again in a second.")
    uris = frozenset(str(uri) for uri in params.notifications.resource_subscriptions or ())
    try:
        inboxes = {uri: name for uri in uris if (name := resources.inbox_of(principal, uri))}
        async with fanout.inside(principal.workspace_id) as workspace:
            _require_room(len(workspace.streams), len(inboxes))
            stream = Stream(workspace, uris)
            handler = ListenHandler(stream, max_subscriptions=1)  # one a stream, so that each can be ended by itself
            async with _followed(principal, inboxes, stream, handler):
                return await handler(ctx, params)
    except CrossWireError as refusal:
        raise resources.refused(refusal) from refusal


def _require_room(streams_open: int, inboxes: int) -> None:
    if streams_open >= STREAMS_MOST:
        message = f"This workspace has {STREAMS_MOST} streams open here, as many as there may be; end one."
        raise CrossWireError("limit_reached", message, limit=STREAMS_MOST, used=streams_open)
    if inboxes > INBOXES_MOST:
        message = f"One stream listens to at most {INBOXES_MOST} inboxes."
        raise CrossWireError("limit_reached", message, limit=INBOXES_MOST, used=inboxes)


@asynccontextmanager
async def _followed(
    principal: Principal, inboxes: dict[str, str], stream: Stream, handler: ListenHandler
) -> AsyncIterator[None]:
    """Have a stream told of these inboxes ({uri: instance}), and ended when somebody ends it.

    Raises: CrossWireError when one of them cannot be followed.
    """

    def end(why: str) -> None:
        del why  # the protocol has no word for it
        with suppress(RuntimeError):  # its loop is closed
            stream.loop.call_soon_threadsafe(handler.close)

    followers = [_Follower(principal, uri, name, stream) for uri, name in inboxes.items()]
    with streams.opened(principal, end):
        try:
            for each in followers:
                await each.begin()
                each.task.add_done_callback(lambda _: end("its inbox cannot be followed any more"))
            yield
        finally:
            for each in followers:
                each.task.cancel()
            await asyncio.gather(*(each.task for each in followers), return_exceptions=True)


class _Follower:
    """Tells a stream of one inbox."""

    def __init__(self, principal: Principal, uri: str, instance: str, stream: Stream) -> None:
        self._principal, self._uri, self._instance, self._stream = principal, uri, instance, stream
        self._looked_to: int | None = None
        self._has_begun = asyncio.Event()
        self.task = asyncio.ensure_future(self._follow())

    async def begin(self) -> None:
        """Return once nothing is missed from here on. Raises: CrossWireError."""
        begun = asyncio.ensure_future(self._has_begun.wait())
        try:
            await asyncio.wait({begun, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        if self.task.done():
            self.task.result()

    async def _follow(self) -> None:
        why = "time"
        while why == "time":
            why = await listening.follow(
                self._principal, self._tell, instance_id=self._instance, after_id=self._looked_to
            )

    async def _tell(self, looked_to: int, moved: Sequence[Moved]) -> None:
        self._looked_to = looked_to
        self._has_begun.set()
        if moved:
            self._stream.tell(ResourceUpdated(uri=self._uri))
