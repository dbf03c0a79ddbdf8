"""JSON-RPC by hand, for what no official client would send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY

from tests.support import loopback
from tests.support.cast import Credential
from tests.support.processes import wait_until
from tests.support.surfaces import Refusal, Result, Surface

OLDER = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWEST = "2026-07-28"
VERSIONS = (*OLDER, NEWEST)
BOTH = "application/json, text/event-stream"
CLIENT = {"name": "by-hand", "version": "1"}


@dataclass(frozen=True)
class Request:
    """A POST to /mcp: its headers and its JSON body, which a test may spoil before it is sent."""

    headers: dict[str, str]
    body: dict[str, Any]

    def without(self, header: str) -> Request:
        """The same request with a header less."""
        return Request({name: value for name, value in self.headers.items() if name != header}, self.body)

    def with_headers(self, **headers: str) -> Request:
        """The same request with headers more; `Mcp_Name` is written `Mcp-Name`."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return Request(self.headers | more, self.body)


def request(
    caller: Credential | None, method: str, params: Mapping[str, Any] | None = None, version: str | None = NEWEST
) -> Request:
    """Write a request as a client of that protocol version does; None is a client that names no version."""
    headers = {"Accept": BOTH, **(caller.headers if caller else {})}
    sent = dict(params or {})
    if version is not None:
        headers["MCP-Protocol-Version"] = version
    if version is not None and version >= "2026":
        headers["Mcp-Method"] = method
        if name := sent.get("name") or sent.get("uri"):
            headers["Mcp-Name"] = name
        sent["_meta"] = {
            PROTOCOL_VERSION_META_KEY: version,
            CLIENT_INFO_META_KEY: CLIENT,
            CLIENT_CAPABILITIES_META_KEY: {},
        }
    return Request(headers, {"jsonrpc": "2.0", "id": 1, "method": method, "params": sent})


def call(
    caller: Credential | None, tool: str, arguments: Mapping[str, Any] | None = None, version: str | None = NEWEST
) -> Request:
    """Write a call of a tool."""
    return request(caller, "tools/call", {"name": tool, "arguments": dict(arguments or {})}, version)


def initialize(caller: Credential | None, version: str) -> Request:
    """Write the first request of the older protocols."""
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT}
    return request(caller, "initialize", params, version=None)


def post(url: str, sent: Request, *, query: str = "") -> httpx2.Response:
    """Send a request."""
    with loopback.Client(timeout=60) as client:
        return client.post(f"{url}/mcp{query}", json=sent.body, headers=sent.headers)


def message(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON-RPC answer, whether it came as JSON or as an event."""
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = [line[5:] for line in text.splitlines() if line.startswith("data:") and line[5:].strip()][-1]
    found: dict[str, Any] = json.loads(text)
    return found


def result(url: str, sent: Request, *, query: str = "") -> dict[str, Any]:
    """Send a request that has to succeed and return its result."""
    answer = message(post(url, sent, query=query))
    assert "result" in answer, answer
    found: dict[str, Any] = answer["result"]
    return found


def error(url: str, sent: Request) -> dict[str, Any]:
    """Send a request that has to fail and return the JSON-RPC error."""
    answer = message(post(url, sent))
    assert "error" in answer, answer
    found: dict[str, Any] = answer["error"]
    return found


def begin_wait(
    call: Surface, caller: Credential, instance: str, channel: str = "general", **arguments: Any
) -> Future[Result | Refusal]:
    """Start a wait and return its future once the server says that it waits."""
    future = call.start(caller, "wait_for_reply", channel=channel, instance_id=instance, **arguments)

    def waits() -> bool:
        found = call.ok(caller, "list_instances")["instances"]
        return future.done() or any(each["waiting_on"] and each["instance_id"] == instance for each in found)

    wait_until(waits, 30, lambda: "The wait did not open.")
    assert not future.done(), future.result(1)
    return future
