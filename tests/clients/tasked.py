"""The product for the conformance suite's scenarios on tasks: two of the suite's tools stand for ours.

`slow_compute` is a wait for a message that comes after so many seconds, `greet` is `whoami`. Only names and arguments
of what the suite sends are changed; every answer is the product's own.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from itertools import count
from typing import Any

from tests.clients import keyed

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[dict[str, Any]]]
type Send = Callable[[dict[str, Any]], Awaitable[None]]

_names = count(1)
_sending: set[asyncio.Task[None]] = set()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http" or scope["path"] != "/mcp" or scope["method"] != "POST":
        await keyed.application(scope, receive, send)
        return
    body = b""
    while True:
        part = await receive()
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    headers, body = await _translated(scope["headers"], body)
    parts = iter([{"type": "http.request", "body": body}])

    async def again() -> dict[str, Any]:
        return next(parts, None) or await receive()

    await keyed.application({**scope, "headers": headers}, again, send)


def _hold_briefly() -> None:
    """Hold who asks for a task no longer than the suite waits for any answer."""
    from bus import presence  # noqa: PLC0415 - the application above has set Django up

    presence.TASK_HELD = timedelta(seconds=1)


async def _translated(headers: list[tuple[bytes, bytes]], body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    message = json.loads(body)
    params = message.get("params") or {}
    if message.get("method") != "tools/call" or params.get("name") not in ("slow_compute", "greet"):
        return headers, body
    asked, given = params["name"], params.get("arguments") or {}
    params |= {"name": "whoami", "arguments": {}}
    if asked == "slow_compute":
        _hold_briefly()
        name = f"conformance-{next(_names)}"
        params |= {"name": "wait_for_reply", "arguments": {"instance_id": name, "channel": name, "after_id": 0}}
        await _send_after(given.get("seconds", 0), name)
    body = json.dumps(message).encode()
    changed = {b"content-length": str(len(body)).encode()}
    changed |= {b"mcp-name": params["name"].encode()} if (b"mcp-name", asked.encode()) in headers else {}
    return [(key, changed.get(key, value)) for key, value in headers], body


async def _send_after(seconds: float, channel: str) -> None:
    from accounts import principals  # noqa: PLC0415 - the application above has set Django up
    from bus.operations import OPERATIONS  # noqa: PLC0415 - as above
    from crosswire.lib import executor  # noqa: PLC0415 - as above

    async def send() -> None:
        await asyncio.sleep(seconds)
        principal = await executor.run(principals.authenticate, os.environ[keyed.KEY_VARIABLE])
        fields = {"channel": channel, "sender": "somebody", "content": "computed"}
        await OPERATIONS["send_message"].acall(principal, fields)

    if not seconds:
        await send()
        return
    task = asyncio.create_task(send())
    _sending.add(task)
    task.add_done_callback(_sending.discard)
