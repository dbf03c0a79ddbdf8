"""A stand-in for the vendors' models: it asks for one tool call after the other, and keeps what it was shown of each.

Claude Code speaks Anthropic's Messages API to it, Codex OpenAI's Responses API, both as event streams.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

SERVER = "crosswire"


@dataclass
class Step:
    """A call the model asks for, and what the agent showed it as the answer."""

    tool: str
    arguments: dict[str, Any]
    shown: str = ""


@dataclass
class Script:
    """The calls a model will ask for."""

    steps: list[Step]
    farewell: str = "That was all."
    requests: list[dict[str, Any]] = field(default_factory=list)

    def next(self, results: list[str]) -> Step | None:
        """Keep what the model was shown so far and return the call it asks for next; None when it is done."""
        for step, shown in zip(self.steps, results, strict=False):
            step.shown = shown
        return self.steps[len(results)] if len(results) < len(self.steps) else None


@dataclass
class Session(Script):
    """The calls a model will ask for, turn by turn: the first when it is spoken to, each later one when it is woken."""

    turns: list[int] = field(default_factory=list)
    """How many of the steps each turn has."""
    woken_at: list[float] = field(default_factory=list)
    """When each turn began that nobody asked for, on `time.monotonic`."""

    def next(self, results: list[str]) -> Step | None:
        """Return the call it asks for next; None where the turn ends."""
        wakes = json.dumps(self.requests[-1]["messages"]).count("<task-notification>")
        self.woken_at += [time.monotonic()] * (wakes - len(self.woken_at))
        step = super().next(results)
        return step if len(results) < sum(self.turns[: wakes + 1]) else None


class StubModel(ThreadingHTTPServer):
    """Both APIs on a free loopback port, for one script."""

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self._thread = threading.Thread(target=self.serve_forever, name="stub-model", daemon=True)

    @property
    def url(self) -> str:
        """The base address for the agents' settings."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join(10)
        self.server_close()


type Event = tuple[str, dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    """Answers a request of either API; what else an agent asks for is answered with nothing."""

    server: StubModel

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer who only looks whether somebody is there."""
        self._reply("application/json", b"")

    def do_GET(self) -> None:
        """Answer look-ups such as the list of models."""
        self._reply("application/json", b'{"data": [], "models": []}')

    def do_POST(self) -> None:
        """Answer the model APIs."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        if path.endswith("/messages"):
            self._stream(_messages(self.server.script, json.loads(body)))
        elif path.endswith("/responses"):
            self._stream(_responses(self.server.script, json.loads(body)))
        else:
            self._reply("application/json", b'{"input_tokens": 10}')

    def _stream(self, events: Iterator[Event]) -> None:
        text = "".join(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in events)
        self._reply("text/event-stream", text.encode())

    def _reply(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _text(content: Any) -> str:
    """Return a tool's answer as the model reads it."""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", json.dumps(part)) for part in content)


# --- Anthropic's Messages API -----------------------------------------------------------------------------------


def _messages(script: Script, request: dict[str, Any]) -> Iterator[Event]:
    script.requests.append(request)
    blocks = [b for m in request["messages"] if isinstance(m["content"], list) for b in m["content"]]
    results = [_text(block["content"]) for block in blocks if block["type"] == "tool_result"]
    offered = {tool["name"] for tool in request.get("tools", ())}
    is_the_agent = any(name.startswith(f"mcp__{SERVER}__") for name in offered)  # else it wants a title or the like
    step = script.next(results) if is_the_agent else None
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": request["model"], "content": []}
    usage = {"input_tokens": 1, "output_tokens": 1}
    yield "message_start", {"message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    block: dict[str, Any]
    if step:
        block = {"type": "tool_use", "id": f"toolu_{len(results)}", "name": f"mcp__{SERVER}__{step.tool}", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(step.arguments)}
    else:
        block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": script.farewell}
    yield "content_block_start", {"index": 0, "content_block": block}
    yield "content_block_delta", {"index": 0, "delta": delta}
    yield "content_block_stop", {"index": 0}
    why = {"stop_reason": "tool_use" if step else "end_turn", "stop_sequence": None}
    yield "message_delta", {"delta": why, "usage": {"output_tokens": 1}}
    yield "message_stop", {}


# --- OpenAI's Responses API -------------------------------------------------------------------------------------


def _responses(script: Script, request: dict[str, Any]) -> Iterator[Event]:
    script.requests.append(request)
    results = [_text(item["output"]) for item in request["input"] if item["type"] == "function_call_output"]
    step = script.next(results)
    response = {"id": f"resp_{len(results)}", "object": "response"}
    item: dict[str, Any]
    if step:
        call = {"type": "function_call", "id": f"fc_{len(results)}", "call_id": f"call_{len(results)}"}
        item = {**call, **_named(request, step.tool), "arguments": json.dumps(step.arguments)}
    else:
        words = [{"type": "output_text", "text": script.farewell}]
        item = {"type": "message", "id": "msg_1", "role": "assistant", "content": words}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    yield "response.created", {"response": response}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": {**response, "status": "completed", "usage": usage}}


def _named(request: dict[str, Any], tool: str) -> dict[str, str]:
    """Return how this agent names the tool: in a namespace of the server's, or with the server before its name."""
    for offered in request.get("tools", ()):
        if offered["type"] == "namespace" and SERVER in offered["name"]:
            return {"namespace": offered["name"], "name": tool}
    return {"name": f"mcp__{SERVER}__{tool}"}
