"""Calls under way in this process, by instance: what ran beside what, and whose answer never arrived whole.

A surface opens a call for each request, says when its answer goes out, and closes it once that has left (or broke).
An answer beside which another call of the same instance ran, or whose stream broke, can be confirmed only by an id of
it or an ack.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from bus import hot
from crosswire.lib import executor
from crosswire.lib.database import DatabaseProblem, Patience, patience
from crosswire.lib.errors import CrossWireError

logger = logging.getLogger(__name__)

type InstanceKey = tuple[int, str]
type HandedTo = tuple[int, int, int, datetime]
"""Workspace, channel, instance, and when."""


@dataclass(eq=False, slots=True)
class Call:
    """One request. `handed`: the cursors its answer was put into."""

    key: InstanceKey | None = None
    is_alone: bool = True
    is_broken: bool = False
    is_closed: bool = False
    handed: list[HandedTo] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


_current: ContextVar[Call | None] = ContextVar("call", default=None)
_under_way: dict[InstanceKey, set[Call]] = {}


@asynccontextmanager
async def under_way() -> AsyncIterator[Call]:
    """Open a call for the time of a request, its answer's way included."""
    call = Call()
    reset = _current.set(call)
    try:
        yield call
    except BaseException:
        call.is_broken = True
        raise
    finally:
        _current.reset(reset)
        with call.lock:
            call.is_closed = True
        _leave(call)
        if call.is_broken or not call.is_alone:
            await distrust(call)


def names(workspace_id: int, instance: str) -> None:
    """Note which instance the call under way is of."""
    call = _current.get()
    if call is None:
        return
    call.key = (workspace_id, instance)
    beside = _under_way.setdefault(call.key, set())
    for other in beside:
        other.is_alone = call.is_alone = False
    beside.add(call)


def answered() -> None:
    """Note that the answer of the call under way goes out now: what its client asks next does not run beside it."""
    if (call := _current.get()) is not None:
        _leave(call)


def failed() -> None:
    """Note that the call under way is answered with a refusal: what it was handed does not arrive."""
    if (call := _current.get()) is not None:
        call.is_broken = True


def is_alone() -> bool:
    """Return whether no other call of the instance has run beside this one so far."""
    call = _current.get()
    return call is None or call.is_alone


def current() -> Call | None:
    """Return the call under way, if the surface opens calls."""
    return _current.get()


def handed(call: Call | None, workspace_id: int, channel_id: int, instance_id: int, at: datetime) -> None:
    """Note that a call's answer holds messages."""
    if call is None:
        return
    with call.lock:
        call.handed.append((workspace_id, channel_id, instance_id, at))
        is_late = call.is_closed
    if is_late:  # its client hung up while the database answered
        try:
            _make_strict([(workspace_id, channel_id, instance_id, at)])
        except DatabaseProblem:  # others may have been answered with it
            logger.exception("answer_not_made_strict")


async def distrust(call: Call) -> None:
    """Make a call's answers strict, now that it is known that they did not arrive whole, or may not have."""
    if call.handed:
        await asyncio.shield(_distrust(call.handed))


async def _distrust(handed: list[HandedTo]) -> None:
    """Make answers strict; a database that went away meanwhile must not break what was answered already."""
    try:
        patience.set(Patience())  # whatever the request has used of its own
        await executor.run(_make_strict, handed)
    except (DatabaseProblem, CrossWireError):
        logger.exception("answer_not_made_strict")


def _leave(call: Call) -> None:
    if call.key is None:
        return
    beside = _under_way.get(call.key, set())
    beside.discard(call)
    if not beside:
        _under_way.pop(call.key, None)


def _make_strict(handed: list[HandedTo]) -> None:
    for workspace_id, channel_id, instance_id, at in handed:
        hot.make_strict(workspace_id, channel_id, instance_id, at)
