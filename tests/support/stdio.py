"""Processes of local mode, driven by the official SDK's client or line by line."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.support.clients import Mode
from tests.support.homes import ROOT
from tests.support.processes import end

MANAGE = ROOT / "manage.py"
BEATLESS = ROOT / "tests" / "support" / "beatless.py"
SOON = 60.0
"""Seconds within which what a test waits for has happened, even on a machine with much else to do."""


def database(user: Path) -> Path:
    """Return where local mode keeps the messages of the user whose home folder this is."""
    return user / ".crosswire" / "messages.db"


def _environment(user: Path) -> dict[str, str]:
    return {"HOME": str(user), "PATH": os.environ["PATH"]}


@asynccontextmanager
async def local_client(user: Path, mode: Mode = "2026-07-28", program: Path = MANAGE) -> AsyncIterator[Client]:
    """Start a process for this user, somewhere else than in the checkout, and connect the SDK's client to it."""
    spoken = "legacy" if mode == "2025-11-25" else mode
    started = StdioServerParameters(
        command=sys.executable, args=[str(program), "stdio"], env=_environment(user), cwd=user
    )
    with (user / "stderr.log").open("a", encoding="utf-8") as log:
        async with Client(stdio_client(started, errlog=log), mode=spoken) as client:
            yield client


async def use(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that has to succeed and return its data."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    data: dict[str, Any] = answer.structured_content
    return data


class Process:
    """A process of local mode whose lines a test writes and reads itself, in the era of 2025-11-25."""

    def __init__(self, user: Path, env: dict[str, str] | None = None) -> None:
        self.errors = user / "stderr.log"
        self._ids = 0
        self._lines: queue.Queue[bytes] = queue.Queue()
        with self.errors.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - tests alone choose what runs
                [sys.executable, str(MANAGE), "stdio"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(user) | (env or {}),
                cwd=user,
            )
        self.others: list[dict[str, Any]] = []
        """What came while another answer was waited for."""

        self._is_read = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while self._is_read and (line := self.process.stdout.readline()):
            self._lines.put(line)
        self._lines.put(b"")

    def stop_reading(self) -> None:
        """Close our end of its output, as a client that is killed does."""
        assert self.process.stdout is not None
        self._is_read = False
        self.ask("ping", {})  # lets the reader go
        self._reader.join(SOON)
        self.process.stdout.close()

    def write(self, line: bytes) -> None:
        """Write a line as it is."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any] | None:
        """Return the next line, which must be JSON-RPC, or None at the end. Raises: queue.Empty."""
        line = self._lines.get(timeout=SOON)
        if not line:
            return None
        message: dict[str, Any] = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    def ask(self, method: str, params: dict[str, Any]) -> int:
        """Send a request and return its id."""
        self._ids += 1
        message = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        self.write(json.dumps(message).encode())
        return self._ids

    def answer(self, request_id: int | None) -> dict[str, Any]:
        """Return the answer to a request, whatever comes before it."""
        while True:
            message = self.read()
            assert message is not None, self.errors.read_text(encoding="utf-8")
            if "id" in message and message["id"] == request_id and "method" not in message:
                return message
            self.others.append(message)

    def begin(self, tool: str, **arguments: Any) -> int:
        """Call a tool and return the id of the call."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its data."""
        data: dict[str, Any] = self.answer(self.begin(tool, **arguments))["result"]["structuredContent"]
        return data

    def shake_hands(self) -> Self:
        """Begin the conversation."""
        client = {"name": "a-script", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        assert "result" in self.answer(self.ask("initialize", params))
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        return self

    def close_input(self) -> None:
        """End its input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def exit_code(self) -> int:
        """Return how it ended."""
        return self.process.wait(SOON)


@contextmanager
def process(user: Path, env: dict[str, str] | None = None) -> Iterator[Process]:
    """Start a process and have it listened to; it is killed after the test."""
    started = Process(user, env)
    try:
        yield started
    finally:
        end(started.process, signal.SIGKILL)
        for pipe in (started.process.stdin, started.process.stdout):
            assert pipe is not None
            if not pipe.closed:
                pipe.close()
