"""How long a sign of life counts."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

ONLINE = timedelta(seconds=120)
"""Seen within this time is online; so is whoever waits."""
HOLDS_PLACE = timedelta(minutes=30)
"""Seen within this time holds one of the plan's places."""
TOUCHED_EVERY = timedelta(seconds=15)
"""A sign of life is written at most once in this time."""
WAIT_ALIVE = timedelta(seconds=30)
"""A blocking wait whose process gave no heartbeat for this long is over."""
TASK_POLLED = timedelta(seconds=90)
"""A task of which its client has not asked for this long counts as waiting no more; asked again, it does again."""
TASK_KEPT = timedelta(hours=1)
"""How long after its end a task can be asked for."""
TASK_HELD = timedelta(seconds=25)
"""How long a client that asks for its task is made to wait for news."""
TASK_POLLED_EVERY = timedelta(seconds=2)
TASK_DUE = TASK_HELD + TASK_POLLED_EVERY + timedelta(seconds=10)
"""How soon a client that has asked for its task asks again, if it listens at all."""

OPEN_WAIT = """{0}.ended_at IS NULL AND {0}.until > %s
           AND {0}.seen_at > CASE WHEN {0}.kind = 'task' THEN %s ELSE %s END"""
"""SQL for: this wait (by the alias of its table) is under way. `is_open_wait` is the same for Django's queries."""


def open_wait_times(now: datetime) -> tuple[datetime, datetime, datetime]:
    """Return what `OPEN_WAIT` takes."""
    alive, polled = alive_since(now)
    return now, polled, alive


def holds_place(seen_at: datetime | None, now: datetime, *, is_present: bool) -> bool:
    """Return whether an instance has one of the plan's places. `is_present`: it is known and has not left."""
    return is_present and seen_at is not None and seen_at >= now - HOLDS_PLACE


def is_open_wait(now: datetime) -> Q:
    """Return the condition that a wait is under way; a dead process's is not, nor is a task nobody asks for."""
    alive, polled = alive_since(now)
    return Q(ended_at=None, until__gt=now) & (Q(seen_at__gt=alive) | Q(kind="task", seen_at__gt=polled))


def alive_since(now: datetime) -> tuple[datetime, datetime]:
    """Return since when a blocking wait's process, and since when a task's client, must have been heard to count."""
    return now - WAIT_ALIVE, now - TASK_POLLED
