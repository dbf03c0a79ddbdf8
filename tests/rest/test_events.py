"""`GET /api/events`: which channels have news, without content, and nothing missed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bus import listening, news, streams, waiting
from bus.models import Instance, Message, Wait
from bus.news import Moved
from bus.rest import events as rest_events
from bus.services import events, waits
from crosswire.lib import executor
from crosswire.lib.errors import unavailable
from tests.bus.waiters import SOON, answered, begin, open_waits, present, unheard, until
from tests.conftest import Clock, MakeWorkspace
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.events import PATH, Event, EventStream
from tests.support.messages import change_plan, principal_of, seed
from tests.support.surfaces import Surface, SurfaceName


@pytest.fixture
def call(surface: Callable[[SurfaceName], Surface]) -> Surface:
    """REST, to make things happen beside the stream."""
    return surface("lane")


@pytest.fixture(params=["lane_url", "drf_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a server with the lane, and of one without."""
    address: str = request.getfixturevalue(request.param)
    return address


# --- what is told -----------------------------------------------------------------------------------------------


def test_an_event_is_a_channel_and_its_newest_id_and_no_text(url: str, alice: Caller) -> None:
    with EventStream(url, alice, instance_id="ann") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers.get_all("cache-control") == ["no-store"]
        assert stream.headers["x-accel-buffering"] == "no"
        assert (stream.last_id, stream.retry) == ("0", "2000")
        seed(alice, ["secret"], channel="orders")
        assert stream.next() == Event("message", {"channel": "orders", "newest_id": 1}, "1")
        seed(alice, ["secret"])
        assert stream.next() == Event("message", {"channel": "general", "newest_id": 2}, "2")


def test_ones_own_messages_are_not_told(lane_url: str, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        seed(alice, ["x"], sender="bo")
        assert stream.moved() == ("general", 1)
        seed(alice, ["mine"], sender="ann")
        seed(alice, ["mine"], sender="ann", channel="other")
        seed(alice, ["x"], sender="bo", channel="third")
        assert stream.moved() == ("third", 4)


def test_whoever_listens_as_nobody_is_told_of_everything(lane_url: str, alice: Caller) -> None:
    with EventStream(lane_url, alice) as stream:
        seed(alice, ["x"], sender="ann")
        assert stream.moved() == ("general", 1)
    assert not Instance.objects.filter(workspace=alice.workspace, name="").exists()


@pytest.mark.parametrize("how", ["Last-Event-ID", "after_id", "both"])
def test_who_comes_back_is_told_of_every_channel_that_moved_since(lane_url: str, alice: Caller, how: str) -> None:
    for channel in ("one", "two", "one", "three", "two"):
        seed(alice, ["x"], channel=channel)
    header = "" if how == "after_id" else "2"
    query: dict[str, Any] = {"Last-Event-ID": {}, "after_id": {"after_id": 2}, "both": {"after_id": 0}}[how]
    with EventStream(lane_url, alice, last_event_id=header, instance_id="ann", **query) as stream:
        assert [stream.moved() for _ in range(3)] == [("one", 3), ("three", 4), ("two", 5)]
        seed(alice, ["x"], channel="one")
        assert stream.moved() == ("one", 6)


def test_without_a_place_it_begins_now(lane_url: str, alice: Caller) -> None:
    seed(alice, ["x", "y"])
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        assert stream.last_id == "2"
        seed(alice, ["z"], channel="other")
        assert stream.moved() == ("other", 3)


def test_a_place_ahead_of_everything_is_now(lane_url: str, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann", after_id=10**9) as stream:
        until(lambda: len(open_waits(alice)) == 1, "the stream does not begin")
        seed(alice, ["x"])
        assert stream.moved() == ("general", 1)


def test_a_message_stored_while_a_stream_begins_is_told(lane_url: str, alice: Caller) -> None:
    (number,) = seed(alice, ["x"])
    with EventStream(lane_url, alice, last_event_id=str(number), instance_id="ann") as stream:
        seed(alice, ["y"])
        assert stream.moved() == ("general", number + 1)


def test_only_the_channels_asked_for_are_told(lane_url: str, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann", channels="Plan B,#orders,not-there") as stream:
        for channel in ("general", "plan-b", "other", "orders"):
            seed(alice, ["x"], channel=channel)
            if channel == "plan-b":
                assert stream.moved() == ("plan-b", 2)
        assert stream.moved() == ("orders", 4)


def test_subscribed_channels_are_what_is_told_without_any(lane_url: str, call: Surface, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        seed(alice, ["x"], channel="one")
        assert stream.moved() == ("one", 1)
        call.ok(alice, "create_channel", name="two")
        call.ok(alice, "subscribe", instance_id="ann", channel="two")
        call.ok(alice, "subscribe", instance_id="bo", channel="one")
        seed(alice, ["x"], channel="one")
        seed(alice, ["x"], channel="two")
        assert stream.moved() == ("two", 3)
        call.ok(alice, "unsubscribe", instance_id="ann", channel="two")
        seed(alice, ["x"], channel="one")
        assert stream.moved() == ("one", 4)


def test_of_very_many_channels_all_are_told(lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "MOVED_MOST", 2)
    for channel in ("a", "b", "c", "d", "e"):
        seed(alice, ["x"], channel=channel)
    with EventStream(lane_url, alice, instance_id="ann", after_id=0) as stream:
        assert [stream.moved() for _ in range(5)] == [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]


def test_what_has_expired_is_not_told(lane_url: str, make_workspace: MakeWorkspace, clock: Clock) -> None:
    free = make_workspace("free")
    seed(free, ["x"], channel="old")
    clock.forward(days=8)
    seed(free, ["x"])
    with EventStream(lane_url, free, instance_id="ann", after_id=0) as stream:
        assert stream.moved() == ("general", 2)


# --- who may ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"unknown": "1"}, 400, "invalid_input"),
        ({"channels": "!!!"}, 400, "invalid_input"),
        ({"channels": "orders,,other"}, 400, "invalid_input"),
        ({"channels": "x" * 81}, 400, "invalid_input"),
        ({"channels": ",".join(["x"] * 2_000)}, 400, "invalid_input"),
        ({"after_id": "x"}, 400, "invalid_input"),
        ({"instance_id": "human"}, 400, "invalid_input"),
        ({"instance_id": "bound"}, 403, "wrong_instance"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_begins(
    url: str, alice: Caller, query: dict[str, str], status: int, code: str
) -> None:
    alice.key_for("bound")
    with EventStream(url, alice, **query) as stream:
        assert (stream.status, stream.refusal["code"]) == (status, code)
        assert stream.headers["content-type"] == "application/json"
    assert open_waits(alice) == []


def test_a_place_that_is_no_number_is_refused(lane_url: str, alice: Caller) -> None:
    with EventStream(lane_url, alice, last_event_id="x") as stream:
        assert stream.refusal["code"] == "invalid_input"


def test_without_a_key_that_works_nobody_listens(url: str) -> None:
    with EventStream(url, None) as stream:
        assert (stream.status, stream.refusal["code"]) == (401, "unauthorized")
        assert stream.headers["www-authenticate"].startswith("Bearer")


def test_the_key_may_stand_in_the_query_as_a_page_needs_it(url: str, alice: Caller) -> None:
    with EventStream(url, None, api_key=alice.key, instance_id="ann") as stream:
        assert stream.status == 200


@pytest.mark.parametrize(
    ("method", "accept", "code"),
    [("POST", "*/*", "method_not_allowed"), ("HEAD", "*/*", ""), ("GET", "application/json", "not_acceptable")],
)
def test_it_is_a_stream_that_is_read(url: str, alice: Caller, method: str, accept: str, code: str) -> None:
    answer = loopback.request(method, url + PATH, headers={**alice.headers, "Accept": accept})
    assert answer.status_code in {405, 406}
    if code:
        assert answer.json()["code"] == code
    assert (answer.status_code == 405) == ("allow" in answer.headers)


def test_a_read_only_key_listens_and_is_nobody(lane_url: str, call: Surface, alice: Caller) -> None:
    reader = alice.with_key(read_only=True)
    with EventStream(lane_url, reader, instance_id="ann") as stream:
        assert call.ok(alice, "list_instances")["instances"] == []
        call.ok(alice, "register", instance_id="ann", client="anything/1")
        seed(alice, ["mine"], sender="ann")
        seed(alice, ["x"], channel="other")
        assert stream.moved() == ("other", 2)


def test_a_bound_key_need_not_say_who_it_is(lane_url: str, call: Surface, alice: Caller) -> None:
    robots = alice.with_key("robot")
    with EventStream(lane_url, robots) as stream:
        seed(robots, ["mine"], sender="robot")
        seed(alice, ["x"], channel="other")
        assert stream.moved() == ("other", 2)
        (robot,) = (row for row in call.ok(alice, "list_instances")["instances"] if row["instance_id"] == "robot")
        assert robot["wake"] == "events"


def test_opening_one_counts_as_a_call(lane_url: str, call: Surface, make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("free")
    change_plan(caller, calls=2)
    with EventStream(lane_url, caller, instance_id="ann") as stream:
        assert stream.status == 200
        refusal = call.refused(caller, "whoami", "rate_limited")
        assert refusal.status == 429


def test_so_many_streams_and_no_more_and_waits_are_counted_apart(lane_url: str, call: Surface, alice: Caller) -> None:
    change_plan(alice, waits=1)
    alice = alice.with_key()
    with EventStream(lane_url, alice, instance_id="ann") as one:
        assert one.status == 200
        with EventStream(lane_url, alice, instance_id="bo") as other:
            assert (other.status, other.refusal["code"]) == (429, "limit_reached")
            assert "streams of events" in other.refusal["error"]
        waited = begin(call, alice, "check_messages", instance_id="ann", wait=30)
        seed(alice, ["x"])
        answered(waited)
        assert one.moved() == ("general", 1)
    until(lambda: not open_waits(alice), "the stream is still there")
    with EventStream(lane_url, alice, instance_id="bo") as again:
        assert again.status == 200


# --- presence ---------------------------------------------------------------------------------------------------


def listed(call: Surface, caller: Caller) -> dict[str, dict[str, Any]]:
    return {each["instance_id"]: each for each in call.ok(caller, "list_instances")["instances"]}


def test_who_listens_is_online_and_is_reached_by_events(lane_url: str, call: Surface, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann"):
        Instance.objects.filter(workspace=alice.workspace).update(last_seen_at="2020-01-01T00:00:00Z")
        ann = listed(call, alice)["ann"]
        assert (ann["status"], ann["wake"], ann["waiting_on"]) == ("online", "events", [])
        (stream,) = ann["waits"]
        assert (stream["channel"], stream["kind"]) == (None, "events")
        assert stream["since"] < stream["until"]
        assert call.ok(alice, "send_message", sender="bo", content="x")["recipients"] == 0
    until(lambda: listed(call, alice)["ann"]["wake"] == "poll", "ann still listens")
    assert listed(call, alice)["ann"]["waits"] == []


def test_several_streams_of_an_instance_end_neither_each_other_nor_a_wait(
    lane_url: str, call: Surface, alice: Caller
) -> None:
    waited = begin(call, alice, "check_messages", instance_id="ann", wait=30)
    with EventStream(lane_url, alice, instance_id="ann") as one, EventStream(lane_url, alice, instance_id="ann") as two:
        assert listed(call, alice)["ann"]["wake"] == "waiting"
        assert sorted(each["kind"] for each in listed(call, alice)["ann"]["waits"]) == ["events", "events", "wait"]
        seed(alice, ["x"])
        assert one.moved() == two.moved() == ("general", 1)
        assert answered(waited)["ended"] == "message"


def test_another_client_takes_the_name_over_only_if_it_says_so(lane_url: str, call: Surface, alice: Caller) -> None:
    with EventStream(lane_url, alice, headers={"User-Agent": "bridge/1"}, instance_id="ann") as stream:
        refusal = call.refused(alice, "register", "instance_in_use", instance_id="ann", client="other/1")
        assert "stream of events from bridge/1" in refusal.message
        call.ok(alice, "register", instance_id="ann", client="other/1", takeover=True)
        assert stream.ended() == "superseded"


# --- how it ends ------------------------------------------------------------------------------------------------


def test_unregistering_ends_the_stream(lane_url: str, call: Surface, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        call.ok(alice, "unregister", instance_id="ann")
        assert stream.ended() == "unregistered"


def test_an_open_stream_is_known_by_who_opened_it_and_can_be_ended(lane_url: str, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        (known,) = (each for each in streams._open if each.principal.workspace_id == alice.workspace.pk)
        known.end("revoked")
        known.end("again")
        assert stream.ended() == "revoked"
    until(lambda: not open_waits(alice), "its row is still there")


@pytest.mark.parametrize("begins", [True, False], ids=["at once", "after events"])
def test_who_hangs_up_leaves_nothing_behind(url: str, alice: Caller, begins: bool) -> None:
    stream = EventStream(url, alice, instance_id="ann")
    if not begins:
        seed(alice, ["x"])
        stream.moved()
    assert len(present(alice)) == 1
    stream.close()
    until(lambda: not open_waits(alice) and not present(alice), "the stream goes on without its client")
    assert not [each for each in streams._open if each.principal.workspace_id == alice.workspace.pk]


async def test_who_hangs_up_before_the_stream_is_stored_leaves_nothing_behind(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = await executor.run(principal_of, make_workspace())
    look, begun, gate, loop = events.look, asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def slow(*args: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        assert gate.wait(SOON)
        return look(*args)

    async def tell(*args: Any) -> None:
        pass

    monkeypatch.setattr(events, "look", slow)
    stream = asyncio.create_task(listening.follow(principal, tell, instance_id="ann"))
    async with asyncio.timeout(SOON):
        await begun.wait()
        stream.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        gate.set()
        await asyncio.wait([stream])
    assert not await executor.run(Wait.objects.filter(workspace=principal.workspace_id).exists)


def test_it_lasts_so_long_and_no_longer(lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LIFE_SECONDS", 0.1)
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        assert stream.ended() == "time"


def test_a_quiet_stream_shows_that_it_is_there_and_asks_the_database_nothing(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch, statements: Callable[..., Any]
) -> None:
    monkeypatch.setattr(listening, "QUIET_SECONDS", 0.1)
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        stream.comment()
        with statements() as ran:
            stream.comment()
            stream.comment()
        looks = [text for text in ran if "bus_channel c" in text and "bus_wait" not in text]  # not those for all waits
        assert looks == []


# --- across failures --------------------------------------------------------------------------------------------


def test_what_nobody_was_told_of_is_found_by_the_beat(lane_url: str, alice: Caller) -> None:
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        with unheard():
            seed(alice, ["x"])
        waiting.room.compare(waits.beat(waiting.PROCESS))
        assert stream.moved() == ("general", 1)


def test_a_database_that_is_away_for_a_while_ends_no_stream(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "RETRY_SECONDS", 0.05)
    with EventStream(lane_url, alice, instance_id="ann") as stream:
        look, failures = events.look, iter([unavailable("away"), unavailable("away")])

        def failing(*args: Any) -> list[Moved]:
            for problem in failures:
                raise problem
            return look(*args)

        monkeypatch.setattr(events, "look", failing)
        seed(alice, ["x"])
        assert stream.moved() == ("general", 1)


async def test_a_stream_whose_client_no_longer_reads_ends_all_the_same(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(rest_events, "GOODBYE_SECONDS", 0.1)
    caller = await executor.run(make_workspace)
    sent: list[Any] = []
    stuck, never = asyncio.Event(), asyncio.Event()

    async def send(message: Any) -> None:
        if len(sent) == 3:  # its head, when to come back, where it begins
            stuck.set()
            await never.wait()
        sent.append(message)

    async def receive() -> Any:
        await never.wait()

    headers = [(name.lower().encode(), value.encode()) for name, value in caller.headers.items()]
    scope = {"type": "http", "method": "GET", "path": PATH, "query_string": b"instance_id=ann", "headers": headers}
    serving = asyncio.create_task(rest_events.serve({**scope, "client": ("127.0.0.1", 1)}, receive, send))
    async with asyncio.timeout(SOON):
        await stuck.wait()
        (waiter,) = present(caller)
        waiter.end("revoked")
        await serving
    assert len(sent) == 3
    assert present(caller) == []
    assert not await executor.run(Wait.objects.filter(workspace=caller.workspace).exists)


async def test_a_slow_reader_is_told_of_the_newest_alone(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    principal = await executor.run(principal_of, caller)
    told: list[list[Moved]] = []
    began, is_busy, reads, is_done = (asyncio.Event() for _ in range(4))

    async def tell(looked_to: int, moved: Any) -> None:
        told.append(list(moved))
        (began, is_busy, is_done)[min(len(told), 3) - 1].set()
        if moved:
            await reads.wait()

    following = asyncio.create_task(listening.follow(principal, tell, instance_id="ann"))
    try:
        async with asyncio.timeout(SOON):
            await began.wait()
            await executor.run(seed, caller, ["first"])
            await is_busy.wait()
            for _ in range(5):
                await executor.run(seed, caller, ["x"] * 5, channel="one")
                await executor.run(seed, caller, ["x"] * 5, channel="two")
            reads.set()
            await is_done.wait()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert told == [[], [Moved("general", 1)], [Moved("one", 46), Moved("two", 51)]]
    assert not await executor.run(Wait.objects.filter(workspace=caller.workspace).exists)
    assert await executor.run(Message.objects.filter(workspace=caller.workspace).count) == 51
