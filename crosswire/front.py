"""What every request passes before anybody answers it: bounds, Host and Origin, CORS, an id, a log line, a count."""

from __future__ import annotations

import logging
import re
import secrets
import time

from django.conf import settings

from crosswire import health
from crosswire.lib import http, logs, metrics
from crosswire.lib.database import Patience, patience
from crosswire.lib.errors import CrossWireError, invalid

logger = logging.getLogger("crosswire.access")

_GIVEN_ID = re.compile(r"[\w-]{8,64}", re.ASCII)
_CLIENT_CLOSED = 499
"""Told in logs and figures, as nginx does, for a request whose client left before its answer began."""


class Front:
    """Refuses what may go no further, and keeps account of the rest. `programs`: path prefixes that CORS opens."""

    def __init__(self, app: http.App, programs: tuple[str, ...]) -> None:
        self.app = app
        self.programs = programs

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Answer one request, whatever happens."""
        given = http.header(scope, b"x-request-id")
        request = logs.Request(given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8))
        logs.current.set(request)
        patience.set(Patience())
        answer = _Answer(send, request.id)
        began = time.perf_counter()
        try:
            await self._pass_on(scope, receive, answer)
        except Exception:
            logger.exception("unexpected_error")
            if not answer.status:
                refusal = CrossWireError("internal", "Something broke here; it was logged.", reference=request.id)
                await http.reply_refusal(answer.send, refusal)
        finally:
            _account(scope, answer.status or _CLIENT_CLOSED, time.perf_counter() - began)

    async def _pass_on(self, scope: http.Scope, receive: http.Receive, answer: _Answer) -> None:
        scope = http.with_trimmed_headers(http.with_plain_query(scope))
        origin = http.header(scope, b"origin")
        is_for_programs = scope["path"].startswith(self.programs)
        if origin and is_for_programs and http.is_allowed_origin(origin):
            answer.headers += http.cors_headers(origin)
        if refusal := _refusal(scope, origin if is_for_programs else ""):
            await http.reply_refusal(answer.send, refusal)
        elif origin and scope["method"] == "OPTIONS" and http.header(scope, b"access-control-request-method"):
            await answer.send({"type": "http.response.start", "status": 204, "headers": http.PREFLIGHT_HEADERS})
            await answer.send({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, answer.send)


class _Answer:
    """An answer on its way out: gets our headers, and its status is noted."""

    def __init__(self, send: http.Send, request_id: str) -> None:
        self._send = send
        self.headers: http.HeaderList = [(b"x-request-id", request_id.encode())]
        self.status = 0

    async def send(self, message: http.Scope) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *self.headers]}
        await self._send(message)


def _refusal(scope: http.Scope, origin: str) -> CrossWireError | None:
    """Return why a request goes no further: it is oversized, its Host is not ours, or a page that may not sent it."""
    if refusal := http.refuse_oversized(scope):
        return refusal
    if not scope["path"].startswith("/"):
        return invalid("The address must begin with a slash.")
    if scope["path"] != health.PATH and not http.is_allowed_host(http.header(scope, b"host")):
        return CrossWireError("bad_host", "This is not the host you named.")
    if origin and not http.is_allowed_origin(origin):
        return CrossWireError("bad_origin", "Pages of this origin may not call; see CORS_ORIGINS.")
    return None


def _account(scope: http.Scope, status: int, seconds: float) -> None:
    """Count a request, and write its line: never the query, in which a key may be."""
    path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("ascii", "backslashreplace")
    surface = path.lstrip("/").partition("/")[0]
    surface = surface if surface in ("api", "mcp", "health", "metrics", "static") else "pages"
    metrics.REQUESTS.labels(surface, status).inc()
    metrics.SECONDS.labels(surface).observe(seconds)
    if settings.ACCESS_LOG and not (surface in ("health", "metrics") and status == 200):
        logger.info(
            "%s %s %d %.1f ms",
            scope["method"],
            path[:500],
            status,
            seconds * 1000,
            extra={"method": scope["method"], "path": path[:500], "status": status, "seconds": round(seconds, 4)},
        )
