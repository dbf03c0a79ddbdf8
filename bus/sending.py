"""Sends of one process queue per workspace: one transaction under way each, what queues meanwhile goes with the next.

Sixteen senders of a workspace thus cost one lock and one commit between them instead of sixteen threads in a row.
"""

from __future__ import annotations

import time
from typing import Any

from accounts.principals import Principal
from bus.results import Sent
from bus.services import messages
from crosswire.lib import executor
from crosswire.lib.batches import Ask, Batches
from crosswire.lib.database import PATIENCE_SECONDS, Patience, patience
from crosswire.lib.errors import CrossWireError

BATCH_MOST = 100

type _Sends = list[Ask[messages.Draft, Sent]]


async def send(principal: Principal, **fields: Any) -> Sent:
    """Store one message, together with what else of its workspace is being sent. Raises as `messages.send`."""
    return await _batches.ask(principal.workspace_id, messages.draft(principal, **fields))


async def _store(batch: _Sends) -> messages.StoreError | None:
    """Store a batch and answer everybody in it, whatever happens; return why the database did not take it."""
    patience.set(Patience(max(0.1, PATIENCE_SECONDS - (time.monotonic() - batch[0].since))))
    try:
        outcomes = await executor.run(messages.send_many, [each.item for each in batch])
    except messages.StoreError as failure:
        if failure.is_uncertain or len(batch) == 1:
            _refuse(batch, messages.not_stored(failure))
        else:
            await _store_singly(batch)
        return failure
    except BaseException as problem:
        _refuse(batch, problem if isinstance(problem, Exception) else messages.StoreError(is_uncertain=True))
        if not isinstance(problem, Exception):
            raise
    else:
        for each, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, CrossWireError):
                each.refuse(outcome)
            else:
                each.give(outcome)
    return None


async def _store_singly(batch: _Sends) -> None:
    """Store a batch of which nothing was stored one by one, so that the one at fault fails alone.

    Once one finds the database away the rest is refused: each would wait for it as long again.
    """
    for index, each in enumerate(batch):
        failure = await _store([each])
        if failure is not None and failure.is_away:
            _refuse(batch[index + 1 :], messages.not_stored(messages.StoreError()))
            return


def _refuse(batch: _Sends, problem: Exception) -> None:
    for each in batch:
        each.refuse(problem)


_batches = Batches[int, messages.Draft, Sent](_store, BATCH_MOST)
