"""A wait as a task: which waits become one, what ends it, what it answers, and what is remembered of that."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError

from bus import waiting
from bus.mcp import tasks as mcp_tasks
from bus.models import Cursor, Wait
from bus.services import tasks as services
from crosswire.lib import executor, hub
from tests.bus.test_access_ends import give_name_away, revoke
from tests.bus.test_wait_hang_up import send_request
from tests.bus.waiters import SOON, answered, begin, unheard, until
from tests.conftest import Clock
from tests.mcp.tasks import ABSENT, WAIT, Asker, ended, messages
from tests.support.cast import Caller
from tests.support.messages import change_plan, principal_of
from tests.support.surfaces import Surface, SurfaceName

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def call(surface: Callable[[SurfaceName], Surface]) -> Surface:
    """What others do beside the task, over REST."""
    return surface("lane")


@pytest.fixture
def ann(lane_url: str, call: Surface, alice: Caller) -> Asker:
    """Alice's client that takes tasks, after an instance `ann` has registered."""
    call.ok(alice, "register", instance_id="ann")
    return Asker(lane_url, alice)


def send(call: Surface, caller: Caller, content: str = "hello", **fields: Any) -> int:
    """Send as Bob; return the number."""
    return int(call.ok(caller, "send_message", **{"sender": "bob", "content": content, **fields})["id"])


def row(task: str) -> Wait:
    """Return a task's row."""
    return Wait.objects.get(token=task)


def asked(task: str) -> None:
    """Return once somebody is made to wait for news of a task in this process."""
    until(lambda: task in waiting.room.by_task and row(task).process != "", "nobody asks")


def waiting_on(call: Surface, caller: Caller, name: str = "ann") -> list[str]:
    """Return what the list of instances says one waits on."""
    found = call.ok(caller, "list_instances")["instances"]
    return next(list(each["waiting_on"]) for each in found if each["instance_id"] == name)


# --- which waits become tasks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (WAIT, {}),
        (WAIT, {"timeout_seconds": 21}),
        (WAIT, {"max_wait_minutes": 5}),
        (WAIT, {"role": "parked"}),
        ("inbox", {"wait": 21}),
    ],
)
def test_a_long_wait_becomes_a_task(ann: Asker, tool: str, arguments: dict[str, Any]) -> None:
    answer = ann.call(tool, instance_id="ann", **arguments)
    assert answer["resultType"] == "task"
    assert answer["status"] == "working"
    assert answer["pollIntervalMs"] == 2_000
    hours = 1 + (5 / 60 if "max_wait_minutes" in arguments else 24)
    assert answer["ttlMs"] == pytest.approx(hours * 3_600_000, abs=10)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (WAIT, {"timeout_seconds": 0.1, "persistent": False}),
        (WAIT, {"timeout_seconds": 20, "max_wait_minutes": 0.001}),
        (WAIT, {"max_wait_minutes": 0.002}),
        ("inbox", {"wait": 0.1}),
        ("inbox", {}),
    ],
)
def test_a_short_wait_blocks(ann: Asker, tool: str, arguments: dict[str, Any]) -> None:
    assert ann.data(tool, instance_id="ann", **arguments)["messages"] == []


@pytest.mark.parametrize(("tool", "arguments"), [(WAIT, {}), ("inbox", {"wait": 60})])
def test_what_is_there_already_is_answered_at_once(
    ann: Asker, call: Surface, alice: Caller, tool: str, arguments: dict[str, Any]
) -> None:
    number = send(call, alice)
    data = ann.data(tool, instance_id="ann", **arguments)
    assert [each["id"] for each in data["messages"]] == [number]
    assert data["ended"] == "message"


def test_a_read_only_key_gets_no_task(lane_url: str, call: Surface, alice: Caller) -> None:
    reader = Asker(lane_url, alice.with_key(read_only=True))
    data = reader.data(WAIT, instance_id="ann", max_wait_minutes=0.001)
    assert data["ended"] == "time"


# --- what ends a task, and what it answers -----------------------------------------------------------------------


def test_a_message_ends_a_task_the_moment_it_is_stored(ann: Asker, call: Surface, alice: Caller) -> None:
    task = ann.begin(instance_id="ann")
    answer = ann.ask(task)
    asked(task)
    number = send(call, alice)
    found = answer.result(SOON)
    assert messages(found) == [number]
    assert ended(found) == "message"


def test_an_unasked_task_answers_when_it_is_asked_for(ann: Asker, call: Surface, alice: Caller) -> None:
    task = ann.begin(instance_id="ann")
    numbers = [send(call, alice, str(each)) for each in range(3)]
    assert messages(ann.get(task)) == numbers


def test_ones_own_messages_end_nothing(ann: Asker, call: Surface, alice: Caller) -> None:
    tasks = ann.begin(instance_id="ann"), ann.begin("inbox", instance_id="ann", wait=60)
    answers = [ann.ask(task) for task in tasks]
    for task in tasks:
        asked(task)
    send(call, alice, sender="ann")
    number = send(call, alice)
    assert [messages(each.result(SOON)) for each in answers] == [[number], [number]]


def test_done_ends_a_task_and_says_so(ann: Asker, call: Surface, alice: Caller) -> None:
    task = ann.begin(instance_id="ann")
    send(call, alice, message_type="done")
    found = ann.get(task)
    assert ended(found) == "done"
    assert "signaled DONE" in found["result"]["content"][0]["text"]


def test_unregister_ends_a_task_asked_for_or_not(ann: Asker, call: Surface, alice: Caller, clock: Clock) -> None:
    asked_for, other = ann.begin(instance_id="ann"), ann.begin(instance_id="ann", channel="other")
    clock.forward(minutes=10)
    answer = ann.ask(asked_for)
    asked(asked_for)
    call.ok(alice, "unregister", instance_id="ann")
    assert ended(answer.result(SOON)) == "unregistered"
    assert ended(ann.get(other)) == "unregistered"


def test_cancel_ends_a_task_and_may_be_repeated(ann: Asker) -> None:
    task = ann.begin(instance_id="ann")
    answer = ann.ask(task)
    asked(task)
    for _ in range(2):
        assert ann.cancel(task)["resultType"] == "complete"
    found = answer.result(SOON)
    assert found["status"] == "cancelled"
    assert "result" not in found
    assert ann.get(task)["status"] == "cancelled"


def test_cancelling_a_finished_task_changes_nothing(ann: Asker, call: Surface, alice: Caller) -> None:
    task = ann.begin(instance_id="ann")
    send(call, alice)
    before = ann.get(task)
    ann.cancel(task)
    assert ann.get(task) == before


@pytest.mark.parametrize(("minutes", "life"), [(None, 24 * 60), (30, 30)])
def test_a_task_ends_with_its_life_and_says_how_to_go_on(
    ann: Asker, clock: Clock, minutes: int | None, life: int
) -> None:
    task = ann.begin(instance_id="ann", **({"max_wait_minutes": minutes} if minutes else {}))
    clock.forward(minutes=life, seconds=1)
    found = ann.get(task)
    assert ended(found) == "time"
    assert found["result"]["structuredContent"]["next"].startswith("TO KEEP LISTENING")


def test_what_came_before_a_life_was_over_is_told(ann: Asker, call: Surface, alice: Caller, clock: Clock) -> None:
    task = ann.begin(instance_id="ann", max_wait_minutes=5)
    number = send(call, alice)
    clock.forward(minutes=6)
    assert messages(ann.get(task)) == [number]


def test_three_idle_tasks_end_nothing_in_ten_minutes(ann: Asker, call: Surface, alice: Caller, clock: Clock) -> None:
    tasks = [
        ann.begin(instance_id="ann"),
        ann.begin("inbox", instance_id="ann", wait=3_600),
        Asker(ann.url, alice).begin(instance_id="bea", channel="other"),
    ]
    for _ in range(10):
        answers = [ann.ask(task) for task in tasks]
        for task in tasks:
            asked(task)
        clock.forward(minutes=1)
        send(call, alice, channel="elsewhere", sender="ann")
        assert not [each for each in answers if each.done()]
        _let_go(tasks)
        assert [each.result(SOON)["status"] for each in answers] == ["working"] * 3


def _let_go(tasks: list[str]) -> None:
    """End the holding, as its 25 seconds would."""
    for task in tasks:
        for waiter in tuple(waiting.room.by_task[task]):
            waiter.end("time")


# --- what crosses it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("take_away", [revoke, give_name_away])
def test_a_task_to_which_the_right_is_taken_away_meanwhile_is_ended(
    ann: Asker, alice: Caller, monkeypatch: pytest.MonkeyPatch, take_away: Callable[[Caller], None]
) -> None:
    open_task = services._open

    def crossed(*args: Any) -> Any:
        with unheard():
            take_away(alice)  # its waits were ended before there was this one
        return open_task(*args)

    monkeypatch.setattr(services, "_open", crossed)
    answer = ann.call(WAIT, instance_id="ann")
    assert answer["isError"]
    assert [row.ended for row in Wait.objects.filter(workspace=alice.workspace)] == ["revoked"]


def test_a_task_asked_for_while_the_database_goes_away_is_working(
    ann: Asker, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = ann.begin(WAIT, instance_id="ann")
    asking = ann.ask(task)
    until(lambda: any(each.newest == 0 and each.key[1] for each in waiting.room.by_task.get(task, ())), "nobody asks")

    def away(*args: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(services, "poll", away)
    hub.publish("bus.channel", {"workspace": alice.workspace.pk, "channel": "general", "number": 1})
    assert asking.result(SOON)["status"] == "working"


@pytest.mark.parametrize("why", ["time", "restart"])
async def test_who_is_told_that_it_is_over_before_it_looked_is_answered(
    make_workspace: Callable[..., Caller], why: str
) -> None:
    principal = await executor.run(principal_of, await executor.run(make_workspace))
    task = await executor.run(functools.partial(services.wait_for_reply, principal, channel="c", instance_id="ann"))
    assert isinstance(task, services.Task)
    turns = waiting.turns(asyncio.get_running_loop())
    async with asyncio.timeout(SOON), contextlib.AsyncExitStack() as others:
        for _ in range(settings.EXECUTOR_THREADS // 2):
            await others.enter_async_context(turns)
        asking = asyncio.create_task(mcp_tasks.get(principal, task.token))
        await asyncio.sleep(0)
        for waiter in waiting.room.by_task[task.token]:
            waiter.end(why)
    assert (await asking)["status"] == "working"


def test_of_very_many_that_ask_for_one_task_only_some_are_held(
    ann: Asker, call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_tasks, "HELD_MOST", 2)
    task = ann.begin(WAIT, instance_id="ann")
    held = [ann.ask(task) for _ in range(2)]
    until(lambda: len(waiting.room.by_task.get(task, ())) == 2, "nobody asks")
    assert ann.get(task)["status"] == "working"
    assert not any(each.done() for each in held)
    call.ok(alice, "send_message", sender="bob", content="hello")
    assert {each.result(SOON)["status"] for each in held} == {"completed"}
    assert ann.get(task)["status"] == "completed"


# --- what is kept ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "arguments"), [(WAIT, {}), ("inbox", {"wait": 60})])
def test_an_answer_is_repeated_for_an_hour(
    ann: Asker, call: Surface, alice: Caller, clock: Clock, tool: str, arguments: dict[str, Any]
) -> None:
    task = ann.begin(tool, instance_id="ann", **arguments)
    send(call, alice)
    first = ann.get(task)
    send(call, alice)
    clock.forward(minutes=59)
    assert ann.get(task) == first
    clock.forward(minutes=2)
    assert ann.refused("tasks/get", task) == ABSENT


def test_what_has_expired_is_left_out_of_a_repeat(
    lane_url: str, call: Surface, make_workspace: Callable[..., Caller], clock: Clock
) -> None:
    caller = make_workspace("free")
    ann = Asker(lane_url, caller)
    task = ann.begin(instance_id="ann", max_wait_minutes=1_440)
    send(call, caller, "old")
    clock.forward(days=6, hours=23, minutes=59)
    Wait.objects.filter(token=task).update(until=clock.now())
    assert len(messages(ann.get(task))) == 1
    clock.forward(minutes=2)
    assert messages(ann.get(task)) == []


def test_a_tasks_answer_is_confirmed_by_the_next_call_and_not_before(ann: Asker, call: Surface, alice: Caller) -> None:
    task = ann.begin(instance_id="ann")
    number = send(call, alice)
    ann.get(task)
    cursor = Cursor.objects.get(workspace=alice.workspace)
    assert (cursor.shown_to, cursor.pending_shown, cursor.pending_how) == (0, number, "task")
    call.ok(alice, "check_messages", instance_id="ann")
    cursor.refresh_from_db()
    assert cursor.shown_to == number


def test_those_who_ask_at_once_are_told_the_same_and_it_is_handed_out_once(
    ann: Asker, call: Surface, alice: Caller
) -> None:
    task = ann.begin(instance_id="ann")
    answers = [ann.ask(task) for _ in range(6)]
    asked(task)
    number = send(call, alice)
    found = [each.result(SOON) for each in answers]
    assert [messages(each) for each in found] == [[number]] * 6
    results = [each["result"] for each in found]
    assert results == results[:1] * 6
    assert row(task).answer_to == number


# --- second waits ------------------------------------------------------------------------------------------------


def test_a_second_wait_finds_the_unasked_task_with_a_new_life_and_floor(
    ann: Asker, call: Surface, alice: Caller, clock: Clock
) -> None:
    task = ann.begin(instance_id="ann")
    clock.forward(hours=23)
    assert ann.begin(instance_id="ann", after_id=0) == task
    clock.forward(hours=23)
    number = send(call, alice)
    assert messages(ann.get(task)) == [number]


def test_a_finished_task_is_never_handed_out_again(ann: Asker, call: Surface, alice: Caller) -> None:
    first = ann.begin(instance_id="ann")
    number = send(call, alice)
    ann.get(first)
    second = ann.begin(instance_id="ann", after_id=number)
    assert second != first
    ann.cancel(second)
    assert ann.begin(instance_id="ann", after_id=number) not in (first, second)


@pytest.mark.parametrize(("tool", "arguments"), [(WAIT, {}), ("inbox", {"wait": 60})])
def test_a_second_wait_is_told_that_its_task_listens_already(
    ann: Asker, tool: str, arguments: dict[str, Any], call: Surface, alice: Caller
) -> None:
    task = ann.begin(tool, instance_id="ann", **arguments)
    answer = ann.ask(task)
    asked(task)
    data = ann.data(tool, instance_id="ann", **arguments)
    assert data["ended"] == "listening"
    assert "Do not wait again" in data["next"]
    number = send(call, alice)
    assert messages(answer.result(SOON)) == [number]


def test_a_second_wait_gets_the_task_of_a_client_that_hung_up(ann: Asker) -> None:
    task = ann.begin(instance_id="ann")
    sent = ann.request("tasks/get", task)
    with send_request(ann.url, ann.caller, ("/mcp", JSON | sent.headers, json.dumps(sent.body).encode())):
        asked(task)
    until(lambda: row(task).poll_due_at is None, "the hang-up is not noticed")
    assert ann.begin(instance_id="ann") == task


def test_two_waits_at_once_make_one_task(ann: Asker) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: ann.begin(instance_id="ann"), range(8)))
    assert len(found) == 1


def test_what_a_second_wait_is_given_at_once_does_not_end_the_task_too(
    ann: Asker, call: Surface, alice: Caller
) -> None:
    task = ann.begin(instance_id="ann")
    first = send(call, alice)
    data = ann.data(WAIT, instance_id="ann")
    assert data["resume_after_id"] == first
    second = send(call, alice)
    assert messages(ann.get(task)) == [second]


def test_a_wait_that_blocks_beside_a_task_leaves_it_alone(
    ann: Asker, call: Surface, surface: Callable[[SurfaceName], Surface], alice: Caller
) -> None:
    task = ann.begin(instance_id="ann")
    blocking = begin(surface("mcp-2025-11-25"), alice, WAIT, instance_id="ann")
    again = ann.begin(instance_id="ann")
    assert again == task
    number = send(call, alice)
    assert answered(blocking)["ended"] == "message"
    assert messages(ann.get(task)) == [number]


# --- presence ----------------------------------------------------------------------------------------------------


def test_a_task_counts_as_waiting_while_it_is_asked_for(ann: Asker, call: Surface, alice: Caller, clock: Clock) -> None:
    task = ann.begin(instance_id="ann")
    assert waiting_on(call, alice) == ["general"]
    clock.forward(seconds=91)
    assert waiting_on(call, alice) == []
    assert call.ok(alice, "send_message", sender="bob", content="x")["recipients"] == 0
    ann.get(task)
    task = ann.begin(instance_id="ann", after_id=1)
    clock.forward(seconds=85)
    assert call.ok(alice, "send_message", sender="bob", content="x")["recipients"] == 1


def test_asking_is_no_sign_of_life_but_counts_as_waiting(
    ann: Asker, call: Surface, alice: Caller, clock: Clock
) -> None:
    def seen() -> dict[str, Any]:
        (found,) = call.ok(alice, "list_instances")["instances"]
        return dict(found)

    task = ann.begin(instance_id="ann")
    before = seen()["last_seen"]
    clock.forward(minutes=40)
    answer = ann.ask(task)
    asked(task)
    assert seen()["last_seen"] == before
    assert seen()["status"] == "online"
    ann.cancel(task)
    answer.result(SOON)
    assert seen()["status"] == "offline"


def test_who_is_not_listened_for_is_told_in_the_next_answer(
    ann: Asker, call: Surface, alice: Caller, clock: Clock
) -> None:
    ann.begin(instance_id="ann")
    assert "unheard" not in ann.data("check_messages", instance_id="ann")
    clock.forward(seconds=91)
    for tool in ("check_messages", "inbox", "register"):
        answer = ann.call(tool, instance_id="ann")
        assert answer["structuredContent"]["unheard"] == "general"
        assert "Nobody listens" in answer["content"][0]["text"]
    sent = ann.call("send_message", sender="ann", content="x")
    assert "Nobody listens" in sent["content"][0]["text"]


def test_a_waiting_inbox_that_ends_without_a_message_tells_that_nobody_listens(
    ann: Asker, call: Surface, alice: Caller, clock: Clock
) -> None:
    ann.begin(WAIT, instance_id="ann")
    clock.forward(seconds=100)  # and nobody asks
    assert call.ok(alice, "inbox", instance_id="ann", wait=0.1)["unheard"] == "general"


def test_a_workspace_has_a_hundred_waits_and_tasks_nobody_asks_for_are_not_among_them(
    lane_url: str, make_workspace: Callable[..., Caller], clock: Clock
) -> None:
    caller = make_workspace("pro")
    client = Asker(lane_url, caller)
    first = client.begin(instance_id="ann", channel="c0")
    one = row(first)
    Wait.objects.bulk_create(
        Wait(
            workspace=caller.workspace,
            token=f"{first}-{number}",
            kind=Wait.Kind.TASK,
            channel_name=f"c{number}",
            instance=one.instance,
            credential=one.credential,
            until=one.until,
            seen_at=one.seen_at,
        )
        for number in range(1, 100)
    )
    refusal = client.call(instance_id="ann", channel="one-more")
    assert refusal["isError"]
    assert "100 waits" in refusal["content"][0]["text"]
    assert not Wait.objects.filter(workspace=caller.workspace, channel_name="one-more").exists()
    clock.forward(seconds=91)
    client.begin(instance_id="ann", channel="one-more")


def test_a_workspace_has_so_many_unfinished_tasks_and_no_more(
    ann: Asker, alice: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "TASKS_A_WAIT", 1)
    change_plan(alice, waits=2)
    ann = Asker(ann.url, alice.with_key())
    first, _ = (ann.begin(instance_id="ann", channel=channel) for channel in ("c0", "c1"))
    clock.forward(seconds=91)  # nobody asks: they are no waits any more
    refusal = ann.call(instance_id="ann", channel="one-more")
    assert refusal["isError"]
    assert "2 unfinished tasks" in refusal["content"][0]["text"]
    assert not Wait.objects.filter(workspace=alice.workspace, channel_name="one-more").exists()
    assert ann.begin(instance_id="ann", channel="c0") == first
    ann.cancel(first)
    ann.begin(instance_id="ann", channel="one-more")


def test_a_task_where_there_is_no_channel_says_so(ann: Asker) -> None:
    assert "There is no #odrers yet" in ann.call(instance_id="ann", channel="odrers")["statusMessage"]
    assert "There is no" not in ann.call(instance_id="ann")["statusMessage"]


# --- what it costs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "arguments"), [(WAIT, {}), ("inbox", {"wait": 60})])
def test_asking_in_vain_costs_one_statement(
    ann: Asker, statements: Callable[..., Any], tool: str, arguments: dict[str, Any]
) -> None:
    task = ann.begin(tool, instance_id="ann", **arguments)
    with statements("crosswire-db") as ran:
        answer = ann.ask(task)
        asked(task)
        _let_go([task])
        assert answer.result(SOON)["status"] == "working"
    for_all = ("seen_at = CASE", "SELECT token, ended")  # the beat, and a look because something was committed
    assert len([text for text in ran if not any(each in text for each in for_all)]) == 1, str(ran)
