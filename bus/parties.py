"""The SQL of mutual waits: one statement for all parties of a process, and everyone they could hear from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from bus import mutual, presence
from bus.hot import among, execute, fetch, moment

_OPEN = presence.OPEN_WAIT % ("%(now)s", "%(polled)s", "%(alive)s")
_PARTY = f"{{0}}.kind = 'blocking' AND {{0}}.role = 'active' AND {{0}}.instance_id IS NOT NULL AND {_OPEN}"
_CONCERNED = f"""
SELECT DISTINCT mine.workspace_id FROM bus_wait mine
 WHERE mine.process = %(process)s AND mine.started_at <= %(until)s AND {_PARTY.format("mine")}
"""  # noqa: S608 - built from constants, as below
_AWAKE = f"""
i.left_at IS NULL AND i.last_seen_at > %(online)s AND NOT EXISTS (
  SELECT 1 FROM bus_wait b WHERE b.workspace_id = i.workspace_id AND b.instance_id = i.id AND b.kind <> 'task'
     AND b.started_at >= i.last_seen_at AND {_OPEN.format("b")})
"""  # noqa: S608
# What traces there are is asked one by one: joined, a planner that takes these for many reads whole tables.
_SCENES = f"""
WITH concerned AS ({_CONCERNED}), party AS MATERIALIZED (
  SELECT w.workspace_id, w.instance_id, w.channel_name, w.token, w.started_at
    FROM concerned JOIN bus_wait w ON w.workspace_id = concerned.workspace_id
   WHERE {_PARTY.format("w")}
), crowded AS MATERIALIZED (
  SELECT workspace_id FROM party WHERE started_at <= %(until)s
   GROUP BY workspace_id HAVING min(instance_id) < max(instance_id)
), place AS MATERIALIZED (
  SELECT DISTINCT p.workspace_id, p.channel_name, c.id, c.last_seq
    FROM crowded JOIN party p ON p.workspace_id = crowded.workspace_id
    LEFT JOIN bus_channel c ON c.workspace_id = crowded.workspace_id AND c.name = p.channel_name
), present AS MATERIALIZED (
  SELECT i.workspace_id, i.id, i.name, i.released_at, CASE WHEN {_AWAKE} THEN 1 ELSE 0 END AS is_awake
    FROM crowded JOIN bus_instance i ON i.workspace_id = crowded.workspace_id
   WHERE i.left_at IS NULL AND (i.last_seen_at > %(online)s OR i.id IN (SELECT instance_id FROM party))
)
SELECT place.workspace_id, place.channel_name, place.last_seq, present.id, present.name, present.released_at,
       p.token, p.started_at, present.is_awake
  FROM place
  JOIN present ON present.workspace_id = place.workspace_id
  LEFT JOIN party p ON p.workspace_id = place.workspace_id AND p.instance_id = present.id
                   AND p.channel_name = place.channel_name
 WHERE p.token IS NOT NULL
    OR (SELECT max(k.updated_at) FROM bus_cursor k WHERE k.workspace_id = place.workspace_id
           AND k.channel_id = place.id AND k.instance_id = present.id) > %(recent)s
    OR (SELECT max(s.last_at) FROM bus_channelsender s WHERE s.workspace_id = place.workspace_id
           AND s.channel_id = place.id AND s.sender = present.name) > %(recent)s
"""  # noqa: S608

_LEAVE_TRACES = """
INSERT INTO bus_cursor (workspace_id, channel_id, instance_id, read_to, handed_to, pending_how, updated_at)
SELECT c.workspace_id, c.id, i.id, i.joined_number, 0, '', %(now)s
  FROM bus_channel c JOIN bus_instance i ON i.workspace_id = c.workspace_id AND i.id = %(instance)s
 WHERE c.workspace_id = %(workspace)s AND c.name IN {names} ORDER BY c.id
    ON CONFLICT (workspace_id, channel_id, instance_id) DO UPDATE SET updated_at = excluded.updated_at
"""


class _Row(NamedTuple):
    """That somebody has to do with a channel where parties wait, and with a token, that it waits there itself."""

    workspace_id: int
    channel: str
    last_seq: int | None
    instance_id: int
    name: str
    released_at: Any
    token: str | None
    started_at: Any
    is_awake: int


@dataclass(slots=True)
class Scene:
    """The parties of one workspace and whom they could hear from. `tokens`: of each instance's waits, by channel."""

    waits: list[mutual.PartyWait] = field(default_factory=list)
    traces: set[tuple[str, str]] = field(default_factory=set)
    awake: set[str] = field(default_factory=set)
    ids: dict[str, int] = field(default_factory=dict)
    tokens: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    last_seqs: dict[str, int] = field(default_factory=dict)

    def channels_of(self, names: frozenset[str]) -> list[str]:
        """Return where these instances wait."""
        return sorted({channel for name, channel in self.tokens if name in names})


def scenes(process: str, now: datetime) -> dict[int, Scene]:
    """Return, by workspace, what there is around the parties of a process that have waited longer than the grace.

    Workspaces where fewer than two parties have are left out. Awake is who was seen within the time that counts as
    online, and later than its newest blocking call began: to listen is no sign of being about to speak. A task blocks
    nobody, and asking for it is no sign of life.
    """
    times = {
        **dict(zip(("now", "polled", "alive"), presence.open_wait_times(now), strict=True)),
        "until": now - mutual.GRACE,
        "online": now - presence.ONLINE,
        "recent": now - mutual.RECENT,
    }
    found: dict[int, Scene] = {}
    for raw in fetch(_SCENES, {"process": process, **times}):
        row = _Row._make(raw)
        _add(found.setdefault(row.workspace_id, Scene()), row)
    return found


def leave_traces(workspace_id: int, instance_id: int, channels: Iterable[str], now: datetime) -> None:
    """Note that an instance was told something about channels, so that it may be expected to write there."""
    given = {"workspace": workspace_id, "instance": instance_id, "now": now}
    wanted, names = among(channels)
    execute(_LEAVE_TRACES.replace("{names}", wanted), given | names)


def _add(scene: Scene, row: _Row) -> None:
    scene.traces.add((row.channel, row.name))
    if row.is_awake:
        scene.awake.add(row.name)
    since = moment(row.started_at)
    if row.token is None or since is None:
        return
    last_seq = row.last_seq or 0
    released: dict[str, int] = row.released_at if isinstance(row.released_at, dict) else json.loads(row.released_at)
    scene.ids[row.name] = row.instance_id
    scene.tokens.setdefault((row.name, row.channel), []).append(row.token)
    scene.last_seqs[row.channel] = last_seq
    was_released = released.get(row.channel, -1) >= last_seq
    scene.waits.append(mutual.PartyWait(row.name, row.channel, since, was_released))
