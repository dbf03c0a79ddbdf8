"""`GET /api/events`: Server-Sent Events without content (html.spec.whatwg.org, 9.2). Answered here on every server, for
a stream has no place in the request cycle of the calls.

Each event is `{"channel", "newest_id"}`, its `id` that number: news of one channel come together, and whoever comes
back with the last id is told of every channel that has moved since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from accounts import rates
from bus import callers, listening, noting
from bus.news import Moved
from bus.operations import EVENTS
from bus.rest.lane import PREFIX
from crosswire.lib import http, logs
from crosswire.lib.errors import CrossWireError, unavailable

PATH = f"{PREFIX}/events"
GOODBYE_SECONDS = 1.0
"""How long a client has to take the last event."""
RETRY_MILLISECONDS = 2_000
"""When a client that follows the standard comes back after its stream ended."""
_HEADERS: http.HeaderList = [
    (b"content-type", b"text/event-stream"),
    (b"x-accel-buffering", b"no"),
    *http.SECURITY_HEADERS,
]


async def serve(scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
    """Answer one request, for as long as its client stays."""
    stream = _Stream(send)
    try:
        await http.unless_hung_up(_listen(scope, stream), receive)
    except ConnectionError:
        return
    except CrossWireError as refusal:
        await stream.refuse(refusal)
    except Exception as problem:  # noqa: BLE001 - logged there; the client gets a number to ask about
        await stream.refuse(callers.unexpected(EVENTS.name, problem))


async def _listen(scope: http.Scope, stream: _Stream) -> None:
    _require_stream(scope)
    principal, scope = await callers.identify(scope)
    await rates.acount_operation(principal)
    logs.note_operation(EVENTS.name)
    given: dict[str, Any] = http.query(scope)
    if last := http.header(scope, b"last-event-id"):
        given["after_id"] = last  # a browser repeats the address it began with, and says here how far it came
    valid = EVENTS.validate(given, on_rest=True)
    await noting.acalled(principal, EVENTS.instance, valid)
    why = await listening.follow(principal, stream.tell, **valid)
    with suppress(TimeoutError):  # it does not read: then it sees the connection end
        await asyncio.wait_for(stream.end(why), GOODBYE_SECONDS)


def _require_stream(scope: http.Scope) -> None:
    """Raises: CrossWireError `method_not_allowed`, `not_acceptable`."""
    if scope["method"] != "GET":
        raise CrossWireError("method_not_allowed", "Events are listened to with GET.")
    accept = http.header(scope, b"accept")
    if accept and not any(kind in accept for kind in ("text/event-stream", "text/*", "*/*")):
        raise CrossWireError("not_acceptable", "Events are text/event-stream.")


class _Stream:
    """An answer that goes on. Sending waits for a client that reads slowly, and looks for no news meanwhile."""

    def __init__(self, send: http.Send) -> None:
        self._send = send
        self._has_begun = False

    async def tell(self, looked_to: int, moved: Sequence[Moved]) -> None:
        """Send an event for each channel; without any a comment, at the beginning with the number to go on from."""
        events = [
            b'id: %d\ndata: {"channel":%s,"newest_id":%d}\n\n' % (each.newest, orjson.dumps(each.channel), each.newest)
            for each in moved
        ]
        if not self._has_begun:
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            self._has_begun = True
            await self._write(b"retry: %d\n\n" % RETRY_MILLISECONDS)
            events = events or [b"id: %d\n\n" % looked_to]
        await self._write(b"".join(events) or b": still here\n\n")

    async def end(self, why: str) -> None:
        """Say why the stream ends, and end it. Raises: CrossWireError `unavailable` when it never began."""
        if not self._has_begun:
            raise unavailable("The server is restarting: come back in a second.", retry_after=1)
        await self._write(b'event: end\ndata: {"why":%s}\n\n' % orjson.dumps(why), more=False)

    async def refuse(self, refusal: CrossWireError) -> None:
        """Answer with a refusal; a stream that has begun just ends."""
        if self._has_begun:
            await self._write(b"", more=False)
        else:
            allow = [(b"allow", b"GET")] if refusal.code == "method_not_allowed" else []
            await http.reply_refusal(self._send, refusal, allow)

    async def _write(self, part: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": part, "more_body": more})
