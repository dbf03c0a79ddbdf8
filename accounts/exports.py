"""Exports: a copy of everything in a workspace, asked for on a page, made by a job, kept for a week."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse

from accounts import audit, mails
from accounts.archive import PART, Archive, SignOfLife
from accounts.models import ApiKey, AuditEvent, Export, Invite, Member, Pruned, UsageDay, User, Workspace
from accounts.signals import workspace_exported
from crosswire.lib import clock, jobs
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, not_found

KEPT = timedelta(days=7)
KEPT_MOST = 5
"""Files a workspace has at most; a further one takes the place of the oldest."""
ASKED_A_DAY = 10
"""How many exports of a workspace may be asked for within 24 hours."""
REMEMBERED = timedelta(days=30)
"""How long the page tells of exports that failed or expired."""
STALE = timedelta(minutes=2)
"""After so long without a sign of life a job is dead, and another may begin."""
ATTEMPTS_MOST = 3
_LEFTOVER_SECONDS = 86_400.0
_TOGETHER = 1_000
_TASK = "accounts.tasks.make_export"

logger = logging.getLogger(__name__)


class _Abandoned(Exception):  # noqa: N818 - says what happened
    """Somebody else made the export, or the workspace is being deleted."""


@transaction.atomic
def ask(workspace: Workspace, *, user: User | None = None, actor: str = "operator", is_queued: bool = True) -> Export:
    """Have an export made soon.

    Raises: CrossWireError `limit_reached` while one is being made, `rate_limited`, `not_found`.
    """
    locked = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    if locked.closing_at:
        raise not_found("This workspace was deleted.")
    if Export.objects.filter(workspace=locked, state=Export.State.WAITING).exists():
        raise CrossWireError("limit_reached", "An export is being made already; wait until it is ready.")
    day = clock.now() - timedelta(days=1)
    if Export.objects.filter(workspace=locked, created_at__gt=day).count() >= ASKED_A_DAY:
        raise CrossWireError(
            "rate_limited", f"{ASKED_A_DAY} exports a day are made, and no more; take the newest.", retry_after=3600
        )
    export = Export.objects.create(workspace=locked, requested_by=user)
    audit.record(locked.pk, actor, "export.asked", str(export.pk))
    if is_queued:
        jobs.queue(_TASK, export.pk)
    return export


def make(export_id: int) -> None:
    """Make the file of an export that waits for it, unless somebody is at it. What goes wrong stands in its row."""
    if not _claim(export_id):
        return
    export = Export.objects.select_related("workspace", "requested_by").get(pk=export_id)
    if export.attempts > ATTEMPTS_MOST:
        _fail(export, f"It was begun {ATTEMPTS_MOST} times and each time cut off before it was complete.")
        return
    path = folder() / f"{export.workspace_id}-{export.pk}-{secrets.token_hex(8)}.zip"
    try:
        _write(export, path)
        is_ours = _finish(export, path)
    except _Abandoned:
        return
    except Exception as problem:  # the page says what it is, and it can be asked for again
        logger.exception("export_failed")
        path.unlink(missing_ok=True)
        _fail(export, _in_words(problem))
        return
    if not is_ours:
        path.unlink(missing_ok=True)
    elif export.requested_by is not None:
        _tell(export, export.requested_by)


def _claim(export_id: int) -> bool:
    now = clock.now()
    free = Q(seen_at=None) | Q(seen_at__lt=now - STALE)
    waiting = Export.objects.filter(free, pk=export_id, state=Export.State.WAITING)
    with writing():
        return bool(waiting.update(seen_at=now, attempts=F("attempts") + 1))


def _write(export: Export, path: Path) -> None:
    """Write the file. Raises: _Abandoned, OSError, whatever the database raises."""
    mine = Export.objects.filter(pk=export.pk, state=Export.State.WAITING, attempts=export.attempts)

    def tell() -> None:
        with writing():
            if not mine.filter(workspace__closing_at=None).update(seen_at=clock.now()):
                raise _Abandoned

    with Archive.at(path, SignOfLife(tell)) as archive:
        workspace_exported.send(sender=Export, workspace=export.workspace, archive=archive)
        for table, about, rows in _tables(export.workspace):
            archive.rows(table, about, rows)


def _finish(export: Export, path: Path) -> bool:
    """Note that the file is there; return whether anybody still wants it."""
    now = clock.now()
    mine = Export.objects.filter(pk=export.pk, state=Export.State.WAITING, attempts=export.attempts)
    with writing():
        done = {"state": Export.State.READY, "path": path.name, "size_bytes": path.stat().st_size}
        if not mine.filter(workspace__closing_at=None).update(**done, ready_at=now, expires_at=now + KEPT):
            return False
        ready = Export.objects.filter(workspace=export.workspace_id, state=Export.State.READY)
        for surplus in ready.order_by("-pk")[KEPT_MOST:]:
            _expire(surplus)
    return True


def _fail(export: Export, problem: str) -> None:
    with writing():
        Export.objects.filter(pk=export.pk, state=Export.State.WAITING).update(
            state=Export.State.FAILED, problem=problem[:300]
        )


def _in_words(problem: Exception) -> str:
    if isinstance(problem, OSError):
        return f"The server could not write the file ({problem.strerror or type(problem).__name__})."
    return "Something broke on our side; it was logged."


def _tell(export: Export, user: User) -> None:
    page = settings.PUBLIC_URL + reverse("workspace_settings", args=[export.workspace.slug]) + "#exports"
    mails.send("export_ready", user.email, workspace=export.workspace.name, page=page, days=KEPT.days)


def folder() -> Path:
    """Return where the files lie."""
    return Path(settings.EXPORTS_DIR)


def find_file(workspace: Workspace, export_id: int, *, actor: str) -> tuple[Export, Path]:
    """Return an export of the workspace and where its file lies, and note who fetches it.

    Raises: CrossWireError `not_found`; `unavailable` when the file was written where this process does not look.
    """
    ready = Export.objects.filter(workspace=workspace, state=Export.State.READY, expires_at__gt=clock.now())
    export = ready.filter(pk=export_id).first()
    if export is None:
        raise not_found("There is no such export, or it has expired; ask for another one.")
    path = folder() / export.path
    if not path.is_file():
        logger.error("export_not_here", extra={"path": str(path)})
        raise CrossWireError(
            "unavailable",
            "The file of this export is not where this server looks. Whoever runs it has to set EXPORTS_DIR to one "
            "folder that all its web and worker processes share.",
        )
    audit.record(workspace.pk, actor, "export.downloaded", str(export.pk))
    return export, path


def shown(workspace: Workspace) -> dict[str, Any]:
    """Return what pages tell of a workspace's exports: the newest ones, and whether one is being made."""
    since = clock.now() - REMEMBERED
    newest = list(Export.objects.filter(workspace=workspace, created_at__gt=since).order_by("-pk")[:10])
    is_making = any(each.state == Export.State.WAITING for each in newest)
    return {"exports": newest, "is_making": is_making, "kept_days": KEPT.days, "kept_most": KEPT_MOST}


def is_being_made(workspace: Workspace) -> bool:
    """Return whether an export was asked for lately and is not complete: what it is about should stay as it is."""
    since = clock.now() - timedelta(days=1)
    return Export.objects.filter(workspace=workspace, state=Export.State.WAITING, created_at__gt=since).exists()


def sweep(*, is_dry: bool = False) -> dict[str, int]:
    """Delete files that have expired or belong to nothing, and rows nobody looks at any more; say how many.

    `is_dry`: only say it.
    """
    now = clock.now()
    expired = list(Export.objects.filter(state=Export.State.READY, expires_at__lte=now)[:_TOGETHER])
    leftovers = _leftovers()
    if not is_dry:
        for export in expired:
            _expire(export)
        over = Export.objects.filter(state__in=[Export.State.FAILED, Export.State.EXPIRED])
        over.filter(created_at__lt=now - REMEMBERED).delete()
        for path in leftovers:
            path.unlink(missing_ok=True)
    return {"exports": len(expired), "export_leftovers": len(leftovers)}


def _expire(export: Export) -> None:
    forget_file(export)
    Export.objects.filter(pk=export.pk).update(state=Export.State.EXPIRED, path="")


def forget_file(export: Export) -> None:
    """Delete the file of an export, if it has one."""
    if export.path:
        (folder() / export.path).unlink(missing_ok=True)


def _leftovers() -> list[Path]:
    """Return what jobs left that were cut off."""
    named = set(Export.objects.filter(state=Export.State.READY).values_list("path", flat=True))
    before = time.time() - _LEFTOVER_SECONDS
    files = [*folder().glob("*.zip"), *folder().glob(f"*{PART}")]
    return [path for path in files if path.name not in named and _is_older(path, before)]


def _is_older(path: Path, before: float) -> bool:
    """Return whether a file is so old; who is at it may have renamed it meanwhile."""
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def resume() -> int:
    """Begin anew what was cut off; return how many."""
    before = clock.now() - STALE
    dead = Q(seen_at__lt=before) | Q(seen_at=None, created_at__lt=before)
    found = Export.objects.filter(dead, state=Export.State.WAITING).values_list("pk", flat=True)[:_TOGETHER]
    for pk in found:
        jobs.start(_TASK, pk)
    return len(found)


# --- the tables of accounts -------------------------------------------------------------------------------------

_KEY = (
    *("name", "kind", "instance_id", "is_read_only", "prefix", "created_at", "expires_at", "revoked_at"),
    *("last_used_at", "last_used_client", "last_used_protocol", "last_used_instance"),
)
_INVITE = ("email", "role", "created_at", "expires_at", "accepted_at", "revoked_at")


def _tables(workspace: Workspace) -> Iterator[tuple[str, str, Iterable[Mapping[str, object]]]]:
    """Return table, what it is, and its rows; each streamed in the order of an index of the workspace's."""
    own = {"workspace": workspace}
    about = {"name": workspace.name, "slug": workspace.slug, "plan": workspace.plan, "overrides": workspace.overrides}
    about |= {"retention_holds": workspace.retention_holds, "created_at": workspace.created_at}
    yield "workspace", "The workspace itself.", [about]
    members = Member.objects.filter(**own).values("role", "created_at", name=F("user__name"), email=F("user__email"))
    yield "members", "The people in it.", members.order_by("created_at").iterator(_TOGETHER)
    keys = ApiKey.objects.filter(**own).order_by("created_at").values(*_KEY, made_by=F("created_by__email"))
    yield "keys", "API keys, without the keys.", keys.iterator(_TOGETHER)
    invites = Invite.objects.filter(**own).order_by("created_at").values(*_INVITE)
    yield "invites", "Who was invited.", invites.iterator(_TOGETHER)
    days = UsageDay.objects.filter(**own).order_by("day", "instance").values("day", "instance", "messages")
    yield "usage_days", "Messages that each sender stored on a day (UTC).", days.iterator(_TOGETHER)
    gone = Pruned.objects.filter(**own).order_by("day", "what").values("day", "what", "count", "names")
    yield "pruned", "What expired and was deleted, by day (UTC).", gone.iterator(_TOGETHER)
    events = AuditEvent.objects.filter(**own).order_by("at", "pk").values("at", "actor", "action", "target", "details")
    told = (each | {"actor": audit.for_customers(str(each["actor"]))} for each in events.iterator(_TOGETHER))
    yield "audit_events", "Who did what.", told
