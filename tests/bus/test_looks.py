"""One message wakes all who wait on a channel; they are answered together, in few statements, each with its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, OperationalError

from accounts.principals import Principal
from bus import calls, conversing, hot, waiting
from bus.models import Cursor, HandOut, Instance, Wait
from bus.services import instances, looks, messages, waits
from crosswire.lib import clock, executor, hub
from crosswire.lib.errors import CrossWireError
from tests.bus.waiters import SOON, all_threads_at_once, people, send, waiters
from tests.conftest import MakeWorkspace

HERE = "here"
COUNT = 30


def _numbers(answer: Any) -> list[int]:
    return [message["id"] for message in answer["messages"]]


async def _take_all(turns: asyncio.Semaphore) -> None:
    """Have those who are woken wait for their turn."""
    for _ in range(max(1, settings.EXECUTOR_THREADS // 2)):
        await turns.acquire()


def _give_back(turns: asyncio.Semaphore) -> None:
    for _ in range(max(1, settings.EXECUTOR_THREADS // 2)):
        turns.release()


async def _let_queue() -> None:
    """Have those who are woken come as far as to queue."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _by_name(principal: Principal) -> dict[str, waiting.Waiter]:
    """Return who waits in a workspace, by instance."""
    rows = Wait.objects.filter(workspace=principal.workspace_id).values_list("instance__name", "token")
    return {name: waiting.room.by_token[token] for name, token in await executor.run(lambda: list(rows))}


async def _answers(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    async with asyncio.timeout(SOON):
        return await asyncio.gather(*tasks)


async def test_all_who_wait_on_a_channel_are_answered_in_few_statements(
    make_workspace: MakeWorkspace, statements: Callable[..., Any]
) -> None:
    principal = await people(make_workspace)
    async with waiters(principal, COUNT, HERE) as tasks:
        with statements("crosswire-db") as ran:
            number = (await send(principal, HERE))["id"]
            answers = await _answers(tasks)
        assert [(_numbers(answer), answer["ended"]) for answer in answers] == [([number], "message")] * COUNT
        stored = [sql for sql in map(str, ran) if "bus_cursor" in sql and "INSERT" in sql]
        assert len(stored) < COUNT / 5
        assert len(ran) < COUNT

    def left() -> tuple[int, int, int]:
        own = {"workspace": principal.workspace_id}
        handed = HandOut.objects.filter(**own, from_number=number, to_number=number)
        pending = Cursor.objects.filter(**own, pending_shown=number, pending_how="open")
        return handed.count(), pending.count(), Wait.objects.filter(**own).count()

    assert await executor.run(left) == (COUNT, COUNT, 0)


async def test_each_is_told_what_lies_above_its_own_floor_and_is_not_its_own(make_workspace: MakeWorkspace) -> None:
    principal = await people(make_workspace)
    first = (await send(principal, HERE))["id"]

    def wait(name: str, **more: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(
            conversing.wait_for_reply(
                principal, channel=HERE, instance_id=name, timeout_seconds=60, persistent=False, **more
            )
        )

    async with waiters(principal, 3, HERE) as tasks:
        assert _numbers(await wait("newcomer", after_id=0)) == [first]
        second = (await send(principal, HERE, sender="i1"))["id"]
        answers = [await asyncio.wait_for(tasks[each], SOON) for each in (0, 2)]
        assert [_numbers(answer) for answer in answers] == [[second], [second]]
        assert not tasks[1].done(), "woken by what it sent itself"
        third = (await send(principal, HERE))["id"]
        assert _numbers(await asyncio.wait_for(tasks[1], SOON)) == [third]
        assert _numbers(await wait("i0", after_id=second)) == [third]
        assert _numbers(await wait("i2")) == [second, third], "nothing has said that the second arrived"


async def test_more_than_one_batch_holds_are_all_answered(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversing._looks, "_most", 7)
    look_together, batches = looks.look_together, list[int]()

    def count(together: list[looks.Look]) -> Any:
        batches.append(len(together))
        return look_together(together)

    monkeypatch.setattr(looks, "look_together", count)
    principal = await people(make_workspace)
    async with waiters(principal, COUNT, HERE) as tasks:
        number = (await send(principal, HERE))["id"]
        assert [_numbers(answer) for answer in await _answers(tasks)] == [[number]] * COUNT
    assert max(batches) == 7


@pytest.mark.parametrize(
    "problem", [looks.NotTogetherError(), IntegrityError("one of them"), OperationalError("deadlock"), KeyError("ours")]
)
async def test_where_it_fails_together_each_is_answered_alone(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    together, tried = hot.together, list[int]()

    def fail(*statements: Any) -> None:
        tokens = len(statements[0][1]) - 2
        tried.append(tokens)
        if tokens > 1:
            raise problem
        together(*statements)

    principal = await people(make_workspace)
    async with waiters(principal, COUNT, HERE) as tasks:
        monkeypatch.setattr(hot, "together", fail)
        number = (await send(principal, HERE))["id"]
        assert [_numbers(answer) for answer in await _answers(tasks)] == [[number]] * COUNT
    assert max(tried) > 1
    handed = HandOut.objects.filter(workspace=principal.workspace_id, from_number=number)
    assert await executor.run(handed.count) == COUNT


async def test_a_server_that_is_busy_says_so_to_each_once(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(together: Any) -> Any:
        raise CrossWireError("unavailable", "The server is busy.")

    principal = await people(make_workspace)
    turns = waiting.turns(asyncio.get_running_loop())
    async with waiters(principal, COUNT, HERE) as tasks:
        monkeypatch.setattr(looks, "look_together", busy)
        await _take_all(turns)
        await send(principal, HERE)
        await _let_queue()
        over = (await _by_name(principal))["i3"]
        over.end("superseded")
        _give_back(turns)
        async with asyncio.timeout(SOON):
            answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert not isinstance(answers[3], BaseException)
    assert answers[3]["ended"] == "superseded"
    assert [getattr(answer, "code", answer) for answer in answers if answer is not answers[3]] == ["unavailable"] * (
        COUNT - 1
    )


async def test_who_hangs_up_while_a_batch_fails_queues_for_no_turn(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = await people(make_workspace)
    begun, gate, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()
    turns = waiting.turns(loop)

    def fail(together: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        assert gate.wait(SOON)
        raise looks.NotTogetherError

    async with waiters(principal, 3, HERE) as tasks, asyncio.timeout(SOON):
        monkeypatch.setattr(looks, "look_together", fail)
        for _ in range(max(1, settings.EXECUTOR_THREADS // 2) - 1):  # the batch has the last one
            await turns.acquire()
        await send(principal, HERE)
        await begun.wait()
        tasks[0].cancel()
        await asyncio.sleep(0)
        others = [asyncio.create_task(turns.acquire()) for _ in range(2)]  # first to have the turn after the batch
        await asyncio.sleep(0)
        gate.set()
        with suppress(asyncio.CancelledError):
            await tasks[0]
        for other in others:
            other.cancel()
        _give_back(turns)
        await _answers(tasks[1:])


async def test_a_sign_of_life_that_cannot_be_stored_takes_nobodys_answer(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*found: Any) -> None:
        raise OperationalError("the connection is lost")

    principal = await people(make_workspace)
    async with waiters(principal, 3, HERE) as tasks:
        monkeypatch.setattr(instances, "touch", away)
        number = (await send(principal, HERE))["id"]
        assert [_numbers(answer) for answer in await _answers(tasks)] == [[number]] * 3


async def test_one_that_lost_its_place_gets_it_back_with_its_answer(make_workspace: MakeWorkspace) -> None:
    principal = await people(make_workspace)
    async with waiters(principal, 4, HERE) as tasks:
        gone = Instance.objects.filter(workspace=principal.workspace_id, name="i2")
        await executor.run(lambda: gone.update(left_at=clock.now()))
        number = (await send(principal, HERE))["id"]
        assert [_numbers(answer) for answer in await _answers(tasks)] == [[number]] * 4
        assert await executor.run(gone.filter(left_at=None).exists)


async def test_two_waits_of_one_instance_and_of_different_retentions_are_not_looked_for_together(
    make_workspace: MakeWorkspace,
) -> None:
    principal = await people(make_workspace)
    longer = replace(principal, plan=replace(principal.plan, retention_days=3_650))

    def asked(name: str, by: Principal = principal) -> waits.Asked:
        return waits.Asked(by, HERE, name, 0, 9, "blocking", "active", 9, "p", floor=0, is_open=True)

    for pair in ([asked("ann"), asked("ann")], [asked("ann"), asked("bob", longer)]):
        together = [looks.Look(each, token, copy_context()) for each, token in zip(pair, "ab", strict=True)]
        with pytest.raises(looks.NotTogetherError):
            await executor.run(looks.look_together, together)


async def test_one_far_behind_and_limits_of_their_own_give_each_what_it_would_get_alone(
    make_workspace: MakeWorkspace, statements: Callable[..., Any]
) -> None:
    principal = await people(make_workspace)
    drafts = [messages.draft(principal, channel=HERE, sender="i0", content="own") for _ in range(150)]
    await executor.run(messages.send_many, drafts)

    def read(name: str, **more: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(
            conversing.check_messages(principal, channel=HERE, instance_id=name, wait=60, **more)
        )

    newest = 150
    tasks = [read("i0", after_id=0), read("i1", after_id=newest, limit=1), *(read(f"i{n}") for n in range(2, 9))]
    turns = waiting.turns(asyncio.get_running_loop())
    open_waits = Wait.objects.filter(workspace=principal.workspace_id)
    async with asyncio.timeout(SOON):
        while await executor.run(open_waits.count) < len(tasks):
            assert not any(task.done() for task in tasks)
        await _take_all(turns)
        sent = [(await send(principal, HERE))["id"] for _ in range(2)]
        with statements("crosswire-db") as ran:
            _give_back(turns)
            answers = await asyncio.gather(*tasks)
    assert [(_numbers(answer), answer["has_more"]) for answer in answers] == [
        (sent, False),
        (sent[:1], True),
        *[(sent, False)] * 7,
    ]
    assert sum("FROM bus_message WHERE" in str(sql) for sql in ran) <= 3


# --- the call each is part of ------------------------------------------------------------------------------------


async def test_what_can_confirm_an_answer_is_decided_for_each_by_its_own_call(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    principal = await people(make_workspace)
    look_together, begun, gate = looks.look_together, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(together: list[looks.Look]) -> Any:
        loop.call_soon_threadsafe(begun.set)
        assert gate.wait(SOON)
        return look_together(together)

    async def call(name: str) -> Any:
        async with calls.under_way():
            calls.names(principal.workspace_id, name)
            return await conversing.wait_for_reply(
                principal, channel=HERE, instance_id=name, timeout_seconds=60, persistent=False
            )

    tasks = [asyncio.create_task(call(f"i{number}")) for number in range(4)]
    rows = Wait.objects.filter(workspace=principal.workspace_id)
    async with asyncio.timeout(SOON):
        while await executor.run(rows.count) < len(tasks):
            pass
        await all_threads_at_once()
        async with calls.under_way():
            calls.names(principal.workspace_id, "i1")  # runs beside its wait
        monkeypatch.setattr(looks, "look_together", slow)
        number = (await send(principal, HERE))["id"]
        await begun.wait()
        tasks[2].cancel()  # its client hung up
        await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [_numbers(answers[each]) for each in (0, 1, 3)] == [[number]] * 3
    assert isinstance(answers[2], asyncio.CancelledError)
    own = Cursor.objects.filter(workspace=principal.workspace_id, pending_shown=number)
    how = await executor.run(lambda: dict(own.values_list("instance__name", "pending_how")))
    assert how == {"i0": "open", "i1": "strict", "i2": "strict", "i3": "open"}


async def test_whose_wait_is_over_by_its_turn_is_handed_nothing_and_waits_for_no_turn(
    make_workspace: MakeWorkspace,
) -> None:
    principal = await people(make_workspace)
    turns = waiting.turns(asyncio.get_running_loop())
    async with waiters(principal, 6, HERE) as tasks:
        own = Wait.objects.filter(workspace=principal.workspace_id)
        by_name = await _by_name(principal)
        await _take_all(turns)
        number = (await send(principal, HERE))["id"]
        await _let_queue()
        by_name["i3"].end("superseded")
        tasks[0].cancel()  # its client hung up
        async with asyncio.timeout(SOON):
            with suppress(asyncio.CancelledError):
                await tasks[0]
        assert await executor.run(own.count) == 5, "it waits for a turn to forget its row"
        _give_back(turns)
        answers = await _answers(tasks[1:])
        assert [each["ended"] for each in answers] == ["message", "message", "superseded", "message", "message"]
        handed = HandOut.objects.filter(workspace=principal.workspace_id, from_number=number)
        names = await executor.run(lambda: sorted(handed.values_list("instance__name", flat=True)))
        assert names == ["i1", "i2", "i4", "i5"]


async def test_who_wakes_wakes_a_loop_once(make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    principal = await people(make_workspace)
    woken: list[int] = []
    wake = waiting._set_all

    def count(group: list[waiting.Waiter]) -> None:
        woken.append(len(group))
        wake(group)

    monkeypatch.setattr(waiting, "_set_all", count)
    async with waiters(principal, 5, HERE):
        hub.publish("bus.channel", {"workspace": principal.workspace_id, "channel": HERE, "number": 1})
        async with asyncio.timeout(SOON):
            while not woken:  # noqa: ASYNC110 - the loop itself does it
                await asyncio.sleep(0)
    assert woken == [5]
