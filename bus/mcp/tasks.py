"""The MCP extension `io.modelcontextprotocol/tasks` (SEP-2663): a long wait is answered at once with a task, for which
the client then asks. That wakes an idle session, over plain HTTP.

Nothing is kept here: a task is a row (bus/services/tasks.py), and any process answers for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from pydantic import Field

from accounts import rates
from accounts.principals import Principal
from bus import callers, presence, waiting
from bus.mcp import texts, tools
from bus.mcp.fence import Fence
from bus.operations import OPERATIONS, Operation
from bus.services import tasks
from bus.services.tasks import Task
from crosswire.lib import clock, executor
from crosswire.lib.database import DatabaseProblem
from crosswire.lib.errors import CrossWireError

EXTENSION = "io.modelcontextprotocol/tasks"
GET = "tasks/get"
VERSIONS = frozenset({"2026-07-28"})
ABSENT = "Failed to retrieve task: Task not found"
"""The specification's own words; unknown, gone and somebody else's are told alike."""
HELD_MOST = 10
"""How many that ask for one task are held open by a process; nothing else bounds them, so more are told at once."""
_SERVICES: dict[str, Callable[..., Any]] = {"wait_for_reply": tasks.wait_for_reply, "inbox": tasks.inbox}

type Context = ServerRequestContext[Any, Any]
type Result = dict[str, Any]


class TaskParams(types.RequestParams):
    """Names a task."""

    task_id: str = Field(max_length=200)


class UpdateParams(TaskParams):
    """Answers what a task asked of its client; ours ask nothing."""

    input_responses: dict[str, Any]


def register(server: Server[Any], caller: Callable[[Context], Principal]) -> None:
    """Serve the extension's methods, and tell of it in `server/discover`."""

    def serve(method: str, params: type[TaskParams], handle: Callable[[Principal, str], Awaitable[Result]]) -> None:
        async def handler(ctx: Context, given: TaskParams) -> Result:
            _require_extension(ctx)
            _require_name(ctx, given.task_id)
            try:
                return await handle(caller(ctx), given.task_id)
            except CrossWireError as refusal:
                raise _protocol_error(await _counted(ctx, refusal)) from None
            except Exception as problem:  # noqa: BLE001 - logged there; the client gets a number to ask about
                raise _protocol_error(callers.unexpected(method, problem)) from None

        server.add_request_handler(method, params, handler)

    async def _counted(ctx: Context, refusal: CrossWireError) -> CrossWireError:
        """Count who asks for what is not there; a task that is may be asked for at any rate."""
        if refusal.code != "not_found" or ctx.method != GET:
            return refusal
        try:
            await rates.acount_protocol(caller(ctx))
        except CrossWireError as over:
            return over
        return refusal

    serve(GET, TaskParams, get)
    serve("tasks/cancel", TaskParams, cancel)
    serve("tasks/update", UpdateParams, update)
    discovered = server.get_request_handler("server/discover")
    assert discovered is not None

    async def discover(ctx: Context, params: types.RequestParams) -> types.DiscoverResult:
        found: types.DiscoverResult = await discovered.handler(ctx, params)  # type: ignore[assignment] # its own result
        found.capabilities.extensions = {EXTENSION: {}}
        return found

    server.add_request_handler("server/discover", types.RequestParams, discover)


def _is_declared(ctx: Context) -> bool:
    declared = ctx.session.client_capabilities
    return ctx.protocol_version in VERSIONS and EXTENSION in ((declared and declared.extensions) or {})


def _require_extension(ctx: Context) -> None:
    """Raises: MCPError on an older protocol, and for a client that does not declare the extension."""
    if ctx.protocol_version not in VERSIONS:
        raise MCPError(code=types.METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
    if not _is_declared(ctx):
        raise MCPError(
            code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="Missing required client capability",
            data={"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )


def _require_name(ctx: Context, task: str) -> None:
    """Raises: MCPError when `Mcp-Name`, by which a proxy may have chosen this process, names another task."""
    named = getattr(ctx.request, "headers", {}).get(MCP_NAME_HEADER)
    if named is not None and decode_header_value(named) != task:
        raise MCPError(code=types.HEADER_MISMATCH, message="The Mcp-Name header does not match the request's taskId")


def _protocol_error(refusal: CrossWireError) -> MCPError:
    if refusal.code == "not_found":
        return MCPError(code=types.INVALID_PARAMS, message=ABSENT)
    return MCPError(code=types.INTERNAL_ERROR, message=refusal.message)


def service(
    ctx: Context, operation: Operation, principal: Principal, given: dict[str, Any]
) -> Callable[..., Any] | None:
    """Return what makes a task of a call, None where it runs as it is: short, or by a client that takes no tasks.

    Raises: CrossWireError `invalid_input`.
    """
    found = _SERVICES.get(operation.name)
    if found is None or principal.is_read_only or not settings.MCP_TASKS or not _is_declared(ctx):
        return None
    return found if tasks.is_long(operation.name, given, operation.validate(given)) else None


def created(task: Task) -> Result:
    """Return a call's answer: the task it became."""
    return {"resultType": "task", **_shown(task)}


async def get(principal: Principal, token: str) -> Result:
    """Return how a task stands, held open until there is something to tell, but not for long."""
    task = await _news(principal, token)
    shown = {"resultType": "complete", **_shown(task)}
    if task.result is not None:
        operation = OPERATIONS[task.operation]
        answer = tools.answer(operation, principal, task.arguments, task.result, Fence(token))
        complete = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
        shown["result"] = {"resultType": "complete", **complete}
    return shown


async def cancel(principal: Principal, token: str) -> Result:
    """End a task; one that has ended stays as it is."""
    await executor.run(tasks.cancel, principal, token)
    return {"resultType": "complete"}


async def update(principal: Principal, token: str) -> Result:
    """Take note of nothing: our tasks ask nothing of a client, and answers to what was not asked are ignored."""
    await executor.run(tasks.find, principal, token)
    return {"resultType": "complete"}


async def _news(principal: Principal, token: str) -> Task:
    """Return a task once it is over, or as it stands when the time for that is up or the process stops."""
    known: Task | None = None

    async def look(waiter: waiting.Waiter) -> Task | None:
        nonlocal known
        known = await executor.run(tasks.poll, principal, token, waiting.PROCESS)
        waiter.newest = known.newest
        waiting.room.narrow(waiter, known.channel)
        return known if known.is_over else None

    if waiting.room.is_closed or len(waiting.room.by_task.get(token, ())) >= HELD_MOST:
        return await executor.run(tasks.find, principal, token)
    seconds = presence.TASK_HELD.total_seconds()
    try:
        over, why, _ = await waiting.wait(principal.workspace_id, "", seconds, look, task=token)
    except (CrossWireError, DatabaseProblem):
        if known is None:
            raise
        return known  # the database is away: the next asking will tell
    except asyncio.CancelledError:
        if token not in waiting.room.by_task:
            await asyncio.shield(executor.run(tasks.hang_up, principal, token, waiting.PROCESS))
        raise
    if over is None and (known is None or why not in ("time", "restart")):
        over = await executor.run(tasks.find, principal, token)
    task = over or known
    assert task is not None
    return task


def _shown(task: Task) -> Result:
    return {
        "taskId": task.token,
        "status": task.status,
        "statusMessage": _message(task),
        "createdAt": clock.iso(task.created_at),
        "lastUpdatedAt": clock.iso(task.updated_at),
        "ttlMs": _milliseconds(task.life),
        "pollIntervalMs": _milliseconds(presence.TASK_POLLED_EVERY),
    }


def _message(task: Task) -> str:
    where = f"#{task.channel}" if task.channel else "every channel"
    if task.status == tasks.CANCELLED:
        return f"Stopped listening in {where}; nothing is lost."
    if task.is_over:
        return f"No longer listening in {where}: the result says why and how to go on."
    return (
        f"Listening in {where} as {task.instance} until {clock.iso(task.until)}. The first message by somebody else "
        "ends this task and wakes you with it; there is no need to wait again or to look meanwhile."
        f"{'' if task.is_channel_there else ' ' + texts.no_such_channel(task.channel)}"
    )


def _milliseconds(time: timedelta) -> int:
    return max(0, round(time.total_seconds() * 1000))
