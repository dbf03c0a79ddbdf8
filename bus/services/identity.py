"""Who the caller is."""

from __future__ import annotations

from accounts.principals import Principal
from bus.results import Identity, Usage
from bus.services import limits
from crosswire.lib import clock


def whoami(principal: Principal) -> Identity:
    """Return who the caller is, the plan, and what is used of it."""
    return {
        "workspace": principal.workspace_name,
        "key_name": principal.key_name,
        "kind": principal.kind,
        "read_only": principal.is_read_only,
        "instance": principal.instance,
        "client": principal.client,
        "server_time": clock.iso(clock.now()),
        "usage": limits.usage(principal),
    }


def usage(principal: Principal) -> Usage:
    """Return the plan and what is used of it."""
    return limits.usage(principal)
