"""The lane: REST calls with JSON in and out, answered without Django's request cycle and without a thread while they
wait. It knows the operations table and nothing else; what it does not know goes to DRF, which serves the same table."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.conf import settings

from accounts import principals
from accounts.principals import Principal
from bus import calls
from bus.operations import OPERATIONS, Http, Operation
from crosswire.lib import executor, http
from crosswire.lib.errors import CrossWireError

logger = logging.getLogger(__name__)

PREFIX = "/api"


def pattern(path: str) -> str:
    """Return the regular expression of a path; `{key}` may hold slashes."""
    return re.sub(r"{(\w+)}", lambda name: f"(?P<{name[1]}>{'.+' if name[1] == 'key' else '[^/]+'})", path)


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
    if method == "POST" and not http.header(scope, b"content-type").lower().startswith("application/json"):
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
            principal, scope = await identify(scope)
            assert operation.http is not None
            sources: list[Mapping[str, Any]] = [http.query(scope)] if scope["method"] != "POST" else []
            if scope["method"] == "POST":
                sources.append(http.json_object(await http.read_body(receive, body_limit(operation))))
            given = arguments(operation.http, *sources, in_path)
            answer = await _run(operation, principal, given, receive)
        except CrossWireError as refusal:
            return await http.reply_refusal(send, refusal)
        except ConnectionError:
            call.is_broken = True
            return None
        except Exception:
            return await http.reply_refusal(send, unexpected(operation.name))
        await http.reply_json(send, 200, answer)


async def identify(scope: http.Scope) -> tuple[Principal, http.Scope]:
    """Return who calls, and the request without its key. Raises: CrossWireError `unauthorized`, `suspended`."""
    key, scope = http.take_key(scope)
    if not key:
        raise principals.missing_key()
    client = http.header(scope, b"user-agent")
    principal = principals.recall(key) or await executor.run(principals.authenticate, key, client)
    return principal.calling(client), scope


def unexpected(where: str) -> CrossWireError:
    """Log the exception being handled and return what the client is told: a number to ask about."""
    reference = uuid4().hex[:12]
    logger.exception("unexpected_error", extra={"where": where, "reference": reference})
    return CrossWireError("internal", f"Something broke here (reference {reference}); it was logged.", reference=reference)


async def _run(operation: Operation, principal: Principal, given: dict[str, Any], receive: http.Receive) -> Any:
    """Run the operation; one that waits ends when its client hangs up."""
    if not given.get("wait"):
        return await operation.acall(principal, given)
    work = asyncio.ensure_future(operation.acall(principal, given))
    gone = asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ConnectionError("the client hung up")
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await work


async def _hung_up(receive: http.Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
