"""How a workspace's rows are reached: the one tenant filter. Whatever asks for them by name asks here."""

from __future__ import annotations

from django.db.models import F, QuerySet

from accounts.principals import Principal
from bus import presence, retention
from bus.models import Channel, Counters, Instance, Message, SharedItem, Wait
from crosswire.lib import clock
from crosswire.lib.errors import not_found


def lock_counters(principal: Principal) -> Counters:
    """Return the workspace's counters, locked until the transaction ends: numbers, places, quota, bytes."""
    return Counters.objects.select_for_update().get(workspace=principal.workspace_id)


def last_number(principal: Principal) -> int:
    """Return the number of the workspace's newest message, 0 when there was none."""
    return Counters.objects.values_list("last_number", flat=True).get(workspace=principal.workspace_id)


def channels(principal: Principal) -> QuerySet[Channel]:
    """Return the caller's channels that are not archived, latest activity first, then by name."""
    return Channel.objects.filter(workspace=principal.workspace_id, archived_at=None).order_by(
        F("last_message_at").desc(nulls_last=True), "name"
    )


def find_channel(principal: Principal, name: str) -> Channel | None:
    """Return one of the caller's channels, or None; somebody else's looks like none."""
    return Channel.objects.filter(workspace=principal.workspace_id, name=name).first()


def messages(principal: Principal) -> QuerySet[Message]:
    """Return the caller's messages that have not expired."""
    live = Message.objects.filter(workspace=principal.workspace_id, number__gte=retention.first_live(principal))
    return live.select_related("channel").defer("words")


def get_message(principal: Principal, number: int) -> Message:
    """Return one of the caller's messages. Raises: CrossWireError `not_found`."""
    found = messages(principal).filter(number=number).first()
    if found is None:
        raise not_found(f"There is no message #{number} here.")
    return found


def instances(principal: Principal) -> QuerySet[Instance]:
    """Return the caller's instances, last seen first."""
    return Instance.objects.filter(workspace=principal.workspace_id).order_by("-last_seen_at", "name")


def shared_items(principal: Principal) -> QuerySet[SharedItem]:
    """Return the caller's shared items that have not expired, newest first."""
    return SharedItem.objects.filter(
        workspace=principal.workspace_id, created_at__gte=retention.cutoff(principal)
    ).order_by("-created_at", "key")


def expired_shared_items(principal: Principal) -> QuerySet[SharedItem]:
    """Return the caller's shared items that have expired and still take space."""
    return SharedItem.objects.filter(workspace=principal.workspace_id, created_at__lt=retention.cutoff(principal))


def open_waits(principal: Principal) -> QuerySet[Wait]:
    """Return the caller's waits that are under way; a dead process's are not."""
    now = clock.now()
    return Wait.objects.filter(
        workspace=principal.workspace_id, ended_at=None, until__gt=now, seen_at__gt=now - presence.WAIT_ALIVE
    )
