"""One message wakes all who wait on a channel; they are answered together, in few statements, each with its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction

from bus import beats, conversing, hot, waiting
from bus.models import Cursor, HandOut, Instance, Wait
from bus.services import looks, waits
from crosswire.lib import clock, executor, hub
from crosswire.lib.errors import CrossWireError
from tests.bus.waiters import SOON, people, send, until, waiters
from tests.conftest import MakeWorkspace
from tests.support.cast import CAST, Caller

HERE = "here"
COUNT = 30


def _numbers(answer: Any) -> list[int]:
    return [message["id"] for message in answer["messages"]]


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
    principal = await people(make_workspace)
    async with waiters(principal, COUNT, HERE) as tasks:
        number = (await send(principal, HERE))["id"]
        assert [_numbers(answer) for answer in await _answers(tasks)] == [[number]] * COUNT


@pytest.mark.parametrize(
    "problem", [looks.NotTogetherError(), IntegrityError("one of them"), CrossWireError("unavailable", "Busy.")]
)
async def test_where_it_fails_together_each_is_answered_alone(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    tried: list[int] = []

    def fail(together: list[looks.Look]) -> Any:
        tried.append(len(together))
        raise problem

    monkeypatch.setattr(looks, "look_together", fail)
    principal = await people(make_workspace)
    async with waiters(principal, COUNT, HERE) as tasks:
        number = (await send(principal, HERE))["id"]
        assert [_numbers(answer) for answer in await _answers(tasks)] == [[number]] * COUNT
    assert max(tried) > 1


async def test_a_database_that_is_away_is_told_to_each_and_nothing_is_handed_out(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = hot.together

    def away(*statements: Any) -> None:
        if len(statements[0][1]) > 2:  # the tokens of several
            raise OperationalError("the connection is lost")
        together(*statements)

    principal = await people(make_workspace)
    async with waiters(principal, COUNT, HERE) as tasks:
        monkeypatch.setattr(hot, "together", away)
        number = (await send(principal, HERE))["id"]
        async with asyncio.timeout(SOON):
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [index for index, answer in enumerate(answers) if isinstance(answer, OperationalError)]
        assert len(failed) > COUNT / 2
        handed = HandOut.objects.filter(workspace=principal.workspace_id)
        assert await executor.run(handed.count) == COUNT - len(failed)
        monkeypatch.setattr(hot, "together", together)
        again = await conversing.check_messages(principal, channel=HERE, instance_id=f"i{failed[0]}", after_id=0)
        assert _numbers(again) == [number]


async def test_one_that_lost_its_place_and_two_of_one_name_are_answered_all_the_same(
    make_workspace: MakeWorkspace,
) -> None:
    principal = await people(make_workspace)
    async with waiters(principal, 4, HERE) as tasks:
        gone = Instance.objects.filter(workspace=principal.workspace_id, name="i2")
        await executor.run(lambda: gone.update(left_at=clock.now()))
        number = (await send(principal, HERE))["id"]
        assert [_numbers(answer) for answer in await _answers(tasks)] == [[number]] * 4

    def twice() -> Any:
        asked = waits.Asked(principal, HERE, "ann", 0, 9, "blocking", "active", 9, "p", floor=0, is_open=True)
        return looks.look_together([looks.Look(asked, token, copy_context()) for token in "ab"])

    with pytest.raises(looks.NotTogetherError):
        await executor.run(twice)


async def test_whose_wait_is_over_by_its_turn_is_handed_nothing(make_workspace: MakeWorkspace) -> None:
    principal = await people(make_workspace)
    turns = waiting.turns(asyncio.get_running_loop())
    async with waiters(principal, 6, HERE) as tasks:
        while not turns.locked():  # all turns, so that those who are woken have to wait for theirs
            await turns.acquire()
        taken = max(1, settings.EXECUTOR_THREADS // 2)
        number = (await send(principal, HERE))["id"]
        await asyncio.sleep(0)
        tasks[0].cancel()  # its client hung up
        over = next(each for each in waiting.room.by_token.values() if each.key == (principal.workspace_id, HERE))
        over.end("superseded")
        await asyncio.sleep(0.05)
        for _ in range(taken):
            turns.release()
        async with asyncio.timeout(SOON):
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        ends = [each["ended"] for each in answers if not isinstance(each, BaseException)]
        assert sorted(ends)[:4] == ["message"] * 4
        handed = HandOut.objects.filter(workspace=principal.workspace_id, from_number=number)
        assert await executor.run(handed.count) == ends.count("message")


@pytest.mark.home("postgres")
def test_answers_for_many_lock_their_waits_in_the_order_of_whoever_ends_several(alice: Caller) -> None:
    """Else one that ends both (older first) and a batch that has them the other way round would wait for each other."""
    until_ = clock.now() + timedelta(minutes=1)
    tokens = [f"{alice.key[:30]}{number}" for number in range(2)]
    for token in tokens:
        Wait.objects.create(workspace=alice.workspace, token=token, kind="blocking", process="p", until=until_)
    begun = threading.Event()

    def forget() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET application_name = 'forgetting'")
            begun.set()
            hot.together(beats.forgotten(alice.workspace.pk, tokens[::-1]))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET application_name")
            connection.close()

    with ThreadPoolExecutor(1, CAST) as pool:
        with transaction.atomic():
            older, newer = (Wait.objects.filter(token=token) for token in tokens)
            assert older.select_for_update().exists()
            forgetting = pool.submit(forget)
            assert begun.wait(SOON)
            until(_is_blocked, "nothing waits for the older one")
            assert newer.select_for_update(nowait=True).exists()
        forgetting.result(SOON)
    assert not Wait.objects.filter(token__in=tokens).exists()


def _is_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forgetting' AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


async def test_who_wakes_wakes_a_loop_once(make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    principal = await people(make_workspace)
    woken: list[int] = []
    wake = waiting._wake_all

    def count(group: list[waiting.Waiter]) -> None:
        woken.append(len(group))
        wake(group)

    monkeypatch.setattr(waiting, "_wake_all", count)
    async with waiters(principal, 5, HERE):
        hub.publish("bus.channel", {"workspace": principal.workspace_id, "channel": HERE, "number": 1})
        async with asyncio.timeout(SOON):
            while not woken:  # noqa: ASYNC110 - the loop itself does it
                await asyncio.sleep(0)
    assert woken == [5]
