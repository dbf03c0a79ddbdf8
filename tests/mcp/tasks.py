"""A client of the tasks extension, by hand: the SDK's own knows none."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp_types import CLIENT_CAPABILITIES_META_KEY

from tests.mcp import wire
from tests.support.cast import Credential

EXTENSION = "io.modelcontextprotocol/tasks"
ABSENT = {"code": -32602, "message": "Failed to retrieve task: Task not found"}
WAIT = "wait_for_reply"
_threads = ThreadPoolExecutor(32, thread_name_prefix="asker")


def declaring(sent: wire.Request) -> wire.Request:
    """The same request by a client that takes tasks."""
    sent.body["params"]["_meta"][CLIENT_CAPABILITIES_META_KEY] = {"extensions": {EXTENSION: {}}}
    if "taskId" in sent.body["params"]:
        return sent.with_headers(Mcp_Name=sent.body["params"]["taskId"])
    return sent


@dataclass(frozen=True)
class Asker:
    """A caller's client at one server."""

    url: str
    caller: Credential

    def call(self, tool: str = WAIT, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool; the answer is a task or a tool's result."""
        return wire.result(self.url, declaring(wire.call(self.caller, tool, arguments)))

    def start(self, tool: str = WAIT, /, **arguments: Any) -> Future[dict[str, Any]]:
        """Call a tool in the background."""
        return _threads.submit(self.call, tool, **arguments)

    def begin(self, tool: str = WAIT, /, **arguments: Any) -> str:
        """Call a tool that has to become a task; return the task's id."""
        answer = self.call(tool, **arguments)
        assert answer["resultType"] == "task", answer
        return str(answer["taskId"])

    def data(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that has to answer at once; return its data."""
        answer = self.call(tool, **arguments)
        assert answer["resultType"] == "complete", answer
        assert not answer.get("isError"), answer
        data: dict[str, Any] = answer["structuredContent"]
        return data

    def request(self, method: str, task: str, **params: Any) -> wire.Request:
        """Write a request about a task."""
        return declaring(wire.request(self.caller, method, {"taskId": task, **params}))

    def get(self, task: str) -> dict[str, Any]:
        """Ask how a task stands, until the server tells."""
        return wire.result(self.url, self.request("tasks/get", task))

    def ask(self, task: str) -> Future[dict[str, Any]]:
        """Ask in the background."""
        return _threads.submit(self.get, task)

    def cancel(self, task: str) -> dict[str, Any]:
        """Cancel a task."""
        return wire.result(self.url, self.request("tasks/cancel", task))

    def refused(self, method: str, task: str, **params: Any) -> dict[str, Any]:
        """Ask about a task, which has to fail; return the error."""
        return wire.error(self.url, self.request(method, task, **params))

    def post(self, method: str, task: str, **params: Any) -> httpx2.Response:
        """Ask about a task; return the answer as HTTP has it."""
        return wire.post(self.url, self.request(method, task, **params))


def messages(task: dict[str, Any]) -> list[int]:
    """Return the numbers that a finished task holds."""
    assert task["status"] == "completed", task
    return [each["id"] for each in task["result"]["structuredContent"]["messages"]]


def ended(task: dict[str, Any]) -> str:
    """Return what ended a task."""
    assert task["status"] == "completed", task
    return str(task["result"]["structuredContent"]["ended"])
