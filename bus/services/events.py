"""The database side of a stream of events: its row, and what it has to tell."""

from __future__ import annotations

from accounts.principals import Principal
from bus import access, news, retention
from bus.models import Wait
from bus.news import Moved
from bus.services import instances, waits


def asked(
    principal: Principal, *, instance_id: str | None, after_id: int | None, seconds: float, process: str
) -> waits.Asked:
    """Return what a stream of an instance asks for. Raises: CrossWireError `wrong_instance`, `invalid_input`."""
    return waits.Asked(
        principal=principal,
        channel="",
        instance=principal.speaks_for("instance_id", instance_id),
        after_id=after_id,
        limit=0,
        kind=Wait.Kind.EVENTS.value,
        role="active",
        seconds=seconds,
        process=process,
    )


def look(asked: waits.Asked, token: str, channels: tuple[str, ...] | None) -> list[Moved]:
    """Return what moved since the last look; the first time take the stream's place as well.

    Without `after_id` a stream begins with what comes now; one that lies ahead of everything is taken for now.
    Raises: CrossWireError `limit_reached` (open streams of a workspace, or a place).
    """
    principal, reader = asked.principal, asked.instance or ""
    if not asked.is_open:
        is_onlooker = asked.instance is None or principal.is_read_only
        here = None if is_onlooker else instances.arrive(principal, reader, None).instance_id
        waits.open_row(asked, token, here)
    floor = asked.after_id if asked.floor is None else asked.floor
    if floor is None:
        asked.floor = asked.newest = access.last_number(principal)
        return []
    since = max(floor, retention.first_live(principal) - 1)
    newest, found = news.moved(principal.workspace_id, reader, since, channels)
    asked.floor = asked.newest = newest if len(found) < news.MOVED_MOST else found[-1].newest
    return found
