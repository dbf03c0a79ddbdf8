"""Deleting a workspace: it is gone for everybody at once, and a job erases it in small steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction

from accounts import audit, exports, mails, principals, services
from accounts.archive import SignOfLife
from accounts.models import (
    ApiKey,
    AuditEvent,
    Export,
    Invite,
    Member,
    Pruned,
    QuotaWarning,
    UsageDay,
    Workspace,
    public_id,
)
from accounts.signals import workspace_closing, workspace_counted, workspace_erased
from crosswire.lib import clock, jobs, steps
from crosswire.lib.database import writing

STALE = timedelta(minutes=2)
REASON = "it was deleted"
_TOGETHER = 1_000
_TASK = "accounts.tasks.erase_workspace"


def what_goes(workspace: Workspace) -> list[tuple[str, int]]:
    """Return what is in a workspace, for people: what and how many."""
    told: Any = workspace_counted.send(sender=Workspace, workspace=workspace)
    live_keys = services.live_keys(workspace).count()
    members = Member.objects.filter(workspace=workspace).count()
    counts: list[tuple[str, int]] = [each for _, some in told for each in some]
    return [*counts, ("keys that work", live_keys), ("members", members)]


@transaction.atomic
def close(workspace: Workspace, *, actor: str = "operator", is_queued: bool = True) -> None:
    """Delete a workspace: its keys and its address are gone now, what is open ends, a job erases the rest."""
    locked = Workspace.objects.select_for_update(no_key=True).filter(pk=workspace.pk, closing_at=None).first()
    if locked is None:
        return
    workspace_closing.send(sender=Workspace, workspace=locked)
    audit.record(None, actor, "workspace.deleted", locked.slug, plan=locked.plan)
    locked.closing_at = now = clock.now()
    locked.suspended_at, locked.suspended_reason = now, REASON  # what every send asks for, whatever it remembers
    locked.slug = public_id()
    locked.save(update_fields=["closing_at", "suspended_at", "suspended_reason", "slug"])
    ApiKey.objects.filter(workspace=locked).delete()
    Invite.objects.filter(workspace=locked).delete()
    services.end_access(locked.pk)
    principals.drop_after_commit(locked.pk)
    if is_queued:
        jobs.queue(_TASK, locked.pk)


def erase(workspace_id: int) -> None:
    """Erase a workspace that was deleted, a bounded number of rows at a time; goes on where it was cut off."""
    closing = Workspace.objects.filter(pk=workspace_id, closing_at__isnull=False)

    def tell() -> None:
        with writing():
            closing.update(closing_at=clock.now())

    workspace = closing.first()
    if workspace is None:
        return
    tell()
    alive = SignOfLife(tell)
    workspace_erased.send(sender=Workspace, workspace_id=workspace_id, alive=alive, is_last=False)
    for export in Export.objects.filter(workspace=workspace_id):
        exports.forget_file(export)
    for model in (UsageDay, QuotaWarning, AuditEvent, ApiKey, Invite, Export, Pruned):
        steps.delete(model._default_manager.filter(workspace=workspace_id), alive)  # noqa: SLF001 - any of these models
    _part_with_members(workspace, alive)
    _finish(workspace_id)


def _part_with_members(workspace: Workspace, alive: Callable[[], None]) -> None:
    for member in Member._base_manager.filter(workspace=workspace).select_related("user").order_by("pk"):  # noqa: SLF001 - those of a workspace that is being erased
        if member.user.closing_at is None:
            is_owner = member.role == Member.Role.OWNER
            mails.send("workspace_deleted", member.user.email, workspace=workspace.name, is_owner=is_owner)
        with writing():
            member.delete()
        alive()


@transaction.atomic
def _finish(workspace_id: int) -> None:
    """Delete the workspace, and what was stored by calls that were under way: behind this lock nothing more comes."""
    workspace = Workspace.objects.select_for_update().filter(pk=workspace_id).first()
    if workspace is None:
        return
    workspace_erased.send(sender=Workspace, workspace_id=workspace_id, alive=lambda: None, is_last=True)
    for model in (UsageDay, QuotaWarning, AuditEvent, ApiKey, Invite, Export, Pruned):
        model._default_manager.filter(workspace=workspace_id).delete()  # noqa: SLF001 - any of these models
    workspace.delete()


def resume() -> int:
    """Begin anew what was cut off; return how many."""
    dead = Workspace.objects.filter(closing_at__lt=clock.now() - STALE).values_list("pk", flat=True)[:_TOGETHER]
    for pk in dead:
        jobs.start(_TASK, pk)
    return len(dead)
