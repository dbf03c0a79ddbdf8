"""Who of those that wait for each other is released: the rule alone, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from bus import mutual
from bus.mutual import PartyWait
from tests.bus.standstills import Actor, Told, expected, scenes
from tests.support.properties import tried

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = NOW - mutual.GRACE


def waits(name: str, *channels: str, since: float = 40, was_released: bool = False) -> list[PartyWait]:
    """Return the waits of one instance, begun so many seconds ago."""
    return [PartyWait(name, channel, NOW - timedelta(seconds=since), was_released) for channel in channels]


def released(*parties: list[PartyWait], traces: str = "", awake: set[str] | None = None) -> dict[str, tuple[str, str]]:
    """Return {instance: (channels, others)} of the released. `traces`: `channel:instance` and blanks."""
    found = [tuple(trace.split(":")) for trace in traces.split()]
    told = mutual.releases(
        [wait for party in parties for wait in party],
        [(channel, name) for channel, name in found],
        awake or set(),
        UNTIL,
    )
    return {each.instance: (" ".join(sorted(each.channels)), " ".join(sorted(each.others))) for each in told}


def test_of_two_that_wait_on_one_channel_the_later_is_released() -> None:
    assert released(waits("ann", "c", since=50), waits("bo", "c", since=40)) == {"bo": ("c", "ann")}
    assert released(waits("ann", "c", since=40), waits("bo", "c", since=50)) == {"ann": ("c", "bo")}


def test_one_that_waits_alone_waits_on() -> None:
    assert released(waits("ann", "c")) == {}
    assert released(waits("ann", "c", "d"), traces="c:ann d:gone") == {}


@pytest.mark.parametrize("size", [2, 3, 5, 40])
def test_a_ring_across_channels_releases_one_and_names_the_others(size: int) -> None:
    names = [f"i{number:02}" for number in range(size)]
    ring = [waits(name, f"c{number}", since=100 - number) for number, name in enumerate(names)]
    traces = " ".join(f"c{number}:{names[(number + 1) % size]}" for number in range(size))
    assert released(*ring, traces=traces) == {names[-1]: (f"c{size - 1}", " ".join(names[:-1]))}
    broken = traces.replace(f"c{size - 1}:{names[0]}", "")
    assert released(*ring[:-1], traces=broken) == (
        {names[-2]: (f"c{size - 2}", " ".join(names[:-2]))} if size > 2 else {}
    )


def test_two_rings_release_one_each() -> None:
    ring = released(waits("a", "x"), waits("b", "x", since=35), waits("c", "y"), waits("d", "y", since=35))
    assert ring == {"b": ("x", "a"), "d": ("y", "c")}


def test_whoever_waits_for_a_ring_is_left_to_wait_for_the_one_that_is_released() -> None:
    ring = (waits("b", "y", since=60), waits("c", "y", since=50))
    assert released(waits("a", "x", since=40), *ring, traces="x:b") == {"c": ("y", "b")}
    assert released(waits("a", "x", since=90), *ring, traces="x:b") == {"c": ("y", "a b")}


def test_a_party_whom_nobody_can_wake_is_told_of_who_waits_for_it() -> None:
    assert released(waits("a", "x", since=50), waits("b", "y", since=40), traces="x:b") == {"b": ("y", "a")}
    assert released(waits("a", "x", since=40), waits("b", "y", since=50), traces="x:b") == {"a": ("x", "b")}


def test_within_the_grace_of_any_of_them_nobody_is_released() -> None:
    assert released(waits("ann", "c", since=30), waits("bo", "c", since=29.9)) == {}
    assert released(waits("ann", "c", since=30), waits("bo", "c", since=30)) == {"bo": ("c", "ann")}
    assert released(waits("ann", "c", since=90), waits("bo", "c", since=80), waits("cy", "c", since=1)) == {}


def test_an_awake_one_keeps_all_that_can_hear_it_waiting() -> None:
    pair = (waits("ann", "c"), waits("bo", "c"))
    assert released(*pair, traces="c:eve", awake={"eve"}) == {}
    assert released(*pair, traces="d:eve", awake={"eve"}) == {"bo": ("c", "ann")}
    assert released(*pair, traces="c:eve") == {"bo": ("c", "ann")}, "eve is not there"


def test_an_awake_one_at_the_end_of_the_chain_is_enough() -> None:
    chain = [waits(f"i{number}", f"c{number}") for number in range(5)]
    traces = " ".join(f"c{number}:i{number + 1} c{number + 1}:i{number}" for number in range(4))
    assert len(released(*chain, traces=traces)) == 1
    assert released(*chain, traces=f"{traces} c4:eve", awake={"eve"}) == {}


def test_who_acts_beside_its_wait_is_awake_and_no_party() -> None:
    assert released(waits("ann", "c"), waits("bo", "c"), awake={"bo"}) == {}


def test_who_waits_on_several_channels_can_hear_on_each() -> None:
    both = waits("ann", "c", "d", since=35)
    assert released(both, waits("bo", "c"), traces="d:eve", awake={"eve"}) == {}
    assert released(both, waits("bo", "c"), waits("cy", "d")) == {"ann": ("c d", "bo cy")}
    fresh = [*waits("ann", "c", since=90), *waits("ann", "d", since=5)]
    assert released(fresh, waits("bo", "c")) == {}, "it could still begin a wait five seconds ago"


def test_who_was_released_there_is_passed_over_for_the_one_before() -> None:
    stubborn = waits("bo", "c", since=35, was_released=True)
    assert released(waits("ann", "c"), stubborn) == {"ann": ("c", "bo")}
    assert released(waits("ann", "c", was_released=True), stubborn) == {}
    assert released(waits("ann", "c"), [*stubborn, *waits("bo", "d", since=35)]) == {"bo": ("d", "ann")}


def test_many_on_one_channel_release_one() -> None:
    crowd = [waits(f"i{number:04}", "c", since=100 - number / 100) for number in range(2_000)]
    ((name, (channels, others)),) = released(*crowd).items()
    assert (name, channels, len(others.split())) == ("i1999", "c", 1_999)


@tried(400)
@given(scenes())
def test_whoever_is_released_is_whom_the_promise_names(actors: list[Actor]) -> None:
    told = mutual.releases(
        [wait for each in actors for wait in party_waits(each)],
        [(channel, each.name) for each in actors for channel, minutes in each.traces.items() if minutes < 60],
        {each.name for each in actors if each.is_awake},
        UNTIL,
    )
    assert [Told(*each) for each in told] == expected(actors)


def party_waits(actor: Actor) -> list[PartyWait]:
    return [
        PartyWait(actor.name, channel, NOW - timedelta(seconds=since), channel in actor.was_released)
        for channel, since in actor.waits.items()
    ]
