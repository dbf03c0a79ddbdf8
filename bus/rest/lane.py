"""The lane: REST calls with JSON in and out, answered without Django's request cycle and without a thread while they
wait. It knows the operations table and nothing else; what it does not know goes to DRF, which serves the same table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from accounts import rates
from accounts.principals import Principal
from bus import callers, calls
from bus.operations import OPERATIONS, Http, Operation
from crosswire.lib import http
from crosswire.lib.errors import CrossWireError

PREFIX = "/api"
WITH_SLASHES = frozenset({"key", "instance_id"})
"""What a path may end with, slashes and all."""


def pattern(path: str) -> str:
    """Return the regular expression of a path."""
    return re.sub(r"{(\w+)}", lambda name: f"(?P<{name[1]}>{'.+' if name[1] in WITH_SLASHES else '[^/]+'})", path)


def arguments(binding: Http, *sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation's arguments from REST's names; the path goes last and wins."""
    return {binding.aliases.get(name, name): value for source in sources for name, value in source.items()}


def body_limit(operation: Operation) -> int:
    """Return how many bytes a request may carry."""
    return settings.MAX_SHARED_DATA_BODY_BYTES if operation.name == "share_data" else settings.MAX_BODY_BYTES


_ROUTES = [
    (operation.http.method, re.compile(pattern(PREFIX + operation.http.path)), operation)
    for operation in OPERATIONS.values()
    if operation.http is not None
]


def route(scope: http.Scope) -> tuple[Operation, dict[str, str]] | None:
    """Return the operation a request is for and the arguments in its path, None when it is not for the lane."""
    method = scope["method"]
    accept = http.header(scope, b"accept")
    if "text/html" in accept or not (not accept or "*/*" in accept or "application/*" in accept or "json" in accept):
        return None
    if method == "POST" and http.media_type(scope) != "application/json":
        return None
    for verb, path, operation in _ROUTES:
        if verb == method and (match := path.fullmatch(scope["path"])):
            return operation, match.groupdict()
    return None


async def serve(
    operation: Operation, in_path: dict[str, str], scope: http.Scope, receive: http.Receive, send: http.Send
) -> None:
    """Answer one call."""
    async with calls.under_way() as call:
        try:
            answer = await _answer(operation, in_path, scope, receive)
        except CrossWireError as refusal:
            await http.reply_refusal(send, refusal)
        except ConnectionError:
            call.is_broken = True
        except Exception as problem:  # noqa: BLE001 - logged there; the client gets a number to ask about
            await http.reply_refusal(send, callers.unexpected(operation.name, problem))
        else:
            if call.handed and await http.has_left(receive):
                call.is_broken = True  # what it was handed did not arrive
            calls.answered()
            await http.reply_json(send, 200, answer)


async def _answer(operation: Operation, in_path: dict[str, str], scope: http.Scope, receive: http.Receive) -> Any:
    principal, scope = await callers.identify(scope)
    assert operation.http is not None
    await rates.acount_operation(principal)  # before anything is read that could be wrong
    if scope["method"] == "POST":
        source = http.json_object(await http.read_body(scope, receive, body_limit(operation)))
    else:
        source = http.query(scope)
    return await _run(operation, principal, arguments(operation.http, source, in_path), receive)


async def _run(operation: Operation, principal: Principal, given: dict[str, Any], receive: http.Receive) -> Any:
    """Run the operation; one that waits ends when its client hangs up."""
    work = operation.acall(principal, given, is_counted=False)
    return await (http.unless_hung_up(work, receive) if given.get("wait") else work)
