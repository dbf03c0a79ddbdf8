"""The database side of a wait: its row, its floor, what it finds, its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from accounts.principals import Principal
from bus import access, cursors, hot
from bus.models import Wait
from bus.results import Inbox, Messages
from bus.services import endings, instances, limits, reading
from crosswire.lib import clock
from crosswire.lib.database import DatabaseProblem, writing
from crosswire.lib.errors import unavailable


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
    floor: int | None = None
    newest: int = 0
    unread: dict[str, int] = field(default_factory=dict)
    is_open: bool = False


def look(asked: Asked, token: str) -> Messages | None:
    """Return what is there above the floor, or None; the first time take the wait's place as well.

    Raises: CrossWireError `limit_reached` (open waits of a workspace, or a place), `wrong_instance`.
    """
    if asked.instance is None or asked.principal.is_read_only:
        return _look_as_onlooker(asked, token)
    found = instances.arrive(asked.principal, asked.instance, asked.channel)
    asked.unread = instances.tell(found.elsewhere)
    if asked.floor is None:
        found = _begin(asked, found)
    assert asked.floor is not None
    asked.newest = found.place.newest if found.place else 0
    answer = None
    if found.place is not None:
        answer = reading.read(asked.principal, found.place, asked.instance, asked.floor, asked.limit)
    if answer is not None and answer.messages and found.place is not None:
        if not asked.is_open:
            supersede(asked, found.instance_id)
        place = reading.remember(asked.principal, found, found.place, answer)
        return reading.result(answer, found, place)
    if not asked.is_open:
        _open(asked, token, found.instance_id)
    return None


def _begin(asked: Asked, found: hot.Standing) -> hot.Standing:
    """Fix the floor; return where the instance stands after what the call says of the answer before it."""
    assert asked.instance is not None
    if found.place is None:
        asked.floor = asked.after_id if asked.after_id is not None else 0
        return found
    place = reading.settled(asked.principal, asked.instance, found.place, asked.after_id)
    asked.floor = cursors.floor_of(place, asked.after_id)
    if place != found.place:
        hot.move_cursor(asked.principal.workspace_id, found.instance_id, place, clock.now())
    return found._replace(place=place)


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
    if channel is not None:
        found = reading.check_as_onlooker(principal, asked.channel, asked.floor, asked.limit, asked.instance)
        if found["messages"]:
            return found
    if not asked.is_open:
        _open(asked, token, None)
    return None


def look_into_inbox(asked: Asked, token: str, ack: dict[str, int] | None) -> Inbox | None:
    """Return what is unread anywhere, or None; the first time take the wait's place as well."""
    assert asked.instance is not None
    asked.newest = access.last_number(asked.principal)
    found = reading.inbox(
        asked.principal, instance_id=asked.instance, limit=asked.limit, ack=None if asked.is_open else ack
    )
    if not asked.is_open:
        instance_id = instances.arrive(asked.principal, asked.instance, None).instance_id
        if found["messages"]:
            supersede(asked, instance_id)
        else:
            _open(asked, token, instance_id)
    return found if found["messages"] else None


def _open(asked: Asked, token: str, instance_id: int | None) -> None:
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
    if instance_id is not None:
        supersede(asked, instance_id, own=row.pk)
    most = principal.plan.waits
    if most is not None and access.open_waits(principal).filter(pk__lte=row.pk).count() > most:
        close(token)
        plan = limits.plan_now(principal)
        raise limits.reached(plan, f"This workspace has {most} waits open, its limit.", most, most)


def close(token: str) -> None:
    """Forget a wait's row. Its `until` does the same later should the database be away now."""
    try:
        with writing():
            Wait.objects.filter(token=token, kind__in=(Wait.Kind.BLOCKING, Wait.Kind.LISTENER)).delete()
    except DatabaseProblem:
        return


def beat(process: str) -> list[hot.Beat]:
    """Keep all waits of a process alive; return what each could have been woken for.

    Raises: CrossWireError `unavailable` when the database is away.
    """
    try:
        with writing():
            return hot.beat(process, clock.now())
    except DatabaseProblem as problem:
        raise unavailable("The database is away or busy.") from problem


def news(process: str) -> list[hot.Beat]:
    """Return what each wait of a process could have been woken for; nothing is written.

    Raises: CrossWireError `unavailable` when the database is away.
    """
    try:
        return hot.news(process)
    except DatabaseProblem as problem:
        raise unavailable("The database is away or busy.") from problem


def forget_process(process: str) -> None:
    """Forget all waits of a process that ends."""
    with writing():
        Wait.objects.filter(process=process, kind__in=(Wait.Kind.BLOCKING, Wait.Kind.LISTENER)).delete()
