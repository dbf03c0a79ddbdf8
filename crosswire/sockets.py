"""What every web socket passes before anybody answers it: bounds, Host, Origin, an id for its log lines, a count.

A socket is opened with the person's cookie, so only our own pages may open one: CORS_ORIGINS does not count here.
"""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from channels.routing import URLRouter
from django.conf import settings
from django.urls import path, re_path

from bus.consumers import RoomConsumer
from crosswire.lib import http, logs, metrics

logger = logging.getLogger("crosswire.access")

REFUSED = 4403


class Sockets:
    """Answers web sockets."""

    def __init__(self) -> None:
        self.routes: Any = URLRouter(
            [
                path("w/<str:workspace>/channels/<str:name>/live", RoomConsumer.as_asgi()),
                re_path("", refuse),  # type: ignore[arg-type] # an ASGI application, as URLRouter wants
            ]
        )

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Serve one socket for as long as it is open."""
        logs.current.set(logs.Request(secrets.token_hex(8)))
        began = time.perf_counter()
        scope = http.with_trimmed_headers(http.with_plain_query(scope))
        is_refused = not is_welcome(scope)
        try:
            await (refuse if is_refused else self.routes)(scope, receive, send)
        finally:
            metrics.REQUESTS.labels("sockets", 403 if is_refused else 101).inc()
            if settings.ACCESS_LOG:
                how = "refused" if is_refused else "closed"
                logger.info("SOCKET %s %s %.1f s", scope["path"][:500], how, time.perf_counter() - began)


async def refuse(scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
    """Close a socket before it opened; its client sees status 403."""
    await send({"type": "websocket.close", "code": REFUSED})


def is_welcome(scope: http.Scope) -> bool:
    """Return whether a socket is asked for within bounds, at a host of ours, by a page of that host."""
    host, origin = http.header(scope, b"host"), http.header(scope, b"origin")
    if http.refuse_oversized(scope) or not http.is_allowed_host(host):
        return False
    try:
        from_where = urlsplit(origin)
    except ValueError:
        return False
    if settings.IS_PRODUCTION and from_where.scheme != urlsplit(settings.PUBLIC_URL).scheme:
        return False
    return from_where.scheme in ("http", "https") and from_where.netloc.lower() == host.lower()
