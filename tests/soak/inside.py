"""The product with one more page: `GET /inside`, what is open in this process and should not be for ever."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import Any

from crosswire.asgi import application as product
from crosswire.lib import http

from bus import calls, streams, waiting  # isort: skip - Django is set up by the line above
from bus.mcp.fanout import fanout  # isort: skip


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer /inside here, everything else as the product does."""
    if scope["type"] != "http" or scope["path"] != "/inside":
        await product(scope, receive, send)
        return
    gc.collect()
    tasks = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
    found = {
        "waiters": len(waiting.room.by_token),
        "rooms": len(waiting.room.waiters),
        "calls": sum(map(len, calls._under_way.values())),
        "streams": len(streams._open),
        "listening workspaces": len(fanout.workspaces),
        "waiters alive": sum(isinstance(each, waiting.Waiter) for each in gc.get_objects()),
        "calls alive": sum(isinstance(each, calls.Call) for each in gc.get_objects()),
    }
    await http.reply_json(send, 200, {"counts": found, "tasks": tasks, "process": waiting.PROCESS})
