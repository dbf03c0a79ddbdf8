"""The table of operations. MCP tools, the REST lane, DRF and their documents are generated from it or thin over it.

A row: name, parameters, result, HTTP binding, service. A call checks the right to call, validates, runs the service and
returns plain data or raises CrossWireError; each surface turns that into its own shape in one place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connection
from pydantic import TypeAdapter, ValidationError

from accounts import rates
from accounts.principals import Principal
from bus import calls, conversing, noting, params, results, sending
from bus.params import Params
from bus.services import (
    channels,
    claims,
    identity,
    instances,
    messages,
    reading,
    receipts,
    search,
    shared,
    subscriptions,
)
from crosswire.lib import executor, logs
from crosswire.lib.database import DatabaseProblem
from crosswire.lib.errors import CrossWireError, invalid, unavailable

logger = logging.getLogger(__name__)

_MOST_ARGUMENTS = 100
_MOST_TOLD = 10


@dataclass(frozen=True)
class Http:
    """Where an operation is on REST, below /api. `aliases` are REST's names of arguments, `params` its own ones.

    `name` is the operationId where it is not the operation's own name, `description` the text where REST's differs.
    """

    method: str
    path: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    params: type[Params] | None = None
    name: str = ""
    description: str = ""


@dataclass(frozen=True)
class Operation:
    """One thing a client can do.

    `service` runs on a database thread; `waits` replaces it where a call may wait. `instance` names the argument that
    says who calls. `on_mcp` overrides the service there (a model takes data in parts). `refusals` are the codes it
    can be answered with beside those that any call of its kind can.
    """

    name: str
    params: type[Params]
    result: Any
    service: Callable[..., Any] | None
    title: str
    http: Http | None = None
    waits: Callable[..., Any] | None = None
    on_mcp: Callable[..., Any] | None = None
    instance: str | None = None
    is_read: bool = False
    is_idempotent: bool = False
    is_destructive: bool = False
    is_tool: bool = True
    refusals: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Return what a model reads."""
        return " ".join((self.params.__doc__ or "").split())

    def validate(self, arguments: Mapping[str, Any], *, on_rest: bool = False) -> dict[str, Any]:
        """Return the arguments as the service takes them; null is as good as left out.

        Raises: CrossWireError `invalid_input`, naming every argument that is wrong and never its value.
        """
        if len(arguments) > _MOST_ARGUMENTS:
            raise invalid(f"There are at most {_MOST_ARGUMENTS} arguments.")
        http = self.http if on_rest else None
        model = (http and http.params) or self.params
        given = {
            name: value for name, value in arguments.items() if value is not None or name not in model.model_fields
        }
        try:
            valid = model.model_validate(given)
        except ValidationError as problem:
            renamed = {argument: name for name, argument in http.aliases.items()} if http else {}
            raise invalid_arguments(model, problem, renamed) from None
        return {name: getattr(valid, name) for name in type(valid).model_fields}

    def __call__(self, principal: Principal, arguments: Mapping[str, Any], *, on_rest: bool = True) -> Any:
        """Run the operation in this thread and return plain data; whoever calls has counted it.

        Raises: CrossWireError.
        """
        noting.called(principal, self.instance, arguments)
        valid = self._begin(principal, arguments, on_rest=on_rest)
        with _failures():
            if self.waits is not None and (self.service is None or valid.get("wait")):
                if not connection.in_atomic_block:
                    connection.close()  # or the wait would hold this thread's connection for nothing
                return async_to_sync(self.waits)(principal, **valid)
            assert self.service is not None
            valid.pop("wait", None)
            return self._serve(self.service, principal, valid)

    async def acall(
        self,
        principal: Principal,
        arguments: Mapping[str, Any],
        *,
        on_rest: bool = True,
        progress: Callable[[float], Any] | None = None,
        is_counted: bool = True,
        by: Callable[..., Any] | None = None,
    ) -> Any:
        """Run the operation without holding a thread while it waits. Raises: CrossWireError.

        `is_counted`: whether it counts against the plan's calls a minute. `by`: a service to run in its own's place.
        """
        if is_counted:
            await rates.acount_operation(principal)
        await noting.acalled(principal, self.instance, arguments)
        valid = self._begin(principal, arguments, on_rest=on_rest)
        with _failures():
            if by is not None:
                return await executor.run(by, principal, **valid)
            if self.waits is not None:
                extra = {"progress": progress} if self.waits is not sending.send else {}
                return await self.waits(principal, **valid, **extra)
            service = self.service if on_rest or self.on_mcp is None else self.on_mcp
            assert service is not None
            return await executor.run(self._serve, service, principal, valid)

    def _serve(self, service: Callable[..., Any], principal: Principal, valid: Mapping[str, Any]) -> Any:
        """Run the service; any call of an instance is a sign of life, and any answer tells it what it has not read."""
        answer = service(principal, **valid)
        if self.instance is None:
            instances.sign_of_life(principal)
            answer.update(instances.news_of_caller(principal))
        return answer

    def _begin(self, principal: Principal, arguments: Mapping[str, Any], *, on_rest: bool) -> dict[str, Any]:
        """Return the valid arguments; note what is called, and by which instance. Raises: as `validate`."""
        logs.note_operation(self.name)
        valid = self.validate(arguments, on_rest=on_rest)
        name = principal.instance or (valid.get(self.instance) if self.instance else None)
        if name:
            calls.names(principal.workspace_id, name)
        return valid

    def result_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the result."""
        return TypeAdapter(self.result).json_schema(mode="serialization")


@contextmanager
def _failures() -> Iterator[None]:
    """Turn a database that is away or busy into `unavailable`; what a call that fails was handed does not arrive."""
    try:
        yield
    except Exception as problem:
        calls.failed()
        if not isinstance(problem, DatabaseProblem):
            raise
        logger.exception("database_error")
        raise unavailable("The database is away or busy; try again.") from problem


def invalid_arguments(model: type[Params], problem: ValidationError, renamed: Mapping[str, str]) -> CrossWireError:
    """Return the refusal for arguments that do not fit, without their values, by the names their sender knows."""
    known = ", ".join(renamed.get(name, name) for name in model.model_fields) or "none"
    wrong = []
    for error in problem.errors(include_url=False, include_context=True, include_input=False)[:_MOST_TOLD]:
        where = ".".join(renamed.get(str(part), str(part)) for part in error["loc"]) or "arguments"
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, CrossWireError):
            message = cause.message
        elif error["type"] == "extra_forbidden":
            message = f'there is no argument "{where[:80]}"; arguments are {known}'
        elif error["type"] in ("too_long", "string_too_long"):
            message = f"{where} is longer than {error['ctx']['max_length']:,} characters"
        elif error["type"] in ("too_short", "string_too_short"):
            message = f"{where} is empty"
        elif error["type"] == "missing":
            message = f"{where} is missing"
        else:
            message = f"{where}: {error['msg'].removeprefix('Value error, ')}"
        wrong.append(message)
    return CrossWireError("invalid_input", f"{'; '.join(dict.fromkeys(wrong))}."[:2_000].replace("..", "."))


_TABLE = (
    Operation(
        "register",
        params.Register,
        results.Registered,
        instances.register,
        "Join the bus",
        Http("POST", "/register"),
        instance="instance_id",
        is_idempotent=True,
        refusals=("instance_in_use", "limit_reached"),
    ),
    Operation(
        "unregister",
        params.Unregister,
        results.Ok,
        instances.unregister,
        "Leave the bus",
        Http("DELETE", "/instances/{instance_id}"),
        instance="instance_id",
        is_idempotent=True,
        refusals=("not_found",),
    ),
    Operation(
        "list_instances",
        params.ListInstances,
        results.Instances,
        instances.list_all,
        "List instances",
        Http(
            "GET",
            "/instances",
            description="List who takes part, last seen first, and whether each is online or waiting: 500 at most, "
            "then has_more is true.",
        ),
        is_read=True,
    ),
    Operation(
        "create_channel",
        params.CreateChannel,
        results.ChannelMade,
        channels.create,
        "Create a channel",
        Http("POST", "/channels"),
        is_idempotent=True,
        refusals=("limit_reached",),
    ),
    Operation(
        "list_channels",
        params.ListChannels,
        results.Channels,
        channels.list_all,
        "List channels",
        Http(
            "GET",
            "/channels",
            description="List channels, latest activity first: 1,000 at most, then has_more is true. A GPT takes "
            "100,000 characters: where there are hundreds of channels, find them by name.",
        ),
        is_read=True,
    ),
    Operation(
        "find_channel",
        params.FindChannel,
        results.Channels,
        channels.find,
        "Find a channel",
        Http("GET", "/channels/search", {"q": "query"}),
        is_read=True,
    ),
    Operation(
        "send_message",
        params.SendMessage,
        results.Sent,
        messages.send,
        "Send a message",
        Http("POST", "/messages"),
        waits=sending.send,
        instance="sender",
        refusals=("not_found", "idempotency_conflict", "paused", "quota_exceeded", "limit_reached"),
    ),
    Operation(
        "check_messages",
        params.CheckMessages,
        results.Messages,
        reading.check,
        "Check messages",
        Http("GET", "/messages/{channel}", params=params.ReadMessages, name="getMessages"),
        waits=conversing.check_messages,
        instance="instance_id",
        is_read=True,
        refusals=("limit_reached",),
    ),
    Operation(
        "wait_for_reply",
        params.WaitForReply,
        results.Waited,
        None,
        "Wait for a reply",
        waits=conversing.wait_for_reply,
        instance="instance_id",
        is_read=True,
    ),
    Operation(
        "get_replies",
        params.GetReplies,
        results.Replies,
        reading.get_replies,
        "Get replies",
        Http("GET", "/messages/{channel}/{id}/replies", {"id": "message_id"}),
        is_read=True,
        refusals=("not_found",),
    ),
    Operation(
        "message_status",
        params.MessageStatus,
        results.Receipts,
        receipts.status,
        "Message status",
        Http("GET", "/messages/{channel}/{id}/receipts", {"id": "message_id"}, name="getReceipts"),
        is_read=True,
        refusals=("not_found",),
    ),
    Operation(
        "claim_message",
        params.ClaimMessage,
        results.Claim,
        claims.claim,
        "Claim a message",
        Http("POST", "/messages/{channel}/{id}/claim", {"id": "message_id"}),
        instance="instance_id",
        is_idempotent=True,
        refusals=("not_found", "claimed", "not_claimable", "limit_reached"),
    ),
    Operation(
        "inbox",
        params.GetInbox,
        results.Inbox,
        reading.inbox,
        "Read your inbox",
        Http("GET", "/inbox", params=params.ReadInbox),
        waits=conversing.inbox,
        instance="instance_id",
        refusals=("limit_reached",),
    ),
    Operation(
        "ack_inbox",
        params.AckInbox,
        results.Ok,
        reading.ack_inbox,
        "Acknowledge messages",
        Http("POST", "/inbox/ack"),
        instance="instance_id",
        is_idempotent=True,
        is_tool=False,
        refusals=("not_found", "limit_reached"),
    ),
    Operation(
        "subscribe",
        params.Subscribe,
        results.Subscribed,
        subscriptions.subscribe,
        "Subscribe to a channel",
        Http("POST", "/subscriptions"),
        instance="instance_id",
        is_idempotent=True,
        refusals=("not_found", "limit_reached"),
    ),
    Operation(
        "unsubscribe",
        params.Unsubscribe,
        results.Subscribed,
        subscriptions.unsubscribe,
        "Unsubscribe from a channel",
        Http("DELETE", "/subscriptions"),
        instance="instance_id",
        is_idempotent=True,
        refusals=("not_found", "limit_reached"),
    ),
    Operation(
        "search_messages",
        params.SearchMessages,
        results.Found,
        search.search,
        "Search messages",
        Http("GET", "/search", {"q": "query"}),
        is_read=True,
    ),
    Operation(
        "share_data",
        params.ShareData,
        results.SharedMade,
        shared.share,
        "Share data",
        Http("POST", "/data"),
        instance="sender",
        is_idempotent=True,
        is_destructive=True,
        refusals=("limit_reached",),
    ),
    Operation(
        "list_shared_data",
        params.ListSharedData,
        results.SharedList,
        shared.list_all,
        "List shared data",
        Http("GET", "/data", description="List shared items, newest first: 1,000 at most, then has_more is true."),
        is_read=True,
    ),
    Operation(
        "get_shared_data",
        params.GetSharedData,
        results.SharedContent,
        shared.get,
        "Get shared data",
        Http(
            "GET",
            "/data/{key}",
            description="Get shared text: whole (10 MB at most) unless offset or length is given, both in characters. "
            "A GPT takes 100,000 characters: give length=50000, then offset=next_offset until that is null.",
        ),
        on_mcp=shared.get_part,
        is_read=True,
        refusals=("not_found",),
    ),
    Operation(
        "delete_shared_data",
        params.DeleteSharedData,
        results.Ok,
        shared.delete,
        "Delete shared data",
        Http("DELETE", "/data/{key}"),
        is_destructive=True,
        refusals=("not_found",),
    ),
    Operation(
        "whoami", params.WhoAmI, results.Identity, identity.whoami, "Who am I", Http("GET", "/whoami"), is_read=True
    ),
    Operation(
        "usage",
        params.GetUsage,
        results.Usage,
        identity.usage,
        "Plan and usage",
        Http("GET", "/usage"),
        is_read=True,
        is_tool=False,
    ),
)
OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _TABLE}

UNREAD = Operation(
    "unread", params.ShowUnread, results.Unread, instances.show_unread, "Unread messages", is_read=True, is_tool=False
)
"""What an inbox shows as a resource of MCP."""
EVENTS = Operation(
    "events",
    params.Listen,
    results.Event,
    None,
    "Listen to events",
    Http("GET", "/events"),
    instance="instance_id",
    is_read=True,
    is_tool=False,
    refusals=("limit_reached",),
)
"""A stream, not a call: bus/rest/events.py serves it, and the documents tell of it."""
