"""Celery tasks of the project itself."""

from __future__ import annotations

from celery import shared_task

from crosswire.site import status


@shared_task(name="crosswire.tasks.beat")  # type: ignore[untyped-decorator]  # Celery ships no types
def beat() -> None:
    """Show that the schedule and a worker run; the status page looks for it."""
    status.note_beat()
