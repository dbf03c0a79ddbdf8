"""The product's Celery, whose schedule goes round every second: `celery -A tests.support.hurried beat`."""

from __future__ import annotations

from crosswire.celery import app

for entry in app.conf.beat_schedule.values():
    entry["schedule"] = 1.0
