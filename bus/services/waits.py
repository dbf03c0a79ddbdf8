"""The database side of a wait: its row, its floor, what it finds, its end."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from accounts import principals
from accounts.principals import Principal
from bus import access, beats, clients, cursors, hot
from bus.models import Wait
from bus.results import Inbox, Messages, ToInstance, Waited
from bus.services import endings, instances, limits, reading
from crosswire.lib import clock
from crosswire.lib.database import DatabaseProblem, waiting_at_most, writing
from crosswire.lib.errors import CrossWireError, unavailable

WAITED_LIMIT = 100
"""Messages in the answer of `wait_for_reply`, at most."""
TOUCH_SECONDS = 1.0
"""How long an answer waits for noting that its instance is there."""
ASKED_TOGETHER = 500
"""Waits that one statement looks for by their tokens."""


@dataclass(slots=True)
class Asked:
    """What is waited for. `floor` is fixed when the wait begins: a read beside it hides nothing from it."""

    principal: Principal
    channel: str
    instance: str | None
    after_id: int | None
    limit: int
    kind: str
    role: str
    seconds: float
    process: str
    wanted: float = 0
    """How many seconds at most, once it is known what registered the instance; 0 where that changes nothing."""
    floor: int | None = None
    newest: int = 0
    is_channel_there: bool = True
    beside: ToInstance = field(default_factory=ToInstance)
    is_open: bool = False
    party_since: datetime | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the instance that asks, of whom it is known that there is one."""
        assert self.instance is not None
        return self.instance


def look(asked: Asked, token: str) -> Messages | None:
    """Return what is there above the floor, or None; the first time take the wait's place as well.

    Raises: CrossWireError `limit_reached` (open waits of a workspace, or a place), `wrong_instance`.
    """
    if asked.instance is None or asked.principal.is_read_only:
        return _look_as_onlooker(asked, token)
    instance_id, answer = take(asked, token if asked.is_open else "")
    if answer is not None and asked.is_open:
        asked.is_open = False
    elif answer is not None:
        supersede(asked, instance_id)
    elif not asked.is_open:
        open_row(asked, token, instance_id)
    return answer


def take(asked: Asked, ends: str = "") -> tuple[int, Messages | None]:
    """Return the key of the instance that asks, and what is there above the floor, which the first look fixes.

    `ends`: the token of the stored wait that is over with this answer.
    """
    found = instances.arrive(asked.principal, asked.name, asked.channel, is_call=not asked.is_open)
    if asked.floor is None:
        _bound(asked, found)
        found = _begin(asked, found)
    held = above_floor(asked, found, ends)
    if held is None:
        return found.instance_id, None
    store(asked.principal, held)
    return found.instance_id, held.result()


def store(principal: Principal, *holdings: reading.Holding) -> None:
    """Store what the answers of different instances hold, and that those were there, if it can be."""
    reading.store(principal.workspace_id, *holdings)
    with suppress(DatabaseProblem), waiting_at_most(TOUCH_SECONDS):  # the answers are given
        instances.touch(principal, *(held.found for held in holdings))


def above_floor(
    asked: Asked, found: hot.Standing, ends: str, ahead: reading.Ahead | None = None
) -> reading.Holding | None:
    """Return what is there above the floor, to be stored, None when nothing is; arguments as of `take`."""
    assert asked.floor is not None
    asked.beside = reading.beside(found, found.place, asked.floor)
    asked.newest = found.place.newest if found.place else 0
    asked.is_channel_there = found.place is not None
    if found.place is None:
        return None
    answer = reading.read(asked.principal, found.place, asked.name, asked.floor, asked.limit, ahead=ahead)
    return reading.holding(found, found.place, answer, ends=ends) if answer.messages else None


def nothing(asked: Asked) -> Messages:
    """Return an answer without messages, with what was unread elsewhere when the wait last looked."""
    answer: Messages = {**reading.empty(), **asked.beside}
    if not asked.is_channel_there:
        answer["no_such_channel"] = True
    return answer


def told(answer: Messages | None, channel: str, floor: int, why: str, seconds: float) -> Waited:
    """Return what a wait on a channel answers: what came, or that nothing did, what ended it, and how to go on."""
    answer = answer or reading.empty()
    is_done = any(message["message_type"] == "done" for message in answer["messages"])
    return {
        **answer,  # type: ignore[typeddict-item]  # what a mutual wait tells beside is not here
        "channel": channel,
        "ended": "done" if is_done else why,
        "waited_seconds": round(seconds, 1),
        "resume_after_id": resume_after(answer, floor),
    }


def resume_after(answer: Messages, floor: int) -> int:
    """Return the id to wait on from: the last that was answered, else where the wait began."""
    return floor if answer["last_id"] is None else answer["last_id"]


def look_around(asked: Asked) -> None:
    """Note, at the end of a long wait, that its client is there, and what it has not read beside what it waits for."""
    if asked.instance is None or asked.principal.is_read_only:
        return
    found = instances.arrive(asked.principal, asked.instance, asked.channel or None)
    asked.beside = reading.beside(found, found.place, asked.floor or 0)
    asked.is_channel_there = found.place is not None or not asked.channel


def _begin(asked: Asked, found: hot.Standing) -> hot.Standing:
    """Fix the floor; return where the instance stands after what the call says of the answer before it."""
    assert asked.instance is not None
    if found.place is None:
        asked.floor = asked.after_id if asked.after_id is not None else 0
        return found
    place = reading.settled(asked.principal, asked.instance, found.place, asked.after_id)
    asked.floor = cursors.floor_of(place, asked.after_id)
    if place != found.place:
        hot.move_cursor(asked.principal.workspace_id, found.instance_id, place)
    return found._replace(place=place)


def _bound(asked: Asked, found: hot.Standing) -> None:
    """Let the wait last as long as the client survives, now that it is known what registered the instance."""
    if not asked.wanted:
        return  # it has a bound of its own
    over_stdio = asked.principal.kind == principals.STDIO
    longest = clients.ceiling(asked.principal.client, found.client, over_stdio=over_stdio)
    asked.seconds = min(asked.wanted, longest)


def supersede(asked: Asked, instance_id: int, own: int | None = None) -> None:
    """End the instance's older blocking waits on that channel. `own`: the row of the new one; if another was stored
    meanwhile, the later row stays."""
    beside = access.open_waits(asked.principal).filter(
        channel_name=asked.channel, instance=instance_id, kind__in=(Wait.Kind.BLOCKING, Wait.Kind.LISTENER)
    )
    rows = list(beside.order_by("pk").values_list("pk", flat=True))
    if over := rows if own is None else rows[:-1]:
        endings.end(Wait.objects.filter(pk__in=over), "superseded")


def _look_as_onlooker(asked: Asked, token: str) -> Messages | None:
    """Look without being anybody: from `after_id`, or from what is the newest when the wait begins."""
    principal = asked.principal
    channel = access.find_channel(principal, asked.channel)
    if asked.floor is None:
        newest = channel.last_number if channel else 0
        asked.floor = newest if asked.after_id is None else asked.after_id
    asked.newest = channel.last_number if channel else 0
    asked.is_channel_there = channel is not None
    if channel is not None:
        found = reading.check_as_onlooker(principal, asked.channel, asked.floor, asked.limit, asked.instance)
        if found["messages"]:
            return found
    if not asked.is_open:
        open_row(asked, token, None)
    return None


def look_into_inbox(asked: Asked, token: str, ack: dict[str, int] | None) -> Inbox | None:
    """Return what is unread anywhere, or None; the first time take the wait's place as well."""
    assert asked.instance is not None
    asked.newest = access.last_number(asked.principal)
    found = reading.inbox(
        asked.principal, instance_id=asked.instance, limit=asked.limit, ack=None if asked.is_open else ack
    )
    asked.beside = {"unheard": found["unheard"]} if "unheard" in found else {}
    if not asked.is_open:
        standing = instances.arrive(asked.principal, asked.instance, None)
        _bound(asked, standing)
        if found["messages"]:
            supersede(asked, standing.instance_id)
        else:
            open_row(asked, token, standing.instance_id)
    return found if found["messages"] else None


def open_row(asked: Asked, token: str, instance_id: int | None) -> None:
    """Store the wait's row: it makes the instance present, counts against the limit, and lets others end it.

    Stored first and looked around second, so that of two that begin together each can see the other.
    """
    principal = asked.principal
    now = clock.now()
    row = Wait.objects.create(
        workspace_id=principal.workspace_id,
        token=token,
        kind=asked.kind,
        role=asked.role,
        channel_name=asked.channel,
        instance_id=instance_id,
        credential=principal.credential,
        client=principal.client,
        process=asked.process,
        floor=asked.floor or 0,
        started_at=now,
        seen_at=now,
        until=now + timedelta(seconds=asked.seconds + 5),
    )
    asked.is_open = True
    try:
        principals.check_again(principal, asked.instance)  # whoever took it away meanwhile has not seen this row
    except CrossWireError:
        close(token)
        raise
    is_stream = asked.kind == Wait.Kind.EVENTS
    if instance_id is not None and asked.kind == Wait.Kind.BLOCKING and asked.role == "active":
        asked.party_since = now
    if instance_id is not None and not is_stream:
        supersede(asked, instance_id, own=row.pk)
    try:
        require_room(principal, row.pk, is_stream=is_stream)
    except CrossWireError:
        close(token)
        raise


def require_room(principal: Principal, newest: int, *, is_stream: bool = False) -> None:
    """Raises: CrossWireError `limit_reached` when the plan allows no wait (or stream) beside those up to this row."""
    most = principal.plan.waits
    if most is None:
        return
    beside = access.open_waits(principal).filter(pk__lte=newest)
    beside = beside.filter(kind=Wait.Kind.EVENTS) if is_stream else beside.exclude(kind=Wait.Kind.EVENTS)
    if beside.count() > most:
        plan = limits.plan_now(principal)
        what = "streams of events" if is_stream else "waits"
        raise limits.reached(
            principal, plan, f"Plan {plan.title} has {most} {what} at once and all are open.", most, most
        )


def close(*tokens: str) -> None:
    """Forget the rows of waits. Their `until` does the same later should the database be away now."""
    try:
        with writing():
            Wait.objects.filter(token__in=tokens).exclude(kind=Wait.Kind.TASK).delete()
    except DatabaseProblem:
        return


def about(token: str) -> dict[str, Any]:
    """Return what is known of a wait's end, {} when it is over for other reasons."""
    found = Wait.objects.filter(token=token).values_list("arguments", flat=True).first()
    return found or {}


def beat(process: str) -> list[beats.Beat]:
    """Keep all waits of a process alive; return what each could have been woken for.

    Raises: CrossWireError `unavailable` when the database is away.
    """
    try:
        with writing():
            return beats.beat(process, clock.now())
    except DatabaseProblem as problem:
        raise unavailable("The database is away or busy.") from problem


def news(process: str) -> list[beats.Beat]:
    """Return what each wait of a process could have been woken for; nothing is written.

    Raises: CrossWireError `unavailable` when the database is away.
    """
    try:
        return beats.news(process, clock.now())
    except DatabaseProblem as problem:
        raise unavailable("The database is away or busy.") from problem


def news_of(tokens: Collection[str]) -> list[beats.Beat]:
    """Return what each of these waits could have been woken for, as `news` does.

    Raises: CrossWireError `unavailable` when the database is away.
    """
    try:
        return [beat for some in batched(tokens, ASKED_TOGETHER, strict=False) for beat in beats.news_of(some)]
    except DatabaseProblem as problem:
        raise unavailable("The database is away or busy.") from problem


def forget_process(process: str) -> None:
    """Forget all waits of a process that ends."""
    with writing():
        Wait.objects.filter(process=process).exclude(kind=Wait.Kind.TASK).delete()
