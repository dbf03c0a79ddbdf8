"""What the tests of messages share: storing many at once, reading answers alike on every surface, what is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2

from accounts import principals
from accounts.models import UsageDay, Workspace
from accounts.principals import Principal
from bus.models import Channel, ChannelSender, Counters, Cursor, IdempotencyKey, Instance, Message
from bus.services import messages
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError
from tests.support import loopback
from tests.support.cast import Caller, Credential
from tests.support.surfaces import CLIENT, Surface, rest_request

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_FENCED = re.compile(r"\[\[peer (\w+)\n(.*)\n\1\]\]", re.DOTALL)


def principal_of(caller: Credential) -> Principal:
    """Return the caller as services take it, as of now."""
    return principals.authenticate(caller.key).calling("tests/1")


def seed(caller: Credential, contents: Iterable[str], *, sender: str = "writer", channel: str = "general") -> list[int]:
    """Store messages without a surface; return their ids."""
    principal = principal_of(caller)
    drafts = [messages.draft(principal, channel=channel, sender=sender, content=content) for content in contents]
    found: list[int] = []
    for start in range(0, len(drafts), 100):
        for outcome in messages.send_many(drafts[start : start + 100]):
            assert not isinstance(outcome, CrossWireError), outcome
            found.append(outcome["id"])
    return found


def ids(answer: Mapping[str, Any], key: str = "messages") -> list[int]:
    """Return the ids of the messages in an answer."""
    return [message["id"] for message in answer[key]]


def plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with its content out of the fence that MCP puts around it."""
    fenced = _FENCED.fullmatch(message["content"])
    return {**message, "content": fenced[2] if fenced else message["content"]}


def contents(answer: Mapping[str, Any], key: str = "messages") -> list[str]:
    """Return the texts of the messages in an answer."""
    return [plain(message)["content"] for message in answer[key]]


def data_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer says on every surface: without `notice` and `next`, which models get, and the fence."""
    data = {key: value for key, value in answer.items() if key not in ("notice", "next")}
    for key in ("messages", "replies"):
        if key in data:
            data[key] = [plain(message) for message in data[key]]
    if data.get("parent"):
        data["parent"] = plain(data["parent"])
    return data


def stored(caller: Caller) -> dict[str, Any]:
    """Return all that sends leave behind in a workspace; a refusal must not change it."""
    own = {"workspace": caller.workspace}
    return {
        "messages": list(Message.objects.filter(**own).order_by("number").values_list("number", "content")),
        "channels": sorted(Channel.objects.filter(**own).values_list("name", "last_seq", "last_number")),
        "senders": sorted(ChannelSender.objects.filter(**own).values_list("channel__name", "sender", "last_number")),
        "instances": sorted(Instance.objects.filter(**own).values_list("name", "joined_number")),
        "cursors": sorted(Cursor.objects.filter(**own).values_list("channel__name", "instance__name", "read_to")),
        "keys": sorted(IdempotencyKey.objects.filter(**own).values_list("sender", "key", "number")),
        "usage": sorted(UsageDay.objects.filter(**own).values_list("day", "instance", "messages")),
        "counters": Counters.objects.filter(**own).values_list("last_number", "month", "month_messages").get(),
    }


def use_up(caller: Caller, sent: int) -> None:
    """Have a workspace count so many messages as sent in this month."""
    Counters.objects.filter(workspace=caller.workspace).update(month=clock.month_of(clock.now()), month_messages=sent)


def change_plan(caller: Caller, plan: str = "", **overrides: Any) -> None:
    """Put a workspace on another plan, or replace single figures of it, and tell nobody."""
    rows = Workspace.objects.filter(pk=caller.workspace.pk)
    rows.update(plan=plan or caller.workspace.plan, overrides=overrides)


def post_raw(call: Surface, caller: Credential, operation: str, arguments: str) -> httpx2.Response:
    """Call an operation of method POST with arguments as JSON text that no JSON writer would make."""
    headers = {**caller.headers, "Content-Type": "application/json"}
    if not call.is_mcp:
        _, path, _ = rest_request(operation, {})
        return loopback.post(f"{call.url}/api{path}", content=arguments, headers=headers)
    version = call.name.removeprefix("mcp-")
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": CLIENT,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    head = f'"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "{operation}"'
    body = f'{{{head}, "_meta": {json.dumps(meta)}, "arguments": {arguments}}}}}'
    headers |= {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
    headers |= {"Mcp-Method": "tools/call", "Mcp-Name": operation} if version >= "2026" else {}
    return loopback.post(f"{call.url}/mcp", content=body, headers=headers)
