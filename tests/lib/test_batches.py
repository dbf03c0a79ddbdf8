"""Batches: what is asked for while one is under way goes with the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crosswire.lib.batches import Ask, Batches

type Asks = list[Ask[int, int]]


async def _settled() -> None:
    """Let everything that can go on now do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_asked_for_meanwhile_is_done_together_in_order_and_by_key() -> None:
    seen: list[list[int]] = []
    gate = asyncio.Event()

    async def work(asks: Asks) -> None:
        seen.append([ask.item for ask in asks])
        await gate.wait()
        for ask in asks:
            ask.give(ask.item * 10)

    batches = Batches[str, int, int](work, 3)
    first = asyncio.create_task(batches.ask("a", 1))
    await _settled()
    others = [asyncio.create_task(batches.ask("a", number)) for number in range(2, 7)]
    another = asyncio.create_task(batches.ask("b", 7))
    await _settled()
    assert seen == [[1], [7]]
    gate.set()
    assert await asyncio.gather(first, *others, another) == [10, 20, 30, 40, 50, 60, 70]
    assert seen == [[1], [7], [2, 3, 4], [5, 6]]


async def test_who_asks_until_the_turn_comes_is_in_the_batch() -> None:
    seen: list[int] = []
    free = asyncio.Event()

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        await free.wait()
        yield

    async def work(asks: Asks) -> None:
        seen.append(len(asks))
        for ask in asks:
            ask.give(0)

    batches = Batches[None, int, int](work, 10, turn)
    asking = [asyncio.create_task(batches.ask(None, 0))]
    await _settled()
    asking.append(asyncio.create_task(batches.ask(None, 0)))
    await _settled()
    free.set()
    await asyncio.gather(*asking)
    assert seen == [2]


async def test_a_failure_is_told_to_all_that_have_no_answer_and_the_next_batch_is_done() -> None:
    async def work(asks: Asks) -> None:
        asks[0].give(1)
        if len(asks) > 1:
            raise ValueError("broken")

    batches = Batches[None, int, int](work, 2)
    outcomes = await asyncio.gather(*(batches.ask(None, number) for number in range(3)), return_exceptions=True)
    assert [outcomes[0], outcomes[2]] == [1, 1]
    assert isinstance(outcomes[1], ValueError)


async def test_who_hangs_up_hinders_nobody() -> None:
    gate = asyncio.Event()

    async def work(asks: Asks) -> None:
        await gate.wait()
        for ask in asks:
            ask.give(ask.item)

    batches = Batches[None, int, int](work, 5)
    asking = [asyncio.create_task(batches.ask(None, number)) for number in range(3)]
    await _settled()
    asking[0].cancel()
    asking[2].cancel()
    gate.set()
    assert await asking[1] == 1


async def test_whom_the_work_leaves_out_is_told_so() -> None:
    async def work(asks: Asks) -> None:
        asks[0].give(1)

    batches = Batches[None, int, int](work, 2)
    outcomes = await asyncio.gather(*(batches.ask(None, number) for number in range(2)), return_exceptions=True)
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], RuntimeError)


async def test_what_is_under_way_and_queued_when_the_work_is_cancelled_is_cancelled() -> None:
    begun = asyncio.Event()

    async def work(asks: Asks) -> None:
        begun.set()
        await asyncio.Event().wait()

    batches = Batches[None, int, int](work, 1)
    asking = [asyncio.create_task(batches.ask(None, number)) for number in range(2)]
    await begun.wait()
    (draining,) = batches._tasks
    draining.cancel()
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    assert not batches._queues[asyncio.get_running_loop()]
