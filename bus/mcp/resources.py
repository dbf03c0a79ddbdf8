"""Resources: the channels, a channel's newest messages, a shared item, what an instance has not read.

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
from bus.operations import OPERATIONS, UNREAD, Operation
from bus.services.subscriptions import INBOX
from crosswire.lib.errors import CrossWireError

SCHEME = "crosswire://"
CHANNELS = f"{SCHEME}channels"
DATA = f"{SCHEME}data/"
LISTED_MOST = 100

TEMPLATES = (
    types.ResourceTemplate(
        uri_template=f"{CHANNELS}/{{name}}",
        name="channel",
        title="A channel's newest messages",
        mime_type="text/plain",
    ),
    types.ResourceTemplate(
        uri_template=f"{INBOX}{{instance_id}}",
        name="inbox",
        title="What an instance has not read, by channel",
        mime_type="text/plain",
    ),
    types.ResourceTemplate(uri_template=f"{DATA}{{key}}", name="data", title="A shared item", mime_type="text/plain"),
)


def channel_uri(name: str) -> str:
    """Return the address of a channel."""
    return f"{CHANNELS}/{name}"


def data_uri(key: str) -> str:
    """Return the address of a shared item."""
    return f"{DATA}{quote(key, safe='')}"


def inbox_uri(instance: str) -> str:
    """Return the address of an instance's inbox."""
    return f"{INBOX}{quote(instance, safe='')}"


def parse(uri: str) -> tuple[Operation, dict[str, Any]]:
    """Return the operation that shows a resource, and its arguments. Raises: MCPError for any other address."""
    if uri == CHANNELS:
        return OPERATIONS["list_channels"], {}
    kind, _, name = uri.removeprefix(SCHEME).partition("/")
    if uri.startswith(SCHEME) and name:
        match kind:
            case "channels":
                return OPERATIONS["check_messages"], {"channel": unquote(name)}
            case "data":
                return OPERATIONS["get_shared_data"], {"key": unquote(name)}
            case "inbox":
                return UNREAD, {"instance_id": unquote(name)}
    raise unknown(uri)


def inbox_of(principal: Principal, uri: str) -> str | None:
    """Return whose inbox an address is, None when it is another resource.

    Raises: MCPError for an address that is no resource; CrossWireError `wrong_instance`, `invalid_input`.
    """
    operation, arguments = parse(uri)
    return principal.speaks_for("instance_id", arguments["instance_id"]) if operation is UNREAD else None


def unknown(uri: str) -> MCPError:
    """Return the error for a resource that is not there or not the caller's; both are told alike (SEP-2164)."""
    return MCPError(code=types.INVALID_PARAMS, message="Resource not found", data={"uri": uri[:500]})


def refused(refusal: CrossWireError) -> MCPError:
    """Return the protocol's error for a refusal, in methods that have no results of their own for one."""
    return MCPError(code=types.INTERNAL_ERROR, message=refusal.message, data=refusal.as_dict())


async def listed(principal: Principal) -> list[types.Resource]:
    """Return the resources worth listing: the channels, those active last first, and the newest shared items."""
    channels = await OPERATIONS["list_channels"].acall(principal, {}, on_rest=False, is_counted=False)
    items = await OPERATIONS["list_shared_data"].acall(principal, {}, on_rest=False, is_counted=False)
    own = [principal.instance] if principal.instance else []
    return [
        types.Resource(uri=CHANNELS, name="channels", title="All channels", mime_type="text/plain"),
        *(
            types.Resource(uri=inbox_uri(name), name="inbox", title="Your unread messages", mime_type="text/plain")
            for name in own
        ),
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
        operation, arguments = parse(uri)
        inbox_of(principal, uri)  # as who calls, not as an onlooker, who may be anybody
        onlooker = replace(principal, instance=None, is_read_only=True)
        data = await operation.acall(onlooker, arguments, on_rest=False, is_counted=False)
    except CrossWireError as refusal:
        if refusal.code in ("not_found", "invalid_input"):
            raise unknown(uri) from refusal
        raise refused(refusal) from refusal
    shown = tools.answer(operation, onlooker, arguments, data).content[0]
    assert isinstance(shown, types.TextContent)
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type="text/plain", text=shown.text)]
    )
