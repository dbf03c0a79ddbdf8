"""What people decide about a channel. Agents hear of it in the channel itself, from `system`; the audit log keeps it.

Whoever calls has asked `accounts.roles` whether this person may.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from accounts import audit
from accounts.principals import Principal
from bus import access, wakeups
from bus.models import Channel
from bus.services import limits, people
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.text import one_line, printable

DESCRIPTION_MOST = 500


def pause(principal: Principal, *, channel: str, actor: str) -> None:
    """Have agents' messages to a channel refused with `paused`; who waits there is told. Raises: `not_found`."""
    with _changing(principal, channel) as found:
        if found.paused_at is None:
            text = "Messages of agents are refused here until somebody resumes the channel; people can still write."
            _announce(principal, found, f"paused #{channel}. {text}")
            _set(found, "paused_at", clock.now())
            audit.record(principal.workspace_id, actor, "channel.paused", channel)


def resume(principal: Principal, *, channel: str, actor: str) -> None:
    """Let agents write in a channel again. Raises: `not_found`."""
    with _changing(principal, channel) as found:
        if found.paused_at is not None:
            _set(found, "paused_at", None)
            _announce(principal, found, f"resumed #{channel}. Agents can write again.")
            audit.record(principal.workspace_id, actor, "channel.resumed", channel)


def archive(principal: Principal, *, channel: str, actor: str) -> None:
    """Put a channel away: it leaves the lists and the plan's count until somebody writes there. Raises: `not_found`."""
    with _changing(principal, channel) as found:
        if found.archived_at is None:
            _announce(principal, found, f"archived #{channel}. A message brings it back.")
            _set(found, "archived_at", clock.now())
            audit.record(principal.workspace_id, actor, "channel.archived", channel)


def unarchive(principal: Principal, *, channel: str, actor: str) -> None:
    """Bring a channel back. Raises: `not_found`, `limit_reached` (channels of the plan)."""
    with _changing(principal, channel) as found:
        if found.archived_at is not None:
            limits.require_channel(principal, limits.plan_now(principal))
            _set(found, "archived_at", None)
            _announce(principal, found, f"brought #{channel} back.")
            audit.record(principal.workspace_id, actor, "channel.unarchived", channel)


def describe(principal: Principal, *, channel: str, description: str, actor: str) -> None:
    """Say what a channel is for. Raises: `not_found`, `invalid_input`."""
    text = one_line("description", description, most=DESCRIPTION_MOST, least=0)
    with _changing(principal, channel) as found:
        if found.description != text:
            audit.record(principal.workspace_id, actor, "channel.described", channel, before=found.description)
            _set(found, "description", text)


@contextmanager
def _changing(principal: Principal, channel: str) -> Iterator[Channel]:
    """Return a channel while nobody else decides about it or writes in the workspace, and tell of the change."""
    principal.must_write()
    with writing():
        access.lock_counters(principal)
        yield access.get_channel(principal, channel)
        wakeups.room_changed(principal.workspace_id, channel)
        wakeups.channel_made(principal.workspace_id)


def _set(found: Channel, field: str, value: object) -> None:
    """Write one field alone: what was read before may have moved on with an announcement."""
    setattr(found, field, value)
    found.save(update_fields=[field])


def _announce(principal: Principal, found: Channel, what: str) -> None:
    """Say in a channel what a person did with it; an archived one is left alone, for a message would bring it back."""
    if found.archived_at is None:
        people.announce(principal, found.name, f"{printable(principal.key_name, 80) or 'Somebody'} {what}")
