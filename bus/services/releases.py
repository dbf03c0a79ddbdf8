"""Releasing who stands still with others: one of each mutual wait is told to speak (the rule is bus/mutual.py)."""

from __future__ import annotations

from datetime import datetime

from bus import mutual, parties
from bus.models import Instance, Wait
from bus.services import endings
from crosswire.lib import clock
from crosswire.lib.database import DatabaseProblem, writing
from crosswire.lib.errors import unavailable

NAMED_MOST = 50
REMEMBERED_MOST = 200
"""For how many channels it is remembered that an instance was released there; past it all is forgotten."""


def release(process: str) -> int:
    """End the waits of those that are to speak, where a party of this process stands still; return how many did.

    Raises: CrossWireError `unavailable` when the database is away.
    """
    now = clock.now()
    try:
        return sum(
            _release(workspace_id, scene, each, now)
            for workspace_id, scene in parties.scenes(process, now).items()
            for each in mutual.releases(scene.waits, scene.traces, scene.awake, now - mutual.GRACE)
        )
    except DatabaseProblem as problem:
        raise unavailable("The database is away or busy.") from problem


def _release(workspace_id: int, scene: parties.Scene, each: mutual.Release, now: datetime) -> bool:
    """End the waits of one instance, unless another process was quicker; it is awake from now on."""
    tokens = [token for channel in each.channels for token in scene.tokens[each.instance, channel]]
    about = {
        "with": sorted(each.others)[:NAMED_MOST],
        "waiting_on": scene.channels_of(each.others)[:NAMED_MOST],
    }
    instance = Instance.objects.filter(workspace=workspace_id, pk=scene.ids[each.instance])
    with writing():
        known = instance.select_for_update(no_key=True).values_list("released_at", flat=True).first()
        if known is None or not endings.end(
            Wait.objects.filter(workspace=workspace_id, token__in=tokens), "mutual", about
        ):
            return False
        kept = known if len(known) < REMEMBERED_MOST else {}
        here = {channel: scene.last_seqs[channel] for channel in each.channels}
        instance.update(last_seen_at=now, released_at={**kept, **here})
        parties.leave_traces(workspace_id, scene.ids[each.instance], each.channels, now)
    return True
