"""Celery tasks: ids in, one service call, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from accounts import closing, exports, leaving, notices, tidying


@shared_task(name="accounts.tasks.make_export")  # type: ignore[untyped-decorator]  # Celery ships no types
def make_export(export_id: int) -> None:
    """Make the file of an export."""
    exports.make(export_id)


@shared_task(name="accounts.tasks.erase_workspace")  # type: ignore[untyped-decorator]  # as above
def erase_workspace(workspace_id: int) -> None:
    """Erase a workspace that was deleted."""
    closing.erase(workspace_id)


@shared_task(name="accounts.tasks.erase_account")  # type: ignore[untyped-decorator]  # as above
def erase_account(user_id: int) -> None:
    """Erase a person who deleted their account."""
    leaving.erase(user_id)


@shared_task(name="accounts.tasks.tell")  # type: ignore[untyped-decorator]  # as above
def tell(event_id: int) -> None:
    """Mail those who want to know of an event."""
    notices.tell(event_id)


@shared_task(name="accounts.tasks.resume")  # type: ignore[untyped-decorator]  # as above
def resume() -> dict[str, int]:
    """Begin anew what was cut off."""
    return {"exports": exports.resume(), "workspaces": closing.resume(), "accounts": leaving.resume()}


@shared_task(name="accounts.tasks.tidy")  # type: ignore[untyped-decorator]  # as above
def tidy() -> dict[str, int]:
    """Delete what people have left behind."""
    return tidying.tidy()
