"""Mutual waits told again from their promise alone, for properties to compare with: slow, plain, and another way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from hypothesis import strategies as st

CHANNELS = ("a", "b", "c", "d")
NAMES = ("ann", "bo", "cleo", "dora", "eve", "finn")
GRACE = 30


@dataclass(frozen=True)
class Actor:
    """An instance: on which channels it waits since how many seconds, where it left a trace how many minutes ago.

    `seen`: seconds since a call other than its waits, None for never. `was_released`: on these channels, unanswered.
    `listens`: waits in a way that makes it no party.
    """

    name: str
    waits: dict[str, int] = field(default_factory=dict)
    traces: dict[str, int] = field(default_factory=dict)
    seen: int | None = None
    was_released: frozenset[str] = frozenset()
    listens: str = ""

    @property
    def is_awake(self) -> bool:
        """Whether it was seen within two minutes, after all its waits began."""
        begun = [*self.waits.values(), *([LISTENING] if self.listens not in ("", "task") else [])]
        return self.seen is not None and self.seen < 120 and all(self.seen < since for since in begun)

    @property
    def is_party(self) -> bool:
        """Whether it is blocked in a `wait_for_reply`."""
        return bool(self.waits) and not self.is_awake


LISTENING = 50
"""Since how many seconds listeners listen."""


@dataclass(frozen=True)
class Told:
    """Who is released from its waits on which channels, and who it is told stands still as well."""

    name: str
    channels: frozenset[str]
    others: frozenset[str]


def expected(actors: list[Actor]) -> list[Told]:
    """Release one after the other, looking at everything anew each time, until nobody stands still."""
    told: list[Told] = []
    while found := _next(actors):
        told.append(found)
        actors = [replace(each, seen=-1) if each.name == found.name else each for each in actors]
    return told


def _next(actors: list[Actor]) -> Told | None:
    """Return the release whose instance came first of all that are due."""
    reach = _reach(actors)
    by_name = {each.name: each for each in actors}
    due: dict[str, set[str]] = {}
    for party in (each for each in actors if each.is_party):
        still = [by_name[name] for name in sorted(reach[party.name] | {party.name})]
        is_still = all(each.is_party and min(each.waits.values()) >= GRACE for each in still)
        ready = [each for each in still if set(each.waits) - each.was_released]
        if is_still and len(still) > 1 and ready:
            last = max(ready, key=_came)
            due.setdefault(last.name, set()).update(each.name for each in still)
    if not due:
        return None
    first = min((by_name[name] for name in due), key=_came)
    channels = frozenset(first.waits) - first.was_released
    return Told(first.name, channels, frozenset(due[first.name] - {first.name}))


def _came(actor: Actor) -> tuple[int, str]:
    return -min(actor.waits.values()), actor.name


def _reach(actors: list[Actor]) -> dict[str, set[str]]:
    """Return whom each can hear from, through others too: edges are added until none is missing."""
    edges = {each.name: set(_edges(each, actors)) for each in actors}
    while True:
        new = [
            (one, third)
            for one, other in product(edges, edges)
            if other in edges[one]
            for third in edges[other]
            if third not in edges[one]
        ]
        if not new:
            return edges
        for one, third in new:
            edges[one].add(third)


def _edges(actor: Actor, actors: list[Actor]) -> Iterator[str]:
    if not actor.is_party:
        return
    for other in actors:
        is_there = other.is_party or other.is_awake
        places = {channel for channel, minutes in other.traces.items() if minutes < 60} | set(other.waits)
        if other.name != actor.name and is_there and places & set(actor.waits):
            yield other.name


@st.composite
def scenes(draw: st.DrawFn) -> list[Actor]:
    """Make a workspace: parties, listeners, who is awake, who is gone; waits, traces, times."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=len(NAMES), unique=True))
    return [draw(_actor(name)) for name in names]


@st.composite
def _actor(draw: st.DrawFn, name: str) -> Actor:
    channel = st.sampled_from(CHANNELS[: draw(st.integers(1, len(CHANNELS)))])
    kind = draw(st.sampled_from(["party", "party", "party", "party", "listener", "awake", "any"]))
    seconds: Any = st.sampled_from([31, 35, 40, 44, 60, 100, 200] if draw(st.integers(0, 5)) else [1, 20, 29, 33])
    waits = draw(st.dictionaries(channel, seconds, min_size=1, max_size=2)) if kind in ("party", "any") else {}
    seen: Any = st.sampled_from([10, 70, 110, 130])
    return Actor(
        name,
        waits,
        draw(st.dictionaries(channel, st.sampled_from([0, 1, 30, 59, 61, 600]), max_size=2)),
        draw(seen) if kind in ("awake", "any") else draw(st.none() | st.just(130)),
        draw(st.frozensets(channel, max_size=1)) if draw(st.integers(0, 3)) == 0 else frozenset(),
        draw(st.sampled_from(["parked", "inbox", "task"])) if kind == "listener" else "",
    )
