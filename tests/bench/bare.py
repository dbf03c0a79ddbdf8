"""The bare SDK server with one tool that waits for ever: what holding a call costs before any of it is ours."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from starlette.responses import JSONResponse


async def _list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name="wait_for_reply", input_schema={"type": "object"})])


async def _call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    if (params.arguments or {}).get("max_wait_minutes") != 0:
        await asyncio.Event().wait()
    return types.CallToolResult(content=[types.TextContent(type="text", text="nothing new")])


_manager = StreamableHTTPSessionManager(
    app=Server(
        "bare",
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        on_subscriptions_listen=ListenHandler(InMemorySubscriptionBus(), max_subscriptions=10_000),
        get_tool_input_schema=lambda name: None,
    ),
    stateless=True,
)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve /mcp and /health."""
    if scope["type"] == "lifespan":
        async with _manager.run():
            while (message := await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
        await send({"type": message["type"] + ".complete"})
    elif scope["path"] == "/mcp":
        await _manager.handle_request(scope, receive, send)
    else:
        await JSONResponse({"status": "ok"})(scope, receive, send)
