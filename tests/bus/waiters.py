"""What the tests of waits share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from bus import waiting
from bus.models import Wait
from crosswire.lib import hub
from tests.support.cast import Caller
from tests.support.processes import wait_until
from tests.support.surfaces import Refusal, Result, Surface

WAIT = "wait_for_reply"
SOON = 20.0
"""Seconds within which what a test waits for has happened, even on a machine with much else to do."""


def open_waits(caller: Caller) -> list[str]:
    """Return the tokens of the waits that are open in a workspace."""
    rows = Wait.objects.filter(workspace=caller.workspace, ended_at=None)
    return list(rows.order_by("pk").values_list("token", flat=True))


def present(caller: Caller) -> list[waiting.Waiter]:
    """Return who waits in this process in a workspace."""
    return [waiter for waiter in list(waiting.room.by_token.values()) if waiter.key[0] == caller.workspace.pk]


def until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Poll until it is so. Raises: TimeoutError."""
    wait_until(is_so, SOON, lambda: otherwise)


def begin(call: Surface, caller: Caller, operation: str = WAIT, /, **arguments: Any) -> Future[Result | Refusal]:
    """Begin a wait in the background; return once it is open."""
    before = set(open_waits(caller))
    answer = call.start(caller, operation, **arguments)
    until(lambda: answer.done() or bool(set(open_waits(caller)) - before), "the wait does not begin")
    assert not answer.done(), answer.result(0)
    return answer


def answered(waited: Future[Result | Refusal]) -> Result:
    """Return what a wait answered."""
    answer = waited.result(SOON)
    assert isinstance(answer, Result), answer
    return answer


def end_by_time(caller: Caller) -> None:
    """End what is waited for in a workspace, in this process, as if its time were over."""
    for waiter in present(caller):
        waiter.end("time")


@contextmanager
def unheard() -> Iterator[None]:
    """Have nothing that is published reach anybody, as when a process hears of no commit but its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "publish", lambda topic, payload: None)
        yield
