"""Celery tasks: ids in, one service call, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from bus import pruners, quotas


@shared_task(name="bus.tasks.prune")  # type: ignore[untyped-decorator]  # Celery ships no types
def prune() -> dict[str, int]:
    """Delete what has expired and what is over."""
    return pruners.run_scheduled()


@shared_task(name="bus.tasks.warn")  # type: ignore[untyped-decorator]  # as above
def warn(workspace_id: int) -> None:
    """Tell those who run a workspace that much of its quotas is used."""
    quotas.warn(workspace_id)


@shared_task(name="bus.tasks.look_at_quotas")  # type: ignore[untyped-decorator]  # as above
def look_at_quotas() -> dict[str, int]:
    """Tell of used quotas what nobody was told."""
    return quotas.look()
