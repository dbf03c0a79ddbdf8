"""When a key was used last, from which client, over which protocol and as which instance.

A use is written at once when its like was not written within the last minute, else not at all; what was written is
remembered in the process, so a call that tells nothing new costs a look into a dictionary. Whoever opens a page that
waits for a call (`watch`) has the next use of every kind written, in all processes that the hub reaches.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Case, F, Q, Value, When

from accounts.models import ApiKey, Workspace
from crosswire.lib import clock, hub
from crosswire.lib.database import DatabaseProblem, writing
from crosswire.lib.text import printable

if TYPE_CHECKING:
    from accounts.principals import Principal

logger = logging.getLogger(__name__)

REST = "REST"
MCP = "MCP"
WATCHED = "keys-watched"
EVERY = timedelta(minutes=1)
KINDS_MOST = 20
"""Kinds of use that are written for one key in a minute: a program that changes its name with each call is no news."""
KEYS_MOST = 10_000
_SHOWN_MOST = 10
_BROWSER = "Mozilla/"


class Use(NamedTuple):
    """A kind of use. `client` is "" where the caller does not tell, `protocol` `REST`, `MCP 2026-07-28`, or `MCP` where
    the version is not told, `instance` "" where the call names none."""

    client: str
    protocol: str
    instance: str


_written: OrderedDict[int, dict[Use, datetime]] = OrderedDict()
_watched: dict[int, datetime] = {}
_lock = Lock()


def is_known(principal: Principal, use: Use) -> bool:
    """Return whether a use tells nothing new: its like was written within the last minute, or nobody keeps account."""
    if principal.key_id is None:  # local mode and people have no key
        return True
    known = _written.get(principal.key_id)
    at = known.get(use) if known else None
    if at is None:
        return False
    now: datetime = principal.begun_at or clock.now()
    watched = _watched.get(principal.workspace_id)
    return at >= now - EVERY and (watched is None or at >= watched)


def is_due(principal: Principal, use: Use) -> bool:
    """Return whether a use is to be written; from then on it counts as written."""
    if principal.key_id is None or is_known(principal, use):
        return False
    return _take(principal.key_id, use, principal.begun_at or clock.now())


def _take(key: int, use: Use, now: datetime) -> bool:
    with _lock:
        known = _written.setdefault(key, {})
        _written.move_to_end(key)
        for old in [each for each, at in known.items() if at < now - EVERY]:
            del known[old]
        if len(known) >= 2 * KINDS_MOST:
            return False
        known[use] = known[use._replace(instance="")] = now  # a call that names nobody tells nothing more
        while len(_written) > KEYS_MOST:
            _written.popitem(last=False)
    return True


def remember(row: ApiKey) -> None:
    """Take what the database holds for written: another process may have written it."""
    if row.last_used_at is None or row.last_used_at < clock.now() - EVERY:
        return
    use = Use(row.last_used_client, row.last_used_protocol, row.last_used_instance)
    with _lock:
        known = _written.setdefault(row.pk, {})
        for each in (use, use._replace(instance="")):
            known[each] = max(row.last_used_at, known.get(each, row.last_used_at))


def write(principal: Principal, use: Use) -> None:
    """Write a use that is due. What the call does not tell stays as it was, if it can be of the same client.

    A database that is away or busy is logged: the call itself goes on.
    """
    key = principal.key_id or 0
    was_mcp = Q(last_used_protocol__startswith=MCP)
    same_protocol = was_mcp if use.protocol == MCP else Q(last_used_protocol=use.protocol)
    same_client = was_mcp & ~Q(last_used_client="") if not use.client else Q(last_used_client=use.client)
    agent = printable(principal.client, 120)
    told: dict[str, Any] = {
        "last_used_at": clock.now(),
        "last_used_client": use.client or _kept(same_client, "last_used_client", agent),
        "last_used_protocol": _kept(was_mcp, "last_used_protocol", MCP) if use.protocol == MCP else use.protocol,
        "last_used_instance": use.instance or _kept(same_protocol & same_client, "last_used_instance", ""),
    }
    try:
        with writing():
            ApiKey.objects.filter(pk=key).update(**told)
    except DatabaseProblem:
        logger.exception("use_not_written")
        with _lock:
            _written.pop(key, None)


def _kept(condition: Q, field: str, otherwise: str) -> Case:
    return Case(When(condition, then=F(field)), default=Value(otherwise))


def watch(workspace: Workspace) -> datetime:
    """Have uses of a workspace's keys from now on written though their like just was; return when that began."""
    now = clock.now()
    hub.publish(WATCHED, {"workspace": workspace.pk})
    return now


def since(workspace: Workspace, at: datetime) -> list[ApiKey]:
    """Return the keys that programs have used since then, latest first; browsers that try a key are no such."""
    used = ApiKey.objects.filter(workspace=workspace, last_used_at__gte=at)
    tried = Q(last_used_protocol=REST, last_used_client__startswith=_BROWSER)
    return list(used.exclude(tried).order_by("-last_used_at")[:_SHOWN_MOST])


def _on_watched(payload: dict[str, Any]) -> None:
    now = clock.now()
    with _lock:
        for old in [each for each, at in _watched.items() if at < now - EVERY]:
            del _watched[old]
        _watched[payload["workspace"]] = now


hub.subscribe(WATCHED, _on_watched)
