"""A wait as a task (semantics 16b): a row and a query, no worker. It lives by itself; a client asks for it by its id.

What it found is kept by numbers, so that whoever asks again within the hour is told the same; what has expired
meanwhile is left out.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from accounts import principals
from accounts.principals import Principal
from bus import access, beats, hot, presence, retention
from bus.models import Wait
from bus.results import Inbox, MessageItem, Messages, Waited
from bus.services import endings, instances, limits, reading, waits
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, not_found

SHORT_SECONDS = 20.0
"""Who asks for no longer than this waits in the call itself."""
LIFE = timedelta(hours=24)
TASKS_A_WAIT = 10
"""Unfinished tasks of a workspace for each wait it may have: those for which nobody asks are no waits, but rows."""
CANCELLED = "cancelled"
LISTENING = "listening"
"""What `ended` says to who waits although its task does already."""


@dataclass(frozen=True, slots=True)
class Task:
    """How a task stands. `channel` is "" for the inbox; `result` is None while it is working and when cancelled;
    `is_channel_there` is known to who begins it alone."""

    token: str
    channel: str
    instance: str
    status: str
    created_at: datetime
    updated_at: datetime
    until: datetime
    result: Waited | Inbox | None = None
    newest: int = 0
    is_channel_there: bool = True

    @property
    def operation(self) -> str:
        """Return which operation became this task."""
        return "wait_for_reply" if self.channel else "inbox"

    @property
    def arguments(self) -> dict[str, str]:
        """Return what a client would have asked for."""
        return {"instance_id": self.instance} | ({"channel": self.channel} if self.channel else {})

    @property
    def is_over(self) -> bool:
        """Return whether nothing will change any more."""
        return self.status != "working"

    @property
    def life(self) -> timedelta:
        """Return for how long after its creation it can be asked for."""
        return (self.updated_at if self.is_over else self.until) + presence.TASK_KEPT - self.created_at


def is_long(operation: str, given: Mapping[str, Any], valid: Mapping[str, Any]) -> bool:
    """Return whether a call asks to wait for long. `given`: the arguments as they came, without defaults."""
    if operation == "inbox":
        return bool(valid["wait"] > SHORT_SECONDS)
    if operation != "wait_for_reply" or not valid["persistent"]:
        return False
    is_short = given.get("timeout_seconds") is not None and valid["timeout_seconds"] <= SHORT_SECONDS
    life = valid["max_wait_minutes"]
    return not is_short and (life is None or life * 60 > SHORT_SECONDS)


def wait_for_reply(
    principal: Principal,
    *,
    channel: str,
    instance_id: str,
    after_id: int | None = None,
    max_wait_minutes: float | None = None,
    role: str = "active",
    **others: Any,
) -> Waited | Task:
    """Return what is there already, or a task that waits for it.

    Raises: CrossWireError `limit_reached` (open waits of a workspace, or a place), `wrong_instance`.
    """
    del others  # they bound a wait that blocks
    asked = _asked(principal, instance_id, channel=channel, limit=waits.WAITED_LIMIT, role=role, after_id=after_id)
    instance, found = waits.take(asked)
    assert asked.floor is not None
    if found is not None:
        answer = waits.told(found, channel, asked.floor, "message", 0)
        _move_on(asked, instance, answer["resume_after_id"])
        return answer
    life = LIFE if max_wait_minutes is None else timedelta(minutes=max_wait_minutes)
    task = _open(asked, instance, life)
    if task is not None:
        return replace(task, is_channel_there=asked.is_channel_there)
    return waits.told(waits.nothing(asked), channel, asked.floor, LISTENING, 0)


def inbox(
    principal: Principal, *, instance_id: str, limit: int = 20, ack: dict[str, int] | None = None, wait: float = 0
) -> Inbox | Task:
    """Return what is unread already, or a task that waits for something. Raises: as `wait_for_reply`."""
    del wait
    asked = _asked(principal, instance_id, channel="", limit=limit)
    asked.floor = access.last_number(principal)  # read first: what is stored meanwhile lies above
    found = reading.inbox(principal, instance_id=asked.instance or "", limit=limit, ack=ack)
    if found["messages"]:
        found["ended"] = "message"
        return found
    task = _open(asked, instances.arrive(principal, asked.instance or "", None).instance_id, LIFE)
    return task or {**found, "ended": LISTENING}


def _asked(principal: Principal, instance_id: str, **fields: Any) -> waits.Asked:
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    common = {"after_id": None, "role": "active", "kind": Wait.Kind.TASK.value, "seconds": 0, "process": ""}
    return waits.Asked(principal=principal, instance=name, **common | fields)


def _open(asked: waits.Asked, instance: int, life: timedelta) -> Task | None:
    """Return the instance's unfinished task there with a new life, or a new one; None where a client listens to it.

    A client that is told of a task it holds already would ask for it twice and be woken twice.
    """
    now = clock.now()
    with writing():
        row = _unfinished(asked, instance)
        is_new = row is None
        if row is None:
            row = Wait(
                workspace_id=asked.principal.workspace_id,
                token=secrets.token_urlsafe(24),
                kind=asked.kind,
                channel_name=asked.channel,
                instance_id=instance,
                credential=asked.principal.credential,
                started_at=now,
            )
        row.role, row.client = asked.role, asked.principal.client
        row.floor, row.until, row.seen_at = asked.floor or 0, now + life, now
        row.arguments = {"limit": asked.limit}
        row.save()
        if is_new:
            waits.require_room(asked.principal, row.pk)
            _require_tasks(asked.principal, row.pk)
    if is_new:
        _require_access(asked, row)
    return None if row.poll_due_at and row.poll_due_at > now else _told(asked.principal, row)


def _require_tasks(principal: Principal, newest: int) -> None:
    """Raises: CrossWireError `limit_reached` when too many tasks wait, most of them for clients that ask no more."""
    if principal.plan.waits is None:
        return
    most = principal.plan.waits * TASKS_A_WAIT
    if access.unended_waits(principal).filter(kind=Wait.Kind.TASK, pk__lte=newest).count() > most:
        message = (
            f"This workspace has {most} unfinished tasks, its limit: cancel some, or ask for them so that they end."
        )
        raise limits.reached(principal, limits.plan_now(principal), message, most, most)


def _require_access(asked: waits.Asked, row: Wait) -> None:
    """Raises: CrossWireError when the right to wait was taken away before the task was stored: nobody ended it then."""
    try:
        principals.check_again(asked.principal, asked.instance)
    except CrossWireError:
        with writing():
            endings.end(access.tasks(asked.principal).filter(pk=row.pk), "revoked")
        raise


def _unfinished(asked: waits.Asked, instance: int) -> Wait | None:
    """Return the instance's task there that nothing has ended; one caller at a time."""
    access.lock_instance(asked.principal, instance)
    mine = access.tasks(asked.principal).filter(instance=instance, channel_name=asked.channel)
    # Locked: what ends it meanwhile must not be undone by who prolongs it.
    return mine.filter(ended_at=None, until__gt=clock.now()).select_for_update(of=("self",)).first()


def _move_on(asked: waits.Asked, instance: int, floor: int) -> None:
    """Have an unfinished task wait for what comes after an answer that was given beside it."""
    mine = access.tasks(asked.principal).filter(instance=instance, channel_name=asked.channel, ended_at=None)
    mine.filter(floor__lt=floor).update(floor=floor)


def poll(principal: Principal, token: str, process: str) -> Task:
    """Return how a task stands now, and note that its client asks, on this process.

    Raises: CrossWireError `not_found`: unknown, somebody else's, or gone.
    """
    now = clock.now()
    polled = beats.poll(principal.workspace_id, principal.credential, token, process, now)
    if polled is None:
        return find(principal, token)
    if polled.newest > polled.floor or polled.until <= now:
        _finish(principal, token, polled.newest)
        return replace(find(principal, token), newest=polled.newest)
    working = ("working", polled.started_at, now, polled.until)
    return Task(token, polled.channel, polled.instance, *working, newest=polled.newest)


def find(principal: Principal, token: str) -> Task:
    """Return how a task stands; nothing is noted. Raises: as `poll`."""
    row = access.tasks(principal).filter(token=token).first()
    if row is None or (row.ended_at or row.until) + presence.TASK_KEPT < clock.now():
        raise not_found("There is no such task.")
    return _told(principal, row)


def hang_up(principal: Principal, token: str, process: str) -> None:
    """Note that nobody listens to a task any more: its client left while it asked, and has asked no other process."""
    with writing():
        access.tasks(principal).filter(token=token, process=process).update(poll_due_at=None)


def cancel(principal: Principal, token: str) -> None:
    """End a task that has not ended yet. Raises: as `poll`."""
    with writing():
        if not find(principal, token).is_over:
            endings.end(access.tasks(principal).filter(token=token, ended_at=None), CANCELLED)


def _finish(principal: Principal, token: str, newest: int) -> None:
    """End a task with what is there for it, or because its life is over; one of those who ask at once does."""
    now = clock.now()
    with writing():
        row = access.tasks(principal).select_for_update(of=("self",)).filter(token=token, ended_at=None).first()
        if row is None:
            return
        found = _look(principal, row)
        messages = found["messages"] if found else []
        if messages or row.until <= now:
            row.ended, row.ended_at = "message" if messages else "time", now
            row.answer = _remembered(found) if found else None
            numbers = [message["id"] for message in messages]
            row.answer_from, row.answer_to = min(numbers, default=None), max(numbers, default=None)
        row.floor = row.floor if row.channel_name else max(row.floor, newest)
        row.save(update_fields=["ended", "ended_at", "answer", "answer_from", "answer_to", "floor"])


def _look(principal: Principal, row: Wait) -> Messages | Inbox | None:
    """Return what is there for a task, and remember it as handed out; nothing of this is a sign of life."""
    name = _instance(row)
    limit = row.arguments["limit"]
    channels = hot.UNREAD_CHANNELS + 1 if row.channel_name else reading.INBOX_CHANNELS
    first_live = retention.first_live(principal)
    found = hot.standing(principal.workspace_id, name, row.channel_name or None, first_live, channels)
    assert found is not None
    if not row.channel_name:
        places = {place.channel: place for place in found.elsewhere}
        return reading.hand_out_unread(principal, name, found, places, limit, is_task=True)
    if found.place is None:
        return None
    answer = reading.read(principal, found.place, name, row.floor, limit)
    place = reading.remember(principal, found, found.place, answer, is_task=True)
    return reading.result(answer, found, place)


def _remembered(found: Messages | Inbox) -> dict[str, Any]:
    """Return an answer with its messages by their numbers: their text stays where retention looks after it."""
    numbers: dict[str, list[int]] = {}
    for message in found["messages"]:
        numbers.setdefault(message["channel"], []).append(message["id"])
    again = [message["id"] for message in found["messages"] if message.get("again")]
    return {**found, "messages": numbers, "again": again}


def _messages(principal: Principal, answer: Mapping[str, Any]) -> list[MessageItem]:
    """Return the messages of an answer that was kept, those that have not expired."""
    gone = retention.first_live(principal)
    channels = {number: name for name, numbers in answer["messages"].items() for number in numbers if number >= gone}
    rows = hot.by_number(principal.workspace_id, sorted(channels))
    found = [reading.item(rows[number], channels[number]) for number in sorted(rows)]
    for message in found:
        if message["id"] in answer["again"]:
            message["again"] = True
    return found


def _told(principal: Principal, row: Wait) -> Task:
    """Return a row as a task."""
    common = (row.token, row.channel_name, _instance(row))
    if row.ended_at is None:
        return Task(*common, "working", row.started_at, row.seen_at, row.until)
    ended = (row.started_at, row.ended_at, row.until)
    if row.ended == CANCELLED:
        return Task(*common, CANCELLED, *ended)
    answer: dict[str, Any] = row.answer or {"messages": {}, "again": [], **_NOTHING[bool(row.channel_name)]}
    found = {key: value for key, value in answer.items() if key != "again"}
    found["messages"] = _messages(principal, answer)
    if not row.channel_name:
        return Task(*common, "completed", *ended, result=cast("Inbox", {**found, "ended": row.ended}))
    waited = (row.ended_at - row.started_at).total_seconds()
    result = waits.told(cast("Messages", found), row.channel_name, row.floor, row.ended, waited)
    return Task(*common, "completed", *ended, result=result)


_NOTHING: dict[bool, dict[str, Any]] = {
    True: {"last_id": None, "has_more": False},
    False: {"unread": {}, "has_more": False},
}


def _instance(row: Wait) -> str:
    assert row.instance is not None  # a task is always somebody's
    return row.instance.name
