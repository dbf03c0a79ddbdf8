"""No wake-up is lost: who begins to wait looks after it can be woken, and the beat finds what nobody was told."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from bus import conversing, waiting
from bus.beats import Beat
from bus.models import Wait
from bus.services import endings, messages, tasks, waits
from crosswire.lib import executor, hub, watch
from tests.bus.waiters import SOON, WAIT, answered, begin, present, unheard, until
from tests.conftest import MakeWorkspace
from tests.mcp.tasks import Asker
from tests.mcp.tasks import messages as numbers
from tests.support.cast import Caller
from tests.support.messages import ids, principal_of, seed
from tests.support.surfaces import Surface

ONE = pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)
BOTH = pytest.mark.parametrize("call", ["mcp-2026-07-28", "lane"], indirect=True)


@pytest.fixture(autouse=True)
def _no_beat_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BEAT_SECONDS", 3_600.0)
    monkeypatch.setattr(waiting, "CALM_BEAT_SECONDS", 3_600.0)
    monkeypatch.setattr(watch, "SECONDS", 3_600.0)


def beat() -> None:
    waiting.room.compare(waits.beat(waiting.PROCESS))


def wait_for(call: Surface, caller: Caller, **arguments: Any) -> Any:
    if call.is_mcp:
        return begin(call, caller, WAIT, **arguments)
    return begin(call, caller, "check_messages", wait=40, **arguments)


@BOTH
def test_a_message_nobody_was_told_of_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = wait_for(call, alice, instance_id="ann")
    with unheard():
        (number,) = seed(alice, ["x"])
    assert not waited.done()
    beat()
    assert ids(answered(waited)) == [number]


@BOTH
def test_a_channel_made_unheard_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = wait_for(call, alice, instance_id="ann", channel="to-come")
    with unheard():
        (number,) = seed(alice, ["x"], channel="to-come")
    beat()
    assert ids(answered(waited)) == [number]


@pytest.mark.parametrize("call", ["lane"], indirect=True)
def test_an_onlookers_message_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = wait_for(call, alice)
    with unheard():
        (number,) = seed(alice, ["x"])
    beat()
    assert ids(answered(waited)) == [number]


@BOTH
def test_a_waiting_inboxs_message_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, "inbox", instance_id="ann", wait=40)
    with unheard():
        (number,) = seed(alice, ["x"], channel="elsewhere")
    beat()
    assert ids(answered(waited)) == [number]


@ONE
def test_the_beat_wakes_nobody_for_what_is_its_own_or_was_looked_at(call: Surface, alice: Caller) -> None:
    seed(alice, ["history"])
    waited = begin(call, alice, instance_id="ann")
    (waiter,) = present(alice)
    until(lambda: waiter.newest == 1, "the wait has not looked")
    with unheard():
        seed(alice, ["mine"], sender="ann")
        seed(alice, ["elsewhere"], channel="other")
    assert [each.newest for each in waits.beat(waiting.PROCESS) if each.token == waiter.token] == [1]
    seed(alice, ["x"])
    answered(waited)


@ONE
def test_an_end_nobody_was_told_of_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, instance_id="ann")
    with unheard():
        endings.end(Wait.objects.filter(workspace=alice.workspace), "superseded")
    beat()
    assert answered(waited)["ended"] == "superseded"


@ONE
def test_the_beat_says_that_a_wait_lives(call: Surface, alice: Caller, clock: Any) -> None:
    waited = begin(call, alice, instance_id="ann")
    for _ in range(2):
        clock.forward(seconds=20)
        beat()
    (row,) = call.ok(alice, "list_instances")["instances"]
    assert row["waiting_on"] == ["general"]
    seed(alice, ["x"])
    answered(waited)


async def test_the_beat_goes_on_while_somebody_waits_and_ends_with_the_last(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "CALM_BEAT_SECONDS", 0.01)
    principal = await executor.run(principal_of, make_workspace("unlimited"))
    for channel in ("one", "two"):
        arguments: dict[str, Any] = {"channel": channel, "instance_id": "ann", "persistent": False}
        waited = asyncio.create_task(conversing.wait_for_reply(principal, timeout_seconds=SOON, **arguments))
        rows = Wait.objects.filter(workspace=principal.workspace_id)
        while not await executor.run(rows.exists):
            assert not waited.done()
        beats = waiting.room._beats[asyncio.get_running_loop()]
        with unheard():
            await executor.run(_send, principal, channel)
        assert (await waited)["ended"] == "message"
        async with asyncio.timeout(SOON):
            await beats


def _send(principal: Any, channel: str) -> None:
    messages.send(principal.calling("tests/1"), channel=channel, sender="bo", content="x")


async def test_a_message_stored_while_a_wait_begins_is_never_missed(make_workspace: MakeWorkspace) -> None:
    principal = await executor.run(principal_of, make_workspace("unlimited"))
    missed = []
    for number in range(120):
        arguments: dict[str, Any] = {"channel": f"c{number}", "instance_id": "ann", "after_id": 0}
        waited = asyncio.create_task(
            conversing.wait_for_reply(principal, timeout_seconds=SOON, persistent=False, **arguments)
        )
        for _ in range(number % 12):
            await asyncio.sleep(0)
        await executor.run(_send, principal, f"c{number}")
        if (await waited)["ended"] != "message":
            missed.append(number)
    assert missed == []
    assert not await executor.run(Wait.objects.filter(workspace=principal.workspace_id).exists)


@ONE
def test_a_wait_that_ended_is_in_nobodys_way(call: Surface, alice: Caller) -> None:
    call.ok(alice, WAIT, instance_id="ann", timeout_seconds=0, persistent=False)
    until(lambda: not present(alice), "somebody still waits")
    beat()
    waiting.room.compare([Beat("a token of nobody's", "", 10), Beat("another", "superseded", 10)])


# --- a task for which several processes are asked ----------------------------------------------------------------


@pytest.fixture
def ann(lane_url: str, alice: Caller) -> Asker:
    """Alice's client that takes tasks."""
    return Asker(lane_url, alice)


def hold(ann: Asker) -> tuple[str, Future[dict[str, Any]]]:
    """Have this process be asked for a task; return it and what is answered."""
    task = ann.begin(instance_id="ann")
    answer = ann.ask(task)
    until(lambda: any(each.key[1] for each in tuple(waiting.room.by_task.get(task, ()))), "nobody asks")
    return task, answer


@pytest.mark.parametrize("is_due", [True, False])
def test_a_held_task_for_which_another_process_was_asked_later_is_found_by_its_token(
    ann: Asker, alice: Caller, statements: Callable[..., Any], is_due: bool
) -> None:
    task, answer = hold(ann)
    looks = []
    with unheard():
        for process in (waiting.PROCESS, "another"):
            tasks.poll(principal_of(alice), task, process)
            with statements(threading.current_thread().name) as ran:
                waiting.room._tell_news(is_due=is_due, is_unsure=False)
            looks.append(len([text for text in ran if "bus_wait" in text]))
        assert looks == [1, 2]
        assert Wait.objects.get(token=task).process == "another", "looks must not pull a task to and fro"
        (number,) = seed(alice, ["x"])
    waiting.room._tell_news(is_due=is_due, is_unsure=False)
    assert numbers(answer.result(SOON)) == [number]


def test_a_held_task_that_another_process_ended_unheard_is_found_by_its_token(ann: Asker, alice: Caller) -> None:
    task, answer = hold(ann)
    with unheard():
        tasks.poll(principal_of(alice), task, "another")
        tasks.hang_up(principal_of(alice), task, "another")
        tasks.cancel(principal_of(alice), task)
    waiting.room._tell_news(is_due=False, is_unsure=False)
    assert answer.result(SOON)["status"] == "cancelled"


def test_a_task_counts_as_asked_for_while_the_process_that_was_asked_last_holds_it(ann: Asker, alice: Caller) -> None:
    task, answer = hold(ann)
    tasks.poll(principal_of(alice), task, "another")
    tasks.hang_up(principal_of(alice), task, waiting.PROCESS)
    assert ann.data(WAIT, instance_id="ann")["ended"] == "listening"
    ann.cancel(task)
    answer.result(SOON)


def test_so_many_tasks_are_looked_for_by_several_statements(statements: Callable[..., Any]) -> None:
    with statements(threading.current_thread().name) as ran:
        assert waits.news_of({str(number) for number in range(waits.ASKED_TOGETHER + 1)}) == []
    assert len(ran) == 2


# --- other processes are heard again ----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("is_connected", [True, False])
def test_whoever_waits_looks_when_hearing_others_begins_or_ends(
    call: Surface, alice: Caller, is_connected: bool
) -> None:
    waited = wait_for(call, alice, instance_id="ann")
    with unheard():
        (number,) = seed(alice, ["x"])
    hub._tell(hub.CONNECTION, {"is_connected": is_connected})
    assert ids(answered(waited)) == [number]


async def test_who_looked_before_others_were_heard_and_is_not_stored_yet_looks_again(
    make_workspace: MakeWorkspace,
) -> None:
    workspace_id = (await executor.run(principal_of, make_workspace())).workspace_id
    with waiting.room.waiter(workspace_id, "general") as waiter:
        await executor.run(waiting.room._tell_news, is_due=False, is_unsure=False)
        await asyncio.sleep(0)
        assert not waiter.woken.is_set()
        await executor.run(waiting.room._tell_news, is_due=False, is_unsure=True)
        await asyncio.sleep(0)
        assert waiter.woken.is_set()


def test_waits_beat_seldom_while_others_are_heard_and_often_while_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BEAT_SECONDS", 2.0)
    monkeypatch.setattr(waiting, "CALM_BEAT_SECONDS", 10.0)
    monkeypatch.setattr(watch, "is_possible", lambda: False)
    for is_connected, seconds in ((True, 10.0), (False, 2.0)):
        monkeypatch.setattr(hub, "is_connected", lambda is_connected=is_connected: is_connected)
        assert waiting.beat_seconds() == seconds


async def test_a_client_that_takes_no_progress_does_not_hold_its_wait(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PROGRESS_SECONDS", 0.05)
    monkeypatch.setattr(waiting, "TAKEN_SECONDS", 0.05)
    principal = await executor.run(principal_of, make_workspace())
    arguments: dict[str, Any] = {"channel": "c", "instance_id": "ann", "persistent": False, "timeout_seconds": 0.2}

    async def nobody_reads(seconds: float) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(SOON):
        answer = await conversing.wait_for_reply(principal, **arguments, progress=nobody_reads)
    assert answer["ended"] == "time"


async def test_loops_of_one_process_share_the_beat(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait over DRF runs on a loop of its own."""
    beats: list[str] = []

    def beat_once(process: str) -> list[Beat]:
        beats.append(process)
        return []

    monkeypatch.setattr(waiting, "beat_seconds", lambda: 0.5)
    monkeypatch.setattr(waits, "beat", beat_once)
    principal = await executor.run(principal_of, make_workspace())
    begun = asyncio.get_running_loop().time()

    def wait_elsewhere() -> None:
        arguments: dict[str, Any] = {"channel": "c", "persistent": False, "timeout_seconds": 2}
        asyncio.run(conversing.wait_for_reply(principal, instance_id=secrets.token_hex(4), **arguments))

    await asyncio.gather(*(asyncio.to_thread(wait_elsewhere) for _ in range(4)))
    assert 1 <= len(beats) <= (asyncio.get_running_loop().time() - begun) / 0.5 + 2
