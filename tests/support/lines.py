"""HTTP connections that cost next to nothing: thousands of calls held open, and times taken as bytes arrive."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

type Era = Literal["2026-07-28", "2025-11-25"]

ERAS: tuple[Era, ...] = ("2026-07-28", "2025-11-25")
CLIENT = "claude-code/1.0"
"""A client whose waits may last long."""
_ids = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What came back, and when its last byte did (seconds of `time.perf_counter`)."""

    status: int
    body: bytes
    at: float

    def rest(self) -> dict[str, Any]:
        """Return a REST answer. Raises: RuntimeError for a refusal."""
        if self.status != 200:
            raise RuntimeError(f"{self.status}: {self.body[:300]!r}")
        found: dict[str, Any] = json.loads(self.body)
        return found

    def tool(self) -> dict[str, Any]:
        """Return a tool's structured answer. Raises: RuntimeError for a refusal."""
        message = self.rpc()
        result = message.get("result", {})
        if "result" not in message or result.get("isError"):
            raise RuntimeError(f"{self.status}: {self.body[:300]!r}")
        found: dict[str, Any] = result.get("structuredContent", result)
        return found

    def rpc(self) -> dict[str, Any]:
        """Return the last JSON-RPC message, {} for none."""
        if not self.body.lstrip().startswith(b"{"):
            data = [line[5:].strip() for line in self.body.splitlines() if line.startswith(b"data:")]
            return json.loads(data[-1]) if data and data[-1] else {}
        found: dict[str, Any] = json.loads(self.body)
        return found


class Line(asyncio.Protocol):
    """One connection, kept open; one call at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._got = bytearray()

    @classmethod
    async def to(cls, url: str) -> Line:
        """Connect to a server."""
        where = urlsplit(url)
        _, line = await asyncio.get_running_loop().create_connection(cls, str(where.hostname), where.port or 80)
        return line

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request; the answer comes as a future."""
        assert self._transport is not None, "not connected"
        assert self._answer is None or self._answer.done(), "a call is under way"
        self._got.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    @property
    def has_begun(self) -> bool:
        """Whether something of the answer is there."""
        return bool(self._got)

    def close(self) -> None:
        """Hang up."""
        if self._answer is not None:
            self._answer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # TCP has both directions

    def data_received(self, data: bytes) -> None:
        self._got += data
        if (complete := answer_in(self._got)) and self._answer is not None and not self._answer.done():
            self._answer.set_result(complete)

    def connection_lost(self, problem: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server hung up"))
            self._answer.exception()  # whoever awaits it hears of it; nobody need be told at the end


def answer_in(got: bytearray) -> Answer | None:
    """Return the answer once all of it is there."""
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(got[:end]).lower()
    status = int(head[9:12])
    if b"transfer-encoding: chunked" in head:
        return Answer(status, _unchunked(got, end + 4), time.perf_counter()) if got.endswith(b"\r\n0\r\n\r\n") else None
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    return Answer(status, bytes(got[end + 4 :]), time.perf_counter()) if len(got) >= end + 4 + length else None


def _unchunked(got: bytearray, at: int) -> bytes:
    body = bytearray()
    while True:
        line = got.index(b"\r\n", at)
        size = int(bytes(got[at:line]), 16)
        if not size:
            return bytes(body)
        body += got[line + 2 : line + 2 + size]
        at = line + 4 + size


def _request(method: str, target: str, key: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        f"User-Agent: {CLIENT}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(key: str, path: str, **query: Any) -> bytes:
    """Return a REST read."""
    return _request("GET", f"/api{quote(path)}?{urlencode(query)}", key, {})


def post(key: str, path: str, **body: Any) -> bytes:
    """Return a REST call with a body."""
    return _request("POST", f"/api{quote(path)}", key, {}, json.dumps(body).encode())


def send(key: str, channel: str, content: str, sender: str = "bench", **more: Any) -> bytes:
    """Return a REST send."""
    return post(key, "/messages", channel=channel, sender=sender, content=content, **more)


def rpc(key: str, era: Era, method: str, params: dict[str, Any], capabilities: dict[str, Any] | None = None) -> bytes:
    """Return an MCP request as a stateless client sends it."""
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": era}
    if era == "2026-07-28":
        name = params.get("name") or params.get("taskId")
        headers |= {"Mcp-Method": method} | ({"Mcp-Name": str(name)} if name else {})
        params = params | {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": era,
                "io.modelcontextprotocol/clientInfo": {"name": "claude-code", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": capabilities or {},
            }
        }
    body = json.dumps({"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": params}).encode()
    return _request("POST", "/mcp", key, headers, body)


def tool(key: str, era: Era, name: str, **arguments: Any) -> bytes:
    """Return a tool call."""
    return rpc(key, era, "tools/call", {"name": name, "arguments": arguments})


def wait(key: str, era: Era, channel: str, instance: str, **more: Any) -> bytes:
    """Return a `wait_for_reply` that stands outside of mutual waiting."""
    return tool(key, era, "wait_for_reply", channel=channel, instance_id=instance, role="parked", **more)
