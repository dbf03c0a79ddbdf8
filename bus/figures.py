"""How much workspaces use, for those who run the service: numbers alone, for many workspaces in few statements."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from bus import presence
from bus.models import Channel, Counters, Instance, Wait
from crosswire.lib import clock


@dataclass(frozen=True, slots=True)
class Figures:
    """What a workspace uses now. `messages` of this calendar month (UTC), `instances` that hold a place, `channels`
    that are not archived, `waits` that are open; `last_at` is when a message was stored last."""

    messages: int = 0
    data_bytes: int = 0
    last_at: datetime | None = None
    instances: int = 0
    channels: int = 0
    waits: int = 0


def of(workspaces: Collection[int]) -> dict[int, Figures]:
    """Return the figures of workspaces by their keys, in four statements."""
    now = clock.now()
    waits = Wait.objects.filter(presence.is_open_wait(now), workspace__in=workspaces)
    channels = Channel.objects.filter(workspace__in=workspaces, archived_at=None)
    is_here = Q(last_seen_at__gte=now - presence.HOLDS_PLACE)
    instances = Instance.objects.filter(
        is_here | Q(pk__in=waits.exclude(instance=None).values("instance")), workspace__in=workspaces, left_at=None
    )
    held, made, waiting = (
        dict(rows.order_by().values_list("workspace").annotate(count=Count("pk")))
        for rows in (instances, channels, waits)
    )
    return {
        row.workspace_id: Figures(
            row.month_messages if row.month == clock.month_of(now) else 0,
            row.data_bytes,
            row.last_at if row.last_number else None,
            held.get(row.workspace_id, 0),
            made.get(row.workspace_id, 0),
            waiting.get(row.workspace_id, 0),
        )
        for row in Counters.objects.filter(workspace__in=workspaces)
    }
