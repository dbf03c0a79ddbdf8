"""Work for which many ask at once: what is asked for while a batch is under way is done with the next one, together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary


@dataclass(frozen=True, slots=True, eq=False)
class Ask[T, R]:
    """What somebody asks for, and since when (monotonic seconds)."""

    item: T
    answer: asyncio.Future[R]
    since: float = field(default_factory=time.monotonic)

    def give(self, result: R) -> None:
        """Answer; who hung up meanwhile hears nothing."""
        if not self.answer.done():
            self.answer.set_result(result)

    def refuse(self, problem: BaseException) -> None:
        """Answer with a problem."""
        if not self.answer.done():
            self.answer.set_exception(problem)


class Batches[K: Hashable, T, R]:
    """Does work for everybody who asks under one key, in the order they came, one batch of a key at a time.

    `work` answers each of a batch; whom it leaves out is answered with what it raised, or told that it was left out.
    `most`: how many a batch may have. `turn`: entered for each batch; who asks until then is still in it.
    """

    def __init__(
        self,
        work: Callable[[list[Ask[T, R]]], Awaitable[object]],
        most: int,
        turn: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        self._work, self._most, self._turn = work, most, turn
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[K, list[Ask[T, R]]]] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, item: T) -> R:
        """Return what the work answers. Raises: what it raises."""
        loop = asyncio.get_running_loop()
        ask: Ask[T, R] = Ask(item, loop.create_future())
        queues = self._queues.setdefault(loop, {})
        if (queue := queues.get(key)) is not None:
            queue.append(ask)
        else:
            queues[key] = [ask]
            # In nobody's context: it may go on long after the first one's request.
            task = loop.create_task(self._drain(queues, key), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await ask.answer

    async def _drain(self, queues: dict[K, list[Ask[T, R]]], key: K) -> None:
        queue = queues[key]
        try:
            while queue:
                async with self._turn():
                    batch = queue[: self._most]
                    del queue[: self._most]
                    await self._do(batch)
        finally:
            del queues[key]
            for ask in queue:  # the loop ends
                ask.answer.cancel()

    async def _do(self, batch: list[Ask[T, R]]) -> None:
        try:
            await self._work(batch)
        except BaseException as problem:
            for ask in batch:
                ask.refuse(problem)
            if not isinstance(problem, Exception):
                raise
        else:
            for ask in batch:
                ask.refuse(RuntimeError("left without an answer"))
