"""The ASGI application: /mcp and the bus's REST lane are answered here, web sockets by Channels, the rest by Django.

One wrapper stands before each kind: see front.py and sockets.py.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crosswire.settings")

from django.core.asgi import get_asgi_application

_django: Any = get_asgi_application()  # django.setup() before anything that imports models

from asgiref.sync import ThreadSensitiveContext, sync_to_async  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import close_old_connections  # noqa: E402
from django.template.loader import render_to_string  # noqa: E402
from django.utils.http import url_has_allowed_host_and_scheme  # noqa: E402

from billing.demo import mounting  # noqa: E402
from bus import calls, streams, waiting  # noqa: E402
from bus.mcp import server  # noqa: E402
from bus.mcp.endpoint import PATH as MCP_PATH  # noqa: E402
from bus.mcp.endpoint import McpEndpoint  # noqa: E402
from bus.rest import events as rest_events  # noqa: E402
from bus.rest import lane as rest_lane  # noqa: E402
from crosswire import checks, health  # noqa: E402
from crosswire.front import Front  # noqa: E402
from crosswire.lib import http, hub, redis_clients  # noqa: E402
from crosswire.lib.errors import CrossWireError  # noqa: E402
from crosswire.sockets import Sockets  # noqa: E402


class Guard:
    """Watches for the process's end, and which requests are under way then."""

    def __init__(self, app: http.App) -> None:
        self.app = app

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Pass a request on."""
        watch_for_stop()
        hub.listen()
        if (request := asyncio.current_task()) is not None:
            _under_way.add(request)
            request.add_done_callback(_under_way.discard)
        await self.app(scope, receive, send)


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
        elif path == health.METRICS_PATH:
            await health.answer_figures(scope, send)
        elif path == rest_events.PATH:
            await rest_events.serve(scope, receive, send)
        elif self.has_lane and path.startswith(rest_lane.PREFIX) and (known := rest_lane.route(scope)):
            await rest_lane.serve(*known, scope, receive, send)
        elif path.startswith(rest_lane.PREFIX):
            async with calls.under_way() as call:
                has_left = await _ask_django(scope, receive, send, before_last=calls.answered)
                call.is_broken = call.is_broken or has_left
        elif (demo := mounting.mounted(path)) is not None:
            await demo(scope, receive, send)
        else:
            await _ask_django(scope, receive, send)


async def _ask_django(
    scope: http.Scope, receive: http.Receive, send: http.Send, before_last: Callable[[], None] = lambda: None
) -> bool:
    """Have Django answer; return whether the client left before that. Left to itself Django stores a body of any size
    before anybody looks at it."""
    is_large_item = scope["path"].rstrip("/") == f"{rest_lane.PREFIX}/data"
    try:
        most = settings.MAX_SHARED_DATA_BODY_BYTES if is_large_item else settings.MAX_BODY_BYTES
        body = await http.read_body(scope, receive, most)
    except CrossWireError as refusal:
        await _refuse(scope, send, refusal)
        return False
    except ConnectionError:
        return True
    exchange = http.Exchange(body, receive, send, before_last)
    may_wait = scope["path"].startswith(rest_lane.PREFIX)
    async with ThreadSensitiveContext():  # Django joins it: all of the request runs on one thread
        untouched = contextvars.copy_context()
        try:
            await _django(scope, exchange.receive if may_wait else exchange.receive_late, exchange.send)
        finally:
            tidying = asyncio.get_running_loop().create_task(_tidy(), context=untouched)
            await asyncio.shield(tidying)
    return exchange.is_broken


async def _tidy() -> None:
    """Give back a request's connection to the database, which Django forgets when it is interrupted between two of its
    threads' steps (it then looks for the thread in what asgiref left in the context). It waits for the view's end."""
    await sync_to_async(close_old_connections)()


async def _refuse(scope: http.Scope, send: http.Send, refusal: CrossWireError) -> None:
    """Refuse what Django never gets to see; browsers are shown a page."""
    if scope["path"].startswith(rest_lane.PREFIX) or "text/html" not in http.header(scope, b"accept"):
        await http.reply_refusal(send, refusal)
        return
    before = http.header(scope, b"referer")
    back = before if url_has_allowed_host_and_scheme(before, {http.header(scope, b"host")}) else ""
    page = render_to_string("accounts/refused.html", {"refusal": refusal, "back": back})
    await http.reply_page(send, refusal.status, page, http.refusal_headers(refusal))


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
                    hub.listen()
                    await self.endpoint.ready()
                    await send({"type": "lifespan.startup.complete"})
                case "lifespan.shutdown":
                    stop()
                    await self.endpoint.shutdown()
                    await asyncio.to_thread(hub.close)
                    await redis_clients.close()
                    await send({"type": "lifespan.shutdown.complete"})
                    return


def stop() -> None:
    """End waits and streams in good order; what was sent meanwhile is not lost, who waited calls again."""
    waiting.room.close()
    streams.close()


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
    collect_seldom()
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


def collect_seldom() -> None:
    """Look for cyclic garbage in steps that hold nobody up: thousands of idle calls are millions of objects, a walk
    through all of them took 1.2 s at 3,000 waits. What is loaded by now stays for good and is left out."""
    if threading.current_thread() is threading.main_thread():  # else a server inside a test
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 50)


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


def build_application(*, lane: bool) -> Any:
    """Return an application; without the lane DRF answers all of REST."""
    checks.refuse_unsafe_start()
    endpoint = McpEndpoint(server.build())
    return ProtocolTypeRouter(
        {
            "http": Guard(Front(Switch(endpoint, has_lane=lane), programs=(MCP_PATH, f"{rest_lane.PREFIX}/"))),
            "websocket": Guard(Sockets()),
            "lifespan": Lifespan(endpoint),
        }
    )


keep_keys_out_of_daphnes_log()
application = build_application(lane=settings.API_LANE)
