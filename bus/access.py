"""How a workspace's rows are reached: the one tenant filter. Whatever asks for them by name asks here."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import F, QuerySet

from accounts.principals import Principal
from bus import presence, retention
from bus.models import (
    Channel,
    ChannelSender,
    ChannelSubscription,
    Counters,
    Cursor,
    Instance,
    Message,
    SharedItem,
    Wait,
)
from crosswire.lib import clock
from crosswire.lib.errors import not_found


def lock_counters(principal: Principal) -> Counters:
    """Return the workspace's counters, locked until the transaction ends: numbers, places, quota, bytes."""
    return Counters.objects.select_for_update().get(workspace=principal.workspace_id)


def last_number(principal: Principal) -> int:
    """Return the number of the workspace's newest message, 0 when there was none."""
    return Counters.objects.values_list("last_number", flat=True).get(workspace=principal.workspace_id)


_LATEST_FIRST = (F("last_message_at").desc(nulls_last=True), "-last_number", "name")


def channels(principal: Principal) -> QuerySet[Channel]:
    """Return the caller's channels that are not archived, latest activity first, then by name."""
    return Channel.objects.filter(workspace=principal.workspace_id, archived_at=None).order_by(*_LATEST_FIRST)


def archived_channels(principal: Principal) -> QuerySet[Channel]:
    """Return the caller's archived channels, latest activity first, then by name."""
    own = Channel.objects.filter(workspace=principal.workspace_id).exclude(archived_at=None)
    return own.order_by(*_LATEST_FIRST)


def get_channel(principal: Principal, name: str) -> Channel:
    """Return one of the caller's channels, archived ones too. Raises: CrossWireError `not_found`."""
    if (found := find_channel(principal, name)) is None:
        raise not_found(f"There is no channel #{name} here.")
    return found


def find_channel(principal: Principal, name: str) -> Channel | None:
    """Return one of the caller's channels, or None; somebody else's looks like none."""
    return Channel.objects.filter(workspace=principal.workspace_id, name=name).first()


def messages(principal: Principal) -> QuerySet[Message]:
    """Return the caller's messages that have not expired."""
    live = Message.objects.filter(workspace=principal.workspace_id, number__gte=retention.first_live(principal))
    return live.select_related("channel").defer("words")


def get_message(principal: Principal, number: int, channel: str | None = None) -> Message:
    """Return one of the caller's messages, in a channel if one is named. Raises: CrossWireError `not_found`."""
    live = messages(principal).filter(number=number)
    found = live.filter(channel__name=channel).first() if channel else live.first()
    if found is None:
        where = f" in #{channel}" if channel else ""
        raise not_found(f"There is no message #{number}{where} here.")
    return found


def lock_instance(principal: Principal, pk: int) -> None:
    """Have one transaction at a time decide about an instance's tasks; answers to it are stored meanwhile."""
    Instance.objects.select_for_update(no_key=True).get(workspace=principal.workspace_id, pk=pk)


def instances(principal: Principal) -> QuerySet[Instance]:
    """Return the caller's instances, last seen first."""
    return Instance.objects.filter(workspace=principal.workspace_id).order_by("-last_seen_at", "name")


def registered(principal: Principal, names: Collection[str]) -> set[str]:
    """Return which of these names are instances of the caller's workspace."""
    return set(instances(principal).filter(name__in=names).values_list("name", flat=True))


def subscriptions(principal: Principal, instance: str) -> QuerySet[ChannelSubscription]:
    """Return what one of the caller's instances is subscribed to, by channel."""
    own = ChannelSubscription.objects.filter(workspace=principal.workspace_id, instance__name=instance)
    return own.order_by("channel__name")


def shared_items(principal: Principal) -> QuerySet[SharedItem]:
    """Return the caller's shared items that have not expired, newest first."""
    return SharedItem.objects.filter(
        workspace=principal.workspace_id, created_at__gte=retention.cutoff(principal)
    ).order_by("-created_at", "key")


def expired_shared_items(principal: Principal) -> QuerySet[SharedItem]:
    """Return the caller's shared items that have expired and still take space."""
    return SharedItem.objects.filter(workspace=principal.workspace_id, created_at__lt=retention.cutoff(principal))


def traces(principal: Principal, channels: Collection[str], since: datetime, most: int) -> set[tuple[str, str]]:
    """Return (channel, name) of who wrote or read in the caller's channels since then; at most so many of each."""
    wrote = ChannelSender.objects.filter(
        workspace=principal.workspace_id, channel__name__in=channels, last_at__gt=since
    )
    read = Cursor.objects.filter(workspace=principal.workspace_id, channel__name__in=channels, updated_at__gt=since)
    return {
        *wrote.values_list("channel__name", "sender")[:most],
        *read.values_list("channel__name", "instance__name")[:most],
    }


def open_waits(principal: Principal) -> QuerySet[Wait]:
    """Return the caller's waits that are under way."""
    return Wait.objects.filter(presence.is_open_wait(clock.now()), workspace=principal.workspace_id)


def unended_waits(principal: Principal) -> QuerySet[Wait]:
    """Return the caller's waits that nothing has ended, whether or not anybody listens."""
    return Wait.objects.filter(workspace=principal.workspace_id, ended_at=None, until__gt=clock.now())


def tasks(principal: Principal) -> QuerySet[Wait]:
    """Return the tasks of the caller's own credential; anybody else's look like none."""
    return Wait.objects.filter(
        workspace=principal.workspace_id, credential=principal.credential, kind=Wait.Kind.TASK
    ).select_related("instance")
