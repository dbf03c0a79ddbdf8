"""SQL by hand for the calls agents make all day: reading after a number, and storing a batch of messages.

Written once for PostgreSQL and SQLite. Every statement names the workspace first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connection

from bus import presence
from crosswire.lib import clock
from crosswire.lib.database import write_together

UNREAD_CHANNELS = 5
_COUNTED = 200

type Params = Sequence[Any] | Mapping[str, Any]
"""What a statement is given: in order (`%s`) or by name (`%(name)s`)."""


type Statement = tuple[str, Sequence[Any]]


def fetch(sql: str, params: Params) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, _given(params))
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def execute(sql: str, params: Params) -> None:
    """Run a statement for its effect."""
    with connection.cursor() as cursor:
        cursor.execute(sql, _given(params))


def together(*statements: Statement) -> None:
    """Run statements for their effect, as one transaction."""
    write_together([(sql, _given(params)) for sql, params in statements])


def _given(params: Params) -> Any:
    if isinstance(params, Mapping):
        return {name: _to_db(value) for name, value in params.items()}
    return [_to_db(value) for value in params]


def _to_db(value: Any) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
    return value


def moment(value: Any) -> datetime | None:
    """Return a time as the database gave it (aware, naive or text) as an aware one."""
    if value is None:
        return None
    parsed: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def values(rows: int, columns: int) -> str:
    """Return placeholders for a VALUES list."""
    row = f"({', '.join(['%s'] * columns)})"
    return ", ".join([row] * rows)


def among(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return placeholders for IN, in brackets, and what they are given."""
    given = {f"name_{index}": name for index, name in enumerate(names)}
    return f"({', '.join(f'%({name})s' for name in given)})", given


class Place(NamedTuple):
    """Where an instance stands in a channel. `newest` is the newest number there that is not its own."""

    channel_id: int
    channel: str
    newest: int
    shown_to: int | None
    read_to: int
    handed_to: int
    pending_from: int | None
    pending_shown: int | None
    pending_read: int | None
    pending_again: int | None
    pending_how: str
    pending_at: datetime | None
    unread: int


class Standing(NamedTuple):
    """An instance, what registered it, its place in the channel asked for (None: no such channel), and where else it
    has unread.

    `unheard`: where a task of it waits for which no client asks ("" the inbox), None when there is none.
    """

    instance_id: int
    name: str
    joined_number: int
    last_seen_at: datetime
    is_present: bool
    client: str
    place: Place | None
    elsewhere: list[Place]
    unheard: str | None = None


_NEWEST = "CASE WHEN c.last_sender = i.name THEN c.last_other ELSE c.last_number END"
_FLOOR = """CASE WHEN COALESCE(cu.read_to, i.joined_number) < %(gone)s THEN %(gone)s
            ELSE COALESCE(cu.read_to, i.joined_number) END"""
_STANDINGS = f"""
SELECT i.name, i.id, i.joined_number, i.last_seen_at, i.left_at, i.client,
       (SELECT w.channel_name FROM bus_wait w WHERE w.workspace_id = i.workspace_id AND w.instance_id = i.id
           AND w.kind = 'task' AND w.ended_at IS NULL AND w.until > %(now)s AND w.seen_at <= %(polled)s LIMIT 1),
       0 AS nth, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM bus_instance i WHERE i.workspace_id = %(workspace)s AND i.name IN {{names}}
UNION ALL
SELECT p.instance, NULL, NULL, NULL, NULL, NULL, NULL, p.nth, p.channel_id, p.channel, p.newest, p.shown_to, p.read_to,
       p.handed_to, p.pending_from, p.pending_shown, p.pending_read, p.pending_again, p.pending_how, p.pending_at,
       (SELECT count(*) FROM (SELECT m.sender FROM bus_message m
         WHERE m.workspace_id = p.workspace_id AND m.channel_id = p.channel_id AND m.number > p.floor
         ORDER BY m.number LIMIT {_COUNTED}) AS following WHERE following.sender <> p.instance)
  FROM (
SELECT i.workspace_id, i.name AS instance, c.id AS channel_id, c.name AS channel, {_NEWEST} AS newest, cu.shown_to,
       COALESCE(cu.read_to, i.joined_number) AS read_to, COALESCE(cu.handed_to, 0) AS handed_to, cu.pending_from,
       cu.pending_shown, cu.pending_read, cu.pending_again, COALESCE(cu.pending_how, '') AS pending_how, cu.pending_at,
       {_FLOOR} AS floor, row_number() OVER (
         PARTITION BY i.id ORDER BY CASE WHEN c.name = %(channel)s THEN 0 ELSE 1 END, c.last_number DESC) AS nth
  FROM bus_instance i
  JOIN bus_channel c ON c.workspace_id = i.workspace_id AND (c.name = %(channel)s OR c.last_number > i.joined_number)
  LEFT JOIN bus_cursor cu ON cu.workspace_id = i.workspace_id AND cu.channel_id = c.id AND cu.instance_id = i.id
 WHERE i.workspace_id = %(workspace)s AND i.name IN {{names}}
   AND (c.name = %(channel)s OR (c.archived_at IS NULL AND {_NEWEST} > {_FLOOR}))) AS p
 WHERE p.nth <= %(most)s
"""  # noqa: S608 - built from constants


def standing(
    workspace_id: int, instance: str, channel: str | None, first_live: int, channels: int = UNREAD_CHANNELS + 1
) -> Standing | None:
    """Return where an instance stands, in one statement; None when it is unknown."""
    return standings(workspace_id, [instance], channel, first_live, channels).get(instance)


def standings(
    workspace_id: int,
    instances: Sequence[str],
    channel: str | None,
    first_live: int,
    channels: int = UNREAD_CHANNELS + 1,
) -> dict[str, Standing]:
    """Return where instances stand, those that are known, in one statement. `channels`: how many beside the one asked
    for."""
    now = clock.now()
    wanted, names = among(instances)
    given = {
        "workspace": workspace_id,
        "channel": channel or "",
        "gone": first_live - 1,
        "most": channels + (channel is not None),
        "now": now,
        "polled": presence.alive_since(now)[1],
    }
    rows = fetch(_STANDINGS.replace("{names}", wanted), given | names)
    heads = [row for row in rows if not row[7]]
    places: dict[str, list[Place]] = {row[0]: [] for row in heads}
    for row in sorted((row for row in rows if row[7]), key=itemgetter(7)):
        places[row[0]].append(Place._make((*row[8:19], moment(row[19]), min(row[20], 100))))
    return {row[0]: _standing(row, places[row[0]], channel) for row in heads}


def _standing(head: tuple[Any, ...], places: Sequence[Place], channel: str | None) -> Standing:
    name, instance_id, joined_number, last_seen_at, left_at, client, unheard = head[:7]
    own = next((place for place in places if place.channel == channel), None)
    elsewhere = [place for place in places if place is not own and place.unread]
    seen = moment(last_seen_at)
    assert seen is not None
    return Standing(instance_id, name, joined_number, seen, left_at is None, client, own, elsewhere, unheard)


class Row(NamedTuple):
    """A stored message."""

    number: int
    sender: str
    content: str
    message_type: str
    in_reply_to: int | None
    created_at: datetime
    reply_count: int
    verified: bool
    sender_kind: str


_MESSAGE = "number, sender, content, message_type, in_reply_to, created_at, reply_count, verified, sender_kind"


def _row(raw: tuple[Any, ...]) -> Row:
    return Row._make((*raw[:5], moment(raw[5]), raw[6], bool(raw[7]), raw[8]))


def channel_id(workspace_id: int, name: str) -> int | None:
    """Return a channel's key, None when there is none of that name."""
    rows = fetch("SELECT id FROM bus_channel WHERE workspace_id = %s AND name = %s", [workspace_id, name])
    return rows[0][0] if rows else None


def after(workspace_id: int, channel_id: int, floor: int, reader: str | None, limit: int) -> list[Row]:
    """Return the oldest messages above a number that are not the reader's own, oldest first."""
    mine = " AND sender <> %s" if reader else ""
    params = [workspace_id, channel_id, floor, *([reader] if reader else []), limit]
    sql = f"SELECT {_MESSAGE} FROM bus_message WHERE workspace_id = %s AND channel_id = %s AND number > %s{mine}"  # noqa: S608
    return [_row(raw) for raw in fetch(f"{sql} ORDER BY number LIMIT %s", params)]


def numbers_after(workspace_id: int, channel_id: int, floor: int, reader: str, limit: int) -> list[int]:
    """Return the oldest numbers above one that are not the reader's own."""
    rows = fetch(
        "SELECT number FROM bus_message WHERE workspace_id = %s AND channel_id = %s AND number > %s AND sender <> %s"
        " ORDER BY number LIMIT %s",
        [workspace_id, channel_id, floor, reader, limit],
    )
    return [row[0] for row in rows]


def by_number(workspace_id: int, numbers: Sequence[int]) -> dict[int, Row]:
    """Return messages by their numbers."""
    if not numbers:
        return {}
    wanted = ", ".join(["%s"] * len(numbers))
    sql = f"SELECT {_MESSAGE} FROM bus_message WHERE workspace_id = %s AND number IN ({wanted})"  # noqa: S608
    return {raw[0]: _row(raw) for raw in fetch(sql, [workspace_id, *numbers])}


def newest(workspace_id: int, channel_id: int, first_live: int, reader: str | None, limit: int) -> list[Row]:
    """Return the newest messages that are not the reader's own, newest first."""
    mine = " AND sender <> %s" if reader else ""
    params = [workspace_id, channel_id, first_live, *([reader] if reader else []), limit]
    sql = f"SELECT {_MESSAGE} FROM bus_message WHERE workspace_id = %s AND channel_id = %s AND number >= %s{mine}"  # noqa: S608
    return [_row(raw) for raw in fetch(f"{sql} ORDER BY number DESC LIMIT %s", params)]


def is_by_another(workspace_id: int, channel_id: int, number: int, reader: str) -> bool:
    """Return whether a number is a message of that channel by somebody else."""
    return bool(
        fetch(
            "SELECT 1 FROM bus_message WHERE workspace_id = %s AND channel_id = %s AND number = %s AND sender <> %s",
            [workspace_id, channel_id, number, reader],
        )
    )


def unread(workspace_id: int, channel_id: int, floor: int, reader: str) -> int:
    """Return how many messages of others lie above a number, among the next 200 rows; 100 for more than 99."""
    rows = fetch(
        "SELECT count(*) FROM (SELECT sender FROM bus_message WHERE workspace_id = %s AND channel_id = %s"  # noqa: S608
        f" AND number > %s ORDER BY number LIMIT {_COUNTED}) AS following WHERE sender <> %s",
        [workspace_id, channel_id, floor, reader],
    )
    return min(int(rows[0][0]), 100)


_BIGGER = "CASE WHEN excluded.{0} > bus_cursor.{0} THEN excluded.{0} ELSE bus_cursor.{0} END"
_MOVE = f"""
INSERT INTO bus_cursor (workspace_id, channel_id, instance_id, shown_to, read_to, handed_to, pending_from,
                        pending_shown, pending_read, pending_again, pending_how, pending_at, updated_at)
VALUES {{rows}}
ON CONFLICT (workspace_id, channel_id, instance_id) DO UPDATE SET
  shown_to = CASE WHEN bus_cursor.shown_to IS NULL OR excluded.shown_to > bus_cursor.shown_to
             THEN excluded.shown_to ELSE bus_cursor.shown_to END,
  read_to = {_BIGGER.format("read_to")}, handed_to = {_BIGGER.format("handed_to")},
  pending_from = excluded.pending_from, pending_shown = excluded.pending_shown,
  pending_read = excluded.pending_read, pending_again = excluded.pending_again,
  pending_how = excluded.pending_how, pending_at = excluded.pending_at,
  updated_at = excluded.updated_at
"""  # noqa: S608 - built from constants


def move_cursor(workspace_id: int, instance_id: int, place: Place) -> None:
    """Store where an instance stands; its two numbers never go back, whatever runs beside this."""
    execute(*cursors_moved(workspace_id, {instance_id: place}))


def cursors_moved(workspace_id: int, places: Mapping[int, Place]) -> Statement:
    """Return the statement that stores where instances (by their keys) stand, locking them in one order."""
    now = clock.now()
    rows = [
        (
            workspace_id,
            place.channel_id,
            instance_id,
            place.shown_to,
            place.read_to,
            place.handed_to,
            place.pending_from,
            place.pending_shown,
            place.pending_read,
            place.pending_again,
            place.pending_how,
            place.pending_at,
            now,
        )
        for instance_id, place in sorted(places.items())
    ]
    return _MOVE.replace("{rows}", values(len(rows), 13)), [value for row in rows for value in row]


class Handed(NamedTuple):
    """An answer: to whom (by key), what (numbers), when. `place`: where the instance stood before."""

    instance_id: int
    place: Place
    numbers: Sequence[int]
    at: datetime


_HAND_OUT = "INSERT INTO bus_handout (workspace_id, channel_id, instance_id, from_number, to_number, at)"
_UNLESS_KNOWN = """ SELECT %s, %s, %s, %s, %s, %s
 WHERE NOT EXISTS (SELECT 1 FROM bus_handout WHERE workspace_id = %s AND channel_id = %s AND instance_id + 0 = %s
                      AND from_number = %s AND to_number = %s)"""  # + 0: by the range's index, not by the instance's


def hand_out(workspace_id: int, answer: Handed) -> None:
    """Record that an answer held these messages (for receipts)."""
    for statement in handed_out(workspace_id, [answer]):
        execute(*statement)


def handed_out(workspace_id: int, answers: Iterable[Handed]) -> list[Statement]:
    """Return the statements of `hand_out` for several answers, one for all that are new.

    The same range once more tells nothing new, so who asks for the newest again and again leaves one row. Only what
    does not go beyond everything handed out so far can be such a repeat.
    """
    new: list[Any] = []
    repeats: list[Statement] = []
    for instance_id, place, numbers, at in answers:
        row = [workspace_id, place.channel_id, instance_id, min(numbers), max(numbers)]
        if max(numbers) > place.handed_to:
            new += [*row, at]
        else:
            repeats.append((_HAND_OUT + _UNLESS_KNOWN, [*row, at, *row]))
    return [*([(f"{_HAND_OUT} VALUES {values(len(new) // 6, 6)}", new)] if new else []), *repeats]


def handed(workspace_id: int, channel_id: int, instance: str, first: int, last: int) -> list[tuple[int, int]]:
    """Return from where to where the answers went that held anything between two numbers."""
    rows = fetch(
        "SELECT DISTINCT h.from_number, h.to_number FROM bus_handout h JOIN bus_instance i ON i.id = h.instance_id"
        " WHERE h.workspace_id = %s AND h.channel_id = %s AND h.to_number >= %s AND h.from_number <= %s"
        " AND i.name = %s",
        [workspace_id, channel_id, first, last, instance],
    )
    return [(start, end) for start, end in rows]


def make_strict(workspace_id: int, channel_id: int, instance_id: int, at: datetime) -> None:
    """Have a pending answer confirmed only by an id of it or an ack."""
    execute(
        "UPDATE bus_cursor SET pending_how = 'strict' WHERE workspace_id = %s AND channel_id = %s AND instance_id = %s"
        " AND pending_at = %s AND pending_shown IS NOT NULL",
        [workspace_id, channel_id, instance_id, at],
    )
