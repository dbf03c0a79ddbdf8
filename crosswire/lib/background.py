"""Tasks that an event loop runs once, for everybody on it who needs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Before work that failed begins anew."""

type Tasks = dict[asyncio.AbstractEventLoop, asyncio.Task[None]]


def keep_running(
    tasks: Tasks,
    loop: asyncio.AbstractEventLoop,
    work: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]],
) -> None:
    """Have one task of this kind run on the loop, in nobody's context: it outlives whoever was first to need it.

    Work that fails is logged and begins anew: those who need it would be waiting for nothing.
    """
    task = tasks.get(loop)
    if task is None or task.done():
        tasks[loop] = task = loop.create_task(_run(work, loop), context=Context())
        task.add_done_callback(lambda done: tasks.pop(loop, None) if tasks.get(loop) is done else None)


async def _run(
    work: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]], loop: asyncio.AbstractEventLoop
) -> None:
    while True:
        try:
            await work(loop)
        except Exception:
            logger.exception("background_work_failed")
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
