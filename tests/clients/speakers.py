"""Clients of other makers behind one face: `await speaker("send_message", sender="a", content="x")` calls a tool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import fastmcp
import mcp
from mcp.client.stdio import StdioServerParameters
from pydantic import BaseModel

from tests.clients.packages import Packages, environment

ANSWER_SECONDS = 60.0
_LINE_BYTES = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What a client handed on of a tool's answer."""

    is_error: bool
    text: str
    data: dict[str, Any] | None
    error_code: str | None


@dataclass(frozen=True)
class Place:
    """Where a client connects, with what, and where it may leave files."""

    url: str
    key: str
    packages: Packages
    folder: Path

    @property
    def header(self) -> str:
        """The header with the key, as command lines take it."""
        return f"Authorization: Bearer {self.key}"

    def environment(self) -> dict[str, str]:
        """The environment of a client's process: a home of its own, so that it reads and leaves nothing elsewhere."""
        return environment(HOME=str(self.folder), CROSSWIRE_URL=self.url, CROSSWIRE_KEY=self.key)


class Speaker:
    """A connected client."""

    def __init__(self, call: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
        self._call = call

    async def __call__(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool."""
        async with asyncio.timeout(ANSWER_SECONDS):
            result = await self._call(tool, arguments)
        error = result.get("_meta", {}).get("crosswire/error", {})
        return Answer(
            is_error=result.get("isError", False),
            text=result["content"][0]["text"],
            data=result.get("structuredContent"),
            error_code=error.get("code"),
        )


type Connect = Callable[[Place], AbstractAsyncContextManager[Speaker]]


# --- the TypeScript SDKs ----------------------------------------------------------------------------------------


class TypeScript:
    """A process with a TypeScript SDK's client; see speak.mjs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """Perform a method of the client; return `{"result"}` or `{"problem"}`."""
        number = next(self._ids)
        self._asked[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._asked[number]

    async def call_tool(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return a tool's result."""
        told = await self("callTool", name=tool, arguments=arguments)
        result: dict[str, Any] = told["result"]
        return result

    async def close(self) -> None:
        """End the process in good order."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                assert await self._process.wait() == 0
        finally:
            self._reader.cancel()

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            told = json.loads(line)
            self._asked[told["id"]].set_result(told)
        for unanswered in self._asked.values():
            if not unanswered.done():
                unanswered.set_exception(ConnectionError("The client's process ended; its errors are above."))


@asynccontextmanager
async def typescript(place: Place, sdk: str) -> AsyncIterator[TypeScript]:
    """Connect the client of a TypeScript SDK: `v1`, `v2`, or `v2-auto`, which asks what the server speaks."""
    process = await asyncio.create_subprocess_exec(
        *place.packages.script("speak.mjs"),
        sdk,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=place.environment(),
        limit=_LINE_BYTES,
    )
    client = TypeScript(process)
    try:
        yield client
        await client.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _typescript(sdk: str) -> Connect:
    @asynccontextmanager
    async def connect(place: Place) -> AsyncIterator[Speaker]:
        async with typescript(place, sdk) as client:
            yield Speaker(client.call_tool)

    return connect


# --- the others -------------------------------------------------------------------------------------------------


def _plain(result: BaseModel) -> dict[str, Any]:
    return result.model_dump(by_alias=True, exclude_none=True, mode="json")


@asynccontextmanager
async def _fastmcp(place: Place) -> AsyncIterator[Speaker]:
    async with fastmcp.Client(place.url, auth=place.key) as client:

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return _plain(await client.call_tool_mcp(tool, arguments))

        yield Speaker(call)


@asynccontextmanager
async def _mcp_remote(place: Place) -> AsyncIterator[Speaker]:
    """Connect the bridge that programs use which know stdio alone; one of those, the Python SDK, talks to it."""
    command, *arguments = [*place.packages.program("mcp-remote"), place.url, "--header", place.header]
    bridge = StdioServerParameters(command=command, args=arguments, env=place.environment())
    async with mcp.Client(bridge) as client:

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return _plain(await client.call_tool(tool, arguments))

        yield Speaker(call)


async def inspect(place: Place, *arguments: str) -> tuple[int, str, str]:
    """Run the Inspector's command line; return its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *place.packages.program("mcp-inspector"),
        *("--cli", place.url, "--header", place.header, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=place.environment(),
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def _inspector(place: Place) -> AsyncIterator[Speaker]:
    """Speak by the Inspector's command line: a process and a connection for each call."""

    async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        asked = ("--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        _, output, errors = await inspect(place, "--protocol-era", "modern", *asked, "--format", "json", "--quiet")
        assert output, errors
        result: dict[str, Any] = json.loads(output)["result"]
        return result

    yield Speaker(call)


SPEAKERS: dict[str, Connect] = {
    "typescript-v1": _typescript("v1"),
    "typescript-v2": _typescript("v2"),
    "typescript-v2-auto": _typescript("v2-auto"),
    "fastmcp": _fastmcp,
    "mcp-remote": _mcp_remote,
    "inspector": _inspector,
}
