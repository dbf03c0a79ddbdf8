"""MCP over a pair of pipes: one client, both protocol eras, the same server object as behind /mcp.

What the endpoint does around a request of HTTP happens here around a line: who calls, how large it may be, and whether
its answer arrived.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, Self

import anyio
import orjson
from anyio.streams.memory import MemoryObjectSendStream
from django.conf import settings
from mcp import types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.message import ServerMessageMetadata, SessionMessage

from accounts import principals
from accounts.principals import Principal
from bus import callers, calls
from bus.mcp.server import PRINCIPAL
from crosswire.lib import executor, http
from crosswire.lib.database import DatabaseProblem
from crosswire.lib.errors import CrossWireError

type Incoming = SessionMessage | Exception


@dataclass(eq=False)
class Request:
    """Stands where HTTP has its request: handlers find the caller in `scope`."""

    scope: dict[str, Any]
    call: calls.Call | None = None


class Connection:
    """The one client of this process, from its first line to its last."""

    def __init__(self, server: Server[Any], workspace_id: int, lines: BinaryIO, wire: BinaryIO) -> None:
        self.server = server
        self.workspace_id = workspace_id
        self.spoke: set[str] = set()
        """The instances that spoke through it."""
        self.gone = asyncio.Event()
        """Set at the end of input, and when answers can no longer be written."""
        self._lines, self._wire = lines, _Wire(self, wire)
        self._open: dict[types.RequestId, Request] = {}
        self._is_quiet = asyncio.Event()
        self._principal: tuple[float, Principal] | None = None
        server.middleware.append(self._around)

    async def serve(self) -> None:
        """Answer until `close`, then cancel what is still under way."""
        self._incoming, stream = anyio.create_memory_object_stream[Incoming](0)
        loop = asyncio.get_running_loop()
        # A daemon: a thread that waits for input cannot be told to stop.
        threading.Thread(target=self._read, args=(loop, self._incoming), name="stdin", daemon=True).start()
        await self.server.run(stream, self._wire, self.server.create_initialization_options())
        for request in self._open.values():
            await _lost(request)

    async def answered(self) -> None:
        """Return once every request is answered, or nobody reads the answers."""
        if self._open and not self._wire.is_broken:
            self._is_quiet.clear()
            await self._is_quiet.wait()

    def close(self) -> None:
        """Take no more lines."""
        self._incoming.close()

    def _read(self, loop: asyncio.AbstractEventLoop, incoming: MemoryObjectSendStream[Incoming]) -> None:
        """Read lines in a thread of their own, each only when the one before it was taken."""
        most = settings.MAX_SHARED_DATA_BODY_BYTES
        try:
            while line := self._lines.readline(most + 1):
                is_whole = line.endswith(b"\n") or len(line) <= most
                while not is_whole:  # skip the rest of a line that is too long, in parts
                    is_whole = (self._lines.readline(most) or b"\n").endswith(b"\n")
                    line = line[: most + 1]
                asyncio.run_coroutine_threadsafe(self._take(line, incoming), loop).result()
        except (OSError, RuntimeError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # the connection ended first
        finally:
            loop.call_soon_threadsafe(self.gone.set)

    async def _take(self, line: bytes, incoming: MemoryObjectSendStream[Incoming]) -> None:
        """Pass one line on, or answer that it is none of ours."""
        if not line.strip():
            return
        try:
            message = types.jsonrpc_message_adapter.validate_python(_parsed(line), by_name=False)
            principal = await self._caller()
        except CrossWireError as refusal:
            await self._wire.refuse(_id_of(line), types.INVALID_REQUEST, refusal.message)
        except orjson.JSONDecodeError:
            await self._wire.refuse(None, types.PARSE_ERROR, "This line is no JSON; send one JSON-RPC message a line.")
        except ValueError:
            await self._wire.refuse(_id_of(line), types.INVALID_REQUEST, "This is no JSON-RPC 2.0 message.")
        except DatabaseProblem as problem:
            told = callers.unexpected("stdio", problem).message
            await self._wire.refuse(_id_of(line), types.INTERNAL_ERROR, told)
        else:
            request = Request({PRINCIPAL: principal.calling("")})
            metadata = ServerMessageMetadata(request_context=request)
            if isinstance(message, types.JSONRPCRequest):
                self._open[message.id] = request
                metadata.on_request_unanswered = partial(self._unanswered, message.id)
            await incoming.send(SessionMessage(message, metadata))

    async def _caller(self) -> Principal:
        """Return who calls, as of at most five seconds ago. Raises: CrossWireError `suspended`."""
        if self._principal is None or time.monotonic() - self._principal[0] > principals.REMEMBERED_SECONDS:
            found = await executor.run(principals.of_stdio, self.workspace_id)
            self._principal = time.monotonic(), found
        return self._principal[1]

    async def _around(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Keep a call open while its handler runs; whether the answer arrives is known later."""
        request = ctx.request
        assert isinstance(request, Request)
        async with calls.under_way() as call:
            request.call = call
            try:
                return await call_next(ctx)
            finally:
                if call.key is not None:
                    self.spoke.add(call.key[1])

    async def _unanswered(self, request_id: types.RequestId) -> None:
        """Note that a request gets no answer, because its client cancelled it."""
        await self._settle(request_id, has_arrived=False)

    async def sent(self, request_id: types.RequestId | None, *, has_arrived: bool) -> None:
        """Note that an answer left, or that nobody is there to read it."""
        if request_id is not None:
            await self._settle(request_id, has_arrived=has_arrived)
        if not has_arrived:
            self.gone.set()
            self._is_quiet.set()

    async def _settle(self, request_id: types.RequestId, *, has_arrived: bool) -> None:
        request = self._open.pop(request_id, None)
        if not self._open:
            self._is_quiet.set()
        if request is not None and not has_arrived:
            await _lost(request)


class _Wire:
    """The way out (the SDK's `WriteStream`): sending returns once the line is in the client's pipe."""

    def __init__(self, connection: Connection, file: BinaryIO) -> None:
        self.connection = connection
        self.is_broken = False
        self._file = file
        self._lock = asyncio.Lock()

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message. Raises: anyio.BrokenResourceError when nobody reads any more."""
        message = item.message
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        answers = message.id if isinstance(message, types.JSONRPCResponse | types.JSONRPCError) else None
        try:
            async with self._lock:
                await asyncio.to_thread(self._write, line)
        except OSError as problem:
            self.is_broken = True
            await self.connection.sent(answers, has_arrived=False)
            raise anyio.BrokenResourceError from problem
        await self.connection.sent(answers, has_arrived=True)

    async def refuse(self, request_id: types.RequestId | None, code: int, text: str) -> None:
        """Answer a line that is no message of ours."""
        error = types.JSONRPCError(jsonrpc="2.0", id=request_id, error=types.ErrorData(code=code, message=text))
        await self.send(SessionMessage(error))

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    async def aclose(self) -> None:
        """Do nothing: the pipe goes with the process."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _lost(request: Request) -> None:
    if request.call is not None:
        await calls.distrust(request.call)


def _parsed(line: bytes) -> Any:
    """Return a line's JSON. Raises: CrossWireError `too_large`, as for a body over HTTP; orjson.JSONDecodeError."""
    most = settings.MAX_SHARED_DATA_BODY_BYTES
    if len(line) <= most and b'"share_data"' not in line:
        most = settings.MAX_BODY_BYTES
    if len(line) > most:
        raise CrossWireError("too_large", f"The message is larger than {most:,} bytes.", limit=most)
    return http.load_json(line)


def _id_of(line: bytes) -> types.RequestId | None:
    """Return the id of a message that is refused, so that its sender can tell which one it was."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    named = message.get("id") if isinstance(message, dict) else None
    return named if isinstance(named, str | int) and not isinstance(named, bool) else None
