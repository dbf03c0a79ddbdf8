"""What the bus puts into an export: its tables as rows, and each channel as a text that people can read.

The last number is taken first. Messages up to it never change but for their count of replies, so the files agree with
each other while others go on sending; and every channel they are in is there already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db.models import F, QuerySet

from accounts import principals
from accounts.archive import Archive
from accounts.models import Workspace
from accounts.principals import Principal
from bus import access, retention
from bus.models import Channel, ChannelSubscription, Claim, Cursor, HandOut, Instance, Message, SharedItem
from crosswire.lib import clock, prose

AT_ONCE = 500
"""Rows read together: as messages, of at most 64,000 characters each, some ten megabytes."""
BYTES_AT_ONCE = 5_000_000
_MESSAGE = ("sender", "sender_kind", "verified", "message_type", "content", "in_reply_to", "reply_count", "created_at")
_CHANNEL = ("name", "description", "created_at", "paused_at", "archived_at", "last_message_at")
_INSTANCE = ("description", "client", "created_at", "last_seen_at", "left_at")
_BETWEEN = {"channel_name": F("channel__name"), "instance_name": F("instance__name")}

type Row = dict[str, Any]


def write(archive: Archive, workspace: Workspace) -> None:
    """Write all that has not expired."""
    principal = principals.of_job(workspace)
    last, first = access.last_number(principal), retention.first_live(principal)
    channels = list(Channel.objects.filter(workspace=workspace.pk).order_by("name"))
    messages = Message.objects.filter(workspace=workspace.pk, number__gte=first, number__lte=last)
    about = "Messages in the order they were stored. id is the number they are named by; times never decrease with it."
    archive.rows("messages", about, _messages(messages, {each.pk: each.name for each in channels}))
    for table, about, rows in _tables(principal, first):
        archive.rows(table, about, rows)
    for channel in channels:
        archive.text(f"channels/{_file_name(channel)}.md", _conversation(channel, messages.filter(channel=channel.pk)))
    archive.tell("channels/*.md", "Each channel as a text to read.")


def _tables(principal: Principal, first: int) -> Iterator[tuple[str, str, Iterable[Mapping[str, object]]]]:
    """Return table, what it is, and its rows; each streamed in the order of an index of the workspace's."""
    home = principal.workspace_id
    channels = Channel.objects.filter(workspace=home).order_by("name").values(*_CHANNEL)
    yield "channels", "Channels, archived ones too.", channels.iterator(AT_ONCE)
    people = Instance.objects.filter(workspace=home).order_by("name").values(*_INSTANCE, instance_id=F("name"))
    yield "instances", "The sessions and scripts that took part.", people.iterator(AT_ONCE)
    yield "shared_data", "Shared data, each item with its text.", _shared(principal)
    cursors = Cursor.objects.filter(workspace=home).order_by("channel", "instance")
    moved = cursors.values("shown_to", "read_to", "updated_at", **_BETWEEN)
    yield "cursors", "Up to which id an instance was shown a channel, and has read it.", moved.iterator(AT_ONCE)
    wanted = ChannelSubscription.objects.filter(workspace=home).order_by("channel", "instance")
    yield "subscriptions", "Who wants to hear of which channel.", wanted.values("created_at", **_BETWEEN).iterator()
    claims = Claim.objects.filter(workspace=home, number__gte=first).order_by("number")
    taken = claims.values("claimed_at", "until", message_id=F("number"), instance_name=F("instance__name"))
    yield "claims", "Requests and handoffs that somebody took, until when.", taken.iterator(AT_ONCE)
    handed = HandOut.objects.filter(workspace=home, to_number__gte=first).order_by("at")
    ranges = handed.values("at", from_id=F("from_number"), to_id=F("to_number"), **_BETWEEN)
    told = "Which messages of a channel an answer held (those of others, from_id to to_id), to whom, when."
    yield "receipts", told, ranges.iterator(AT_ONCE)


def _by_number(messages: QuerySet[Message]) -> Iterator[Row]:
    """Return messages in the order of their numbers, a bounded number at a time."""
    wanted = messages.order_by("number").values(*_MESSAGE, "number", "channel_id")
    rows = list(wanted[:AT_ONCE])
    while rows:
        yield from rows
        rows = list(wanted.filter(number__gt=rows[-1]["number"])[:AT_ONCE]) if len(rows) == AT_ONCE else []


def _messages(messages: QuerySet[Message], names: Mapping[int, str]) -> Iterator[Row]:
    for row in _by_number(messages):
        yield {"id": row["number"], "channel": names[row["channel_id"]], **{name: row[name] for name in _MESSAGE}}


def _shared(principal: Principal) -> Iterator[Row]:
    """Return shared items, so many at a time that their texts are of bounded size."""
    sizes = list(access.shared_items(principal).order_by("pk").values_list("pk", "size_bytes"))
    while sizes:
        some: list[int] = []
        size = 0
        while sizes and (not some or size + sizes[0][1] <= BYTES_AT_ONCE):
            pk, of_one = sizes.pop(0)
            some.append(pk)
            size += of_one
        fields = ("key", "content", "description", "created_by", "size_bytes", "created_at")
        yield from SharedItem.objects.filter(workspace=principal.workspace_id, pk__in=some).values(*fields)


def _file_name(channel: Channel) -> str:
    """Return a channel's name as part of a file's; names are safe, and this does not rely on it."""
    safe = re.sub(r"[^a-z0-9-]+", "-", channel.name.lower())
    return safe if safe == channel.name else f"{safe}-{channel.pk}"


def _conversation(channel: Channel, messages: QuerySet[Message]) -> Iterator[str]:
    """Return a channel as Markdown. What somebody wrote is quoted, names escaped: no message can look like two."""
    yield f"# #{channel.name}\n"
    if channel.description:
        yield f"\n{prose.escaped(channel.description)}\n"
    for row in _by_number(messages):
        kind = "" if row["message_type"] == Message.Type.MESSAGE else f" · {row['message_type']}"
        answers = f" · in reply to #{row['in_reply_to']}" if row["in_reply_to"] else ""
        head = f"#{row['number']} · {prose.escaped(row['sender'])}{kind}{answers} · {clock.iso(row['created_at'])}"
        yield f"\n## {head}\n\n{prose.quoted(row['content'])}\n"
