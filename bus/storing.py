"""The SQL of a send: few statements for a whole batch. Everything here runs under the counters' lock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from accounts.principals import Principal
from bus import fates, presence, retention
from bus.hot import Place, execute, fetch, moment, move_cursor, values
from crosswire.lib.errors import CrossWireError

SYSTEM = "system"
"""The kind and the name of who writes what the product itself has to say; it is nobody's use."""


class Counted(NamedTuple):
    """The workspace's counters."""

    last_number: int
    last_at: datetime
    month: int
    month_messages: int


class WorkspaceFacts(NamedTuple):
    """What a send needs to know of its workspace, as it is now."""

    plan: str
    overrides: dict[str, Any]
    suspended_at: datetime | None
    suspended_reason: str


class Remembered(NamedTuple):
    """An idempotency key and the message it stored."""

    sender: str
    key: str
    body_digest: str
    number: int
    channel: str
    message_type: str
    created_at: datetime


@dataclass(slots=True, eq=False)
class ChannelState:
    """A channel while a batch writes to it; `pk` is None until it is made."""

    pk: int | None
    name: str
    is_paused: bool = False
    is_archived: bool = False
    last_seq: int = 0
    last_number: int = 0
    last_sender: str = ""
    last_other: int = 0
    last_message_at: datetime | None = None
    was_made: bool = False

    def write(self, number: int, sender: str, now: datetime) -> None:
        """Take in one more message."""
        if sender != self.last_sender:
            self.last_other, self.last_sender = self.last_number, sender
        self.last_seq, self.last_number, self.last_message_at = self.last_seq + 1, number, now


@dataclass(slots=True, eq=False)
class SenderState:
    """An instance while a batch stores messages of it; `pk` is None until it is made."""

    pk: int | None
    name: str
    joined_number: int
    last_seen_at: datetime | None = None
    is_present: bool = False
    client: str = ""
    is_changed: bool = False

    def holds_place(self, now: datetime) -> bool:
        """Whether it was seen within the time that keeps a place."""
        return presence.holds_place(self.last_seen_at, now, is_present=self.is_present)

    def wrote(self, now: datetime, client: str) -> None:
        """Note the sign of life."""
        if not self.is_present or self.last_seen_at is None or self.last_seen_at < now - presence.TOUCHED_EVERY:
            self.last_seen_at, self.is_present, self.is_changed = now, True, True
            self.client = self.client or client


class NewMessage(NamedTuple):
    """A message that was given its number."""

    number: int
    channel: ChannelState
    seq: int
    sender: str
    sender_kind: str
    member_id: int | None
    verified: bool
    message_type: str
    content: str
    in_reply_to: int | None
    created_at: datetime
    words: str


def lock_counters(workspace_id: int) -> Counted:
    """Lock the workspace's counters and return them. On SQLite the transaction itself (BEGIN IMMEDIATE) is the lock.

    A statement of its own: on PostgreSQL a look-up in the same statement would read the snapshot from before the wait.
    """
    lock = " FOR UPDATE" if connection.vendor == "postgresql" else ""
    sql = f"SELECT last_number, last_at, month, month_messages FROM bus_counters WHERE workspace_id = %s{lock}"  # noqa: S608
    rows = fetch(sql, [workspace_id])
    if not rows:
        raise CrossWireError("unauthorized", "This workspace no longer exists.")
    number, at, month, messages = rows[0]
    last_at = moment(at)
    assert last_at is not None
    return Counted(number, last_at, month, messages)


def workspace(workspace_id: int) -> WorkspaceFacts:
    """Return the plan and whether the workspace is suspended."""
    sql = "SELECT plan, overrides, suspended_at, suspended_reason FROM accounts_workspace WHERE id = %s"
    plan, overrides, suspended_at, reason = fetch(sql, [workspace_id])[0]
    return WorkspaceFacts(
        plan, overrides if isinstance(overrides, dict) else json.loads(overrides), moment(suspended_at), reason
    )


type Facts = tuple[dict[str, ChannelState], dict[str, SenderState], dict[tuple[str, str], Place]]


def facts(workspace_id: int, pairs: set[tuple[str, str]]) -> Facts:
    """Return the channels, senders and cursors that (channel, sender) pairs name, as far as they exist."""
    listed = sorted(pairs)
    rows = fetch(
        f"""SELECT d.column1, d.column2, c.id, c.paused_at, c.archived_at, c.last_seq, c.last_number, c.last_sender,
                   c.last_other, c.last_message_at, i.id, i.joined_number, i.last_seen_at, i.left_at, i.client,
                   cu.shown_to, cu.read_to, cu.handed_to, cu.pending_from, cu.pending_shown, cu.pending_read,
                   cu.pending_again, cu.pending_how, cu.pending_at
              FROM (VALUES {values(len(listed), 2)}) AS d
              LEFT JOIN bus_channel c ON c.workspace_id = %s AND c.name = d.column1
              LEFT JOIN bus_instance i ON i.workspace_id = %s AND i.name = d.column2
              LEFT JOIN bus_cursor cu ON cu.workspace_id = %s AND cu.channel_id = c.id AND cu.instance_id = i.id""",  # noqa: S608
        [*(value for pair in listed for value in pair), workspace_id, workspace_id, workspace_id],
    )
    channels: dict[str, ChannelState] = {}
    senders: dict[str, SenderState] = {}
    places: dict[tuple[str, str], Place] = {}
    for row in rows:
        channel, sender = row[:2]
        if row[2] is not None and channel not in channels:
            channels[channel] = ChannelState(
                pk=row[2],
                name=channel,
                is_paused=row[3] is not None,
                is_archived=row[4] is not None,
                last_seq=row[5],
                last_number=row[6],
                last_sender=row[7],
                last_other=row[8],
                last_message_at=moment(row[9]),
            )
        if row[10] is not None and sender not in senders:
            senders[sender] = SenderState(row[10], sender, row[11], moment(row[12]), row[13] is None, row[14])
        if row[16] is not None:
            places[channel, sender] = Place._make((row[2], channel, 0, *row[15:23], moment(row[23]), 0))
    return channels, senders, places


def remembered(workspace_id: int, wanted: set[Any], since: datetime) -> dict[tuple[str, str], Remembered]:
    """Return the idempotency keys that are known and young enough, by (sender, key)."""
    listed = sorted(wanted)
    rows = fetch(
        f"""SELECT k.sender, k.key, k.body_digest, k.number, k.channel_name, k.message_type, k.created_at
              FROM (VALUES {values(len(listed), 2)}) AS d
              JOIN bus_idempotencykey k ON k.workspace_id = %s AND k.sender = d.column1 AND k.key = d.column2
             WHERE k.created_at > %s""",  # noqa: S608
        [*(value for pair in listed for value in pair), workspace_id, since],
    )
    return {(row[0], row[1]): Remembered(*row) for row in rows}


def is_live(workspace_id: int, channel_id: int, number: int, principal: Principal) -> bool:
    """Return whether an unexpired message of that number is in the channel."""
    sql = "SELECT 1 FROM bus_message WHERE workspace_id = %s AND channel_id = %s AND number = %s"
    return number >= retention.first_live(principal) and bool(fetch(sql, [workspace_id, channel_id, number]))


def write(
    workspace_id: int,
    counters: Counted,
    stored: Sequence[NewMessage],
    *,
    keys: Sequence[Remembered],
    people: dict[str, SenderState],
    moved: Sequence[tuple[str, Place]],
    now: datetime,
) -> None:
    """Write a batch that was decided."""
    for channel in {id(new.channel): new.channel for new in stored}.values():
        _write_channel(workspace_id, channel, now)
    _write_messages(workspace_id, stored)
    _write_senders(workspace_id, stored)
    _write_usage(workspace_id, stored, now)
    if answers := [(new.in_reply_to, new.sender) for new in stored if new.in_reply_to is not None]:
        _write_reply_counts(workspace_id, [parent for parent, _ in answers])
        fates.release(workspace_id, answers)  # before cursors, as a claim locks them
    # By place, as whoever moves several cursors locks them; several moves of one keep their order.
    for sender, place in sorted(moved, key=lambda each: (each[1].channel_id, people[each[0]].pk or 0)):
        if (instance_id := people[sender].pk) is not None:
            move_cursor(workspace_id, instance_id, place)
    if keys:
        _write_keys(workspace_id, keys)
    execute(
        "UPDATE bus_counters SET last_number = %s, last_at = %s, month = %s, month_messages = %s"
        " WHERE workspace_id = %s",
        [counters.last_number, counters.last_at, counters.month, counters.month_messages, workspace_id],
    )


def write_people(workspace_id: int, people: dict[str, SenderState], now: datetime) -> None:
    """Write the senders' signs of life."""
    for person in people.values():
        if person.is_changed:
            _write_instance(workspace_id, person, now)


def _write_channel(workspace_id: int, channel: ChannelState, now: datetime) -> None:
    state = [channel.last_seq, channel.last_number, channel.last_sender, channel.last_other, channel.last_message_at]
    if channel.pk is not None:
        execute(
            "UPDATE bus_channel SET last_seq = %s, last_number = %s, last_sender = %s, last_other = %s,"
            " last_message_at = %s, archived_at = NULL WHERE workspace_id = %s AND id = %s",
            [*state, workspace_id, channel.pk],
        )
        return
    made = fetch(
        "INSERT INTO bus_channel (last_seq, last_number, last_sender, last_other, last_message_at, workspace_id, name,"
        " description, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, '', %s) RETURNING id",
        [*state, workspace_id, channel.name, now],
    )
    channel.pk, channel.was_made = made[0][0], True


def _write_messages(workspace_id: int, stored: Sequence[NewMessage]) -> None:
    execute(
        "INSERT INTO bus_message (workspace_id, number, channel_id, channel_seq, sender, sender_kind, member_id,"  # noqa: S608
        " verified, message_type, content, in_reply_to, reply_count, created_at, words)"
        f" VALUES {values(len(stored), 14)}",
        [
            value
            for new in stored
            for value in (
                workspace_id,
                new.number,
                new.channel.pk,
                new.seq,
                new.sender,
                new.sender_kind,
                new.member_id,
                new.verified,
                new.message_type,
                new.content,
                new.in_reply_to,
                0,
                new.created_at,
                new.words,
            )
        ],
    )


def _write_senders(workspace_id: int, stored: Sequence[NewMessage]) -> None:
    last = {(new.channel.pk, new.sender): new for new in stored}
    execute(
        f"INSERT INTO bus_channelsender (workspace_id, channel_id, sender, last_number, last_at)"  # noqa: S608
        f" VALUES {values(len(last), 5)} ON CONFLICT (workspace_id, channel_id, sender)"
        " DO UPDATE SET last_number = excluded.last_number, last_at = excluded.last_at",
        [
            value
            for (channel, sender), new in last.items()
            for value in (workspace_id, channel, sender, new.number, new.created_at)
        ],
    )


def _write_usage(workspace_id: int, stored: Sequence[NewMessage], now: datetime) -> None:
    count: dict[str, int] = {}
    for new in stored:
        if new.sender_kind != SYSTEM:
            count[new.sender] = count.get(new.sender, 0) + 1
    if not count:
        return
    execute(
        f"INSERT INTO accounts_usageday (workspace_id, day, instance, messages) VALUES {values(len(count), 4)}"  # noqa: S608
        " ON CONFLICT (workspace_id, day, instance)"
        " DO UPDATE SET messages = accounts_usageday.messages + excluded.messages",
        [value for sender, messages in count.items() for value in (workspace_id, now.date(), sender, messages)],
    )


def _write_reply_counts(workspace_id: int, parents: Iterable[int]) -> None:
    for number in parents:
        execute(
            "UPDATE bus_message SET reply_count = reply_count + 1 WHERE workspace_id = %s AND number = %s",
            [workspace_id, number],
        )


def _write_instance(workspace_id: int, person: SenderState, now: datetime) -> None:
    rows = fetch(
        "INSERT INTO bus_instance (workspace_id, name, description, client, joined_number, created_at, last_seen_at,"
        " released_at) VALUES (%s, %s, '', %s, %s, %s, %s, '{}') ON CONFLICT (workspace_id, name)"
        " DO UPDATE SET last_seen_at = excluded.last_seen_at, left_at = NULL RETURNING id",
        [workspace_id, person.name, person.client, person.joined_number, now, person.last_seen_at],
    )
    person.pk = rows[0][0]


def _write_keys(workspace_id: int, keys: Sequence[Remembered]) -> None:
    execute(
        "INSERT INTO bus_idempotencykey (workspace_id, sender, key, body_digest, number, channel_name, message_type,"  # noqa: S608
        f" created_at) VALUES {values(len(keys), 8)} ON CONFLICT (workspace_id, sender, key) DO UPDATE SET"
        " body_digest = excluded.body_digest, number = excluded.number, channel_name = excluded.channel_name,"
        " message_type = excluded.message_type, created_at = excluded.created_at",
        [value for key in keys for value in (workspace_id, *key)],
    )
