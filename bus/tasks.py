"""Celery tasks: ids in, one service call, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from bus import retention


@shared_task(name="bus.tasks.sweep")  # type: ignore[untyped-decorator]  # Celery ships no types
def sweep() -> dict[str, int]:
    """Delete what nothing reads any more."""
    return retention.sweep()
