"""SQL by hand for waits: which are open, how they stand, and their end; written once for PostgreSQL and SQLite.

What looks after the waits of a process names that process, everything else the workspace first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from bus import presence
from bus.hot import Statement, fetch, moment, values


def waiting(workspace_id: int, channels: Iterable[str], now: datetime) -> dict[str, set[str]]:
    """Return which instances wait on each channel now."""
    names = list(channels)
    rows = fetch(
        "SELECT w.channel_name, i.name FROM bus_wait w JOIN bus_instance i ON i.id = w.instance_id"  # noqa: S608
        f" WHERE w.workspace_id = %s AND {presence.OPEN_WAIT.format('w')}"
        f" AND w.channel_name IN ('', {', '.join(['%s'] * len(names))}) AND w.kind <> 'events'",
        [workspace_id, *presence.open_wait_times(now), *names],
    )
    found: dict[str, set[str]] = {name: set() for name in names}
    for channel, instance in rows:
        for name in [channel] if channel else names:  # "" is an inbox, which hears of every channel
            found[name].add(instance)
    return found


def forgotten(workspace_id: int, tokens: Sequence[str]) -> Statement:
    """Return the statement that deletes waits which have their answers, for the transaction of those answers.

    Several are locked in one order, as by whoever ends several: else the two might wait for each other.
    """
    locking = " FOR UPDATE" if connection.vendor == "postgresql" else ""
    own = f"SELECT id FROM bus_wait WHERE workspace_id = %s AND token IN {values(1, len(tokens))} ORDER BY id"  # noqa: S608 - placeholders
    sql = f"DELETE FROM bus_wait WHERE workspace_id = %s AND id IN ({own}{locking})"  # noqa: S608 - as above
    return sql, [workspace_id, workspace_id, *tokens]


class Beat(NamedTuple):
    """A wait: what ended it from outside ("" for nothing), and the newest number where it waits."""

    token: str
    ended: str
    newest: int


_THERE = """CASE WHEN channel_name = '' THEN
             (SELECT k.last_number FROM bus_counters k WHERE k.workspace_id = bus_wait.workspace_id)
           ELSE (SELECT CASE WHEN c.last_sender = i.name THEN c.last_other ELSE c.last_number END
                   FROM bus_channel c LEFT JOIN bus_instance i ON i.id = bus_wait.instance_id
                  WHERE c.workspace_id = bus_wait.workspace_id AND c.name = bus_wait.channel_name) END"""


def beat(process: str, now: datetime) -> list[Beat]:
    """Mark all waits of a process as alive, in one statement; return how each stands. Tasks live by being asked for.

    Those that somebody ends or answers just now are left for the next time: to queue for many rows of others is a
    deadlock with whoever ends several waits at once.
    """
    skipping = " FOR NO KEY UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    return _beats(
        "WITH mine AS MATERIALIZED (SELECT id FROM bus_wait WHERE process = %s"  # noqa: S608
        f" AND (kind <> 'task' OR poll_due_at > %s){skipping})"
        " UPDATE bus_wait SET seen_at = CASE WHEN kind = 'task' THEN seen_at ELSE %s END"
        f" WHERE id IN (SELECT id FROM mine) RETURNING token, ended, {_THERE}",
        [process, now, now],
    )


def news(process: str, now: datetime) -> list[Beat]:
    """Return how each wait of a process stands, in one statement that writes nothing and so wakes nobody else."""
    return _beats(
        f"SELECT token, ended, {_THERE} FROM bus_wait"  # noqa: S608
        " WHERE process = %s AND (kind <> 'task' OR poll_due_at > %s)",
        [process, now],
    )


def news_of(tokens: Sequence[str]) -> list[Beat]:
    """Return how waits stand that are known by their tokens, whichever process they were last seen at."""
    wanted = ", ".join(["%s"] * len(tokens))
    return _beats(f"SELECT token, ended, {_THERE} FROM bus_wait WHERE token IN ({wanted})", tokens)  # noqa: S608


def _beats(sql: str, params: Sequence[Any]) -> list[Beat]:
    return [Beat(token, ended, newest or 0) for token, ended, newest in fetch(sql, params)]


class Polled(NamedTuple):
    """A task that is asked for. `newest`: the newest number where it waits."""

    channel: str
    instance: str
    floor: int
    started_at: datetime
    until: datetime
    newest: int


_WHO = "(SELECT i.name FROM bus_instance i WHERE i.workspace_id = bus_wait.workspace_id AND i.id = instance_id)"


def poll(workspace_id: int, credential: str, token: str, process: str, now: datetime) -> Polled | None:
    """Note that a client asks for its task, on this process; None when it has no such task that is unfinished."""
    rows = fetch(
        "UPDATE bus_wait SET seen_at = %s, poll_due_at = %s, process = %s WHERE workspace_id = %s AND credential = %s"  # noqa: S608
        f" AND token = %s AND kind = 'task' AND ended_at IS NULL RETURNING channel_name, {_WHO},"
        f" floor, started_at, until, {_THERE}",
        [now, now + presence.TASK_DUE, process, workspace_id, credential, token],
    )
    if not rows:
        return None
    channel, instance, floor, began, ends, newest = rows[0]
    started_at, until = moment(began), moment(ends)
    assert started_at is not None
    assert until is not None
    return Polled(channel, instance, floor, started_at, until, newest or 0)
