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


class Look(NamedTuple):
    """The look of a stored wait, in the context of its call."""

    asked: Asked
    token: str
    context: Context


class NotTogetherError(Exception):
    """These waits are to be looked for one by one."""


def look_together(looks: Sequence[Look]) -> list[Messages | None]:
    """Return for each what `waits.look` would; all are of one workspace and wait on one channel.

    Raises: NotTogetherError: nothing was stored.
    """
    principal, channel = looks[0].asked.principal, looks[0].asked.channel
    names = [look.asked.name for look in looks]
    first_live = retention.first_live(principal)
    if len(set(names)) < len(names) or any(retention.first_live(look.asked.principal) != first_live for look in looks):
        raise NotTogetherError
    found = hot.standings(principal.workspace_id, names, channel, first_live)
    if not all(name in found and instances.holds_place(found[name]) for name in names):
        raise NotTogetherError
    place = found[names[0]].place
    ahead = _ahead(principal.workspace_id, place.channel_id, looks, first_live) if place else None
    holdings = [look.context.run(waits.hold, look.asked, found[look.asked.name], look.token, ahead) for look in looks]
    if handed := [holding for holding in holdings if holding]:
        reading.store(principal.workspace_id, *handed)
        instances.touch(principal, *(holding.found for holding in handed))
    for look, holding in zip(looks, holdings, strict=True):
        look.asked.is_open = holding is None
    return [holding.result() if holding else None for holding in holdings]


def _ahead(workspace_id: int, channel_id: int, looks: Sequence[Look], first_live: int) -> reading.Ahead:
    """Read for all what lies above the lowest floor."""
    floor = max(first_live - 1, min(look.asked.floor or 0 for look in looks))
    most = max(look.asked.limit for look in looks) + 1
    rows = hot.after(workspace_id, channel_id, floor, None, most)
    return reading.Ahead(rows, is_all=len(rows) < most)
