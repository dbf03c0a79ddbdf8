"""The ASGI front of /mcp: who calls, what may be posted, and the life of the SDK's session managers.

Stateless on both eras: there is no session to lose or to steal, and any process answers any request.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from django.conf import settings
from mcp import types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from accounts import rates
from accounts.principals import Principal
from accounts.uses import MCP
from bus import callers, calls, noting
from bus.mcp import resources, tasks, tools
from bus.mcp.server import PRINCIPAL, client_name
from crosswire.lib import http
from crosswire.lib.errors import CrossWireError, invalid

PATH = "/mcp"
_VERSION = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
type _RequestKey = tuple[str, str]
"""Whose request, by credential, and the id its client gave it."""


class _Managers:
    """The two managers of one event loop: answers as event streams, and as JSON for clients that take nothing else.

    `run()` holds a task group, which one task must enter and leave: that task is started on first use (Daphne sends
    no lifespan), with an empty context (else the first caller's variables would live on in it), and its future is made
    before anything is awaited (else a second first request would find it half made).
    """

    def __init__(self, server: Server[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.streaming = self._manager(server, json_response=False)
        self.json = self._manager(server, json_response=True)
        self.started: asyncio.Future[None] = loop.create_future()
        self.stop = asyncio.Event()
        self.runner = loop.create_task(self._own(), context=contextvars.Context(), name="mcp-session-managers")

    @staticmethod
    def _manager(server: Server[Any], *, json_response: bool) -> StreamableHTTPSessionManager:
        return StreamableHTTPSessionManager(
            app=server,
            stateless=True,
            json_response=json_response,
            max_request_body_size=settings.MAX_SHARED_DATA_BODY_BYTES,
        )

    async def _own(self) -> None:
        try:
            async with self.streaming.run(), self.json.run():
                self.started.set_result(None)
                await self.stop.wait()
        except BaseException as problem:
            if not self.started.done():
                self.started.set_exception(problem)
            raise


class McpEndpoint:
    """Answers everything under /mcp."""

    def __init__(self, server: Server[Any]) -> None:
        self.server = server
        self._managers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Managers] = WeakKeyDictionary()
        self._calls: dict[_RequestKey, list[calls.Call]] = {}

    async def ready(self) -> _Managers:
        """Return this event loop's managers, started."""
        loop = asyncio.get_running_loop()
        managers = self._managers.get(loop)
        if managers is None or managers.runner.done():
            managers = self._managers[loop] = _Managers(self.server, loop)
        await asyncio.shield(managers.started)
        return managers

    async def shutdown(self) -> None:
        """End this event loop's managers."""
        managers = self._managers.get(asyncio.get_running_loop())
        if managers is not None and not managers.runner.done():
            managers.stop.set()
            await managers.runner

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Answer one request."""
        message: dict[str, Any] = {}
        try:
            principal, scope = await callers.identify(scope)
            _require_post(scope)
            body = await _body(scope, receive)
            message = _message(body)
            principal = _speaking(principal, scope, message)
            if not (_is_operation(message) or message.get("method") == tasks.GET):  # a task may always be asked for
                await rates.acount_protocol(principal)
            if message.get("method") != "tools/call":  # an operation tells of itself, and as whom it is called
                await noting.acalled(principal)
        except CrossWireError as refusal:
            await _refuse(send, refusal, message.get("id"))
        except ConnectionError:
            return
        except Exception as problem:  # noqa: BLE001 - logged there; the client gets a number to ask about
            await _refuse(send, callers.unexpected("mcp", problem), message.get("id"))
        else:
            if message.get("method") == "notifications/cancelled":
                self._note_cancelled(principal, message)
            key = principal.credential, str(message.get("id"))
            await self._exchange(key, _with_caller(scope, principal), http.Exchange(body, receive, send))

    def _note_cancelled(self, principal: Principal, message: dict[str, Any]) -> None:
        """Have nobody taken at its word for an answer it no longer waits for.

        Older clients cancel by a message of its own and leave the stream open. Ids are theirs to choose, so the one
        named may be another client's of that key: the call runs on, and its answer needs a sign that it arrived.
        """
        params = message.get("params")
        named = params.get("requestId") if isinstance(params, dict) else None
        for call in self._calls.get((principal.credential, str(named)), ()):
            call.is_broken = True

    @contextmanager
    def _listed(self, key: _RequestKey, call: calls.Call) -> Iterator[None]:
        beside = self._calls.setdefault(key, [])
        beside.append(call)
        try:
            yield
        finally:
            beside.remove(call)
            if not beside:
                del self._calls[key]

    async def _exchange(self, key: _RequestKey, scope: http.Scope, exchange: http.Exchange) -> None:
        managers = await self.ready()
        async with calls.under_way() as call:
            with self._listed(key, call):
                await self._answer(managers, scope, exchange)
            call.is_broken = call.is_broken or exchange.is_broken

    @staticmethod
    async def _answer(managers: _Managers, scope: http.Scope, exchange: http.Exchange) -> None:
        if _takes_streams(scope):
            await managers.streaming.handle_request(scope, exchange.receive, exchange.send)
            return
        with suppress(ConnectionError):  # one JSON body: there the SDK does not look whether the client is still there
            work = managers.json.handle_request(scope, exchange.receive, exchange.send)
            await http.unless_hung_up(work, exchange.after_body)


async def _refuse(send: http.Send, refusal: CrossWireError, request: object) -> None:
    """Refuse a request with its HTTP status, and in the protocol's own words beside: what is no JSON-RPC the official
    client replaces by "Server returned an error response"."""
    error = resources.refused(refusal).error.model_dump()
    answer = {"jsonrpc": "2.0", "id": request if isinstance(request, str | int) else None, "error": error}
    allow = [(b"allow", b"POST")] if refusal.code == "method_not_allowed" else []
    await http.reply_json(send, refusal.status, answer, [*http.refusal_headers(refusal), *allow])


def _is_operation(message: dict[str, Any]) -> bool:
    """Return whether a message reaches an operation, which then counts itself; all else is the protocol's."""
    params = message.get("params")
    if not isinstance(params, dict):
        return False
    if message.get("method") == "resources/read":
        return isinstance(params.get("uri"), str)
    is_call = message.get("method") == "tools/call" and isinstance(params.get("arguments"), dict | None)
    return is_call and params.get("name") in tools.TOOLS


def _require_post(scope: http.Scope) -> None:
    """Refuse what is no POST of JSON: stateless as we are, the SDK would hold a GET open for ever, silent."""
    if scope["method"] != "POST":
        raise CrossWireError("method_not_allowed", "This endpoint takes POST alone.")
    if http.media_type(scope) != "application/json":
        raise CrossWireError("unsupported_media_type", "Send application/json.")


def _with_caller(scope: http.Scope, principal: Principal) -> http.Scope:
    """Return the request with its caller, for our handlers and for the SDK's own checks."""
    token = AccessToken(
        token="-",  # noqa: S106 - a placeholder: the key itself goes no further than here
        client_id=principal.credential,
        scopes=["crosswire"],
        subject=str(principal.workspace_id),
    )
    return {**scope, PRINCIPAL: principal, "user": AuthenticatedUser(token), "state": {}}


async def _body(scope: http.Scope, receive: http.Receive) -> bytes:
    """Return the posted body; only a shared item may be large. Raises: CrossWireError `too_large`, `invalid_input`."""
    body = await http.read_body(scope, receive, settings.MAX_SHARED_DATA_BODY_BYTES)
    if body.lstrip().startswith(b"["):  # the SDK would refuse it too, repeating the whole batch
        raise invalid("Batches are not taken: post one JSON-RPC message at a time.")
    if len(body) > settings.MAX_BODY_BYTES and b'"share_data"' not in body:
        raise http.too_large(settings.MAX_BODY_BYTES)
    return body


def _message(body: bytes) -> dict[str, Any]:
    """Return a posted message; one that is no JSON is left for the SDK to refuse.

    Raises: CrossWireError `invalid_input` for one that is nested too deeply.
    """
    try:
        message = http.load_json(body)
    except orjson.JSONDecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def _speaking(principal: Principal, scope: http.Scope, message: dict[str, Any]) -> Principal:
    """Return the caller with what it says of itself: the protocol's version and, where it tells, the client's name.

    Since 2026-07-28 every request tells both; before that the first one alone, and later ones at most the version.
    """
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    meta = params.get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    if message.get("method") == "initialize":
        version, client = params.get("protocolVersion"), params.get("clientInfo")
    else:
        version, client = meta.get(types.PROTOCOL_VERSION_META_KEY), meta.get(types.CLIENT_INFO_META_KEY)
    version = version or http.header(scope, b"mcp-protocol-version")
    is_version = isinstance(version, str) and _VERSION.fullmatch(version)
    speaking = replace(principal, protocol=f"{MCP} {version}" if is_version else MCP)
    if isinstance(client, dict) and isinstance(name := client.get("name"), str):
        return speaking.calling(client_name(name, client.get("version")))
    return speaking


def _takes_streams(scope: http.Scope) -> bool:
    accept = http.header(scope, b"accept") or "*/*"
    return any(kind in accept for kind in ("text/event-stream", "text/*", "*/*"))
