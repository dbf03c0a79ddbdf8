"""Sends of one process queue per workspace: one transaction under way each, what queues meanwhile goes with the next.

Sixteen senders of a workspace thus cost one lock and one commit between them instead of sixteen threads in a row.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from accounts.principals import Principal
from bus.results import Sent
from bus.services import messages
from crosswire.lib import executor
from crosswire.lib.database import PATIENCE_SECONDS, Patience, patience
from crosswire.lib.errors import CrossWireError

BATCH_MOST = 100

type _Waiting = tuple[messages.Draft, asyncio.Future[Sent], float]
"""What is to be stored, who waits for it, and since when (monotonic seconds)."""

_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, list[_Waiting]]] = WeakKeyDictionary()
_tasks: set[asyncio.Task[None]] = set()


async def send(principal: Principal, **fields: Any) -> Sent:
    """Store one message, together with what else of its workspace is being sent. Raises as `messages.send`."""
    draft = messages.draft(principal, **fields)
    loop = asyncio.get_running_loop()
    waiting: _Waiting = (draft, loop.create_future(), time.monotonic())
    queues = _queues.setdefault(loop, {})
    queue = queues.get(principal.workspace_id)
    if queue is not None:
        queue.append(waiting)
    else:
        queues[principal.workspace_id] = [waiting]
        # In nobody's context: it may go on long after the first sender's request.
        task = loop.create_task(_drain(queues, principal.workspace_id), context=Context())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
    return await waiting[1]


async def _drain(queues: dict[int, list[_Waiting]], workspace_id: int) -> None:
    queue = queues[workspace_id]
    try:
        while queue:
            batch = queue[:BATCH_MOST]
            del queue[:BATCH_MOST]
            await _store(batch)
    finally:
        del queues[workspace_id]


async def _store(batch: list[_Waiting]) -> messages.StoreError | None:
    """Store a batch and answer everybody in it, whatever happens; return why the database did not take it."""
    patience.set(Patience(max(0.1, PATIENCE_SECONDS - (time.monotonic() - batch[0][2]))))
    try:
        outcomes = await executor.run(messages.send_many, [draft for draft, _, _ in batch])
    except messages.StoreError as failure:
        if failure.is_uncertain or len(batch) == 1:
            _refuse(batch, messages.not_stored(failure))
        else:
            await _store_singly(batch)
        return failure
    except BaseException as problem:
        _refuse(batch, problem)
        if not isinstance(problem, Exception):
            raise
    else:
        for (_, answer, _), outcome in zip(batch, outcomes, strict=True):
            if answer.done():
                continue  # its client hung up
            if isinstance(outcome, CrossWireError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
    return None


async def _store_singly(batch: list[_Waiting]) -> None:
    """Store a batch of which nothing was stored one by one, so that the one at fault fails alone.

    Once one finds the database away the rest is refused: each would wait for it as long again.
    """
    for index, each in enumerate(batch):
        failure = await _store([each])
        if failure is not None and failure.is_away:
            _refuse(batch[index + 1 :], messages.not_stored(messages.StoreError()))
            return


def _refuse(batch: list[_Waiting], problem: BaseException) -> None:
    for _, answer, _ in batch:
        if not answer.done():
            answer.set_exception(problem if isinstance(problem, Exception) else messages.StoreError(is_uncertain=True))
