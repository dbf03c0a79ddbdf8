"""Channels: making, finding, listing. Lists never count rows."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime

from django.db.models import IntegerField, OuterRef, Q, QuerySet, Subquery

from accounts.principals import PERSON, Principal
from bus import access, beats, retention, storing, wakeups
from bus.models import Channel, ChannelSender, Message
from bus.results import ChannelItem, ChannelMade, Channels
from bus.services import limits
from crosswire.lib import clock, words
from crosswire.lib.database import writing

LISTED_MOST = 1_000
SIMILAR_MOST = 5
SENDERS_MOST = 200
"""Senders that are named beside the latest channels, in all."""
SHOWN_SENDERS = 2_000
"""Senders that a page of channels looks at, the latest first."""


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


def latest(principal: Principal, most: int) -> Channels:
    """Return the channels with the latest activity, so many at most."""
    rows = list(access.channels(principal).values_list("pk", flat=True)[: most + 1])
    found = _listed(principal, access.channels(principal).filter(pk__in=rows[:most]), SENDERS_MOST)
    return {**found, "has_more": True} if len(rows) > most else found


def names(principal: Principal, most: int) -> list[str]:
    """Return the names of the channels with the latest activity."""
    return list(access.channels(principal).values_list("name", flat=True)[:most])


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


@dataclass(frozen=True)
class Card:
    """A channel as its list shows it to people: who wrote in it latest, who waits there."""

    row: Channel
    message_count: int
    last_message_at: datetime | None
    senders: list[str]
    waiting: list[str]


def cards(principal: Principal, *, query: str = "", start: int = 0, most: int, is_archived: bool = False) -> list[Card]:
    """Return channels for people, latest activity first, from the one at `start` on."""
    known = (access.archived_channels if is_archived else access.channels)(principal)
    if text := query.strip():
        known = known.filter(Q(name__icontains=text) | Q(description__icontains=text))
    first_live = retention.first_live(principal)
    rows = list(_with_first_seq(known, first_live)[start : start + most])
    if not rows:
        return []
    senders = _active_senders(principal, first_live, [row.pk for row in rows], SHOWN_SENDERS)
    waiting = beats.waiting(principal.workspace_id, [row.name for row in rows], clock.now())
    return [_card(row, senders.get(row.pk, []), waiting[row.name]) for row in rows]


def _card(row: Channel, senders: list[str], waiting: set[str]) -> Card:
    count = _count(row)
    last = row.last_message_at if count else None  # the last one goes last: without any left it has expired too
    return Card(row, count, last, [name.removeprefix(PERSON) for name in senders], sorted(waiting))


def _with_first_seq(query: QuerySet[Channel], first_live: int) -> QuerySet[Channel]:
    """Add each channel's `first_seq`, that of its oldest message which has not expired."""
    first_seq = Message.objects.filter(
        workspace=OuterRef("workspace"), channel=OuterRef("pk"), number__gte=first_live
    ).order_by("number")
    return query.annotate(first_seq=Subquery(first_seq.values("channel_seq")[:1], output_field=IntegerField()))


def _count(row: Channel) -> int:
    first_seq: int | None = row.first_seq  # type: ignore[attr-defined]  # annotated by `_with_first_seq`
    return 0 if first_seq is None else row.last_seq - first_seq + 1


def _listed(principal: Principal, query: QuerySet[Channel], senders_most: int | None = None) -> Channels:
    first_live = retention.first_live(principal)
    rows = list(_with_first_seq(query, first_live)[: LISTED_MOST + 1])
    senders = _active_senders(principal, first_live, [row.pk for row in rows], senders_most)
    items = [_item(row, senders.get(row.pk, [])) for row in rows[:LISTED_MOST]]
    return {"channels": items, "has_more": True} if len(rows) > LISTED_MOST else {"channels": items}


def _active_senders(
    principal: Principal, first_live: int, channels: list[int], most: int | None = None
) -> dict[int, list[str]]:
    """Return who wrote something that has not expired, by channel, latest first; of very many the latest `most`."""
    found: dict[int, list[str]] = {}
    query = ChannelSender.objects.filter(workspace=principal.workspace_id, last_number__gte=first_live)
    query = query.exclude(sender=storing.SYSTEM)
    if len(channels) < 100:
        query = query.filter(channel__in=channels)
    for channel, sender in query.order_by("-last_number").values_list("channel", "sender")[:most]:
        found.setdefault(channel, []).append(sender)
    return found


def _item(row: Channel, senders: list[str]) -> ChannelItem:
    count = _count(row)
    return {
        "name": row.name,
        "description": row.description,
        "created_at": clock.iso(row.created_at),
        "message_count": count,
        "last_message_at": clock.iso(row.last_message_at) if count and row.last_message_at else None,
        "active_senders": ", ".join(senders),
    }
