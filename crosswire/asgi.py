"""The ASGI application: /mcp and the bus's REST lane are answered here, web sockets by Channels, the rest by Django.

One wrapper stands before them all: Host and Origin, CORS, request ids.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crosswire.settings")

from django.core.asgi import get_asgi_application

_django: Any = get_asgi_application()  # django.setup() before anything that imports models

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from bus import calls, waiting  # noqa: E402
from bus.mcp import listen, server  # noqa: E402
from bus.mcp.endpoint import PATH as MCP_PATH  # noqa: E402
from bus.mcp.endpoint import McpEndpoint  # noqa: E402
from bus.rest import lane as rest_lane  # noqa: E402
from crosswire import checks, health  # noqa: E402
from crosswire.lib import http  # noqa: E402
from crosswire.lib.errors import CrossWireError  # noqa: E402


class Front:
    """What every request passes: its Host must be ours, a browser's Origin allowed; each gets an id."""

    def __init__(self, app: http.App) -> None:
        self.app = app

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Refuse early or pass on."""
        watch_for_stop()
        if (request := asyncio.current_task()) is not None:
            _under_way.add(request)
            request.add_done_callback(_under_way.discard)
        scope = http.with_trimmed_headers(http.with_plain_query(scope))
        answer = _with_headers(send, [(b"x-request-id", secrets.token_hex(8).encode())])
        origin = http.header(scope, b"origin")
        if origin and scope["path"].startswith((MCP_PATH, f"{rest_lane.PREFIX}/")) and http.is_allowed_origin(origin):
            answer = _with_headers(answer, http.cors_headers(origin))
        if refusal := _refusal(scope, origin):
            await http.reply_refusal(answer, refusal)
        elif origin and scope["method"] == "OPTIONS" and http.header(scope, b"access-control-request-method"):
            await answer({"type": "http.response.start", "status": 204, "headers": http.PREFLIGHT_HEADERS})
            await answer({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, answer)


def _refusal(scope: http.Scope, origin: str) -> CrossWireError | None:
    """Return why a request goes no further: its Host is not ours, or a page that may not has sent it."""
    if scope["path"] != health.PATH and not http.is_allowed_host(http.header(scope, b"host")):
        return CrossWireError("bad_host", "This is not the host you named.")
    if origin and scope["path"].startswith((MCP_PATH, f"{rest_lane.PREFIX}/")) and not http.is_allowed_origin(origin):
        return CrossWireError("bad_origin", "Pages of this origin may not call; see CORS_ORIGINS.")
    return None


def _with_headers(send: http.Send, headers: http.HeaderList) -> http.Send:
    async def answer(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *headers]}
        await send(message)

    return answer


class Switch:
    """Gives each request to who answers it."""

    def __init__(self, endpoint: McpEndpoint, *, has_lane: bool) -> None:
        self.endpoint = endpoint
        self.has_lane = has_lane

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        if path.rstrip("/") == MCP_PATH:
            await self.endpoint(scope, receive, send)
        elif path == health.PATH:
            await health.answer(send)
        elif self.has_lane and path.startswith(rest_lane.PREFIX) and (known := rest_lane.route(scope)):
            await rest_lane.serve(*known, scope, receive, send)
        elif path.startswith(rest_lane.PREFIX):
            async with calls.under_way() as call:
                exchange = http.Exchange(None, receive, send, before_last=calls.answered)
                await _django(scope, exchange.receive, exchange.send)
                call.is_broken = exchange.is_broken
        else:
            await _django(scope, receive, send)


class Lifespan:
    """Start and stop, as uvicorn tells them (Daphne sends neither)."""

    def __init__(self, endpoint: McpEndpoint) -> None:
        self.endpoint = endpoint

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Follow the server's life."""
        while True:
            match (await receive())["type"]:
                case "lifespan.startup":
                    watch_for_stop()
                    await self.endpoint.ready()
                    await send({"type": "lifespan.startup.complete"})
                case "lifespan.shutdown":
                    stop()
                    await self.endpoint.shutdown()
                    await send({"type": "lifespan.shutdown.complete"})
                    return


def stop() -> None:
    """End waits and streams in good order; what was sent meanwhile is not lost, who waited calls again."""
    waiting.room.close()
    listen.close()


_is_watching = False
_under_way: set[asyncio.Task[Any]] = set()
_ANSWER_SECONDS = 2.0


def watch_for_stop() -> None:
    """Hear of the end before the server's own handler does: uvicorn tells lifespan only after all requests ended,
    and Daphne never; it cuts requests off at once besides, so there its own handler comes after the answers."""
    global _is_watching  # noqa: PLW0603 - once a process
    if _is_watching:
        return
    _is_watching = True
    loop = asyncio.get_running_loop()
    reactor = sys.modules.get("twisted.internet.reactor")
    is_daphne = reactor is not None and getattr(reactor, "running", False)
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if is_daphne and getattr(before, "__self__", None) is not reactor:
            continue  # somebody else's, who ends Daphne in good order: see embedded.py

        def handler(received: int, frame: Any, before: Any = before) -> None:
            loop.call_soon_threadsafe(stop)
            then = partial(before, received, frame) if callable(before) else lambda: None
            if is_daphne:
                asyncio.run_coroutine_threadsafe(_when_answered(then), loop)
            else:
                then()

        with suppress(ValueError):  # not the main thread: a server inside a test
            signal.signal(number, handler)


async def _when_answered(then: Callable[[], Any]) -> None:
    """Go on once the requests under way are answered, or when the time for that is over."""
    if requests := set(_under_way):
        await asyncio.wait(requests, timeout=_ANSWER_SECONDS)
    await asyncio.sleep(0.05)  # a moment for the last answers to leave
    then()


def keep_keys_out_of_daphnes_log() -> None:
    """Have Daphne's access log, if there is one, leave out query strings: a key may be in them."""
    access = sys.modules.get("daphne.access")
    if access is None:
        return
    write = access.AccessLogGenerator.write_entry

    def write_entry(log: Any, *, request: str, **entry: Any) -> None:
        write(log, request=request.partition("?")[0], **entry)

    access.AccessLogGenerator.write_entry = write_entry


async def _no_socket(scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
    """Refuse web sockets: there are none yet."""
    await send({"type": "websocket.close", "code": 4404})


def build_application(*, lane: bool) -> Any:
    """Return an application; without the lane DRF answers all of REST."""
    checks.refuse_unsafe_start()
    endpoint = McpEndpoint(server.build())
    return ProtocolTypeRouter(
        {
            "http": Front(Switch(endpoint, has_lane=lane)),
            "websocket": _no_socket,
            "lifespan": Lifespan(endpoint),
        }
    )


keep_keys_out_of_daphnes_log()
application = build_application(lane=settings.API_LANE)
