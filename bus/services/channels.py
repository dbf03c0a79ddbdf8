"""Channels: making, finding, listing. Lists never count rows."""

from __future__ import annotations

import difflib

from django.db.models import IntegerField, OuterRef, QuerySet, Subquery

from accounts.principals import Principal
from bus import access, retention, wakeups
from bus.models import Channel, ChannelSender, Message
from bus.results import ChannelItem, ChannelMade, Channels
from bus.services import limits
from crosswire.lib import clock, words
from crosswire.lib.database import writing

LISTED_MOST = 1_000
SIMILAR_MOST = 5


def create(principal: Principal, *, name: str, description: str = "") -> ChannelMade:
    """Make a channel, or bring an archived one back; one that is there is fine.

    Raises: CrossWireError `limit_reached`, `read_only_key`.
    """
    principal.must_write()
    with writing():
        access.lock_counters(principal)
        known = access.find_channel(principal, name)
        is_new = known is None or known.archived_at is not None
        if is_new:
            limits.require_channel(principal, limits.plan_now(principal))
            Channel.objects.update_or_create(
                workspace_id=principal.workspace_id,
                name=name,
                defaults={"archived_at": None},
                create_defaults={"description": description},
            )
            wakeups.channel_made(principal.workspace_id)
    return {"ok": True, "channel": name, "created": is_new, "similar": similar(principal, name)}


def similar(principal: Principal, name: str) -> list[str]:
    """Return names of channels that look like this one: a typing error, or one name inside the other."""
    names = [
        other for other in access.channels(principal).values_list("name", flat=True)[:LISTED_MOST] if other != name
    ]
    close = difflib.get_close_matches(name, names, n=SIMILAR_MOST, cutoff=0.75)
    inside = [other for other in names if len(min(other, name, key=len)) > 2 and (other in name or name in other)]
    return list(dict.fromkeys([*close, *inside]))[:SIMILAR_MOST]


def list_all(principal: Principal) -> Channels:
    """Return the channels, latest activity first, then by name."""
    return _listed(principal, access.channels(principal))


def find(principal: Principal, *, query: str) -> Channels:
    """Return the channels whose name or description contains the text, as it is or as a channel name.

    Compared here, not in SQL: SQLite would fold the case of a to z alone.
    """
    text = words.literal(query)
    dashed = query.strip().lower().replace(" ", "-").replace("_", "-").lstrip("#") or text
    known = access.channels(principal)
    found = [
        pk
        for pk, name, about in known.values_list("pk", "name", "description")
        if text in name or dashed in name or text in words.literal(about)
    ]
    return _listed(principal, known.filter(pk__in=found[: LISTED_MOST + 1]))


def _listed(principal: Principal, query: QuerySet[Channel]) -> Channels:
    first_live = retention.first_live(principal)
    first_seq = Message.objects.filter(
        workspace=OuterRef("workspace"), channel=OuterRef("pk"), number__gte=first_live
    ).order_by("number")
    rows = list(
        query.annotate(first_seq=Subquery(first_seq.values("channel_seq")[:1], output_field=IntegerField()))[
            : LISTED_MOST + 1
        ]
    )
    senders = _active_senders(principal, first_live, [row.pk for row in rows])
    items = [_item(row, first_live, senders.get(row.pk, [])) for row in rows[:LISTED_MOST]]
    return {"channels": items, "has_more": True} if len(rows) > LISTED_MOST else {"channels": items}


def _active_senders(principal: Principal, first_live: int, channels: list[int]) -> dict[int, list[str]]:
    """Return who wrote something that has not expired, by channel, latest first."""
    found: dict[int, list[str]] = {}
    query = ChannelSender.objects.filter(workspace=principal.workspace_id, last_number__gte=first_live)
    if len(channels) < 100:
        query = query.filter(channel__in=channels)
    for channel, sender in query.order_by("-last_number").values_list("channel", "sender"):
        found.setdefault(channel, []).append(sender)
    return found


def _item(row: Channel, first_live: int, senders: list[str]) -> ChannelItem:
    first_seq: int | None = row.first_seq  # type: ignore[attr-defined]  # annotated above
    is_live = row.last_message_at is not None and row.last_number >= first_live
    return {
        "name": row.name,
        "description": row.description,
        "created_at": clock.iso(row.created_at),
        "message_count": 0 if first_seq is None else row.last_seq - first_seq + 1,
        "last_message_at": clock.iso(row.last_message_at) if is_live and row.last_message_at else None,
        "active_senders": ", ".join(senders),
    }
