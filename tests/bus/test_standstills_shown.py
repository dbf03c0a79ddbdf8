"""Who is shown as waiting for each other: the rule alone, without a database."""

from __future__ import annotations

from datetime import UTC, datetime

from bus import mutual
from bus.mutual import PartyWait

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def groups(waits: str, traces: str = "", awake: str = "") -> list[str]:
    """Return the groups; `waits` and `traces` are `channel:instance` and blanks."""
    parted = [tuple(each.split(":")) for each in waits.split()]
    found = mutual.standstills(
        [PartyWait(name, channel, NOW) for channel, name in parted],
        [(channel, name) for channel, name in (each.split(":") for each in traces.split())],
        awake.split(),
    )
    return [" ".join(sorted(group)) for group in found]


def test_two_on_one_channel_wait_for_each_other() -> None:
    assert groups("c:ann c:bo") == ["ann bo"]


def test_one_alone_waits_for_nobody() -> None:
    assert groups("c:ann") == []


def test_one_who_can_speak_is_waited_for() -> None:
    assert groups("c:ann c:bo", "c:cy", "cy") == []
    assert groups("c:ann c:bo", "c:cy") == ["ann bo"]


def test_who_waits_for_a_group_that_does_not_wait_for_them_is_not_in_it() -> None:
    assert groups("c:ann c:bo d:cy", "d:ann") == ["ann bo"]


def test_who_waits_for_one_that_waits_for_nobody_is_in_no_group() -> None:
    assert groups("c:ann d:bo", "c:bo") == []


def test_a_ring_across_channels_is_one_group_and_two_rings_are_two() -> None:
    assert groups("a:ann b:bo c:cy", "a:bo b:cy c:ann") == ["ann bo cy"]
    assert groups("a:ann a:bo b:cy b:dee") == ["ann bo", "cy dee"]
