"""Work on many rows in transactions of bounded size, with a pause after each for everybody else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from crosswire.lib.database import writing

TOGETHER = 1_000
_PAUSE_MOST = 0.5

type Step = Callable[[], bool]
"""Does a bounded piece of work in a transaction of its own; returns whether there is more."""


def take(step: Step, alive: Callable[[], None]) -> None:
    """Do all of something; each pause is half as long as the step before it. `alive` is called between two."""
    while True:
        began = time.monotonic()
        is_more = step()
        alive()
        if not is_more:
            return
        time.sleep(min(_PAUSE_MOST, (time.monotonic() - began) / 2))


def delete(rows: QuerySet[Any], alive: Callable[[], None], together: int = TOGETHER) -> int:
    """Delete rows, so many at a time; return how many went. What a row must be is asked again as it goes."""
    count = 0

    def step() -> bool:
        nonlocal count
        with writing():
            keys = list(rows.values_list("pk", flat=True)[:together])
            count += rows.filter(pk__in=keys).delete()[0]
        return len(keys) == together

    take(step, alive)
    return count
