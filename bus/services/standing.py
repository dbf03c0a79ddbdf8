"""How a workspace stands now, for people: who is there, who waits for whom, which tasks nobody asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.principals import Principal
from bus import access, mutual, paging, presence
from bus.models import Instance, Wait
from bus.mutual import PartyWait
from bus.paging import Mark
from bus.results import InstanceItem
from bus.services import instances
from crosswire.lib import clock

WAITS_MOST = 300
"""Waits that are looked at; a plan with a limit allows 100 and as many streams."""
SEEN_MOST = 100
ONLINE_MOST = 2_000
TRACES_MOST = 2_000
NAMED_MOST = 5


@dataclass(frozen=True)
class Waiting:
    """That an instance waits, in which channel ("" is all of them), since when.

    `answering` could write there, being online and not waiting themselves; `stuck` are those who wait as well. `more`:
    how many further ones could.
    """

    instance: str
    channel: str
    is_parked: bool
    since: datetime
    answering: list[str]
    stuck: list[str]
    more: int = 0


@dataclass(frozen=True)
class Unheard:
    """A task that its client has not asked for since `asked_at`: an answer to it is heard only when it asks again."""

    instance: str
    channel: str
    since: datetime
    asked_at: datetime


@dataclass(frozen=True)
class Now:
    """Who is there (those who wait or are online first), and who waits for whom.

    `circles`: those who wait for each other and for nobody else, each with its oldest wait; `waits`: all other waits,
    `unlisted` more beside those listed.
    """

    instances: list[InstanceItem]
    has_more: bool
    circles: list[list[Waiting]]
    waits: list[Waiting]
    unheard: list[Unheard]
    unlisted: int


@dataclass(frozen=True)
class Listed:
    """A page of instances, last seen first; `end` is where the next one begins."""

    instances: list[InstanceItem]
    end: Mark | None


def now(principal: Principal, *, instances_most: int = 10, waits_most: int = 20) -> Now:
    """Return how the workspace stands, with so many instances and waits at most."""
    at = clock.now()
    alive, silent = _waits(principal, at)
    rows = _seen(principal, at)
    own: dict[str, list[Wait]] = defaultdict(list)
    for wait in alive:
        own[_name(wait)].append(wait)
    seen = {row.name: row for row in (*rows, *(wait.instance for wait in alive if wait.instance))}
    circles, others = _who_waits(principal, at, own, seen.values())
    listed = sorted(seen.values(), key=lambda row: (row.name in own, row.last_seen_at), reverse=True)
    return Now(
        [instances.item(row, own.get(row.name, ()), at) for row in listed[:instances_most]],
        len(listed) > instances_most,
        circles[:waits_most],
        others[:waits_most],
        silent[:waits_most],
        max(0, len(others) - waits_most),
    )


def page(principal: Principal, *, after: Mark | None = None, most: int = 50) -> Listed:
    """Return who ever took part, last seen first, from a mark on."""
    at = clock.now()
    part = paging.part(access.instances(principal), "last_seen_at", "name", after, most)
    own: dict[int, list[Wait]] = defaultdict(list)
    for wait in access.open_waits(principal).filter(instance__in=[row.pk for row in part.rows]):
        own[wait.instance_id or 0].append(wait)
    return Listed([instances.item(row, own.get(row.pk, ()), at) for row in part.rows], part.end)


def _seen(principal: Principal, at: datetime) -> list[Instance]:
    """Return those seen last, and all who are online if those are more."""
    rows = list(access.instances(principal)[:SEEN_MOST])
    since = at - presence.ONLINE
    if len(rows) == SEEN_MOST and rows[-1].last_seen_at > since:
        rows += access.instances(principal).filter(last_seen_at__gt=since)[SEEN_MOST:ONLINE_MOST]
    return rows


def _waits(principal: Principal, at: datetime) -> tuple[list[Wait], list[Unheard]]:
    """Return the waits of instances that are under way, and the tasks that nobody asks for."""
    since, polled_since = presence.alive_since(at)
    query = access.unended_waits(principal).exclude(instance=None).select_related("instance").order_by("started_at")
    alive, silent = [], []
    for wait in query[:WAITS_MOST]:
        is_task = wait.kind == Wait.Kind.TASK
        if wait.seen_at > (polled_since if is_task else since):
            alive.append(wait)
        elif is_task:
            silent.append(Unheard(_name(wait), wait.channel_name, wait.started_at, wait.seen_at))
    return alive, silent


def _who_waits(
    principal: Principal, at: datetime, own: dict[str, list[Wait]], seen: Iterable[Instance]
) -> tuple[list[list[Waiting]], list[Waiting]]:
    """Return the waits of those who wait for each other, group by group, and the other waits on channels."""
    waits = [wait for each in own.values() for wait in each if wait.kind != Wait.Kind.EVENTS]
    channels = {wait.channel_name for wait in waits if wait.channel_name}
    traces = access.traces(principal, channels, at - mutual.RECENT, TRACES_MOST) if channels else set()
    awake = {row.name for row in seen if _is_awake(row, own.get(row.name, ()), at)}
    expecting = [wait for wait in waits if wait.channel_name and wait.role == "active"]
    parties = [PartyWait(_name(wait), wait.channel_name, wait.started_at) for wait in expecting]
    groups = mutual.standstills(parties, traces, awake)
    there: dict[str, set[str]] = defaultdict(set)
    for channel, name in (*traces, *((wait.channel_name, _name(wait)) for wait in expecting)):
        there[channel].add(name)
    told = [_told(wait, there[wait.channel_name], awake, own) for wait in sorted(waits, key=lambda w: w.started_at)]
    of_group = {name: index for index, group in enumerate(groups) for name in group}
    circles: list[dict[str, Waiting]] = [{} for _ in groups]
    rest: list[Waiting] = []
    for each in told:
        circle = circles[of_group[each.instance]] if each.instance in of_group else None
        if circle is None or not each.channel or each.is_parked or each.instance in circle:
            rest.append(each)
        else:
            circle[each.instance] = each
    return [list(circle.values()) for circle in circles], rest


def _told(wait: Wait, there: set[str], awake: Collection[str], own: Collection[str]) -> Waiting:
    name = _name(wait)
    could = sorted((there & set(awake)) - {name}) if wait.channel_name else []
    stuck = sorted(each for each in there - set(awake) - {name} if each in own) if wait.channel_name else []
    return Waiting(
        name,
        wait.channel_name,
        wait.role == "parked",
        wait.started_at,
        could[:NAMED_MOST],
        stuck[:NAMED_MOST],
        max(0, len(could) - NAMED_MOST),
    )


def _is_awake(row: Instance, waits: Sequence[Wait], at: datetime) -> bool:
    """Return whether an instance is online and not blocked in a wait; a task blocks nobody (as in bus/parties.py)."""
    is_blocked = any(wait.kind != Wait.Kind.TASK and wait.started_at >= row.last_seen_at for wait in waits)
    return row.left_at is None and row.last_seen_at > at - presence.ONLINE and not is_blocked


def _name(wait: Wait) -> str:
    assert wait.instance is not None  # the others were left out
    return wait.instance.name
