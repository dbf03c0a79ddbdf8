"""SQL by hand for what became of a message: to whom it was handed, who has claimed it.

Written once for PostgreSQL and SQLite. Every statement names the workspace first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from bus.hot import execute, fetch, moment, values

_FOLLOWING = 1_000
_ANSWERS_MOST = 5_000


class Handed(NamedTuple):
    """An instance that was handed a message, and when first. `answers`: how many of its answers were looked at."""

    instance: str
    at: datetime
    answers: int


_HANDED = f"""
SELECT i.name, MIN(h.at), COUNT(*) FROM (
SELECT instance_id, at FROM bus_handout WHERE workspace_id = %s AND channel_id = %s AND to_number >= %s
   AND to_number <= COALESCE((SELECT m.number FROM bus_message m
                   WHERE m.workspace_id = %s AND m.channel_id = %s AND m.channel_seq = %s), %s)
   AND from_number <= %s
 ORDER BY to_number LIMIT {_ANSWERS_MOST}) AS h
  JOIN bus_instance i ON i.id = h.instance_id
 WHERE i.name <> %s
 GROUP BY i.name ORDER BY MIN(h.at), i.name
"""  # noqa: S608 - built from constants
_BIGGEST = 2**63 - 1


def handed(workspace_id: int, channel_id: int, number: int, seq: int, sender: str) -> tuple[list[Handed], bool]:
    """Return to whom a message (its number, its place in the channel) was handed, first ones first; and whether there
    may be more.

    An answer held everything of others from its first number to its last, 200 messages at most. So one that held this
    message ends among those that follow it in the channel: further ones are not looked at, however many there are.
    """
    channel = [workspace_id, channel_id]
    rows = fetch(_HANDED, [*channel, number, *channel, seq + _FOLLOWING, _BIGGEST, number, sender])
    found = []
    for name, at, answers in rows:
        first = moment(at)
        assert first is not None
        found.append(Handed(name, first, answers))
    return found, sum(each.answers for each in found) >= _ANSWERS_MOST


class Holder(NamedTuple):
    """Who has claimed a message, and until when."""

    instance_id: int
    instance: str
    until: datetime


def holder(workspace_id: int, number: int, now: datetime) -> Holder | None:
    """Return who holds a message now."""
    rows = fetch(
        "SELECT c.instance_id, i.name, c.until FROM bus_claim c JOIN bus_instance i ON i.id = c.instance_id"
        " WHERE c.workspace_id = %s AND c.number = %s AND c.until > %s",
        [workspace_id, number, now],
    )
    if not rows:
        return None
    until = moment(rows[0][2])
    assert until is not None
    return Holder(rows[0][0], rows[0][1], until)


def replies(workspace_id: int, number: int) -> int:
    """Return how many replies a message has by now."""
    rows = fetch("SELECT reply_count FROM bus_message WHERE workspace_id = %s AND number = %s", [workspace_id, number])
    return rows[0][0] if rows else 0


_HELD = """
SELECT k.number, i.name, k.until FROM bus_claim k
  JOIN bus_instance i ON i.id = k.instance_id
  JOIN bus_message m ON m.workspace_id = k.workspace_id AND m.number = k.number
 WHERE k.workspace_id = %s AND k.until > %s AND m.channel_id = %s
 ORDER BY k.number DESC LIMIT 200
"""


def held(workspace_id: int, channel_id: int, now: datetime) -> dict[int, tuple[str, datetime]]:
    """Return who has claimed which messages of a channel, and until when; the newest 200."""
    found: dict[int, tuple[str, datetime]] = {}
    for number, name, raw in fetch(_HELD, [workspace_id, now, channel_id]):
        until = moment(raw)
        assert until is not None
        found[number] = name, until
    return found


_CLAIM = """
INSERT INTO bus_claim (workspace_id, number, instance_id, claimed_at, until) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (workspace_id, number) DO UPDATE SET
  claimed_at = CASE WHEN bus_claim.instance_id = excluded.instance_id AND bus_claim.until > excluded.claimed_at
               THEN bus_claim.claimed_at ELSE excluded.claimed_at END,
  instance_id = excluded.instance_id, until = excluded.until
WHERE bus_claim.until <= excluded.claimed_at OR bus_claim.instance_id = excluded.instance_id
"""


def claim(workspace_id: int, number: int, instance_id: int, now: datetime, until: datetime) -> None:
    """Have an instance hold a message, or hold it longer; another's claim that has not run out stays.

    One statement decides, so of many that come together one gets it. Inside a transaction `holder` then tells who:
    the row is locked, whoever holds it.
    """
    execute(_CLAIM, [workspace_id, number, instance_id, now, until])


def release(workspace_id: int, held: Sequence[tuple[int, str]]) -> None:
    """End the claims on these messages that these instances hold: (number, instance)."""
    execute(
        "DELETE FROM bus_claim WHERE workspace_id = %s AND (number, instance_id) IN (SELECT d.column1, i.id"  # noqa: S608
        f" FROM (VALUES {values(len(held), 2)}) AS d"
        " JOIN bus_instance i ON i.workspace_id = %s AND i.name = d.column2)",
        [workspace_id, *(value for pair in held for value in pair), workspace_id],
    )
