"""The schedule of the embedded default, where no beat runs: a thread that asks for each entry when it is time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Event, Thread
from typing import Any

from django.conf import settings

from crosswire.lib import jobs

FIRST_SECONDS = 5.0
"""After the start each entry is due once: what was cut off goes on, and who restarts often is swept too."""
TICK_SECONDS = 1.0


def start() -> None:
    """Keep the schedule from now on, unless a Celery beat does."""
    if settings.CELERY_TASK_ALWAYS_EAGER:
        Thread(target=_begin, name="crosswire-ticker", daemon=True).start()


def _begin() -> None:
    from crosswire.celery import app  # noqa: PLC0415 - a third of a second, which the start need not wait for

    keep(app.conf.beat_schedule, Event())


def keep(schedule: Mapping[str, Mapping[str, Any]], ended: Event) -> None:
    """Ask for each entry at its times until the end."""
    due = dict.fromkeys(schedule, time.monotonic() + FIRST_SECONDS)
    while not ended.wait(TICK_SECONDS):
        for name, entry in schedule.items():
            if time.monotonic() >= due[name]:
                due[name] = time.monotonic() + entry["schedule"]
                jobs.start(entry["task"])
