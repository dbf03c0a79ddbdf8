"""Telling the keys' record of each call: which client, over which protocol, as which instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts import uses
from accounts.principals import Principal
from accounts.uses import Use
from bus import clients
from crosswire.lib import executor
from crosswire.lib.errors import CrossWireError


async def acalled(principal: Principal, argument: str | None = None, given: Mapping[str, Any] | None = None) -> None:
    """Note a call; `argument` is the one of those given that names its instance. For the event loop.

    Nearly every call tells nothing new, and then this is a look into a dictionary.
    """
    use = _due(principal, argument, given)
    if use is None:
        return
    try:
        await executor.run(uses.write, principal, use)
    except CrossWireError:  # the server is busy: whether the call itself goes on is decided where it asks for something
        return


def called(principal: Principal, argument: str | None = None, given: Mapping[str, Any] | None = None) -> None:
    """Note a call. For threads."""
    use = _due(principal, argument, given)
    if use is not None:
        uses.write(principal, use)


def _due(principal: Principal, argument: str | None, given: Mapping[str, Any] | None) -> Use | None:
    """Return the use that is to be written, None where there is nothing to tell."""
    client = principal.client
    if principal.protocol != uses.REST and not clients.is_named(client):
        client = ""  # older MCP names its client once, when it begins; after that there is but the name of a library
    name = principal.instance or (given.get(argument) if argument and given else None)
    use = Use(client, principal.protocol, name if isinstance(name, str) else "")
    if uses.is_known(principal, use):  # before the name is looked at: what was written was a name
        return None
    use = use._replace(instance=_speaker(principal, use.instance))
    return use if uses.is_due(principal, use) else None


def _speaker(principal: Principal, name: str) -> str:
    """Return the name if it is an instance's for which the caller may speak; "" otherwise."""
    try:
        return principal.speaks_for("instance_id", name or None) or ""
    except CrossWireError:
        return ""
