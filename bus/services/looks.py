"""Looking for several waits on one channel at once: one message wakes all who wait there.

Each of fifty would ask where it stands, read the message and store that it has it: three statements instead of 150.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import NamedTuple

from bus import hot, retention
from bus.results import Messages
from bus.services import instances, reading, waits
from bus.services.waits import Asked
from crosswire.lib.database import waiting_at_most


class Look(NamedTuple):
    """The look of a stored wait, in the context of its call."""

    asked: Asked
    token: str
    context: Context


LOCKS_SECONDS = 1.0
"""How long all wait for a lock on what is one's: then each waits for its own."""


class NotTogetherError(Exception):
    """These waits are to be looked for one by one."""


def look_together(looks: Sequence[Look]) -> list[Messages | None]:
    """Return for each what `waits.look` would; all are of one workspace and wait on one channel.

    Raises: NotTogetherError: nothing was stored.
    """
    principal, channel = looks[0].asked.principal, looks[0].asked.channel
    names = [look.asked.name for look in looks]
    kept = {retention.days_in_force(look.asked.principal) for look in looks}
    if len(set(names)) < len(names) or len(kept) > 1:
        raise NotTogetherError
    first_live = retention.first_live(principal)
    found = hot.standings(principal.workspace_id, names, channel, first_live)
    if not all(name in found and instances.holds_place(found[name]) for name in names):
        raise NotTogetherError
    place = found[names[0]].place
    ahead = _ahead(principal.workspace_id, place.channel_id, looks, first_live) if place else None
    above = [
        look.context.run(waits.above_floor, look.asked, found[look.asked.name], look.token, ahead) for look in looks
    ]
    if holdings := [held for held in above if held]:
        with waiting_at_most(LOCKS_SECONDS):
            waits.store(principal, *holdings)
    for look, held in zip(looks, above, strict=True):
        look.asked.is_open = held is None
    return [held.result() if held else None for held in above]


def _ahead(workspace_id: int, channel_id: int, looks: Sequence[Look], first_live: int) -> reading.Ahead:
    """Read for all what lies above the lowest floor; the newest of it, so that one far behind reads alone."""
    floor = max(first_live - 1, min(look.asked.floor or 0 for look in looks))
    most = max(look.asked.limit for look in looks) + 1
    rows = hot.newest(workspace_id, channel_id, floor + 1, None, most)
    return reading.Ahead(rows[::-1], floor if len(rows) < most else rows[-1].number - 1)
