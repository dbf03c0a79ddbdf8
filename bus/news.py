"""What moved, without content: SQL by hand for streams of events and of change notices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bus import presence
from bus.hot import fetch, moment, values
from crosswire.lib import clock

MOVED_MOST = 1_000


class Moved(NamedTuple):
    """A channel and the number of its newest message, by others than who asked."""

    channel: str
    newest: int


_SUBSCRIBED = """SELECT 1 FROM bus_channelsubscription s JOIN bus_instance i ON i.id = s.instance_id
  WHERE s.workspace_id = %s AND i.name = %s"""
_MOVED = """
SELECT NULL, k.last_number FROM bus_counters k WHERE k.workspace_id = %s
UNION ALL SELECT * FROM (
SELECT c.name, CASE WHEN c.last_sender = %s THEN c.last_other ELSE c.last_number END AS newest
  FROM bus_channel c
 WHERE c.workspace_id = %s AND c.last_number > %s AND c.archived_at IS NULL
   AND CASE WHEN c.last_sender = %s THEN c.last_other ELSE c.last_number END > %s
   AND {among}
 ORDER BY newest LIMIT {most}) AS moved
"""


def moved(workspace_id: int, reader: str, floor: int, channels: Sequence[str] | None) -> tuple[int, list[Moved]]:
    """Return the workspace's newest number, and which channels hold messages of others above one, oldest news first.

    `channels` None stands for those the reader has subscribed to, or all when there are none. One statement, so that
    nothing up to the newest number is left out; of very many channels the first `MOVED_MOST`.
    """
    if channels is None:
        among = f"(NOT EXISTS ({_SUBSCRIBED}) OR EXISTS ({_SUBSCRIBED} AND s.channel_id = c.id))"
        narrowing: list[object] = [workspace_id, reader, workspace_id, reader]
    else:
        among = f"c.name IN ({', '.join(['%s'] * len(channels))})"
        narrowing = list(channels)
    sql = _MOVED.format(among=among, most=MOVED_MOST)
    (_, newest), *rows = fetch(sql, [workspace_id, reader, workspace_id, floor, reader, floor, *narrowing])
    return newest, [Moved(*row) for row in rows]


class Standing(NamedTuple):
    """How a workspace stands: its newest number, and what shows that its channels or shared items changed."""

    newest: int
    lists: tuple[int, int, datetime | None]


def standings(workspaces: Sequence[int]) -> dict[int, Standing]:
    """Return how workspaces stand, in one statement for all of them."""
    rows = fetch(
        f"""SELECT k.workspace_id, k.last_number, k.data_bytes,
                   (SELECT count(*) FROM bus_channel c WHERE c.workspace_id = k.workspace_id AND c.archived_at IS NULL),
                   (SELECT max(i.created_at) FROM bus_shareditem i WHERE i.workspace_id = k.workspace_id)
              FROM (VALUES {values(len(workspaces), 1)}) AS d
              JOIN bus_counters k ON k.workspace_id = d.column1""",  # noqa: S608
        workspaces,
    )
    return {row[0]: Standing(row[1], (row[2], row[3], moment(row[4]))) for row in rows}


def active_since(floors: Sequence[tuple[int, int]]) -> list[tuple[int, str, int]]:
    """Return workspace, channel and newest number of every channel with a message above its workspace's number."""
    rows = fetch(
        f"""SELECT c.workspace_id, c.name, c.last_number FROM (VALUES {values(len(floors), 2)}) AS d
              JOIN bus_channel c ON c.workspace_id = d.column1 AND c.last_number > d.column2""",  # noqa: S608
        [value for pair in floors for value in pair],
    )
    return [(workspace, name, newest) for workspace, name, newest in rows]


class Room(NamedTuple):
    """How a channel stands for who has its page open: anything that changes in it shows in one of these."""

    workspace_id: int
    channel: str
    newest: int
    paused_at: Any
    archived_at: Any
    description: str
    waiting: int
    claims: int


_ROOMS = f"""
SELECT c.workspace_id, c.name, c.last_number, c.paused_at, c.archived_at, c.description,
       (SELECT COALESCE(SUM(DISTINCT w.instance_id), 0) FROM bus_wait w WHERE w.workspace_id = c.workspace_id
           AND w.channel_name IN (c.name, '') AND w.kind <> 'events' AND {presence.OPEN_WAIT.format("w")}),
       (SELECT COALESCE(SUM(k.id), 0) FROM bus_claim k WHERE k.workspace_id = c.workspace_id AND k.until > %s)
  FROM (VALUES {{pairs}}) AS d
  JOIN bus_channel c ON c.workspace_id = d.column1 AND c.name = d.column2
"""  # noqa: S608 - built from constants


def rooms(pairs: Sequence[tuple[int, str]]) -> list[Room]:
    """Return how channels stand, (workspace, name) by pair, in one statement for all of them."""
    now = clock.now()
    rows = fetch(
        _ROOMS.format(pairs=values(len(pairs), 2)),
        [*presence.open_wait_times(now), now, *(value for pair in pairs for value in pair)],
    )
    return [Room._make(row) for row in rows]
