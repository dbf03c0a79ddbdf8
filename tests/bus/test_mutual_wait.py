"""Instances that wait for each other: one is told to speak, and nobody else is disturbed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from bus import clients, parties, waiting
from bus.models import Instance, Wait
from bus.services import endings, releases, waits
from crosswire.lib import clock as product_clock
from tests.bus.waiters import answered, begin, open_waits, present, unheard, until
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import ids, seed
from tests.support.surfaces import MCP, Refusal, Result, Surface, SurfaceName

type Waiting = Future[Result | Refusal]

BOTH = pytest.mark.parametrize("call", MCP, indirect=True)
ONE = pytest.mark.parametrize("call", MCP[:1], indirect=True)
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def _no_look_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting.Room, "_has_parties", lambda room, since: False)
    monkeypatch.setattr(clients, "DEFAULT_SECONDS", 600.0)  # no wait is over because the clock was moved
    monkeypatch.setattr(clients, "REST_SECONDS", 600.0)


def release() -> int:
    return releases.release(waiting.PROCESS)


class Later:
    """Moves the clock, and has the waits of this process live on."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, seconds: float) -> None:
        self.clock.forward(seconds=seconds)
        waits.beat(waiting.PROCESS)


@pytest.fixture
def later(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Later:
    """A clock to move, in a process that releases nobody by itself meanwhile."""
    monkeypatch.setattr(waiting.Room, "_has_parties", lambda room, since: False)
    return Later(clock)


def is_open(waited: Waiting, caller: Caller) -> bool:
    """Return whether the waits of a workspace are as they were: none ended, none answered."""
    return not waited.done() and bool(open_waits(caller))


def silence(caller: Caller, *names: str) -> None:
    """Have instances look as if they had not been seen for years."""
    Instance.objects.filter(workspace=caller.workspace, name__in=names).update(last_seen_at=LONG_AGO)


# --- rings ------------------------------------------------------------------------------------------------------


@BOTH
def test_of_two_that_wait_for_each_other_the_later_is_told_to_speak(call: Surface, alice: Caller, later: Later) -> None:
    first = begin(call, alice, instance_id="ann")
    later(5)
    second = begin(call, alice, instance_id="bo")
    later(31)
    assert release() == 1
    answer = answered(second)
    assert (answer["ended"], answer["messages"], answer["with"]) == ("mutual", [], ["ann"])
    assert (answer["channel"], answer["waiting_on"]) == ("general", ["general"])
    for said in (answer["next"], answer.text or ""):
        assert 'MUTUAL WAIT with "ann", in #general' in said
        assert "send_message" in said
        assert 'TO KEEP LISTENING: wait_for_reply(channel="general", instance_id="bo", after_id=0)' in said
    assert "No new messages in #general" in (answer.text or "")
    assert not first.done()
    sent = call.ok(alice, "send_message", sender="bo", content="I speak")
    assert ids(answered(first)) == [sent["id"]]
    assert open_waits(alice) == []


@ONE
@pytest.mark.parametrize("size", [3, 5])
def test_a_ring_across_channels_releases_one_who_hears_where_the_others_wait(
    call: Surface, alice: Caller, later: Later, size: int
) -> None:
    names = [f"i{number}" for number in range(size)]
    for number in range(size):
        seed(alice, ["x"], sender=names[(number + 1) % size], channel=f"c{number}")
    ring = []
    for number, name in enumerate(names):
        ring.append(begin(call, alice, instance_id=name, channel=f"c{number}", after_id=size))
        later(1)
    later(30)
    assert release() == 1
    answer = answered(ring[-1])
    assert (answer["ended"], answer["with"]) == ("mutual", names[:-1])
    assert answer["waiting_on"] == [f"c{number}" for number in range(size - 1)]
    seed(alice, ["I speak"], sender=names[-1], channel=f"c{size - 2}")
    assert answered(ring[-2])["ended"] == "message"
    for number in range(size - 2):
        seed(alice, ["x"], sender="eve", channel=f"c{number}")
        answered(ring[number])


@ONE
def test_nobody_is_released_within_the_grace(call: Surface, alice: Caller, later: Later) -> None:
    first = begin(call, alice, instance_id="ann")
    later(60)
    second = begin(call, alice, instance_id="bo")
    later(29)
    assert release() == 0
    later(2)
    assert release() == 1
    assert answered(second)["ended"] == "mutual"
    seed(alice, ["x"])
    answered(first)


@ONE
def test_another_workspaces_waits_are_nobodys(call: Surface, alice: Caller, mallory: Caller, later: Later) -> None:
    both = [begin(call, caller, instance_id=name) for caller, name in ((alice, "ann"), (mallory, "mal"))]
    later(60)
    assert release() == 0
    third = begin(call, mallory, instance_id="max")
    later(31)
    assert release() == 1
    assert answered(third)["with"] == ["mal"]
    for caller, waited in zip((alice, mallory), both, strict=True):
        assert is_open(waited, caller)
        seed(caller, ["x"])
        answered(waited)


# --- once a channel ---------------------------------------------------------------------------------------------


@ONE
def test_each_is_released_once_until_somebody_writes_there(call: Surface, alice: Caller, later: Later) -> None:
    first, second = begin(call, alice, instance_id="ann"), begin(call, alice, instance_id="bo")
    later(31)
    assert (release(), answered(second)["with"]) == (1, ["ann"])
    stubborn = begin(call, alice, instance_id="bo")
    later(31)
    assert (release(), answered(first)["with"]) == (1, ["bo"]), "the one that came before it has its turn"
    first = begin(call, alice, instance_id="ann")
    later(31)
    assert release() == 0
    seed(alice, ["x"])
    silence(alice, "writer")
    assert [ids(answered(waited)) for waited in (first, stubborn)] == [[1], [1]]
    again = [begin(call, alice, instance_id=name, after_id=1) for name in ("ann", "bo")]
    later(31)
    assert (release(), answered(again[1])["ended"]) == (1, "mutual")
    seed(alice, ["x"])
    answered(again[0])


@ONE
def test_a_release_in_one_channel_says_nothing_of_another(call: Surface, alice: Caller, later: Later) -> None:
    for channel in ("one", "two"):
        pair = [begin(call, alice, instance_id=name, channel=channel) for name in ("ann", "bo")]
        later(31)
        assert (release(), answered(pair[1])["ended"]) == (1, "mutual")
        seed(alice, ["x"], channel=channel)
        answered(pair[0])
        silence(alice, "writer")


# --- who is awake -----------------------------------------------------------------------------------------------


@ONE
def test_an_awake_third_one_keeps_both_waiting_until_it_has_been_silent_for_two_minutes(
    call: Surface, alice: Caller, later: Later
) -> None:
    seed(alice, ["I shall do it"], sender="eve")
    pair = [begin(call, alice, instance_id=name, after_id=1) for name in ("ann", "bo")]
    for _ in range(5):
        later(23)
        assert release() == 0
    later(10)
    assert (release(), answered(pair[1])["with"]) == (1, ["ann"])
    seed(alice, ["x"])
    answered(pair[0])


@ONE
def test_who_was_only_handed_a_message_there_can_answer_it(call: Surface, alice: Caller, later: Later) -> None:
    seed(alice, ["do this"], sender="ann")
    call.ok(alice, "register", instance_id="eve")
    pair = [begin(call, alice, instance_id=name, after_id=1) for name in ("ann", "bo")]
    later(31)
    call.ok(alice, "check_messages", instance_id="eve")
    assert release() == 0
    later(60)
    assert release() == 0
    later(61)
    assert (release(), answered(pair[1])["with"]) == (1, ["ann"])
    seed(alice, ["x"])
    answered(pair[0])


@ONE
def test_who_has_nothing_to_do_with_the_channel_for_an_hour_is_not_waited_for(
    call: Surface, alice: Caller, later: Later, clock: Clock
) -> None:
    seed(alice, ["long ago"], sender="eve")
    clock.forward(minutes=61)
    pair = [begin(call, alice, instance_id=name, after_id=1) for name in ("ann", "bo")]
    later(31)
    call.ok(alice, "send_message", sender="eve", content="x", channel="elsewhere")
    assert (release(), answered(pair[1])["with"]) == (1, ["ann"])
    seed(alice, ["x"])
    answered(pair[0])


@ONE
def test_an_awake_one_beyond_others_that_wait_is_enough(call: Surface, alice: Caller, later: Later) -> None:
    seed(alice, ["x"], sender="bo", channel="a")
    seed(alice, ["x"], sender="ann", channel="b")
    seed(alice, ["x"], sender="eve", channel="b")
    first = begin(call, alice, instance_id="ann", channel="a", after_id=3)
    second = begin(call, alice, instance_id="bo", channel="b", after_id=3)
    later(31)
    assert release() == 0
    call.ok(alice, "unregister", instance_id="eve")
    assert (release(), answered(second)["with"]) == (1, ["ann"])
    seed(alice, ["x"], channel="a")
    answered(first)


@ONE
def test_who_calls_beside_its_wait_can_speak(call: Surface, alice: Caller, later: Later) -> None:
    pair = [begin(call, alice, instance_id=name) for name in ("ann", "bo")]
    later(31)
    call.ok(alice, "check_messages", instance_id="bo", channel="elsewhere")
    assert release() == 0
    later(90)
    assert release() == 0
    later(31)
    assert (release(), answered(pair[1])["with"]) == (1, ["ann"])
    seed(alice, ["x"])
    answered(pair[0])


@ONE
def test_who_was_released_is_awake_and_given_time_to_speak(call: Surface, alice: Caller, later: Later) -> None:
    three = [begin(call, alice, instance_id=name) for name in ("ann", "bo", "cleo")]
    later(31)
    later(200)
    assert (release(), answered(three[2])["with"]) == (1, ["ann", "bo"])
    later(110)
    assert release() == 0
    later(11)
    assert (release(), answered(three[1])["with"]) == (1, ["ann"])
    seed(alice, ["x"])
    answered(three[0])


@ONE
def test_who_waits_in_two_channels_can_be_spoken_to_in_either(call: Surface, alice: Caller, later: Later) -> None:
    seed(alice, ["x"], sender="eve", channel="b")
    both = [begin(call, alice, instance_id="ann", channel=channel, after_id=1) for channel in ("a", "b")]
    other = begin(call, alice, instance_id="bo", channel="a", after_id=1)
    later(5)
    later(31)
    assert release() == 0, "eve can speak to ann, and ann then to bo"
    call.ok(alice, "unregister", instance_id="eve")
    silence(alice, "eve")
    later(1)
    assert release() == 1
    assert answered(other)["with"] == ["ann"]
    for channel in ("a", "b"):
        seed(alice, ["x"], channel=channel)
    assert [answered(waited)["ended"] for waited in both] == ["message", "message"]


@ONE
def test_who_stands_still_in_two_channels_is_released_from_both(call: Surface, alice: Caller, later: Later) -> None:
    others = [begin(call, alice, instance_id=name, channel=channel) for name, channel in (("bo", "a"), ("cleo", "b"))]
    later(5)
    both = [begin(call, alice, instance_id="ann", channel=channel) for channel in ("a", "b")]
    later(31)
    assert release() == 1
    assert [answered(waited)["with"] for waited in both] == 2 * [["bo", "cleo"]]
    for channel, waited in zip(("a", "b"), others, strict=True):
        seed(alice, ["x"], channel=channel)
        answered(waited)


# --- listeners stand outside ------------------------------------------------------------------------------------


LISTENERS: dict[str, tuple[SurfaceName, str, dict[str, Any]]] = {
    "parked": (MCP[0], "wait_for_reply", {"role": "parked"}),
    "inbox": (MCP[0], "inbox", {"wait": 600}),
    "rest": ("lane", "check_messages", {"wait": 600}),
}


@ONE
@pytest.mark.parametrize("kind", LISTENERS)
def test_a_listening_worker_does_not_bounce_its_coordinator(
    call: Surface, surface: Callable[[SurfaceName], Surface], alice: Caller, later: Later, kind: str
) -> None:
    name, operation, arguments = LISTENERS[kind]
    seed(alice, ["ready"], sender="worker")
    call.ok(alice, "inbox", instance_id="worker", ack={"general": 1})
    listening = begin(surface(name), alice, operation, instance_id="worker", **arguments)
    coordinator = begin(call, alice, instance_id="ann", after_id=1)
    for _ in range(6):
        later(25)
        assert release() == 0
    assert is_open(coordinator, alice)
    seed(alice, ["x"])
    assert [answered(waited)["ended"] for waited in (listening, coordinator)] == ["message", "message"]


@ONE
@pytest.mark.parametrize("kind", LISTENERS)
def test_a_listener_neither_breaks_a_mutual_wait_nor_hides_it(
    call: Surface, surface: Callable[[SurfaceName], Surface], alice: Caller, later: Later, kind: str
) -> None:
    name, operation, arguments = LISTENERS[kind]
    seed(alice, ["ready"], sender="worker")
    pair = [begin(call, alice, instance_id=party, after_id=1) for party in ("ann", "bo")]
    later(20)
    call.ok(alice, "inbox", instance_id="worker", ack={"general": 1})
    listening = begin(surface(name), alice, operation, instance_id="worker", **arguments)
    later(31)
    assert (release(), answered(pair[1])["with"]) == (1, ["ann"])
    assert not listening.done()
    seed(alice, ["x"])
    assert [answered(waited)["ended"] for waited in (listening, pair[0])] == ["message", "message"]


@ONE
def test_asking_for_a_task_makes_nobody_awake(call: Surface, alice: Caller, later: Later) -> None:
    seed(alice, ["x"], sender="worker")
    pair = [begin(call, alice, instance_id=name, after_id=1) for name in ("ann", "bo")]
    later(5)
    worker = Instance.objects.get(workspace=alice.workspace, name="worker")
    now = product_clock.now()
    task = Wait.objects.create(
        workspace=alice.workspace, token=f"task-{worker.pk}", kind=Wait.Kind.TASK, channel_name="general",
        instance=worker, started_at=now, seen_at=now, until=now + timedelta(hours=24),
    )  # fmt: skip
    later(31)
    assert release() == 0, "a task blocks nobody: its instance was seen not long ago"
    later(90)
    Wait.objects.filter(pk=task.pk).update(seen_at=product_clock.now())
    assert (release(), answered(pair[1])["with"]) == (1, ["ann"])
    task.delete()
    seed(alice, ["x"])
    answered(pair[0])


# --- processes --------------------------------------------------------------------------------------------------


@ONE
def test_a_wait_whose_process_died_is_no_party(call: Surface, alice: Caller, later: Later) -> None:
    waited = begin(call, alice, instance_id="ann")
    dead = Instance.objects.create(workspace=alice.workspace, name="dead", last_seen_at=LONG_AGO)
    now = product_clock.now()
    row = Wait.objects.create(
        workspace=alice.workspace, token=f"dead-{dead.pk}", kind=Wait.Kind.BLOCKING, channel_name="general",
        instance=dead, process="dead", started_at=now, seen_at=now, until=now + timedelta(seconds=300),
    )  # fmt: skip
    later(31)
    assert release() == 0
    Wait.objects.filter(pk=row.pk).update(seen_at=product_clock.now())
    assert release() == 1, "while its process beats it is one"
    row.delete()
    seed(alice, ["x"])
    answered(waited)


@ONE
def test_of_all_that_look_in_the_same_instant_one_releases(
    call: Surface, alice: Caller, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [begin(call, alice, instance_id=name) for name in ("ann", "bo")]
    later(31)
    looked, scenes = threading.Barrier(2), parties.scenes  # the server's threads hold nearly all connections

    def together(*args: Any) -> Any:
        found = scenes(*args)
        looked.wait(20)
        return found

    def look() -> int:
        try:
            return release()
        finally:
            connections.close_all()

    monkeypatch.setattr(parties, "scenes", together)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(each.result(30) for each in [pool.submit(look) for _ in range(2)]) == [0, 1]
    assert answered(pair[1])["ended"] == "mutual"
    assert is_open(pair[0], alice)
    seed(alice, ["x"])
    answered(pair[0])


@ONE
def test_a_release_nobody_was_told_of_is_found_by_the_beat(call: Surface, alice: Caller, later: Later) -> None:
    pair = [begin(call, alice, instance_id=name) for name in ("ann", "bo")]
    later(31)
    with unheard():
        assert release() == 1
    waiting.room.compare(waits.beat(waiting.PROCESS))
    answer = answered(pair[1])
    assert (answer["ended"], answer["with"]) == ("mutual", ["ann"])
    seed(alice, ["x"])
    answered(pair[0])


@ONE
def test_a_message_that_crosses_the_release_is_the_answer(call: Surface, alice: Caller, later: Later) -> None:
    pair = [begin(call, alice, instance_id=name) for name in ("ann", "bo")]
    later(31)
    with unheard():
        (number,) = seed(alice, ["just in time"])
    released = Wait.objects.filter(workspace=alice.workspace, instance__name="bo")
    endings.end(released, "mutual", {"with": ["ann"], "waiting_on": ["general"]})
    answer = answered(pair[1])
    assert (answer["ended"], ids(answer)) == ("message", [number])
    assert "with" not in answer
    for waiter in list(waiting.room.by_token.values()):
        waiter.wake()
    answered(pair[0])


@ONE
def test_many_names_are_cut(call: Surface, make_workspace: MakeWorkspace, later: Later) -> None:
    crowd = make_workspace("unlimited")
    now = product_clock.now()
    silent = [Instance(workspace=crowd.workspace, name=f"i{number:03}", last_seen_at=LONG_AGO) for number in range(100)]
    rows = [
        Wait(
            workspace=crowd.workspace, token=f"crowd-{crowd.workspace.pk}-{each.name}", kind=Wait.Kind.BLOCKING,
            channel_name="general", instance=each, started_at=now, seen_at=now, until=now + timedelta(seconds=300),
            process=waiting.PROCESS,
        )
        for each in Instance.objects.bulk_create(silent)
    ]  # fmt: skip
    Wait.objects.bulk_create(rows)
    later(1)
    waited = begin(call, crowd, instance_id="zoe")
    later(31)
    assert release() == 1
    answer = answered(waited)
    assert answer["with"] == [f"i{number:03}" for number in range(releases.NAMED_MOST)]
    assert '"i019" …, in #' in answer["next"]
    Wait.objects.filter(workspace=crowd.workspace).delete()


@ONE
def test_a_look_that_finds_nothing_makes_nobody_awake(call: Surface, alice: Caller, later: Later) -> None:
    pair = [begin(call, alice, instance_id=name) for name in ("ann", "bo")]
    later(31)
    for waiter in present(alice):
        waiter.wake()
    until(lambda: not any(waiter.woken.is_set() for waiter in present(alice)), "nobody looks")
    assert (release(), answered(pair[1])["with"]) == (1, ["ann"])
    seed(alice, ["x"])
    answered(pair[0])
