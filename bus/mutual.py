"""Mutual waits: who waits for somebody who waits too, and who of them is told to speak. No database here.

A party is an instance that is blocked in `wait_for_reply`. It can hear from whoever has lately read or written where it
waits; so can they, where they wait. When all whom a party can hear from, and all whom those can hear from, are parties
as well, nobody will ever write: they stand still, and the one that came last is released (semantics: "Mutual wait").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

GRACE = timedelta(seconds=30)
"""How long everybody has to have waited."""
RECENT = timedelta(hours=1)
"""How long somebody who read or wrote in a channel may be expected to write there."""
LOOK_SECONDS = 5.0
"""How often a process looks whether some of its parties stand still."""


class PartyWait(NamedTuple):
    """An instance that waits on a channel. `was_released`: from a mutual wait there, and nothing was stored since."""

    instance: str
    channel: str
    since: datetime
    was_released: bool = False


class Release(NamedTuple):
    """Whose waits on which channels end, and who else stands still."""

    instance: str
    channels: frozenset[str]
    others: frozenset[str]


def releases(
    waits: Collection[PartyWait], traces: Iterable[tuple[str, str]], awake: Collection[str], until: datetime
) -> list[Release]:
    """Return who of one workspace is to be released, in the order in which they came.

    `traces`: (channel, instance) for everyone who lately read or wrote there. `awake`: who is online and not blocked in
    a wait; an instance in neither `awake` nor `waits` is not there. `until`: who began to wait later keeps the others
    waiting. An instance that waits on several channels can hear on each, and has waited since it began the last.
    """
    blocked = _by_instance(waits, awake)
    heard = _heard(waits, traces, awake, blocked)
    came = {name: (max(wait.since for wait in own), name) for name, own in blocked.items()}
    by_last: dict[str, list[frozenset[str]]] = {}
    for circle in _circles(blocked, heard):
        if len(circle) < 2 or any(name not in blocked or came[name][0] > until for name in circle):
            continue
        if ready := [name for name in circle if not all(wait.was_released for wait in blocked[name])]:
            by_last.setdefault(max(ready, key=came.__getitem__), []).append(circle)
    told: dict[str, Release] = {}
    for last in sorted(by_last, key=came.__getitem__):
        if still := [circle for circle in by_last[last] if not told.keys() & circle]:  # a released one can speak
            channels = frozenset(wait.channel for wait in blocked[last] if not wait.was_released)
            told[last] = Release(last, channels, frozenset().union(*still) - {last})
    return list(told.values())


def standstills(
    waits: Collection[PartyWait], traces: Iterable[tuple[str, str]], awake: Collection[str]
) -> list[frozenset[str]]:
    """Return the groups that wait for each other and for nobody else, however long they have; arguments as above.

    Who waits for such a group without being waited for is not in it.
    """
    blocked = _by_instance(waits, awake)
    circles = _circles(blocked, _heard(waits, traces, awake, blocked))
    smallest = [circle for circle in circles if not any(other < circle for other in circles)]
    return sorted((each for each in smallest if len(each) > 1 and each <= set(blocked)), key=sorted)


def _heard(
    waits: Iterable[PartyWait],
    traces: Iterable[tuple[str, str]],
    awake: Collection[str],
    blocked: Collection[str],
) -> dict[str, set[str]]:
    """Return whom one can hear from on each channel."""
    heard: dict[str, set[str]] = {}
    for channel, instance in (*traces, *((wait.channel, wait.instance) for wait in waits)):
        if instance in blocked or instance in awake:
            heard.setdefault(channel, set()).add(instance)
    return heard


def _by_instance(waits: Iterable[PartyWait], awake: Collection[str]) -> dict[str, list[PartyWait]]:
    """Return the waits of each party; who is awake beside its wait is none."""
    found: dict[str, list[PartyWait]] = {}
    for wait in waits:
        if wait.instance not in awake:
            found.setdefault(wait.instance, []).append(wait)
    return found


def _circles(blocked: dict[str, list[PartyWait]], heard: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return each party with all whom it can hear from, directly or through others; equal ones once."""
    places = {name: frozenset(wait.channel for wait in own) for name, own in blocked.items()}
    found: set[frozenset[str]] = set()
    for start in set(places.values()):
        circle: set[str] = set()
        seen, ahead = set(start), list(start)
        while ahead:
            new = heard.get(ahead.pop(), set()) - circle
            circle |= new
            channels = set().union(*(places.get(name, frozenset()) for name in new)) - seen
            seen |= channels
            ahead += channels
        found.add(frozenset(circle))
    return found
