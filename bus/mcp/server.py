"""The MCP server object: its handlers read the operations table. It knows nothing of HTTP but the caller's place in
the request's scope; both protocol eras come through it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from mcp import types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from accounts.principals import Principal
from bus import callers, calls
from bus.mcp import listen, protocol, resources, tasks, tools
from bus.services.tasks import Task
from crosswire import __version__
from crosswire.lib.errors import CrossWireError

PRINCIPAL = "crosswire.principal"
"""Where the endpoint puts the caller in the ASGI scope."""

type Context = ServerRequestContext[Any, Any]


def caller(ctx: Context) -> Principal:
    """Return who sent a request, with the client it names itself as (`clientInfo`, else the user agent)."""
    found: Principal = ctx.request.scope[PRINCIPAL]  # type: ignore[union-attr]  # HTTP always has a request
    principal = replace(found, hears_by="listen" if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else "")
    params = ctx.session.client_params
    if params is None:
        return principal
    return principal.calling(client_name(params.client_info.name, params.client_info.version))


def client_name(name: str, version: Any) -> str:
    """Return how a client is named that tells its name and version."""
    return f"{name}/{version}"


async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    """Return all tools; there is one page."""
    return types.ListToolsResult(tools=list(tools.listed(is_bound=caller(ctx).instance is not None)))


async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult | dict[str, Any]:
    """Run a tool; a long wait becomes a task where the client takes one.

    Refusals are results the model can read; only an unknown tool is a protocol error.
    """
    operation = tools.TOOLS.get(params.name)
    if operation is None:
        raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {params.name[:80]}")
    principal = caller(ctx)
    given = params.arguments or {}

    async def progress(seconds: float) -> None:
        await ctx.session.report_progress(seconds, None, f"still waiting, {seconds:.0f} s")

    asked = progress if ctx.meta and ctx.meta.get("progress_token") is not None else None
    try:
        by = tasks.service(ctx, operation, principal, given)
        data = await operation.acall(principal, given, on_rest=False, progress=asked, by=by)
        if isinstance(data, Task):
            return tasks.created(data)
        return tools.answer(operation, principal, given, data)
    except CrossWireError as refusal:
        return tools.refused(refusal)
    except Exception as problem:  # noqa: BLE001 - logged there; the model gets a number to ask about
        return tools.refused(callers.unexpected(params.name, problem))
    finally:
        calls.answered()


async def list_resources(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    """Return the workspace's resources."""
    return types.ListResourcesResult(resources=await resources.listed(caller(ctx)))


async def list_templates(
    ctx: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    """Return how resources are addressed."""
    return types.ListResourceTemplatesResult(resource_templates=list(resources.TEMPLATES))


async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    """Return a resource's text."""
    return await resources.read(caller(ctx), str(params.uri))


async def listen_for_changes(
    ctx: Context, params: types.SubscriptionsListenRequestParams
) -> types.SubscriptionsListenResult:
    """Serve a stream of change notices."""
    return await listen.listen(caller(ctx), ctx, params)


async def list_prompts(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    """Return the prompts."""
    return types.ListPromptsResult(
        prompts=[
            types.Prompt(name=name, title=title, description=text)
            for name, (title, text, _) in protocol.PROMPTS.items()
        ]
    )


async def get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    """Return a prompt's text. Raises: MCPError for an unknown name."""
    known = protocol.PROMPTS.get(params.name)
    if known is None:
        raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown prompt: {params.name[:80]}")
    _, description, text = known
    content = types.TextContent(type="text", text=text)
    return types.GetPromptResult(description=description, messages=[types.PromptMessage(role="user", content=content)])


def build() -> Server[Any]:
    """Return the server."""
    server: Server[Any] = Server(
        "crosswire",
        title="CrossWire",
        version=__version__,
        description="Message bus between AI agents",
        website_url=settings.PUBLIC_URL,
        instructions=protocol.INSTRUCTIONS,
        cache_hints={
            "tools/list": CacheHint(ttl_ms=300_000, scope="private"),
            "prompts/list": CacheHint(ttl_ms=300_000, scope="private"),
        },
        get_tool_input_schema=lambda name: None,  # no tool takes arguments from headers
        on_list_tools=list_tools,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscriptions_listen=listen_for_changes,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    if settings.MCP_TASKS:
        tasks.register(server, caller)
    return server
