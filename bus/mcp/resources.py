"""Resources: the channels, a channel's newest messages, a shared item. They show what the tools show.

`resources/read` is the operation it shows, by an onlooker: same result, text fenced, nothing marked as read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from mcp import types
from mcp.shared.exceptions import MCPError

from accounts import rates
from accounts.principals import Principal
from bus.mcp import tools
from bus.mcp.fence import inert
from bus.operations import OPERATIONS
from crosswire.lib.errors import CrossWireError

SCHEME = "crosswire://"
CHANNELS = f"{SCHEME}channels"
LISTED_MOST = 100

TEMPLATES = (
    types.ResourceTemplate(
        uri_template=f"{CHANNELS}/{{name}}",
        name="channel",
        title="A channel's newest messages",
        mime_type="text/plain",
    ),
    types.ResourceTemplate(
        uri_template=f"{SCHEME}data/{{key}}", name="data", title="A shared item", mime_type="text/plain"
    ),
)


def channel_uri(name: str) -> str:
    """Return the address of a channel."""
    return f"{CHANNELS}/{name}"


def data_uri(key: str) -> str:
    """Return the address of a shared item."""
    return f"{SCHEME}data/{quote(key, safe='')}"


def parse(uri: str) -> tuple[str, dict[str, Any]]:
    """Return the operation that shows a resource, and its arguments. Raises: MCPError for any other address."""
    if uri == CHANNELS:
        return "list_channels", {}
    kind, _, name = uri.removeprefix(SCHEME).partition("/")
    if uri.startswith(SCHEME) and name:
        if kind == "channels":
            return "check_messages", {"channel": unquote(name)}
        if kind == "data":
            return "get_shared_data", {"key": unquote(name)}
    raise unknown(uri)


def unknown(uri: str) -> MCPError:
    """Return the error for a resource that is not there or not the caller's; both are told alike (SEP-2164)."""
    return MCPError(code=types.INVALID_PARAMS, message="Resource not found", data={"uri": uri[:500]})


async def listed(principal: Principal) -> list[types.Resource]:
    """Return the resources worth listing: the channels, those active last first, and the newest shared items."""
    channels = await OPERATIONS["list_channels"].acall(principal, {}, on_rest=False, is_counted=False)
    items = await OPERATIONS["list_shared_data"].acall(principal, {}, on_rest=False, is_counted=False)
    return [
        types.Resource(uri=CHANNELS, name="channels", title="All channels", mime_type="text/plain"),
        *(
            types.Resource(
                uri=channel_uri(each["name"]), name=each["name"], title=f"#{each['name']}", mime_type="text/plain"
            )
            for each in channels["channels"][:LISTED_MOST]
        ),
        *(
            types.Resource(uri=data_uri(each["key"]), name=key, title=key, mime_type="text/plain")
            for each in items["items"][:LISTED_MOST]
            if (key := inert(each["key"]))
        ),
    ]


async def read(principal: Principal, uri: str) -> types.ReadResourceResult:
    """Return a resource as text; nobody's cursor moves, for programs read these unasked. Raises: MCPError."""
    try:
        await rates.acount_operation(principal)  # one that is not there counts too
        name, arguments = parse(uri)
        operation = OPERATIONS[name]
        onlooker = replace(principal, instance=None, is_read_only=True)
        data = await operation.acall(onlooker, arguments, on_rest=False, is_counted=False)
    except CrossWireError as refusal:
        if refusal.code in ("not_found", "invalid_input"):
            raise unknown(uri) from refusal
        raise MCPError(code=types.INTERNAL_ERROR, message=refusal.message, data=refusal.as_dict()) from refusal
    shown = tools.answer(operation, onlooker, arguments, data).content[0]
    assert isinstance(shown, types.TextContent)
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type="text/plain", text=shown.text)]
    )
