"""Which channels an instance wants to hear of. A subscription lasts until it is taken back, whoever comes and goes.

What hears of them: a stream of events (REST), and a client that listens to the instance's inbox (MCP 2026-07-28).
"""

from __future__ import annotations

from urllib.parse import quote

from accounts.principals import Principal
from bus import access
from bus.models import ChannelSubscription
from bus.results import Subscribed
from bus.services import instances
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, not_found

INBOX = "crosswire://inbox/"
"""Where an instance's inbox is as a resource of MCP."""
MOST = 200
"""Channels an instance may be subscribed to."""

_INSTEAD = (
    "To have an answer the moment it is there stay in wait_for_reply; else call inbox at the beginning of each turn."
)


def subscribe(principal: Principal, *, instance_id: str, channel: str) -> Subscribed:
    """Have an instance hear of a channel; once more is fine.

    Raises: CrossWireError `not_found` for an unknown channel, `limit_reached`, `wrong_instance`, `read_only_key`.
    """
    return _changed(principal, instance_id, channel, is_wanted=True)


def unsubscribe(principal: Principal, *, instance_id: str, channel: str) -> Subscribed:
    """Have an instance hear of a channel no longer, if it did. Raises: as `subscribe`."""
    return _changed(principal, instance_id, channel, is_wanted=False)


def _changed(principal: Principal, instance_id: str, channel: str, *, is_wanted: bool) -> Subscribed:
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    assert name is not None
    known = access.find_channel(principal, channel)
    if known is None:
        raise not_found(f"There is no channel #{channel} here; create_channel makes it.")
    found = instances.arrive(principal, name, None)
    mine = access.subscriptions(principal, name)
    with writing():
        if not is_wanted:
            mine.filter(channel=known).delete()
        elif not mine.filter(channel=known).exists():
            access.lock_counters(principal)  # of two that begin together each counts the other
            if mine.count() >= MOST:
                raise _too_many()
            ChannelSubscription.objects.get_or_create(
                workspace_id=principal.workspace_id, channel=known, instance_id=found.instance_id
            )
    names = list(mine.values_list("channel__name", flat=True))
    beside = instances.tell(found, found.elsewhere)
    return {"ok": True, "channel": channel, "channels": names, "told": _told(principal, name, names), **beside}


def _too_many() -> CrossWireError:
    return CrossWireError(
        "limit_reached",
        f"An instance may be subscribed to {MOST} channels; unsubscribe from one, or from all to hear of every one.",
        limit=MOST,
        used=MOST,
    )


def _told(principal: Principal, name: str, channels: list[str]) -> str:
    """Return what this very client will hear of, and what it will not (nothing here wakes an idle session)."""
    of_these = "of these channels" if channels else "of every channel (none is subscribed to)"
    match principal.hears_by:
        case "events":
            return (
                f"GET /api/events?instance_id={quote(name)} tells {of_these} for as long as a program of yours keeps "
                "it open. Nothing else is pushed."
            )
        case "listen":
            return (
                f"A client that holds subscriptions/listen on {INBOX}{quote(name, safe='')} is notified {of_these}: "
                "that something is new, without text. Few clients do, and none has to wake an idle session for it. "
                f"{_INSTEAD}"
            )
    return (
        f"Nothing is pushed to this client: its protocol is too old for that, and no subscription wakes it. {_INSTEAD}"
    )
